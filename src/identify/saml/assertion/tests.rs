//! What is read of responses and assertions, and what is not.

use super::super::instant::InstantError;
use super::super::xml::XmlError;
use super::*;

const LIMIT: usize = 1 << 20;

const GOOD: &str = r#"<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    ID="_a1" Version="2.0" IssueInstant="2026-01-31T12:00:00.250Z">
  <saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity"> https://idp.example/meta </saml:Issuer>
  <saml:Subject>
    <saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
        NameQualifier="https://idp.example/meta" SPNameQualifier="" SPProvidedID="ours">ada</saml:NameID>
    <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
      <saml:SubjectConfirmationData Recipient="https://app.example/acs" NotOnOrAfter="2026-01-31T12:05:00Z"
          InResponseTo="_r1" Address="192.0.2.1"/>
    </saml:SubjectConfirmation>
  </saml:Subject>
  <saml:Conditions NotBefore="2026-01-31T11:59:00Z" NotOnOrAfter="2026-01-31T12:06:00Z">
    <saml:AudienceRestriction>
      <saml:Audience>https://app.example</saml:Audience><saml:Audience>urn:b</saml:Audience>
    </saml:AudienceRestriction>
    <saml:AudienceRestriction><saml:Audience>urn:c</saml:Audience></saml:AudienceRestriction>
    <saml:OneTimeUse/>
    <saml:ProxyRestriction Count="0"/>
  </saml:Conditions>
  <saml:Advice><saml:AssertionIDRef>_b</saml:AssertionIDRef></saml:Advice>
  <saml:AuthnStatement AuthnInstant="2026-01-31T11:00:00Z" SessionIndex="_s1"
      SessionNotOnOrAfter="2026-01-31T20:00:00Z">
    <saml:SubjectLocality Address="192.0.2.1"/>
    <saml:AuthnContext>
      <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>
      <saml:AuthnContextDeclRef>urn:declared</saml:AuthnContextDeclRef>
      <saml:AuthenticatingAuthority>https://behind.example</saml:AuthenticatingAuthority>
    </saml:AuthnContext>
  </saml:AuthnStatement>
  <saml:AttributeStatement>
    <saml:Attribute Name="urn:oid:0.9.2342.19200300.100.1.3" FriendlyName="mail"
        NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri">
      <saml:AttributeValue>ada@example.com</saml:AttributeValue>
    </saml:Attribute>
    <saml:Attribute Name="Role"><saml:AttributeValue>a</saml:AttributeValue></saml:Attribute>
    <saml:Attribute Name="Role"><saml:AttributeValue>b</saml:AttributeValue></saml:Attribute>
  </saml:AttributeStatement>
</saml:Assertion>"#;

const RESPONSE: &str = r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
    xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1" Version="2.0"
    IssueInstant="2026-01-31T12:00:00Z" Destination=" https://app.example/acs " InResponseTo="_r1">
  <saml:Issuer>https://idp.example/meta</saml:Issuer>
  <samlp:Extensions><x xmlns="urn:x"/></samlp:Extensions>
  <samlp:Status>
    <samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder">
      <samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/>
    </samlp:StatusCode>
    <samlp:StatusMessage>no</samlp:StatusMessage>
    <samlp:StatusDetail><x xmlns="urn:x"/></samlp:StatusDetail>
  </samlp:Status>
  <saml:EncryptedAssertion/>
</samlp:Response>"#;

/// What is read of `text` where one thing in it is another.
fn changed<T>(
    text: &str,
    from: &str,
    to: &str,
    parse: impl Fn(&[u8], usize) -> Result<T, AssertionError>,
) -> Result<T, AssertionError> {
    assert!(text.contains(from), "{from}");
    parse(text.replacen(from, to, 1).as_bytes(), LIMIT)
}

fn with(from: &str, to: &str) -> Result<Assertion, AssertionError> {
    changed(GOOD, from, to, Assertion::parse)
}

fn refused(from: &str, to: &str) -> AssertionError {
    with(from, to).unwrap_err()
}

fn response_with(from: &str, to: &str) -> Result<ResponseHead, AssertionError> {
    changed(RESPONSE, from, to, ResponseHead::parse)
}

fn xml(error: XmlError) -> AssertionError {
    AssertionError::Xml(error)
}

fn unexpected(parent: &str, element: &str) -> AssertionError {
    AssertionError::Unexpected { parent: parent.into(), element: element.into() }
}

/// The values of an attribute that holds this.
fn values(inside: &str) -> Vec<String> {
    let read = with("<saml:AttributeValue>a</saml:AttributeValue>", inside).unwrap();
    read.attributes.into_iter().find(|attribute| attribute.name == "Role").unwrap().values
}

#[test]
fn everything_of_an_assertion_is_read() {
    let read = Assertion::parse(GOOD.as_bytes(), LIMIT).unwrap();
    let noon: i64 = 1_769_860_800;
    let at = |seconds| UnixTime(noon + seconds);
    let attribute = |name: &str, friendly: Option<&str>, format: Option<&str>, value: &str| Attribute {
        name: name.into(),
        name_format: format.map(str::to_owned),
        friendly_name: friendly.map(str::to_owned),
        values: vec![value.into()],
    };
    let expected = Assertion {
        id: "_a1".into(),
        version: "2.0".into(),
        issued_at: at(0),
        issuer: Issuer {
            value: "https://idp.example/meta".into(),
            format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:entity".into()),
        },
        subject: Some(AssertedSubject {
            name_id: Some(NameId {
                value: "ada".into(),
                format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
                name_qualifier: Some("https://idp.example/meta".into()),
                sp_name_qualifier: None,
                sp_provided_id: Some("ours".into()),
            }),
            confirmations: vec![Confirmation {
                method: "urn:oasis:names:tc:SAML:2.0:cm:bearer".into(),
                names_another: false,
                data: Some(ConfirmationData {
                    recipient: Some("https://app.example/acs".into()),
                    not_before: None,
                    not_on_or_after: Some(at(300)),
                    in_response_to: Some("_r1".into()),
                    address: Some("192.0.2.1".into()),
                }),
            }],
        }),
        conditions: Some(Conditions {
            not_before: Some(at(-60)),
            not_on_or_after: Some(at(360)),
            audience_restrictions: vec![
                vec!["https://app.example".into(), "urn:b".into()],
                vec!["urn:c".into()],
            ],
            one_time_use: true,
            unknown: Vec::new(),
        }),
        authn_statements: vec![AuthnStatement {
            authenticated_at: at(-3600),
            session_index: Some("_s1".into()),
            session_ends_at: Some(at(8 * 3600)),
            context_class: Some("urn:oasis:names:tc:SAML:2.0:ac:classes:Password".into()),
            context_declaration: Some("urn:declared".into()),
            authorities: vec!["https://behind.example".into()],
        }],
        attributes: vec![
            attribute(
                "urn:oid:0.9.2342.19200300.100.1.3",
                Some("mail"),
                Some("urn:oasis:names:tc:SAML:2.0:attrname-format:uri"),
                "ada@example.com",
            ),
            attribute("Role", None, None, "a"),
            attribute("Role", None, None, "b"),
        ],
    };
    assert_eq!(read, expected);
}

#[test]
fn everything_of_a_response_but_its_assertions_is_read() {
    let read = ResponseHead::parse(RESPONSE.as_bytes(), LIMIT).unwrap();
    assert_eq!(
        (read.id.as_str(), read.version.as_str(), read.issued_at),
        ("_1", "2.0", UnixTime(1_769_860_800))
    );
    assert_eq!(read.destination.as_deref(), Some("https://app.example/acs"));
    assert_eq!(read.in_response_to.as_deref(), Some("_r1"));
    assert_eq!(read.issuer, Some(Issuer { value: "https://idp.example/meta".into(), format: None }));
    assert_eq!(
        (read.status.short().as_str(), read.status.message.as_deref()),
        ("Responder / AuthnFailed", Some("no"))
    );
    let bare = r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1" Version="2.0"
        IssueInstant="2026-01-31T12:00:00Z"><p:Status><p:StatusCode Value="x"/></p:Status></p:Response>"#;
    let read = ResponseHead::parse(bare.as_bytes(), LIMIT).unwrap();
    assert_eq!((read.destination, read.in_response_to, read.issuer), (None, None, None));
    assert_eq!(read.status.message, None);
}

#[test]
fn what_may_be_absent_may_be_absent() {
    let bare = r#"<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="a" Version="2.0"
        IssueInstant="2026-01-31T12:00:00Z"><Issuer>i</Issuer></Assertion>"#;
    let read = Assertion::parse(bare.as_bytes(), LIMIT).unwrap();
    assert_eq!((read.subject, read.conditions), (None, None));
    assert_eq!((read.authn_statements.len(), read.attributes.len()), (0, 0));
    let nobody = with("<saml:Subject>", "<saml:Subject/><!---->").err();
    assert!(matches!(nobody, Some(AssertionError::Xml(_))));
}

#[test]
fn another_document_is_no_assertion_and_no_response() {
    let parse = |text: &str| Assertion::parse(text.as_bytes(), LIMIT).err();
    let not = |text: &str| Some(AssertionError::NotAnAssertion(text.into()));
    assert_eq!(parse("<Assertion/>"), not("Assertion (of no namespace)"));
    assert_eq!(parse("<Assertion xmlns='urn:evil'/>"), not("Assertion (of urn:evil)"));
    assert_eq!(parse(&format!("<Subject xmlns='{SAML}'/>")), not("Subject"));
    assert_eq!(
        ResponseHead::parse(GOOD.as_bytes(), LIMIT).err(),
        Some(AssertionError::NotAResponse("Assertion".into()))
    );
    assert_eq!(
        response_with("urn:oasis:names:tc:SAML:2.0:protocol", "urn:evil").err(),
        Some(AssertionError::NotAResponse("Response (of urn:evil)".into()))
    );
}

#[test]
fn a_message_is_bounded_by_whoever_reads_it() {
    let limit = GOOD.len();
    assert!(Assertion::parse(GOOD.as_bytes(), limit).is_ok());
    assert_eq!(
        Assertion::parse(GOOD.as_bytes(), limit - 1).err(),
        Some(xml(XmlError::TooLong { found: limit, limit: limit - 1 }))
    );
    assert!(matches!(
        ResponseHead::parse(RESPONSE.as_bytes(), 10),
        Err(AssertionError::Xml(XmlError::TooLong { limit: 10, .. }))
    ));
}

#[test]
fn what_must_be_there_is_missed() {
    for (attribute, element) in [
        ("ID=\"_a1\"", "Assertion"),
        ("Version=\"2.0\"", "Assertion"),
        ("IssueInstant=\"2026-01-31T12:00:00.250Z\"", "Assertion"),
        ("Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"", "SubjectConfirmation"),
        ("AuthnInstant=\"2026-01-31T11:00:00Z\"", "AuthnStatement"),
        ("Name=\"Role\"", "Attribute"),
    ] {
        let name = attribute.split('=').next().unwrap();
        match refused(attribute, "") {
            AssertionError::AttributeMissing { element: found, attribute } => {
                assert_eq!((found.as_str(), attribute), (element, name));
            }
            other => panic!("{attribute}: {other:?}"),
        }
        // Of another namespace it is another attribute.
        let foreign = refused(attribute, &format!("xmlns:e=\"urn:e\" e:{attribute}"));
        assert!(matches!(foreign, AssertionError::AttributeMissing { .. }), "{attribute}");
    }
    let missing = |parent: &str, name| xml(XmlError::Missing { parent: parent.into(), name });
    let issuer = "<saml:Issuer Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:entity\"> https://idp.example/meta \
                  </saml:Issuer>";
    assert_eq!(refused(issuer, ""), missing("Assertion", "Issuer"));
    let context = GOOD.get(GOOD.find("<saml:AuthnContext>").unwrap()..).unwrap();
    let context = context.get(..context.find("</saml:AuthnStatement>").unwrap()).unwrap();
    assert_eq!(refused(context, ""), missing("AuthnStatement", "AuthnContext"));
    for attribute in ["ID=\"_1\"", "Version=\"2.0\"", "IssueInstant=\"2026-01-31T12:00:00Z\""] {
        let read = response_with(attribute, "");
        assert!(matches!(read, Err(AssertionError::AttributeMissing { .. })), "{attribute}");
    }
    let read = response_with("Value=\"urn:oasis:names:tc:SAML:2.0:status:AuthnFailed\"", "");
    assert!(matches!(read, Err(AssertionError::AttributeMissing { attribute: "Value", .. })));
    let start = RESPONSE.find("<samlp:Status>").unwrap();
    let end = RESPONSE.find("</samlp:Status>").unwrap() + "</samlp:Status>".len();
    let read = response_with(RESPONSE.get(start..end).unwrap(), "");
    assert_eq!(read.err(), Some(missing("Response", "Status")));
}

#[test]
fn ghsa_j2jp_wvqg_wc2g_what_stands_once_is_refused_twice() {
    let several = |parent: &str, name| xml(XmlError::Several { parent: parent.into(), name });
    for (before, element, error) in [
        ("<saml:Subject>", "<saml:Issuer>x</saml:Issuer>", several("Assertion", "Issuer")),
        ("<saml:Subject>", "<saml:Subject/>", several("Assertion", "Subject")),
        ("<saml:Conditions", "<saml:Conditions/>", several("Assertion", "Conditions")),
        ("<saml:Advice>", "<saml:Advice/>", several("Assertion", "Advice")),
        (
            "<saml:Advice>",
            "<d:Signature xmlns:d='http://www.w3.org/2000/09/xmldsig#'/>\
             <d:Signature xmlns:d='http://www.w3.org/2000/09/xmldsig#'/>",
            several("Assertion", "Signature"),
        ),
        ("<saml:NameID", "<saml:NameID>eve</saml:NameID>", several("Subject", "NameID")),
        (
            "<saml:SubjectConfirmationData",
            "<saml:SubjectConfirmationData/>",
            several("SubjectConfirmation", "SubjectConfirmationData"),
        ),
        ("<saml:OneTimeUse/>", "<saml:OneTimeUse/>", several("Conditions", "OneTimeUse")),
        ("<saml:OneTimeUse/>", "<saml:ProxyRestriction/>", several("Conditions", "ProxyRestriction")),
        ("<saml:AuthnContext>", "<saml:AuthnContext/>", several("AuthnStatement", "AuthnContext")),
        (
            "<saml:AuthnContextClassRef>",
            "<saml:AuthnContextClassRef>u</saml:AuthnContextClassRef>",
            several("AuthnContext", "AuthnContextClassRef"),
        ),
    ] {
        assert_eq!(refused(before, &format!("{element}{before}")), error);
    }
    let status = "<samlp:Status>";
    assert_eq!(
        response_with(status, &format!("<samlp:Status/>{status}")).err(),
        Some(several("Response", "Status"))
    );
    let issuer = "<saml:Issuer>";
    assert_eq!(
        response_with(issuer, &format!("<saml:Issuer>x</saml:Issuer>{issuer}")).err(),
        Some(several("Response", "Issuer"))
    );
    let code = "<samlp:StatusCode";
    assert_eq!(
        response_with(code, &format!("<samlp:StatusCode Value='x'/>{code}")).err(),
        Some(several("Status", "StatusCode"))
    );
}

#[test]
fn what_the_schema_does_not_have_is_refused_where_it_does_not_have_it() {
    for (parent, before) in [
        ("Assertion", "<saml:Advice>"),
        ("Subject", "<saml:NameID"),
        ("SubjectConfirmation", "<saml:SubjectConfirmationData"),
        ("AudienceRestriction", "<saml:Audience>"),
        ("AuthnStatement", "<saml:AuthnContext>"),
        ("AuthnContext", "<saml:AuthnContextDeclRef>"),
        ("AttributeStatement", "<saml:Attribute "),
        ("Attribute", "<saml:AttributeValue>"),
    ] {
        // A name that SAML does not know, one that it knows elsewhere, and a known one of another namespace.
        for (element, named) in [
            ("<saml:Evil/>", "Evil"),
            ("<saml:Assertion/>", "Assertion"),
            ("<NameID xmlns='urn:evil'>eve</NameID>", "NameID (of urn:evil)"),
            ("<AttributeValue>eve</AttributeValue>", "AttributeValue (of no namespace)"),
        ] {
            let error = refused(before, &format!("{element}{before}"));
            assert_eq!(error, unexpected(parent, named), "{parent}");
        }
    }
    assert_eq!(refused(">ada<", "><saml:x/>ada<"), unexpected("NameID", "x"));
    assert!(matches!(
        refused(" https://idp.example/meta <", "<saml:x/><"),
        AssertionError::Xml(XmlError::NotText { .. })
    ));
    for (parent, before) in [
        ("Response", "<samlp:Extensions>"),
        ("Status", "<samlp:StatusMessage>"),
        ("StatusCode", "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:AuthnFailed\""),
    ] {
        let read = response_with(before, &format!("<saml:Subject/>{before}"));
        assert_eq!(read.err(), Some(unexpected(parent, "Subject")));
    }
}

#[test]
fn statements_that_nobody_asked_for_are_passed_over() {
    let more = "<saml:Statement/><saml:AuthzDecisionStatement/><saml:Advice>";
    assert_eq!(with("<saml:Advice>", more), Ok(Assertion::parse(GOOD.as_bytes(), LIMIT).unwrap()));
}

#[test]
fn what_is_encrypted_by_itself_is_refused_by_name() {
    let name_id = "<saml:NameID Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\"\n        \
                   NameQualifier=\"https://idp.example/meta\" SPNameQualifier=\"\" SPProvidedID=\"ours\">ada</saml:NameID>";
    assert_eq!(refused(name_id, "<saml:EncryptedID/>"), AssertionError::EncryptedNameId);
    assert_eq!(refused(name_id, &format!("{name_id}<saml:EncryptedID/>")), AssertionError::EncryptedNameId);
    assert_eq!(refused(name_id, "<saml:BaseID/>"), AssertionError::BaseId);
    assert_eq!(with(name_id, "").unwrap().subject.unwrap().name_id, None);
    assert_eq!(
        refused("<saml:Attribute ", "<saml:EncryptedAttribute/><saml:Attribute "),
        AssertionError::EncryptedAttribute
    );
}

#[test]
fn a_name_id_is_read_to_the_letter() {
    let name = |text: &str| {
        with(">ada<", &format!(">{text}<")).map(|read| read.subject.unwrap().name_id.unwrap().value)
    };
    assert_eq!(name("Ada L\u{f6}v &amp; &lt;x>").as_deref(), Ok("Ada L\u{f6}v & <x>"));
    assert_eq!(name("a<![CDATA[d]]>a").as_deref(), Ok("ada"));
    // Laid out for people.
    assert_eq!(name("\n   ada\n  ").as_deref(), Ok("ada"));
    for spaced in ["ada ", " ada", "\tada", "ada&#xD;", "\nada", "ada\n", "\u{20}ada\n"] {
        assert_eq!(name(spaced), Err(AssertionError::NameIdSpaced), "{spaced:?}");
    }
    for empty in ["", "  ", "\n\n"] {
        assert_eq!(
            name(empty),
            Err(AssertionError::Empty { element: "NameID".into(), what: "text" }),
            "{empty:?}"
        );
    }
    let long = "x".repeat(field::MAX_URI);
    assert_eq!(name(&long), Ok(long.clone()));
    assert!(matches!(name(&(long + "x")), Err(AssertionError::TooLong { limit: field::MAX_URI, .. })));
}

#[test]
fn cve_2017_11427_a_comment_in_a_name_id_is_refused() {
    assert_eq!(refused(">ada<", ">ada<!---->.evil<"), xml(XmlError::Comment));
}

#[test]
fn values_are_texts_or_name_ids_and_nothing_else() {
    assert_eq!(values("<saml:AttributeValue>x</saml:AttributeValue>"), ["x"]);
    assert_eq!(values("<saml:AttributeValue> x </saml:AttributeValue>"), [" x "]);
    assert_eq!(values("<saml:AttributeValue>\n  x y\n </saml:AttributeValue>"), ["x y"]);
    assert_eq!(values("<saml:AttributeValue/>"), [""]);
    assert_eq!(values(""), <[&str; 0]>::default());
    assert_eq!(
        values("<saml:AttributeValue>1</saml:AttributeValue><saml:AttributeValue>2</saml:AttributeValue>"),
        ["1", "2"]
    );
    for nil in ["true", "1", " true "] {
        let inside = format!("<saml:AttributeValue xsi:nil='{nil}'/>");
        assert_eq!(values(&inside), <[&str; 0]>::default());
    }
    assert_eq!(values("<saml:AttributeValue xsi:nil='false'>x</saml:AttributeValue>"), ["x"]);
    assert_eq!(values("<saml:AttributeValue nil='true'>x</saml:AttributeValue>"), ["x"]);
    let pairwise =
        "<saml:AttributeValue>\n <saml:NameID NameQualifier='i'>opaque</saml:NameID></saml:AttributeValue>";
    assert_eq!(values(pairwise), ["opaque"]);
    for structured in [
        "<saml:AttributeValue><x xmlns='urn:x'>admin</x></saml:AttributeValue>",
        "<saml:AttributeValue><NameID xmlns='urn:x'>admin</NameID></saml:AttributeValue>",
        "<saml:AttributeValue>admin<saml:NameID>x</saml:NameID></saml:AttributeValue>",
        "<saml:AttributeValue>admin<x xmlns='urn:x'/></saml:AttributeValue>",
        "<saml:AttributeValue><saml:NameID>x</saml:NameID><saml:NameID>y</saml:NameID></saml:AttributeValue>",
        "<saml:AttributeValue><saml:NameID>admin<saml:x/></saml:NameID></saml:AttributeValue>",
    ] {
        assert_eq!(values(structured), <[&str; 0]>::default(), "{structured}");
    }
}

#[test]
fn a_friendly_name_may_be_empty_and_a_name_may_not() {
    let read = with("FriendlyName=\"mail\"", "FriendlyName=\" \"").unwrap();
    assert_eq!(read.attributes.first().unwrap().friendly_name, None);
    assert_eq!(
        refused("Name=\"Role\"", "Name=\" \""),
        AssertionError::Empty { element: "Attribute".into(), what: "Name" }
    );
    assert_eq!(
        refused(">https://app.example<", "> <"),
        AssertionError::Empty { element: "Audience".into(), what: "text" }
    );
}

#[test]
fn conditions_of_others_are_kept_by_name() {
    let read = |element: &str| {
        let more = format!("{element}<saml:OneTimeUse/>");
        with("<saml:OneTimeUse/>", &more).unwrap().conditions.unwrap().unknown
    };
    assert_eq!(
        read("<saml:Condition xsi:type='d:DelegationRestrictionType' xmlns:d='urn:d'/>"),
        ["d:DelegationRestrictionType"]
    );
    assert_eq!(read("<saml:Condition/>"), ["Condition"]);
    assert_eq!(read("<OneTimeUse xmlns='urn:x'/>"), ["OneTimeUse (of urn:x)"]);
    assert_eq!(read(&"<saml:Condition/>".repeat(100)).len(), MAX_STATEMENTS);
}

#[test]
fn a_confirmation_may_name_another_and_hold_anything() {
    let read = |from: &str, to: &str| {
        with(from, to).unwrap().subject.unwrap().confirmations.into_iter().next().unwrap()
    };
    let before = "<saml:SubjectConfirmationData";
    for another in ["<saml:NameID>eve</saml:NameID>", "<saml:BaseID/>", "<saml:EncryptedID/>"] {
        assert!(read(before, &format!("{another}{before}")).names_another);
    }
    let inside = read("Address=\"192.0.2.1\"/>", "><x xmlns='urn:x'/></saml:SubjectConfirmationData>");
    assert!(!inside.names_another && inside.data.is_some());
    let start = GOOD.find("<saml:SubjectConfirmationData").unwrap();
    let end = GOOD.find("</saml:SubjectConfirmation>").unwrap();
    assert_eq!(read(GOOD.get(start..end).unwrap(), "").data, None);
}

#[test]
fn times_that_are_none_name_their_attribute() {
    for (from, element, attribute) in [
        ("2026-01-31T12:00:00.250Z", "Assertion", "IssueInstant"),
        ("2026-01-31T12:05:00Z", "SubjectConfirmationData", "NotOnOrAfter"),
        ("2026-01-31T11:59:00Z", "Conditions", "NotBefore"),
        ("2026-01-31T12:06:00Z", "Conditions", "NotOnOrAfter"),
        ("2026-01-31T11:00:00Z", "AuthnStatement", "AuthnInstant"),
        ("2026-01-31T20:00:00Z", "AuthnStatement", "SessionNotOnOrAfter"),
    ] {
        let error = InstantError::Malformed("soon".into());
        assert_eq!(
            refused(from, " soon "),
            AssertionError::Instant { element: element.into(), attribute, error }
        );
        assert!(with(from, &format!(" {from} ")).is_ok());
    }
    let more = "Recipient=\"https://app.example/acs\" NotBefore=\"soon\"";
    assert!(matches!(
        refused("Recipient=\"https://app.example/acs\"", more),
        AssertionError::Instant { attribute: "NotBefore", .. }
    ));
}

#[test]
fn counts_and_lengths_are_bounded() {
    let repeated = |before: &str, element: &str, count: usize| {
        with(before, &format!("{}{before}", element.repeat(count))).err()
    };
    let many = |what, limit| Some(AssertionError::TooMany { what, limit });
    let confirmation = "<saml:SubjectConfirmation Method='x'/>";
    let statement =
        "<saml:AuthnStatement AuthnInstant='2026-01-31T11:00:00Z'><saml:AuthnContext/></saml:AuthnStatement>";
    for (before, element, what, limit) in [
        ("<saml:SubjectConfirmation ", confirmation, "SubjectConfirmations", MAX_STATEMENTS - 1),
        ("<saml:AuthnStatement ", statement, "AuthnStatements", MAX_STATEMENTS - 1),
        ("<saml:OneTimeUse/>", "<saml:AudienceRestriction/>", "AudienceRestrictions", MAX_STATEMENTS - 2),
        ("<saml:Audience>", "<saml:Audience>a</saml:Audience>", "Audiences", MAX_AUDIENCES - 2),
        (
            "<saml:AuthenticatingAuthority>",
            "<saml:AuthenticatingAuthority>a</saml:AuthenticatingAuthority>",
            "AuthenticatingAuthorities",
            MAX_STATEMENTS - 1,
        ),
        ("<saml:Attribute ", "<saml:Attribute Name='a'/>", "attributes", MAX_ATTRIBUTES - 3),
        (
            "<saml:AttributeValue>",
            "<saml:AttributeValue>a</saml:AttributeValue>",
            "attribute values",
            MAX_VALUES - 3,
        ),
    ] {
        assert_eq!(repeated(before, element, limit), None, "{what}");
        let most = match what {
            "attributes" => MAX_ATTRIBUTES,
            "attribute values" => MAX_VALUES,
            "Audiences" => MAX_AUDIENCES,
            _ => MAX_STATEMENTS,
        };
        assert_eq!(repeated(before, element, limit + 1), many(what, most));
    }
    let codes = |count: usize| {
        let inner = "<samlp:StatusCode Value='x'>".repeat(count) + &"</samlp:StatusCode>".repeat(count);
        let last = "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:AuthnFailed\"/>";
        response_with(last, &inner).err()
    };
    assert_eq!(codes(7), None);
    assert_eq!(codes(8), many("status codes", 8));
    assert_eq!((field::MAX_URI, field::MAX_TEXT), (2048, 16_384));
    let long = |from: &str, limit: usize| {
        assert!(with(from, &"x".repeat(limit)).is_ok(), "{from}");
        matches!(refused(from, &"x".repeat(limit + 1)), AssertionError::TooLong { found, limit: most, .. }
            if (found, most) == (limit + 1, limit))
    };
    for uri in ["_a1", "_r1", "urn:b", "_s1", "urn:declared", "https://behind.example", "Role", "mail"] {
        assert!(long(uri, field::MAX_URI), "{uri}");
    }
    assert!(long("ada@example.com", field::MAX_TEXT));
}

#[test]
fn what_is_personal_shows_itself_nowhere() {
    let shown = format!("{:?}", Assertion::parse(GOOD.as_bytes(), LIMIT).unwrap());
    assert!(!shown.contains("ada"), "{shown}");
    assert!(["_a1", "Role", "NameId {"].iter().all(|told| shown.contains(told)), "{shown}");
}

#[test]
fn every_error_has_a_code_and_somebody_who_has_to_act() {
    use crate::model::Fault;
    let text = String::new;
    for (error, code, fault) in [
        (xml(XmlError::Comment), "xml", Fault::IdentityProvider),
        (AssertionError::NotAResponse(text()), "not_a_response", Fault::IdentityProvider),
        (AssertionError::NotAnAssertion(text()), "not_an_assertion", Fault::IdentityProvider),
        (
            AssertionError::AttributeMissing { element: text(), attribute: "ID" },
            "attribute_missing",
            Fault::IdentityProvider,
        ),
        (AssertionError::Empty { element: text(), what: "text" }, "empty", Fault::IdentityProvider),
        (
            AssertionError::Instant {
                element: text(),
                attribute: "NotBefore",
                error: InstantError::Malformed(text()),
            },
            "instant",
            Fault::IdentityProvider,
        ),
        (unexpected("a", "b"), "unexpected", Fault::IdentityProvider),
        (
            AssertionError::TooLong { element: text(), what: "text", found: 2, limit: 1 },
            "too_long",
            Fault::IdentityProvider,
        ),
        (AssertionError::TooMany { what: "values", limit: 1 }, "too_many", Fault::IdentityProvider),
        (AssertionError::EncryptedNameId, "encrypted_name_id", Fault::Operator),
        (AssertionError::BaseId, "base_id", Fault::Operator),
        (AssertionError::EncryptedAttribute, "encrypted_attribute", Fault::Operator),
        (AssertionError::NameIdSpaced, "name_id_spaced", Fault::IdentityProvider),
    ] {
        assert_eq!((error.code(), error.fault()), (code, fault));
        assert!(!error.to_string().is_empty());
    }
}
