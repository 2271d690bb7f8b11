//! How messages travel: in a redirect's query, in a form, in a SOAP envelope (SAML Bindings 2.0).

pub mod error;
pub mod post;
pub mod redirect;
pub mod soap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use error::BindingError;

/// A message that came by redirect, inflated, at most; also what is read of a message by SOAP.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// A message that came in a form, decoded, at most: answers carry attributes, and people have many groups.
pub const MAX_POSTED: usize = 1024 * 1024;

/// Whether a message asks or answers, which is also the name of its parameter (Bindings 3.4.4, 3.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
}

impl Kind {
    /// The name of the parameter that carries such a message.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// What the other side gives back beside its answer. Opaque: looked up or given back, never followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayState(String);

impl RelayState {
    /// One of ours. Bindings 3.4.3: at most 80 bytes.
    #[must_use]
    pub fn ours(text: &str) -> Option<Self> {
        (text.len() <= 80).then(|| Self(text.to_owned()))
    }

    /// One of somebody else. Identity providers do put URLs beyond 80 bytes there; it has a bound all the same.
    fn received(text: String) -> Result<Self, BindingError> {
        const LIMIT: usize = 2048;
        if text.len() > LIMIT {
            return Err(BindingError::RelayStateTooLong { found: text.len(), limit: LIMIT });
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Base64 with padding (RFC 4648, 4), in lines or not: some identity providers break it every 76 characters.
/// `limit` is that of the decoded bytes.
fn from_base64(parameter: &'static str, text: &[u8], limit: usize) -> Result<Vec<u8>, BindingError> {
    // Four characters for three bytes, and a line end of two bytes for every 64 of them.
    if text.len() / 3 * 2 > limit.saturating_add(64) {
        return Err(BindingError::TooLong { parameter, limit });
    }
    let text: Vec<u8> = text.iter().copied().filter(|byte| !b" \t\r\n".contains(byte)).collect();
    let bytes = STANDARD.decode(text).map_err(|_| BindingError::NotBase64 { parameter })?;
    if bytes.len() > limit {
        return Err(BindingError::TooLong { parameter, limit });
    }
    Ok(bytes)
}

/// The parameters of a binding out of a query or a form, still as they were encoded.
#[derive(Default)]
struct Parameters<'a> {
    found: Vec<(&'static str, &'a str)>,
}

impl<'a> Parameters<'a> {
    /// Those of `known` in `encoded`; what else is there is somebody else's.
    fn of(encoded: &'a str, known: &[&'static str]) -> Result<Self, BindingError> {
        let mut parameters = Self::default();
        for pair in encoded.split('&') {
            let (written, value) = pair.split_once('=').unwrap_or((pair, ""));
            // SECURITY: by decoded name, so that no spelling hides a second one (`SAML%52esponse`).
            let name = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
            let Some(known) = known.iter().find(|known| **known == name) else { continue };
            // SECURITY: of two, readers take different ones: one would be verified and the other believed.
            if parameters.raw(known).is_some() {
                return Err(BindingError::ParameterTwice { parameter: known });
            }
            // Or what a signature is held against would not be what was sent.
            if written != *known || written.len() == pair.len() {
                return Err(BindingError::ParameterMalformed { parameter: known });
            }
            parameters.found.push((known, value));
        }
        Ok(parameters)
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.found.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, BindingError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        // application/x-www-form-urlencoded has "+" for a space.
        let spaced = raw.replace('+', " ");
        let text = percent_encoding::percent_decode_str(&spaced).decode_utf8();
        let text = text.map_err(|_| BindingError::NotUtf8 { parameter: name })?;
        Ok(Some(text.into_owned()))
    }

    /// Base64 has no space, so a "+" that was not encoded is meant.
    fn bytes(&self, name: &'static str, limit: usize) -> Result<Option<Vec<u8>>, BindingError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(raw).collect();
        from_base64(name, &decoded, limit).map(Some)
    }

    /// The message with its kind: exactly one.
    fn message(&self, limit: usize) -> Result<(Kind, Vec<u8>), BindingError> {
        let request = self.bytes(Kind::Request.parameter(), limit)?;
        let response = self.bytes(Kind::Response.parameter(), limit)?;
        match (request, response) {
            (Some(message), None) => Ok((Kind::Request, message)),
            (None, Some(message)) => Ok((Kind::Response, message)),
            (None, None) => Err(BindingError::MessageMissing),
            (Some(_), Some(_)) => Err(BindingError::MessageAmbiguous),
        }
    }

    fn relay_state(&self) -> Result<Option<RelayState>, BindingError> {
        self.text("RelayState")?.map(RelayState::received).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_may_be_broken_into_lines_but_is_strict_otherwise() {
        let read = |text: &str| from_base64("Signature", text.as_bytes(), 100);
        assert_eq!(read("YWJj\r\nZGU=").unwrap(), b"abcde");
        assert_eq!(read(" YWJj\n\tZGU= ").unwrap(), b"abcde");
        for bad in ["YWJjZGU", "YWJjZGV=", "YWJj-GU=", "YWJj=ZGU", "YWJjZGU=x", "YWJj\0ZGU="] {
            assert_eq!(read(bad), Err(BindingError::NotBase64 { parameter: "Signature" }), "{bad}");
        }
    }

    #[test]
    fn base64_is_bounded() {
        let at = |limit: usize, text: &str| from_base64("Signature", text.as_bytes(), limit);
        let too_long = |limit: usize| Err(BindingError::TooLong { parameter: "Signature", limit });
        assert_eq!(at(5, "YWJjZGU=").unwrap(), b"abcde");
        assert_eq!(at(4, "YWJjZGU="), too_long(4));
        assert_eq!(at(4, &" ".repeat(200)), too_long(4));
    }

    #[test]
    fn a_relay_state_of_ours_is_at_most_80_bytes_long() {
        assert_eq!(RelayState::ours(&"é".repeat(40)).unwrap().as_str(), "é".repeat(40));
        assert_eq!(RelayState::ours(&"x".repeat(81)), None);
        assert!(RelayState::received("x".repeat(2048)).is_ok());
        let refused = RelayState::received("x".repeat(2049));
        assert_eq!(refused, Err(BindingError::RelayStateTooLong { found: 2049, limit: 2048 }));
    }
}
