//! The HTTP-Redirect binding (SAML Bindings 2.0, 3.4): a message in a query, its signature beside it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{BindingError, Kind, MAX_MESSAGE, Parameters, RelayState};
use crate::identify::saml::algorithm::AlgorithmPolicy;
use crate::identify::saml::keys::{SigningKey, VerifyingKey};
use crate::identify::saml::sign::{self, SignError};
use crate::identify::saml::signature::{SignatureError, verify_bytes};
use crate::identify::saml::writer::Written;
use crate::identify::shown::shown;

/// Queries beyond this are not looked at.
pub const MAX_QUERY: usize = 64 * 1024;
/// A signature, decoded: RSA with 16384 bits has 2 kB.
const MAX_SIGNATURE: usize = 2048;
const DEFLATE: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE";
/// RFC 3986, 2.3: what needs no escape anywhere, so that nobody on the way writes it differently.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A message of ours on its way out, as a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// The query for `message`, which carries no signature of its own (Bindings 3.4.4.1).
    ///
    /// # Errors
    /// Where it cannot be compressed.
    pub fn new(
        kind: Kind,
        message: &Written,
        relay_state: Option<&RelayState>,
    ) -> Result<Self, BindingError> {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        let written = deflate.write_all(message.as_str().as_bytes());
        let deflated = written.and_then(|()| deflate.finish()).map_err(|_| BindingError::NotCompressed)?;
        let mut query = format!("{}={}", kind.parameter(), escaped(&STANDARD.encode(deflated)));
        if let Some(relay_state) = relay_state {
            query.push_str("&RelayState=");
            query.push_str(&escaped(relay_state.as_str()));
        }
        Ok(Self(query))
    }

    /// With a signature by `key` over these very octets and `SigAlg` (Bindings 3.4.4.1).
    ///
    /// # Errors
    /// Where the key does not sign.
    pub fn signed(self, key: &SigningKey) -> Result<Self, SignError> {
        let mut query = format!("{}&SigAlg={}", self.0, escaped(sign::algorithm(key)));
        let (_, signature) = sign::sign_bytes(query.as_bytes(), key)?;
        query.push_str("&Signature=");
        query.push_str(&escaped(&STANDARD.encode(signature)));
        Ok(Self(query))
    }

    /// The address to send the browser to. A query that the endpoint has already stays in front.
    #[must_use]
    pub fn at(&self, endpoint: &Url) -> Url {
        let mut url = endpoint.clone();
        url.set_fragment(None);
        match endpoint.query().filter(|query| !query.is_empty()) {
            Some(query) => url.set_query(Some(&format!("{query}&{}", self.0))),
            None => url.set_query(Some(&self.0)),
        }
        url
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// A message that came by redirect; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirected {
    pub kind: Kind,
    /// The XML.
    pub message: Vec<u8>,
    pub relay_state: Option<RelayState>,
    pub signature: Option<QuerySignature>,
}

/// The signature that came in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySignature {
    /// What was signed: the parameters in the order of Bindings 3.4.4.1, each encoded as its sender encoded it.
    pub octets: Vec<u8>,
    /// The algorithm's URI, as the sender says.
    pub algorithm: String,
    pub value: Vec<u8>,
}

impl QuerySignature {
    /// Verifies it.
    ///
    /// # Errors
    /// Where none of `keys` made it, or it was made by an algorithm that does not count.
    pub fn verify(&self, keys: &[VerifyingKey], policy: AlgorithmPolicy) -> Result<(), SignatureError> {
        verify_bytes(&self.algorithm, &self.octets, &self.value, keys, policy)
    }
}

impl Redirected {
    /// Reads the query as it came in, nothing decoded.
    ///
    /// # Errors
    /// Where it does not hold one deflated message, or half a signature.
    pub fn read(query: &str) -> Result<Self, BindingError> {
        if query.len() > MAX_QUERY {
            return Err(BindingError::QueryTooLong { limit: MAX_QUERY });
        }
        let known = ["SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding"];
        let parameters = Parameters::of(query, &known)?;
        // Bindings 3.4.4: absent means DEFLATE.
        if let Some(encoding) = parameters.text("SAMLEncoding")?.filter(|encoding| encoding != DEFLATE) {
            return Err(BindingError::EncodingUnknown(shown(&encoding)));
        }
        let (kind, deflated) = parameters.message(MAX_QUERY)?;
        let relay_state = parameters.relay_state()?;
        let signature = signature(&parameters, kind)?;
        Ok(Self { kind, message: inflated(&deflated)?, relay_state, signature })
    }
}

fn signature(parameters: &Parameters<'_>, kind: Kind) -> Result<Option<QuerySignature>, BindingError> {
    let algorithm = parameters.text("SigAlg")?;
    let value = parameters.bytes("Signature", MAX_SIGNATURE)?;
    let (algorithm, value) = match (algorithm, value) {
        (None, None) => return Ok(None),
        (Some(algorithm), Some(value)) => (algorithm, value),
        // SECURITY: half a signature is none, and must not be taken for an unsigned message.
        (Some(_), None) => {
            return Err(BindingError::SignatureIncomplete { present: "SigAlg", missing: "Signature" });
        }
        (None, Some(_)) => {
            return Err(BindingError::SignatureIncomplete { present: "Signature", missing: "SigAlg" });
        }
    };
    // Bindings 3.4.4.1: the signature covers these, in this order, as the sender encoded them; decoding and
    // encoding anew gives other octets (`%2b` for `%2B`).
    let order = [kind.parameter(), "RelayState", "SigAlg"];
    let signed: Vec<String> =
        order.iter().filter_map(|name| Some(format!("{name}={}", parameters.raw(name)?))).collect();
    Ok(Some(QuerySignature { octets: signed.join("&").into_bytes(), algorithm, value }))
}

/// RFC 1951, one whole stream, at most [`MAX_MESSAGE`] bytes of it.
fn inflated(deflated: &[u8]) -> Result<Vec<u8>, BindingError> {
    // One byte more than is read tells a message that is too long from one that just fits. All of it at once: a loop
    // that makes more room bit by bit has to end for every sender.
    let mut message = Vec::with_capacity(MAX_MESSAGE + 1);
    let mut inflate = Decompress::new(false);
    let status = inflate.decompress_vec(deflated, &mut message, FlushDecompress::Finish);
    if message.len() > MAX_MESSAGE {
        return Err(BindingError::InflatesTooFar { limit: MAX_MESSAGE });
    }
    let taken = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
    match status {
        Ok(Status::StreamEnd) if taken == deflated.len() => Ok(message),
        _ => Err(BindingError::NotDeflate),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::testing::{OTHER_RSA, P256, P384, P521, Party, RSA};
    use super::super::super::writer::Writer;
    use super::*;

    fn message(text: &str) -> Written {
        let mut writer = Writer::new("a", &[]);
        writer.text("b", &[], text);
        writer.finish()
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
        deflate.write_all(bytes).unwrap();
        deflate.finish().unwrap()
    }

    fn query_of(bytes: &[u8]) -> String {
        format!("SAMLRequest={}", escaped(&STANDARD.encode(bytes)))
    }

    #[test]
    fn what_is_sent_is_read_and_the_signature_covers_the_octets_that_were_sent() {
        let relay_state = RelayState::ours("r/s t+u&v=w").unwrap();
        let query = Query::new(Kind::Response, &message("x"), Some(&relay_state)).unwrap();
        let query = query.signed(&RSA.signing).unwrap();
        let url = query.at(&Url::parse("https://idp.example/slo?tenant=%2b1#top").unwrap());
        assert!(url.as_str().starts_with("https://idp.example/slo?tenant=%2b1&SAMLResponse="), "{url}");
        assert!(url.as_str().contains("&RelayState=r%2Fs%20t%2Bu%26v%3Dw&SigAlg=http%3A%2F%2Fwww"));
        let read = Redirected::read(url.query().unwrap()).unwrap();
        assert_eq!(read.message, message("x").as_str().as_bytes());
        assert_eq!((read.kind, read.relay_state), (Kind::Response, Some(relay_state)));
        let signature = read.signature.unwrap();
        let verify = |signature: &QuerySignature, party: &Party| {
            signature.verify(std::slice::from_ref(&party.verifying), AlgorithmPolicy::Sha2)
        };
        verify(&signature, &RSA).unwrap();
        assert_eq!(verify(&signature, &OTHER_RSA), Err(SignatureError::NotByTrustedKey));
        for (from, to) in
            [("RelayState=r", "RelayState=R"), ("%20", "+"), ("%2F", "%2f"), ("SAMLResponse", "SAMLRequest")]
        {
            let changed = Redirected::read(&query.0.replacen(from, to, 1)).unwrap().signature.unwrap();
            assert_eq!(verify(&changed, &RSA), Err(SignatureError::NotByTrustedKey), "{from}");
        }
        let without = query.0.replace("&RelayState=r%2Fs%20t%2Bu%26v%3Dw", "");
        let changed = Redirected::read(&without).unwrap().signature.unwrap();
        assert_eq!(verify(&changed, &RSA), Err(SignatureError::NotByTrustedKey));
    }

    #[test]
    fn every_kind_of_key_signs_a_query() {
        for party in [&RSA, &P256, &P384, &P521] {
            let query =
                Query::new(Kind::Request, &message("x"), None).unwrap().signed(&party.signing).unwrap();
            let signature = Redirected::read(&query.0).unwrap().signature.unwrap();
            signature.verify(std::slice::from_ref(&party.verifying), AlgorithmPolicy::Sha2).unwrap();
        }
    }

    #[test]
    fn an_endpoint_without_query_gets_one() {
        let query = Query::new(Kind::Request, &message("x"), None).unwrap();
        for endpoint in ["https://idp.example/sso", "https://idp.example/sso?"] {
            let url = query.at(&Url::parse(endpoint).unwrap());
            assert_eq!(url.as_str(), format!("https://idp.example/sso?{}", query.0));
        }
    }

    #[test]
    fn the_senders_own_encoding_is_what_was_signed_in_the_order_of_the_standard() {
        let encoded = STANDARD.encode(deflated(b"<a/>")).replace('=', "%3d");
        // Lower case escapes, an unescaped slash, the parameters in another order, one more between them.
        let query =
            format!("Signature=AA%3d%3d&SigAlg=urn:a%2fb&x=y&RelayState=a%2bb+c&SAMLRequest={encoded}");
        let read = Redirected::read(&query).unwrap();
        assert_eq!(read.relay_state.unwrap().as_str(), "a+b c");
        let signature = read.signature.unwrap();
        let expected = format!("SAMLRequest={encoded}&RelayState=a%2bb+c&SigAlg=urn:a%2fb");
        assert_eq!(String::from_utf8(signature.octets).unwrap(), expected);
        assert_eq!((signature.algorithm.as_str(), signature.value), ("urn:a/b", vec![0]));
    }

    #[test]
    fn a_plus_in_base64_that_nobody_escaped_is_a_plus() {
        let query = format!("{}&SigAlg=a&Signature=+/8A", query_of(&deflated(b"<a/>")));
        let signature = Redirected::read(&query).unwrap().signature.unwrap();
        assert_eq!(signature.value, [0xfb, 0xff, 0x00]);
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused_however_it_is_spelled() {
        let one = query_of(&deflated(b"<a/>"));
        for (more, parameter) in [
            (one.clone(), "SAMLRequest"),
            ("SAML%52equest=x".to_owned(), "SAMLRequest"),
            ("RelayState=a&RelayState=a".to_owned(), "RelayState"),
            ("SigAlg=a&Signature=AAAA&SigAlg=b".to_owned(), "SigAlg"),
            ("SigAlg=a&Signature=AAAA&Signature=AAAA".to_owned(), "Signature"),
        ] {
            let refused = Redirected::read(&format!("{one}&{more}"));
            assert_eq!(refused, Err(BindingError::ParameterTwice { parameter }), "{more}");
        }
    }

    #[test]
    fn a_parameter_is_written_as_its_name_and_a_value_or_what_was_signed_would_not_be_what_came() {
        let query = Query::new(Kind::Request, &message("x"), RelayState::ours("r").as_ref()).unwrap();
        let query = query.signed(&RSA.signing).unwrap().0;
        Redirected::read(&query).unwrap();
        for (from, to, parameter) in [
            ("RelayState=r", "RelayState", "RelayState"),
            ("&SigAlg=", "&Sig%41lg=", "SigAlg"),
            ("SAMLRequest=", "SAML%52equest=", "SAMLRequest"),
        ] {
            let refused = Redirected::read(&query.replacen(from, to, 1));
            assert_eq!(refused, Err(BindingError::ParameterMalformed { parameter }), "{to}");
        }
    }

    #[test]
    fn half_a_signature_is_refused() {
        let one = query_of(&deflated(b"<a/>"));
        assert_eq!(
            Redirected::read(&format!("{one}&SigAlg=a")),
            Err(BindingError::SignatureIncomplete { present: "SigAlg", missing: "Signature" })
        );
        assert_eq!(
            Redirected::read(&format!("{one}&Signature=AAAA")),
            Err(BindingError::SignatureIncomplete { present: "Signature", missing: "SigAlg" })
        );
    }

    #[test]
    fn there_is_exactly_one_message() {
        let one = query_of(&deflated(b"<a/>"));
        let other = one.replace("SAMLRequest", "SAMLResponse");
        assert_eq!(Redirected::read(&format!("{one}&{other}")), Err(BindingError::MessageAmbiguous));
        assert_eq!(Redirected::read("RelayState=x"), Err(BindingError::MessageMissing));
        assert_eq!(Redirected::read(""), Err(BindingError::MessageMissing));
        assert_eq!(Redirected::read(&one).unwrap().kind, Kind::Request);
        assert_eq!(Redirected::read(&other).unwrap().kind, Kind::Response);
    }

    #[test]
    fn another_encoding_than_deflate_is_refused() {
        let one = query_of(&deflated(b"<a/>"));
        assert!(Redirected::read(&format!("{one}&SAMLEncoding={}", escaped(DEFLATE))).is_ok());
        let refused = Redirected::read(&format!("{one}&SAMLEncoding=urn:x"));
        assert_eq!(refused, Err(BindingError::EncodingUnknown("urn:x".to_owned())));
    }

    #[test]
    fn what_does_not_inflate_to_its_end_is_refused() {
        let whole = deflated(&b"<a/>".repeat(100));
        let mut longer = whole.clone();
        longer.push(0);
        let mut zlib = vec![0x78, 0x9c];
        zlib.extend_from_slice(&whole);
        for bad in [&whole[..whole.len() - 1], &whole[..1], &[], &longer, &zlib, b"<a/>"] {
            assert_eq!(Redirected::read(&query_of(bad)), Err(BindingError::NotDeflate), "{bad:?}");
        }
        assert!(Redirected::read(&query_of(&whole)).is_ok());
    }

    #[test]
    fn a_message_inflates_as_far_as_is_read_and_no_byte_further() {
        let read = |size: usize| Redirected::read(&query_of(&deflated(&vec![b'x'; size])));
        assert_eq!(read(MAX_MESSAGE).unwrap().message.len(), MAX_MESSAGE);
        let refused = Err(BindingError::InflatesTooFar { limit: MAX_MESSAGE });
        assert_eq!(read(MAX_MESSAGE + 1), refused);
        assert_eq!(read(20 * MAX_MESSAGE), refused);
    }

    #[test]
    fn a_query_is_bounded_before_it_is_read() {
        let refused = Redirected::read(&"x".repeat(MAX_QUERY + 1));
        assert_eq!(refused, Err(BindingError::QueryTooLong { limit: MAX_QUERY }));
        assert_eq!(Redirected::read(&"x".repeat(MAX_QUERY)), Err(BindingError::MessageMissing));
    }

    proptest! {
        #[test]
        fn every_message_comes_through(text in "\\PC{0,300}", relay_state in "\\PC{0,20}") {
            let relay_state = RelayState::ours(&relay_state);
            let query = Query::new(Kind::Request, &message(&text), relay_state.as_ref()).unwrap();
            let query = query.signed(&P256.signing).unwrap();
            let url = query.at(&Url::parse("https://idp.example/").unwrap());
            prop_assert_eq!(url.query(), Some(query.0.as_str()));
            let read = Redirected::read(&query.0).unwrap();
            prop_assert_eq!(read.message, message(&text).as_str().as_bytes().to_vec());
            prop_assert_eq!(read.relay_state, relay_state);
            let read = read.signature.unwrap();
            prop_assert!(read.verify(std::slice::from_ref(&P256.verifying), AlgorithmPolicy::Sha2).is_ok());
            prop_assert!(query.0.as_bytes().starts_with(&read.octets));
        }

        #[test]
        fn no_query_panics(query in "(SAMLRequest|SAMLResponse|RelayState|SigAlg|Signature|%|=|&|\\+|[a-zA-Z0-9/]|\\PC)*") {
            let _ = Redirected::read(&query);
        }
    }
}
