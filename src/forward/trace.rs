//! Request ids and W3C trace context, made without asking the machine for randomness each time.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};

use crate::model::RequestId;

/// Makes ids for one core. Unique, not secret: they name, they do not authorise.
pub struct Tracer {
    state: AtomicU64,
}

/// The ids of one request.
#[derive(Debug, Clone)]
pub struct Trace {
    pub request: RequestId,
    /// For `X-Request-Id`.
    pub id_value: HeaderValue,
    /// For `traceparent` (W3C Trace Context 1, 3.2): the client's trace id where it sent a valid one, with a
    /// parent id of ours.
    pub parent_value: HeaderValue,
}

impl Tracer {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// SplitMix64: every step gives another value, well mixed.
    fn next(&self) -> u64 {
        let mut z = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Ids for a request with these headers.
    #[must_use]
    pub fn trace(&self, headers: &HeaderMap) -> Trace {
        let request = self.next();
        let mut text = [0_u8; 55];
        let (version, rest) = text.split_at_mut(3);
        version.copy_from_slice(b"00-");
        let came = headers.get("traceparent").and_then(|value| valid_parent(value.as_bytes()));
        let (trace_id, rest) = rest.split_at_mut(32);
        let flags = if let Some((id, flags)) = came {
            trace_id.copy_from_slice(id);
            flags
        } else {
            let (high, low) = trace_id.split_at_mut(16);
            write_hex(high, self.next());
            write_hex(low, request);
            *b"00"
        };
        let (dash, rest) = rest.split_at_mut(1);
        dash.copy_from_slice(b"-");
        let (parent, rest) = rest.split_at_mut(16);
        write_hex(parent, request | 1);
        let (dash, last) = rest.split_at_mut(1);
        dash.copy_from_slice(b"-");
        last.copy_from_slice(&flags);
        let mut id = [0_u8; 16];
        write_hex(&mut id, request);
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap_or(HeaderValue::from_static("0"));
        Trace { request: RequestId(request), id_value: value(&id), parent_value: value(&text) }
    }
}

/// Trace id and flags of a valid version 00 header: lower-case hexadecimal, ids not all zero.
fn valid_parent(value: &[u8]) -> Option<(&[u8], [u8; 2])> {
    let hex = |bytes: &[u8]| bytes.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let some = |bytes: &[u8]| bytes.iter().any(|b| *b != b'0');
    let mut parts = value.split(|byte| *byte == b'-');
    let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let fits = version == b"00" && id.len() == 32 && parent.len() == 16 && parts.next().is_none();
    let flags: [u8; 2] = flags.try_into().ok()?;
    (fits && hex(id) && hex(parent) && hex(&flags) && some(id) && some(parent)).then_some((id, flags))
}

fn write_hex(target: &mut [u8], value: u64) {
    for (slot, shift) in target.iter_mut().rev().zip((0..64).step_by(4)) {
        let nibble = u8::try_from((value >> shift) & 15).unwrap_or(0);
        *slot = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(sent: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert("traceparent", sent.parse().unwrap());
        }
        Tracer::new(7).trace(&headers).parent_value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_valid_trace_goes_on_with_a_parent_of_ours() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let got = parent(Some(sent));
        assert_eq!(got.len(), 55);
        assert!(got.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && got.ends_with("-01"));
        assert_ne!(got, sent);
    }

    #[test]
    fn anything_else_begins_a_new_trace() {
        for sent in [
            None,
            Some("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
            Some("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"),
            Some("junk"),
        ] {
            let got = parent(sent);
            assert!(valid_parent(got.as_bytes()).is_some(), "{got}");
            assert!(got.ends_with("-00") && !got.contains("4bf92f35"), "{got}");
        }
    }

    #[test]
    fn ids_differ_from_request_to_request() {
        let tracer = Tracer::new(0);
        let ids: std::collections::HashSet<u64> =
            (0..1000).map(|_| tracer.trace(&HeaderMap::new()).request.0).collect();
        assert_eq!(ids.len(), 1000);
    }
}
