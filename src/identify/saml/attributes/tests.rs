//! Claims and subjects: where they come from, and what cannot become one.

use proptest::prelude::*;
use serde_json::json;

use super::aliases::RESERVED;
use super::*;
use crate::model::UnixTime;

const IDP: &str = "https://idp.example/meta";
const SP: &str = "https://app.example/sp";
const MAIL: &str = "urn:oid:0.9.2342.19200300.100.1.3";
const MS_GROUPS: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups";

fn format(name: &str) -> String {
    let version = if ["persistent", "transient", "entity", "encrypted", "kerberos"].contains(&name) {
        "2.0"
    } else {
        "1.1"
    };
    format!("urn:oasis:names:tc:SAML:{version}:nameid-format:{name}")
}

fn name_id(kind: Option<&str>, value: &str) -> NameId {
    NameId {
        value: value.to_owned(),
        format: kind.map(format),
        name_qualifier: None,
        sp_name_qualifier: None,
        sp_provided_id: None,
    }
}

fn attribute(name: &str, friendly: &str, values: &[&str]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        name_format: None,
        friendly_name: (!friendly.is_empty()).then(|| friendly.to_owned()),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn of(
    name: Option<NameId>,
    attributes: Vec<Attribute>,
    claim: Option<&str>,
) -> Result<Identity, AttributeError> {
    let idp: IdpId = "corp".parse().unwrap();
    let parties =
        Parties { idp: &idp, idp_entity_id: IDP, entity_id: SP, name_id_format: None, subject_claim: claim };
    identity(&parties, &Checked::for_tests(name, attributes))
}

/// The claims of somebody with these attributes.
fn claims_of(attributes: Vec<Attribute>) -> Claims {
    of(Some(name_id(Some("persistent"), "p-1")), attributes, None).unwrap().claims
}

fn values(attributes: Vec<Attribute>, claim: &str) -> Option<Vec<String>> {
    claims_of(attributes).values(claim)
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn subject_of(name: NameId) -> Result<String, AttributeError> {
    of(Some(name), Vec::new(), None).map(|identity| identity.subject.as_str().to_owned())
}

#[test]
fn an_identity_carries_attributes_and_what_the_assertion_says_of_itself() {
    let name = NameId {
        name_qualifier: Some(IDP.into()),
        sp_name_qualifier: Some(SP.into()),
        sp_provided_id: Some("ours".into()),
        ..name_id(Some("persistent"), "p-1")
    };
    let identity = of(Some(name), vec![attribute(MAIL, "mail", &["ada@example.com"])], None).unwrap();
    assert_eq!((identity.idp.as_str(), identity.subject.as_str()), ("corp", "p-1"));
    assert_eq!(identity.idp_session.as_deref(), Some("_s1"));
    assert_eq!(identity.authenticated_at, Some(UnixTime(1_800_000_000)));
    assert_eq!(
        Value::Object(identity.claims.as_map().clone()),
        json!({
            MAIL: ["ada@example.com"],
            "mail": ["ada@example.com"],
            "email": ["ada@example.com"],
            "sub": ["p-1"],
            "iss": [IDP],
            "acr": ["urn:oasis:names:tc:SAML:2.0:ac:classes:Password"],
            "session_index": ["_s1"],
            "authenticating_authority": ["https://behind.example"],
            "name_id": ["p-1"],
            "name_id_format": [format("persistent")],
            "name_id_qualifier": [IDP],
            "name_id_sp_qualifier": [SP],
            "name_id_sp_provided": ["ours"],
        })
    );
}

#[test]
fn an_attribute_that_comes_several_times_is_merged() {
    let roles = vec![
        attribute("Role", "", &["viewer"]),
        attribute("Role", "", &["editor", "viewer"]),
        attribute("Role", "", &[]),
        attribute("Role", "", &["", " ", "owner"]),
    ];
    for claim in ["Role", "role", "roles"] {
        assert_eq!(values(roles.clone(), claim), Some(texts(&["viewer", "editor", "owner"])), "{claim}");
    }
    let first = claims_of(roles).first("role");
    assert_eq!(first.as_deref(), Some("viewer"));
}

#[test]
fn l7_an_attribute_without_value_is_empty_and_an_absent_one_is_not_there() {
    assert_eq!(values(vec![attribute("groups", "", &[])], "groups"), Some(texts(&[])));
    assert_eq!(values(vec![attribute(MS_GROUPS, "", &[""])], "groups"), Some(texts(&[])));
    assert_eq!(values(Vec::new(), "groups"), None);
    // Microsoft's sign that there are more groups than fit is seen by provisioning under its own name.
    let link = "http://schemas.microsoft.com/claims/groups.link";
    assert_eq!(values(vec![attribute(link, "", &["https://graph"])], link), Some(texts(&["https://graph"])));
}

#[test]
fn well_known_names_have_friendly_ones() {
    let ms = |rest: &str| format!("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/{rest}");
    for (name, claims) in [
        (MAIL, &["email", "mail"][..]),
        (&ms("emailaddress"), &["email"]),
        ("mail", &["email", "mail"]),
        ("urn:oid:2.5.4.42", &["given_name", "givenName"]),
        (&ms("givenname"), &["given_name"]),
        ("urn:oid:2.5.4.4", &["family_name", "sn"]),
        (&ms("surname"), &["family_name"]),
        ("urn:oid:2.16.840.1.113730.3.1.241", &["name", "displayName"]),
        ("http://schemas.microsoft.com/identity/claims/displayname", &["name"]),
        ("urn:oid:0.9.2342.19200300.100.1.1", &["uid", "preferred_username"]),
        (&ms("upn"), &["upn", "preferred_username"]),
        (&ms("name"), &["unique_name", "preferred_username"]),
        ("urn:oid:1.3.6.1.4.1.5923.1.1.1.6", &["eduPersonPrincipalName", "preferred_username"]),
        ("urn:oid:1.3.6.1.4.1.5923.1.1.1.10", &["eduPersonTargetedID"]),
        ("urn:oid:1.3.6.1.4.1.5923.1.5.1.1", &["isMemberOf", "groups"]),
        (MS_GROUPS, &["groups"]),
        ("http://schemas.xmlsoap.org/claims/Group", &["groups"]),
        ("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", &["role", "roles"]),
        ("http://schemas.microsoft.com/identity/claims/objectidentifier", &["oid"]),
        ("http://schemas.microsoft.com/identity/claims/tenantid", &["tid"]),
        ("http://schemas.microsoft.com/claims/authnmethodsreferences", &["amr"]),
        ("urn:oasis:names:tc:SAML:attribute:subject-id", &["subject_id"]),
        ("urn:mace:dir:attribute-def:mail", &["email", "mail"]),
    ] {
        let found = claims_of(vec![attribute(name, "", &["x"])]);
        let bare = claims_of(Vec::new());
        let mut new: Vec<&str> = found
            .as_map()
            .keys()
            .filter(|key| !bare.as_map().contains_key(*key))
            .map(String::as_str)
            .collect();
        let mut wanted: Vec<&str> = claims.iter().copied().chain([name]).collect();
        new.sort_unstable();
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(new, wanted, "{name}");
        assert!(wanted.iter().all(|claim| found.first(claim).as_deref() == Some("x")), "{name}");
    }
}

#[test]
fn what_is_called_so_comes_first_then_the_table_in_its_order_and_nothing_is_joined() {
    let literal = attribute("email", "", &["literal@example.com"]);
    let oid = attribute(MAIL, "", &["oid@example.com"]);
    let ldap = attribute("mail", "", &["ldap@example.com"]);
    for (attributes, email) in [
        (vec![ldap.clone(), oid.clone(), literal.clone()], "literal@example.com"),
        (vec![literal, oid.clone(), ldap.clone()], "literal@example.com"),
        (vec![ldap.clone(), oid], "oid@example.com"),
        (vec![ldap], "ldap@example.com"),
    ] {
        assert_eq!(values(attributes, "email"), Some(texts(&[email])));
    }
}

#[test]
fn a_friendly_name_introduces_a_claim_and_never_stands_in_for_a_known_one() {
    let labelled = |label: &str| vec![attribute("urn:x:free", label, &["x"])];
    assert_eq!(values(labelled("department"), "department"), Some(texts(&["x"])));
    for known in
        ["email", "mail", "groups", "roles", "role", "name", "amr", "uid", "sub", "acr", "name_id", "iss"]
    {
        let before = values(Vec::new(), known);
        assert_eq!(values(labelled(known), known), before, "{known}");
    }
    // Nor for an attribute that was sent under that very name, even without a value.
    let mut both = labelled("department");
    both.push(attribute("department", "", &[]));
    assert_eq!(values(both, "department"), Some(texts(&[])));
    // Nor where two attributes go by it.
    let mut both = labelled("department");
    both.push(attribute("urn:x:other", "department", &["y"]));
    assert_eq!(values(both, "department"), None);
    // Several times the same attribute is one.
    let mut both = labelled("department");
    both.push(attribute("urn:x:free", "department", &["y"]));
    assert_eq!(values(both, "department"), Some(texts(&["x", "y"])));
}

#[test]
fn what_narthex_says_itself_no_attribute_says() {
    let untouched = claims_of(Vec::new());
    for (reserved, _) in RESERVED {
        let found = claims_of(vec![attribute(reserved, "x_label", &["forged"])]);
        assert_eq!(found, untouched, "{reserved}");
    }
}

#[test]
fn an_email_address_as_name_is_an_email_where_no_attribute_is() {
    let email = |kind: &str, value: &str, attributes: Vec<Attribute>| {
        of(Some(name_id(Some(kind), value)), attributes, None).unwrap().claims.values("email")
    };
    assert_eq!(email("emailAddress", "ada@example.com", Vec::new()), Some(texts(&["ada@example.com"])));
    assert_eq!(email("unspecified", "ada@example.com", Vec::new()), None);
    assert_eq!(email("persistent", "ada@example.com", Vec::new()), None);
    assert_eq!(email("emailAddress", "ada", Vec::new()), None);
    assert_eq!(email("emailAddress", "a@evil.test@example.com", Vec::new()), None);
    let other = vec![attribute("email", "", &["b@example.com"])];
    assert_eq!(email("emailAddress", "ada@example.com", other), Some(texts(&["b@example.com"])));
    let none = vec![attribute("email", "", &[])];
    assert_eq!(email("emailAddress", "ada@example.com", none), Some(texts(&[])));
    let mail = vec![attribute("mail", "", &["b@example.com"])];
    assert_eq!(email("emailAddress", "ada@example.com", mail), Some(texts(&["b@example.com"])));
}

#[test]
fn f8_a_transient_name_id_is_never_a_subject() {
    let transient = name_id(Some("transient"), "_t1");
    assert_eq!(subject_of(transient.clone()), Err(AttributeError::TransientSubject));
    let odd = NameId {
        format: Some("urn:oasis:names:tc:SAML:1.1:nameid-format:Transient".into()),
        ..transient.clone()
    };
    assert_eq!(subject_of(odd), Err(AttributeError::TransientSubject));
    let by = |claim| of(Some(transient.clone()), vec![attribute("uid", "", &["ada"])], Some(claim));
    assert_eq!(by("uid").unwrap().subject.as_str(), "ada");
    assert_eq!(by("uid").unwrap().claims.values("name_id"), Some(texts(&["_t1"])));
    for around in ["name_id", "sub"] {
        assert_eq!(by(around).err(), Some(AttributeError::TransientSubject));
    }
}

#[test]
fn every_lasting_name_id_is_a_subject() {
    for kind in [
        None,
        Some("persistent"),
        Some("unspecified"),
        Some("emailAddress"),
        Some("X509SubjectName"),
        Some("WindowsDomainQualifiedName"),
        Some("kerberos"),
    ] {
        assert_eq!(subject_of(name_id(kind, "ada")).as_deref(), Ok("ada"), "{kind:?}");
    }
    let own = NameId { format: Some("urn:own".into()), ..name_id(None, "ada") };
    assert_eq!(subject_of(own).as_deref(), Ok("ada"));
    for kind in ["entity", "encrypted"] {
        assert_eq!(
            subject_of(name_id(Some(kind), IDP)),
            Err(AttributeError::SubjectFormatUnfit(format(kind)))
        );
    }
}

#[test]
fn core_8_3_7_qualifiers_that_say_nothing_new_change_nothing_and_others_are_part_of_the_subject() {
    let qualified = |qualifier: Option<&str>, sp: Option<&str>, value: &str| {
        subject_of(NameId {
            name_qualifier: qualifier.map(str::to_owned),
            sp_name_qualifier: sp.map(str::to_owned),
            ..name_id(Some("persistent"), value)
        })
        .unwrap()
    };
    for (qualifier, sp) in [(None, None), (Some(IDP), None), (None, Some(SP)), (Some(IDP), Some(SP))] {
        assert_eq!(qualified(qualifier, sp, "p-1"), "p-1");
    }
    assert_eq!(qualified(Some("urn:idp2"), None, "p-1"), format!("urn:idp2!{SP}!p-1"));
    assert_eq!(qualified(None, Some("urn:club"), "p-1"), format!("{IDP}!urn:club!p-1"));
    // Nobody gets at a qualified subject by a value that looks like one.
    assert_eq!(
        qualified(None, None, &format!("urn:idp2!{SP}!p-1")),
        format!("{IDP}!{SP}!urn:idp2%21{SP}%21p-1")
    );
    assert_eq!(qualified(Some("a!b"), Some("100%"), "c"), "a%21b!100%25!c");
}

#[test]
fn without_a_name_id_a_claim_must_say_who_it_is() {
    let by = |attributes: Vec<Attribute>, claim| {
        of(None, attributes, claim).map(|identity| identity.subject.as_str().to_owned())
    };
    assert_eq!(by(Vec::new(), None), Err(AttributeError::NameIdMissing));
    assert_eq!(by(Vec::new(), Some("sub")), Err(AttributeError::NameIdMissing));
    assert_eq!(by(Vec::new(), Some("name_id")), Err(AttributeError::NameIdMissing));
    let missing = Err(AttributeError::SubjectClaimMissing { claim: "uid".into() });
    assert_eq!(by(Vec::new(), Some("uid")), missing);
    assert_eq!(by(vec![attribute("uid", "", &[])], Some("uid")), missing);
    assert_eq!(by(vec![attribute("uid", "", &[" "])], Some("uid")), missing);
    assert_eq!(by(vec![attribute("uid", "", &["ada"])], Some("uid")).as_deref(), Ok("ada"));
    assert_eq!(by(vec![attribute("uid", "", &["ada", "ada"])], Some("uid")).as_deref(), Ok("ada"));
    assert_eq!(
        by(vec![attribute("uid", "", &["ada", "eve"])], Some("uid")),
        Err(AttributeError::SubjectClaimAmbiguous { claim: "uid".into(), found: 2 })
    );
    for claim in ["acr", "iss", "session_index", "name_id_format"] {
        assert_eq!(
            by(Vec::new(), Some(claim)),
            Err(AttributeError::SubjectClaimUnfit { claim: claim.into() })
        );
    }
}

#[test]
fn the_name_id_as_a_claim_is_its_value_alone() {
    let name = NameId { name_qualifier: Some("urn:idp2".into()), ..name_id(None, "a!b") };
    let identity = of(Some(name), Vec::new(), Some("name_id")).unwrap();
    assert_eq!(identity.subject.as_str(), "a!b");
    assert_eq!(identity.claims.values("sub"), Some(texts(&["a!b"])));
}

#[test]
fn a_subject_is_short_and_printable() {
    assert!(subject_of(name_id(None, &"x".repeat(255))).is_ok());
    for value in ["x".repeat(256), "a\u{0}b".into(), "a\nb".into()] {
        assert_eq!(subject_of(name_id(None, &value)), Err(AttributeError::SubjectMalformed));
    }
}

#[test]
fn more_than_is_kept_is_refused() {
    let many = (0..300).map(|n| attribute(&format!("a{n}"), "", &["x"])).collect();
    let refused = of(Some(name_id(None, "ada")), many, None).unwrap_err();
    assert!(matches!(refused, AttributeError::TooManyClaims(TooManyClaims { unit: "claims", .. })));
    let long = vec![attribute("a", "", &[&"x".repeat(70_000)])];
    let refused = of(Some(name_id(None, "ada")), long, None).unwrap_err();
    assert!(matches!(refused, AttributeError::TooManyClaims(TooManyClaims { unit: "bytes of claims", .. })));
}

#[test]
fn every_error_has_a_code_and_somebody_who_has_to_act() {
    let claim = || "uid".to_owned();
    let (operator, idp) = (Fault::Operator, Fault::IdentityProvider);
    for (error, code, fault) in [
        (AttributeError::NameIdMissing, "name_id_missing", operator),
        (AttributeError::TransientSubject, "transient_subject", operator),
        (AttributeError::SubjectFormatUnfit(claim()), "subject_format_unfit", operator),
        (AttributeError::SubjectClaimMissing { claim: claim() }, "subject_claim_missing", operator),
        (
            AttributeError::SubjectClaimAmbiguous { claim: claim(), found: 2 },
            "subject_claim_ambiguous",
            operator,
        ),
        (AttributeError::SubjectClaimUnfit { claim: claim() }, "subject_claim_unfit", operator),
        (AttributeError::SubjectMalformed, "subject_malformed", operator),
        (
            AttributeError::TooManyClaims(TooManyClaims { found: 2, limit: 1, unit: "claims" }),
            "too_many_claims",
            idp,
        ),
    ] {
        assert_eq!((error.code(), error.fault()), (code, fault));
        assert!(!error.to_string().is_empty());
    }
    assert!(AttributeError::TransientSubject.to_string().ends_with("subject = { claim = \"…\" }"));
}

/// Names as they come: of the table, of narthex, and any.
fn any_name() -> impl Strategy<Value = String> {
    let table: Vec<&str> =
        ALIASES.iter().flat_map(|(claim, names)| [*claim].into_iter().chain(names.iter().copied())).collect();
    prop_oneof![
        proptest::sample::select(table).prop_map(str::to_owned),
        proptest::sample::select(RESERVED).prop_map(|(name, _)| name.to_owned()),
        "[a-d]",
    ]
}

fn any_attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let values = proptest::collection::vec("[u-z]{0,2}", 0..3);
    let one = (any_name(), proptest::option::of(any_name()), values).prop_map(|(name, friendly, values)| {
        Attribute { name, name_format: None, friendly_name: friendly, values }
    });
    proptest::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn each_claim_is_one_attribute_whole_or_narthexs_own(attributes in any_attributes()) {
        let own = claims_of(Vec::new());
        let found = claims_of(attributes.clone());
        for (claim, value) in found.as_map() {
            if let Some(same) = own.as_map().get(claim) {
                prop_assert_eq!(value, same, "{} is narthex's own", claim);
                continue;
            }
            prop_assert!(!is_reserved(claim));
            let whole = |name: &str| {
                let named = attributes.iter().filter(|one| one.name == name);
                list(named.flat_map(|one| one.values.iter().map(String::as_str)))
            };
            prop_assert!(attributes.iter().any(|one| *value == whole(&one.name)), "{} is joined", claim);
            if attributes.iter().any(|one| one.name == *claim) {
                prop_assert_eq!(value, &whole(claim), "{} is another attribute", claim);
            }
        }
    }

    #[test]
    fn labels_change_no_claim_that_has_a_row(attributes in any_attributes()) {
        let mut bare = attributes.clone();
        for one in &mut bare {
            one.friendly_name = None;
        }
        let (labelled, bare) = (claims_of(attributes), claims_of(bare));
        for (claim, _) in ALIASES {
            prop_assert_eq!(labelled.at(claim), bare.at(claim), "{}", claim);
        }
    }

    #[test]
    fn the_order_of_different_attributes_does_not_matter(mut attributes in any_attributes()) {
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        attributes.dedup_by(|a, b| a.name == b.name);
        let forwards = claims_of(attributes.clone());
        attributes.reverse();
        prop_assert_eq!(forwards, claims_of(attributes));
    }

    #[test]
    fn no_two_name_ids_give_one_subject(
        one in ("[ab!%]{1,3}", "[ab!%]{1,3}", "[ab!%]{1,4}"),
        other in ("[ab!%]{1,3}", "[ab!%]{1,3}", "[ab!%]{1,4}"),
    ) {
        let idp: IdpId = "corp".parse().unwrap();
        // Our own names are among those that may be drawn.
        let parties = Parties {
            idp: &idp,
            idp_entity_id: "a",
            entity_id: "b",
            name_id_format: None,
            subject_claim: None,
        };
        let subject = |(qualifier, sp, value): &(String, String, String)| {
            let name = NameId {
                name_qualifier: Some(qualifier.clone()),
                sp_name_qualifier: Some(sp.clone()),
                ..name_id(Some("persistent"), value)
            };
            by_name_id(&parties, Some(&name)).unwrap()
        };
        prop_assert_eq!(one == other, subject(&one) == subject(&other));
    }
}

#[test]
fn a_name_of_another_format_than_was_asked_for_is_nobody() {
    let idp: IdpId = "corp".parse().unwrap();
    let of = |asked: Option<&str>, sent: Option<&str>, claim: Option<&str>| {
        let parties = Parties {
            idp: &idp,
            idp_entity_id: IDP,
            entity_id: SP,
            name_id_format: asked,
            subject_claim: claim,
        };
        let sent = name_id(sent, "ada@example.com");
        let uid = attribute("uid", "", &["ada"]);
        let identity = identity(&parties, &Checked::for_tests(Some(sent), vec![uid]));
        identity.map(|identity| identity.subject.as_str().to_owned())
    };
    let (email, unspecified) = (format("emailAddress"), format("unspecified"));
    let address = Ok("ada@example.com".to_owned());
    assert_eq!(of(Some(&email), Some("emailAddress"), None), address);
    assert_eq!(of(Some(&email.replace("1.1", "2.0")), Some("emailAddress"), None), address);
    for sent in [Some("unspecified"), Some("persistent"), None] {
        let found = sent.map_or_else(|| unspecified.clone(), format);
        let refused = Err(AttributeError::SubjectFormatMismatch { expected: email.clone(), found });
        assert_eq!(of(Some(&email), sent, None), refused);
        assert_eq!(of(Some(&email), sent, Some("name_id")), refused);
        // Where no format is asked for, any is; and where somebody is known by a claim, it does not matter.
        assert_eq!(of(None, sent, None), address);
        assert_eq!(of(Some(&unspecified), sent, None), address);
        assert_eq!(of(Some(&email), sent, Some("uid")), Ok("ada".to_owned()));
    }
    let own = "urn:example:staff-number";
    assert_eq!(of(Some(own), Some("emailAddress"), None).unwrap_err().code(), "subject_format_mismatch");
}
