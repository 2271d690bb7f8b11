//! The SOAP binding (SAML Bindings 2.0, 3.2): a message in a SOAP 1.1 envelope, for logout behind the browser's back.

use super::BindingError;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{Node, Tree};
use crate::identify::shown::shown;

/// SOAP 1.1, 3.
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// The type of a body with an envelope (SOAP 1.1, 6).
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";
/// The header `SOAPAction` of a request (SAML Bindings 3.2.2.1.4), with its quotes.
pub const ACTION: &str = "\"http://www.oasis-open.org/committees/security\"";

/// `message` in an envelope.
#[must_use]
pub fn envelope(message: &Written) -> Written {
    let mut writer = Writer::new("soap:Envelope", &[("xmlns:soap", Some(ENVELOPE))]);
    writer.open("soap:Body", &[]);
    writer.document(message);
    writer.finish()
}

/// Who is to blame for a fault (SOAP 1.1, 4.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// The message was wrong.
    Client,
    /// The message could not be processed now.
    Server,
    /// A header that must be understood was not.
    MustUnderstand,
}

/// The answer to what is no SAML message that could be answered (SAML Bindings 3.2.3.3); its status is 500.
#[must_use]
pub fn fault(code: FaultCode, text: &str) -> Written {
    let code = match code {
        FaultCode::Client => "soap:Client",
        FaultCode::Server => "soap:Server",
        FaultCode::MustUnderstand => "soap:MustUnderstand",
    };
    let mut writer = Writer::new("soap:Envelope", &[("xmlns:soap", Some(ENVELOPE))]);
    writer.open("soap:Body", &[]);
    writer.open("soap:Fault", &[]);
    // SOAP 1.1, 4.4: these two have no namespace.
    writer.text("faultcode", &[], code);
    writer.text("faultstring", &[], text);
    writer.finish()
}

/// The one message in an envelope.
///
/// # Errors
/// Where it is no envelope, holds something else than one message, or is a fault.
pub fn message<'t, 'a>(tree: &'t Tree<'a>) -> Result<Node<'t, 'a>, BindingError> {
    let root = tree.root()?;
    if !root.is(ENVELOPE, "Envelope") {
        return Err(BindingError::NotEnvelope(shown(root.local_name())));
    }
    if let Some(header) = root.child(ENVELOPE, "Header")? {
        // SOAP 1.1, 4.2.3.
        let must = header
            .children()
            .find(|entry| matches!(entry.attribute_in(Some(ENVELOPE), "mustUnderstand"), Some("1" | "true")));
        if let Some(entry) = must {
            return Err(BindingError::HeaderNotUnderstood(shown(entry.local_name())));
        }
    }
    let body = root.required(ENVELOPE, "Body")?;
    let mut messages = body.children();
    let (Some(message), None) = (messages.next(), messages.next()) else {
        return Err(BindingError::BodyMessages(body.children().count()));
    };
    if message.is(ENVELOPE, "Fault") {
        // SOAP 1.1, 4.4: without a namespace.
        let text = message
            .children()
            .find(|child| child.namespace().is_empty() && child.local_name() == "faultstring")
            .map(|text| text.text())
            .transpose()?;
        return Err(BindingError::Fault(shown(&text.unwrap_or_default())));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::super::MAX_MESSAGE;
    use super::*;
    use crate::identify::saml::xml::XmlError;

    fn read(text: &str) -> Result<String, BindingError> {
        let tree = Tree::parse(text.as_bytes(), MAX_MESSAGE)?;
        message(&tree).map(|message| message.local_name().to_owned())
    }

    fn in_envelope(inner: &str) -> String {
        format!("<s:Envelope xmlns:s='{ENVELOPE}'>{inner}</s:Envelope>")
    }

    #[test]
    fn a_message_goes_into_an_envelope_and_comes_out_of_it() {
        let mut writer = Writer::new("p:LogoutRequest", &[("xmlns:p", Some("urn:p"))]);
        writer.text("p:b", &[], "x<y");
        let text = envelope(&writer.finish()).into_string();
        assert_eq!(read(&text).unwrap(), "LogoutRequest");
        let tree = Tree::parse(text.as_bytes(), MAX_MESSAGE).unwrap();
        let inner = message(&tree).unwrap().required("urn:p", "b").unwrap();
        assert_eq!(inner.text().unwrap(), "x<y");
    }

    #[test]
    fn a_fault_is_told_with_its_text() {
        let text = fault(FaultCode::Client, "no <such> session").into_string();
        assert_eq!(read(&text), Err(BindingError::Fault("no <such> session".to_owned())));
        assert!(text.contains("<faultcode>soap:Client</faultcode>"));
        let bare = in_envelope("<s:Body><s:Fault/></s:Body>");
        assert_eq!(read(&bare), Err(BindingError::Fault(String::new())));
    }

    #[test]
    fn what_is_no_envelope_with_one_message_is_refused() {
        assert_eq!(read("<Envelope/>"), Err(BindingError::NotEnvelope("Envelope".to_owned())));
        let missing = XmlError::Missing { parent: "Envelope".to_owned(), name: "Body" };
        assert_eq!(read(&in_envelope("")), Err(BindingError::Xml(missing)));
        let several = XmlError::Several { parent: "Envelope".to_owned(), name: "Body" };
        assert_eq!(
            read(&in_envelope("<s:Body><a/></s:Body><s:Body><a/></s:Body>")),
            Err(BindingError::Xml(several))
        );
        assert_eq!(read(&in_envelope("<s:Body/>")), Err(BindingError::BodyMessages(0)));
        assert_eq!(read(&in_envelope("<s:Body><a/><b/></s:Body>")), Err(BindingError::BodyMessages(2)));
        assert_eq!(read(&in_envelope("<s:Body><a/></s:Body>")).unwrap(), "a");
    }

    #[test]
    fn a_header_that_must_be_understood_is_refused() {
        let with = |must: &str| {
            read(&in_envelope(&format!(
                "<s:Header><h s:mustUnderstand='{must}'/></s:Header><s:Body><a/></s:Body>"
            )))
        };
        assert_eq!(with("0").unwrap(), "a");
        assert_eq!(with("1"), Err(BindingError::HeaderNotUnderstood("h".to_owned())));
    }
}
