//! The HTTP-POST binding (SAML Bindings 2.0, 3.5): a message in a hidden field of a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::{BindingError, Kind, MAX_POSTED, Parameters, RelayState};
use crate::identify::saml::writer::Written;

/// What the page has to post, and to where. The page escapes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub action: Url,
    /// Hidden fields by name and value.
    pub fields: Vec<(&'static str, String)>,
}

impl Form {
    /// The form for `message`, which carries its own signature where there is one (Bindings 3.5.4).
    #[must_use]
    pub fn new(action: Url, kind: Kind, message: &Written, relay_state: Option<&RelayState>) -> Self {
        let mut fields = vec![(kind.parameter(), STANDARD.encode(message.as_str()))];
        fields.extend(relay_state.map(|relay_state| ("RelayState", relay_state.as_str().to_owned())));
        Self { action, fields }
    }
}

/// A message that came in a form; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub kind: Kind,
    /// The XML.
    pub message: Vec<u8>,
    pub relay_state: Option<RelayState>,
}

impl Posted {
    /// Reads a body of `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// Where it does not hold one message.
    pub fn read(body: &[u8]) -> Result<Self, BindingError> {
        let body = std::str::from_utf8(body).map_err(|_| BindingError::NotUtf8 { parameter: "form" })?;
        let parameters = Parameters::of(body, &["SAMLRequest", "SAMLResponse", "RelayState"])?;
        let (kind, message) = parameters.message(MAX_POSTED)?;
        Ok(Self { kind, message, relay_state: parameters.relay_state()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::writer::Writer;
    use super::*;

    fn encoded(form: &Form) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish()
    }

    fn form(text: &str, relay_state: Option<&RelayState>) -> (Written, Form) {
        let mut writer = Writer::new("a", &[]);
        writer.text("b", &[], text);
        let message = writer.finish();
        let action = Url::parse("https://idp.example/sso").unwrap();
        let form = Form::new(action, Kind::Response, &message, relay_state);
        (message, form)
    }

    #[test]
    fn a_form_has_the_message_and_what_is_to_come_back() {
        let (_, form) = form("x", Some(&RelayState::ours("r").unwrap()));
        assert_eq!(form.action.as_str(), "https://idp.example/sso");
        let response = ("SAMLResponse", "PGE+PGI+eDwvYj48L2E+".to_owned());
        assert_eq!(form.fields, [response, ("RelayState", "r".to_owned())]);
    }

    #[test]
    fn there_is_exactly_one_message_in_a_form() {
        assert_eq!(Posted::read(b"SAMLResponse=YQ%3D%3D").unwrap().message, b"a");
        assert_eq!(Posted::read(b"SAMLRequest=YQ%3D%3D").unwrap().kind, Kind::Request);
        assert_eq!(Posted::read(b"RelayState=YQ%3D%3D"), Err(BindingError::MessageMissing));
        let both = Posted::read(b"SAMLResponse=YQ%3D%3D&SAMLRequest=YQ%3D%3D");
        assert_eq!(both, Err(BindingError::MessageAmbiguous));
        let twice = Posted::read(b"SAMLResponse=YQ%3D%3D&SAMLResponse=YQ%3D%3D");
        assert_eq!(twice, Err(BindingError::ParameterTwice { parameter: "SAMLResponse" }));
        assert_eq!(Posted::read(b"\xff"), Err(BindingError::NotUtf8 { parameter: "form" }));
        let bad = Posted::read(b"SAMLResponse=YQ%3D%3D&RelayState=%ff");
        assert_eq!(bad, Err(BindingError::NotUtf8 { parameter: "RelayState" }));
        let bad = Posted::read(b"SAMLResponse=Y*");
        assert_eq!(bad, Err(BindingError::NotBase64 { parameter: "SAMLResponse" }));
    }

    #[test]
    fn a_posted_message_is_bounded() {
        let body = |size: usize| {
            let message = STANDARD.encode(vec![b'x'; size]);
            url::form_urlencoded::Serializer::new(String::new())
                .append_pair("SAMLResponse", &message)
                .finish()
        };
        assert!(Posted::read(body(MAX_POSTED).as_bytes()).is_ok());
        let refused = Posted::read(body(MAX_POSTED + 1).as_bytes());
        assert_eq!(refused, Err(BindingError::TooLong { parameter: "SAMLResponse", limit: MAX_POSTED }));
    }

    proptest! {
        #[test]
        fn every_form_comes_through(text in "\\PC{0,300}", relay_state in "\\PC{0,20}") {
            let relay_state = RelayState::ours(&relay_state);
            let (message, form) = form(&text, relay_state.as_ref());
            let read = Posted::read(encoded(&form).as_bytes()).unwrap();
            prop_assert_eq!(read.message, message.as_str().as_bytes());
            prop_assert_eq!(read.relay_state, relay_state);
        }
    }
}
