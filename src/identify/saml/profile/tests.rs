//! Each rule of the profile, by an assertion that differs from a good one in one thing.

use super::place::{Differs, Elsewhere};
use super::*;
use crate::identify::saml::assertion::{Conditions, Confirmation, ConfirmationData};
use crate::identify::saml::status::Status;

const NOW: i64 = 1_800_000_000;
const SKEW: i64 = 60;
const LIMIT: i64 = 600;
/// The login began so long before [`NOW`].
const TAKEN: i64 = 100;
const ACS: &str = "https://app.example/.narthex/saml/corp/acs";
const SP: &str = "https://app.example/sp";
const IDP: &str = "https://idp.example/meta";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password";
const MFA: &str = "https://refeds.org/profile/mfa";

/// A good response with what is expected of it; a test changes one thing.
struct Case {
    expected: Expected<'static>,
    head: ResponseHead,
    assertion: Assertion,
}

fn at(seconds: i64) -> UnixTime {
    UnixTime(NOW + seconds)
}

fn success() -> Status {
    Status { codes: vec!["urn:oasis:names:tc:SAML:2.0:status:Success".into()], message: None }
}

fn statement() -> AuthnStatement {
    AuthnStatement {
        authenticated_at: at(-5),
        session_index: Some("_s1".into()),
        session_ends_at: Some(at(8 * 3600)),
        context_class: Some(PASSWORD.into()),
        context_declaration: None,
        authorities: Vec::new(),
    }
}

fn confirmation() -> Confirmation {
    let data = ConfirmationData {
        recipient: Some(ACS.into()),
        not_before: None,
        not_on_or_after: Some(at(300)),
        in_response_to: Some("_r1".into()),
        address: Some("192.0.2.1".into()),
    };
    Confirmation { method: BEARER.into(), names_another: false, data: Some(data) }
}

fn good() -> Case {
    let issuer = Issuer { value: IDP.into(), format: None };
    Case {
        expected: Expected {
            entity_id: SP,
            acs_url: ACS,
            idp_entity_id: IDP,
            allow_unsolicited: false,
            response_signed: true,
            now: at(0),
            skew: Duration::from_mins(1),
            max_age: MAX_AGE,
        },
        head: ResponseHead {
            id: "_1".into(),
            version: "2.0".into(),
            issued_at: at(-2),
            destination: Some(ACS.into()),
            in_response_to: Some("_r1".into()),
            issuer: Some(issuer.clone()),
            status: success(),
        },
        assertion: Assertion {
            id: "_a1".into(),
            version: "2.0".into(),
            issued_at: at(-2),
            issuer,
            subject: Some(AssertedSubject {
                name_id: Some(NameId {
                    value: "ada".into(),
                    format: None,
                    name_qualifier: None,
                    sp_name_qualifier: None,
                    sp_provided_id: None,
                }),
                confirmations: vec![confirmation()],
            }),
            conditions: Some(Conditions {
                not_before: Some(at(-2)),
                not_on_or_after: Some(at(300)),
                audience_restrictions: vec![vec![SP.into()]],
                one_time_use: false,
                unknown: Vec::new(),
            }),
            authn_statements: vec![statement()],
            attributes: vec![Attribute {
                name: "mail".into(),
                name_format: None,
                friendly_name: None,
                values: vec!["ada@example.com".into()],
            }],
        },
    }
}

impl Case {
    fn unbound(&self) -> Result<Unbound, Refused> {
        check_unbound(&self.expected, &self.head, &self.assertion)
    }

    fn conditions(&mut self) -> &mut Conditions {
        self.assertion.conditions.as_mut().unwrap()
    }

    fn subject(&mut self) -> &mut AssertedSubject {
        self.assertion.subject.as_mut().unwrap()
    }

    fn data(&mut self) -> &mut ConfirmationData {
        self.subject().confirmations.first_mut().unwrap().data.as_mut().unwrap()
    }

    fn statement(&mut self) -> &mut AuthnStatement {
        self.assertion.authn_statements.first_mut().unwrap()
    }
}

/// The outcome of a case in which one thing is another. Whatever fails has left a failed step, the last one.
fn with(change: impl FnOnce(&mut Case)) -> Result<Unbound, ProfileError> {
    let mut case = good();
    change(&mut case);
    case.unbound().map_err(|refused| {
        let (last, before) = refused.steps.split_last().unwrap();
        assert!(!last.passed && before.iter().all(|step| step.passed), "{refused:?}");
        refused.error
    })
}

fn refusal(change: impl FnOnce(&mut Case)) -> ProfileError {
    with(change).unwrap_err()
}

fn passes(change: impl FnOnce(&mut Case)) {
    assert_eq!(with(change).err(), None);
}

/// What the browser that began the login asked for.
fn asked(classes: &[String]) -> Asked<'_> {
    let request = Request { id: "_r1", begun_at: at(-TAKEN) };
    Asked { request: Some(request), force_authn: false, context_classes: classes, skew: good().expected.skew }
}

/// The same without a login in flight.
fn from_nowhere(classes: &[String]) -> Asked<'_> {
    Asked { request: None, ..asked(classes) }
}

/// The outcome of both halves, with the request in which one thing is another.
fn bound(case: impl FnOnce(&mut Case), change: impl FnOnce(&mut Asked<'_>)) -> Result<Checked, ProfileError> {
    let mut wanted = asked(&[]);
    change(&mut wanted);
    check_bound(with(case).unwrap(), &wanted).map_err(|refused| refused.error)
}

fn nothing<T>(_: &mut T) {}

fn text(value: &str) -> String {
    value.to_owned()
}

#[test]
fn a_good_response_passes_every_check_in_order() {
    let checked = check_bound(good().unbound().unwrap(), &asked(&[])).unwrap();
    assert_eq!(checked.name_id().map(|name| name.value.as_str()), Some("ada"));
    assert_eq!(checked.attributes().len(), 1);
    assert_eq!((checked.authenticated_at(), checked.acr()), (at(-5), Some(PASSWORD)));
    assert_eq!((checked.session_index(), checked.session_ends_at()), (Some("_s1"), Some(at(8 * 3600))));
    let order: Vec<&str> = checked.steps().iter().map(|step| &*step.check).collect();
    assert_eq!(
        order,
        [
            "response's Version",
            "Status",
            "Destination",
            "response's Issuer",
            "response's IssueInstant",
            "assertion's Version",
            "assertion's Issuer",
            "assertion's IssueInstant",
            "Subject",
            "SubjectConfirmation",
            "InResponseTo",
            "SubjectConfirmationData",
            "confirming party",
            "Recipient",
            "confirmation's NotBefore",
            "confirmation's NotOnOrAfter",
            "confirmation's InResponseTo",
            "Conditions",
            "NotBefore",
            "NotOnOrAfter",
            "Audience",
            "OneTimeUse",
            "further conditions",
            "AuthnStatement",
            "AuthnInstant",
            "SessionNotOnOrAfter",
            "InResponseTo of the browser",
            "IssueInstant after the request",
        ]
    );
    assert!(checked.steps().iter().all(|step| step.passed && step.source.starts_with("SAML ")));
}

#[test]
fn steps_are_kept_over_parking_and_show_nothing_personal() {
    let unbound = good().unbound().unwrap();
    let parked = serde_json::to_vec(&unbound).unwrap();
    let unparked: Unbound = serde_json::from_slice(&parked).unwrap();
    assert_eq!(unparked, unbound);
    let steps = serde_json::to_string(&unbound.steps).unwrap();
    assert!(steps.contains("confirmation's Not") && steps.contains(SP), "{steps}");
    for personal in ["ada", "example.com", "192.0.2.1"] {
        assert!(!steps.contains(personal), "{personal}");
    }
    let debug = format!("{unbound:?}");
    assert!(!debug.contains("ada"), "{debug}");
}

// The response

#[test]
fn another_version_is_refused() {
    for version in ["1.1", "2", "2.1", "3.0", ""] {
        assert_eq!(
            refusal(|case| case.head.version = text(version)),
            ProfileError::ResponseVersion(text(version))
        );
        assert_eq!(
            refusal(|case| case.assertion.version = text(version)),
            ProfileError::AssertionVersion(text(version))
        );
    }
}

#[test]
fn a_status_other_than_success_is_refused_in_words() {
    let status = |codes: &[&str]| Status {
        codes: codes.iter().map(|code| format!("urn:oasis:names:tc:SAML:2.0:status:{code}")).collect(),
        message: None,
    };
    let denied = status(&["Responder", "AuthnFailed"]);
    let error = refusal(|case| case.head.status = denied.clone());
    assert_eq!(error, ProfileError::StatusNotSuccess(denied.clone()));
    assert_eq!(
        error.to_string(),
        "the identity provider refused the sign-in: Responder / AuthnFailed: the person could not be \
         authenticated"
    );
    let mut case = good();
    case.head.status = denied;
    assert_eq!(check_response(&case.expected, &case.head).unwrap_err().code(), "status_not_success");
    assert_eq!(check_response(&good().expected, &good().head), Ok(()));
    passes(|case| case.head.status = status(&["Success", "PartialLogout"]));
}

#[test]
fn a_destination_elsewhere_is_refused() {
    let elsewhere = |found: &str, differs| {
        ProfileError::DestinationMismatch(Elsewhere { expected: text(ACS), found: text(found), differs })
    };
    for (found, differs) in [
        ("http://app.example/.narthex/saml/corp/acs", Differs::Origin),
        ("https://app.example:8443/.narthex/saml/corp/acs", Differs::Origin),
        ("https://evil.test/.narthex/saml/corp/acs", Differs::Origin),
        ("https://app.example/.narthex/saml/other/acs", Differs::Whole),
        ("https://app.example/.narthex/saml/corp/acs?x", Differs::Whole),
    ] {
        assert_eq!(refusal(|case| case.head.destination = Some(text(found))), elsewhere(found, differs));
        assert_eq!(
            refusal(|case| {
                case.head.destination = Some(text(found));
                case.expected.response_signed = false;
            }),
            elsewhere(found, differs)
        );
    }
    passes(|case| case.head.destination = Some(text("HTTPS://APP.example:443/.narthex/saml/corp/acs")));
}

#[test]
fn a_signed_response_must_name_its_destination() {
    assert_eq!(
        refusal(|case| case.head.destination = None),
        ProfileError::DestinationMissing { expected: text(ACS) }
    );
    passes(|case| {
        case.head.destination = None;
        case.expected.response_signed = false;
    });
}

#[test]
fn another_issuer_of_the_response_is_refused() {
    let with_issuer = |value: &str, format: Option<&str>| {
        let issuer = Issuer { value: text(value), format: format.map(text) };
        with(|case| case.head.issuer = Some(issuer)).err()
    };
    for other in ["https://evil.test", "https://idp.example/meta/", "https://IDP.example/meta", ""] {
        assert_eq!(
            with_issuer(other, None),
            Some(ProfileError::ResponseIssuerMismatch { expected: text(IDP), found: text(other) })
        );
    }
    let persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    assert_eq!(
        with_issuer(IDP, Some(persistent)),
        Some(ProfileError::ResponseIssuerFormat(text(persistent)))
    );
    assert_eq!(with_issuer(IDP, Some(ENTITY)), None);
    passes(|case| case.head.issuer = None);
}

#[test]
fn a_response_of_another_time_is_refused() {
    for (seconds, error) in [
        (SKEW, None),
        (SKEW + 1, Some(ProfileError::ResponseIssuedInFuture { by: SKEW + 1, skew: SKEW })),
        (-LIMIT - SKEW, None),
        (-LIMIT - SKEW - 1, Some(ProfileError::ResponseTooOld { age: LIMIT + SKEW + 1, limit: LIMIT })),
    ] {
        assert_eq!(with(|case| case.head.issued_at = at(seconds)).err(), error, "{seconds}");
    }
}

// The assertion

#[test]
fn another_issuer_of_the_assertion_is_refused() {
    for other in ["https://evil.test", "https://idp.example/meta/", ""] {
        assert_eq!(
            refusal(|case| case.assertion.issuer.value = text(other)),
            ProfileError::IssuerMismatch { expected: text(IDP), found: text(other) }
        );
    }
    assert_eq!(
        refusal(|case| case.assertion.issuer.format = Some(text("urn:x"))),
        ProfileError::IssuerFormat(text("urn:x"))
    );
    passes(|case| case.assertion.issuer.format = Some(text(ENTITY)));
}

#[test]
fn an_assertion_of_another_time_is_refused() {
    for (seconds, error) in [
        (SKEW, None),
        (SKEW + 1, Some(ProfileError::IssuedInFuture { by: SKEW + 1, skew: SKEW })),
        (-LIMIT - SKEW, None),
        (-LIMIT - SKEW - 1, Some(ProfileError::TooOld { age: LIMIT + SKEW + 1, limit: LIMIT })),
    ] {
        assert_eq!(with(|case| case.assertion.issued_at = at(seconds)).err(), error, "{seconds}");
    }
}

#[test]
fn an_assertion_about_nobody_is_refused() {
    assert_eq!(refusal(|case| case.assertion.subject = None), ProfileError::SubjectMissing);
    // Attributes may say who it is (`subject = { claim }`).
    passes(|case| case.subject().name_id = None);
}

#[test]
fn without_a_bearer_confirmation_a_browser_may_not_present_it() {
    let missing = |found: &str| ProfileError::BearerMissing { found: text(found) };
    assert_eq!(refusal(|case| case.subject().confirmations.clear()), missing(""));
    for method in
        ["urn:oasis:names:tc:SAML:2.0:cm:holder-of-key", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"]
    {
        assert_eq!(
            refusal(|case| case.subject().confirmations.first_mut().unwrap().method = text(method)),
            missing(method)
        );
    }
}

#[test]
fn every_condition_of_the_bearer_confirmation_must_hold() {
    let other = "https://other.example/acs";
    let elsewhere = Elsewhere { expected: text(ACS), found: text(other), differs: Differs::Whole };
    assert_eq!(
        refusal(|case| case.subject().confirmations.first_mut().unwrap().data = None),
        ProfileError::ConfirmationDataMissing
    );
    assert_eq!(
        refusal(|case| case.subject().confirmations.first_mut().unwrap().names_another = true),
        ProfileError::ConfirmationForAnother
    );
    assert_eq!(
        refusal(|case| case.data().recipient = None),
        ProfileError::RecipientMissing { expected: text(ACS) }
    );
    assert_eq!(
        refusal(|case| case.data().recipient = Some(text(other))),
        ProfileError::RecipientMismatch(elsewhere)
    );
    assert_eq!(refusal(|case| case.data().not_before = Some(at(-100))), ProfileError::ConfirmationNotBefore);
    assert_eq!(refusal(|case| case.data().not_on_or_after = None), ProfileError::ConfirmationEndMissing);
}

#[test]
fn a_bearer_confirmation_ends_on_the_second() {
    passes(|case| case.data().not_on_or_after = Some(at(1 - SKEW)));
    let error = refusal(|case| case.data().not_on_or_after = Some(at(-SKEW)));
    assert_eq!(error, ProfileError::ConfirmationExpired { by: SKEW, skew: SKEW, age: 2 });
}

#[test]
fn one_of_several_confirmations_is_enough_and_must_hold_whole() {
    let broken = |change: fn(&mut ConfirmationData)| {
        let mut other = confirmation();
        change(other.data.as_mut().unwrap());
        other
    };
    let expired = broken(|data| data.not_on_or_after = Some(at(-SKEW)));
    let elsewhere = broken(|data| data.recipient = None);
    let key = Confirmation { method: text("urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"), ..confirmation() };
    for (confirmations, outcome) in [
        (vec![expired.clone(), elsewhere.clone(), key.clone(), confirmation()], None),
        (vec![confirmation(), expired.clone()], None),
        // What came furthest is told, whatever the order. What holds of one does not help another.
        (vec![expired.clone(), elsewhere.clone(), key.clone()], Some("confirmation_expired")),
        (vec![key, elsewhere, expired], Some("confirmation_expired")),
    ] {
        let error = with(|case| case.subject().confirmations = confirmations).err();
        assert_eq!(error.as_ref().map(ProfileError::code), outcome);
    }
}

#[test]
fn of_two_confirmations_that_came_equally_far_the_first_is_told() {
    let expired = |by: i64| {
        let mut other = confirmation();
        other.data.as_mut().unwrap().not_on_or_after = Some(at(-SKEW - by));
        other
    };
    for (first, second) in [(0, 7), (7, 0)] {
        let alone = refusal(|case| case.subject().confirmations = vec![expired(first)]);
        let both = refusal(|case| case.subject().confirmations = vec![expired(first), expired(second)]);
        assert_eq!(both, alone);
    }
}

#[test]
fn the_kind_of_the_subjects_name_is_told() {
    let format = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    for (format, told) in [
        (Some(Some(format)), format!("a NameID of format {format}")),
        (Some(None), "a NameID without format".to_owned()),
        (None, "a Subject without NameID".to_owned()),
    ] {
        let mut case = good();
        let name_id = case.subject().name_id.take().unwrap();
        case.subject().name_id = format.map(|format| NameId { format: format.map(text), ..name_id });
        let steps = case.unbound().map_or_else(|refused| refused.steps, |unbound| unbound.steps);
        let subject = steps.iter().find(|step| step.check == "Subject").unwrap();
        assert_eq!(subject.found, told);
    }
}

#[test]
fn response_and_confirmation_must_answer_the_same_request() {
    let differs = |response: &str, confirmation: &str| ProfileError::InResponseToDiffers {
        response: text(response),
        confirmation: text(confirmation),
    };
    assert_eq!(refusal(|case| case.head.in_response_to = Some(text("_r2"))), differs("_r2", "_r1"));
    assert_eq!(refusal(|case| case.data().in_response_to = Some(text("_r2"))), differs("_r1", "_r2"));
    assert_eq!(refusal(|case| case.data().in_response_to = None), differs("_r1", ""));
    for allow_unsolicited in [false, true] {
        let error = refusal(|case| {
            case.expected.allow_unsolicited = allow_unsolicited;
            case.head.in_response_to = None;
        });
        assert_eq!(error, differs("", "_r1"));
    }
}

#[test]
fn what_answers_no_request_is_taken_only_where_that_is_allowed() {
    let unsolicited = |case: &mut Case| {
        case.head.in_response_to = None;
        case.data().in_response_to = None;
    };
    assert_eq!(refusal(unsolicited), ProfileError::Unsolicited);
    let unbound = with(|case| {
        unsolicited(case);
        case.expected.allow_unsolicited = true;
    })
    .unwrap();
    assert_eq!(unbound.in_response_to(), None);
    assert!(check_bound(unbound.clone(), &from_nowhere(&[])).is_ok());
    let refused = check_bound(unbound, &asked(&[])).unwrap_err();
    assert_eq!(refused.error, ProfileError::AnswersNoRequest);
    // Any confirmation that answers a request makes it an answer.
    let error = refusal(|case| {
        unsolicited(case);
        case.expected.allow_unsolicited = true;
        let method = text("urn:oasis:names:tc:SAML:2.0:cm:sender-vouches");
        case.subject().confirmations.push(Confirmation { method, ..confirmation() });
    });
    assert_eq!(error.code(), "in_response_to_differs");
}

#[test]
fn an_answer_is_still_an_answer_where_unsolicited_ones_are_allowed() {
    let unbound = with(|case| case.expected.allow_unsolicited = true).unwrap();
    assert_eq!(unbound.in_response_to(), Some("_r1"));
    let refused = check_bound(unbound, &from_nowhere(&[])).unwrap_err();
    assert_eq!(refused.error, ProfileError::AnswerToNobody);
}

// Conditions

#[test]
fn an_assertion_without_conditions_is_refused() {
    assert_eq!(refusal(|case| case.assertion.conditions = None), ProfileError::ConditionsMissing);
}

#[test]
fn conditions_begin_and_end_on_the_second() {
    passes(|case| case.conditions().not_before = Some(at(SKEW)));
    let error = refusal(|case| case.conditions().not_before = Some(at(SKEW + 1)));
    assert_eq!(error, ProfileError::NotYetValid { by: SKEW + 1, skew: SKEW });
    let end = |seconds| {
        with(|case| {
            case.conditions().not_before = None;
            case.conditions().not_on_or_after = Some(at(seconds));
        })
        .err()
    };
    assert_eq!(end(1 - SKEW), None);
    assert_eq!(end(-SKEW), Some(ProfileError::Expired { by: SKEW, skew: SKEW, age: 2 }));
    passes(|case| {
        case.conditions().not_before = None;
        case.conditions().not_on_or_after = None;
    });
}

#[test]
fn conditions_that_end_before_they_begin_are_refused() {
    let between = |begin, end| {
        with(|case| {
            case.conditions().not_before = Some(at(begin));
            case.conditions().not_on_or_after = Some(at(end));
        })
        .err()
    };
    assert_eq!(between(-1, 0), None);
    let contradict = |time: i64| ProfileError::ConditionsContradict {
        not_before: at(time).to_string(),
        not_on_or_after: at(time).to_string(),
    };
    assert_eq!(between(0, 0), Some(contradict(0)));
}

#[test]
fn every_audience_restriction_must_name_us_to_the_letter() {
    let restricted = |restrictions: &[&[&str]]| {
        let restrictions =
            restrictions.iter().map(|one| one.iter().map(|name| text(name)).collect()).collect();
        with(|case| case.conditions().audience_restrictions = restrictions).err()
    };
    let mismatch =
        |found: &str| Some(ProfileError::AudienceMismatch { expected: text(SP), found: text(found) });
    assert_eq!(restricted(&[&["urn:other", SP]]), None);
    assert_eq!(restricted(&[&[SP], &[SP, "urn:other"]]), None);
    assert_eq!(restricted(&[&["urn:other"]]), mismatch("urn:other"));
    assert_eq!(restricted(&[&[SP], &["urn:other", "urn:more"]]), mismatch("urn:other urn:more"));
    assert_eq!(restricted(&[&["https://app.example/sp/"]]), mismatch("https://app.example/sp/"));
    assert_eq!(restricted(&[&["https://app.example/s"]]), mismatch("https://app.example/s"));
    assert_eq!(restricted(&[&["https://APP.example/sp"]]), mismatch("https://APP.example/sp"));
    assert_eq!(restricted(&[&[SP], &[]]), mismatch(""));
    assert_eq!(restricted(&[]), Some(ProfileError::AudienceMissing { expected: text(SP) }));
    assert_eq!(
        restricted(&[&["urn:other"]]).unwrap().to_string(),
        "Audience: expected \"https://app.example/sp\", the identity provider sent \"urn:other\": set the SP \
         entity ID at the identity provider to https://app.example/sp"
    );
}

#[test]
fn a_condition_that_is_not_understood_refuses() {
    let error = refusal(|case| case.conditions().unknown = vec![text("d:Delegation")]);
    assert_eq!(error, ProfileError::UnknownCondition(text("d:Delegation")));
    passes(|case| case.conditions().one_time_use = true);
}

// Authentication

#[test]
fn somebody_must_have_authenticated() {
    assert_eq!(refusal(|case| case.assertion.authn_statements.clear()), ProfileError::AuthnStatementMissing);
}

#[test]
fn nobody_authenticated_in_the_future() {
    passes(|case| case.statement().authenticated_at = at(SKEW));
    let error = refusal(|case| case.statement().authenticated_at = at(SKEW + 1));
    assert_eq!(error, ProfileError::AuthenticatedInFuture { by: SKEW + 1, skew: SKEW });
    let second = AuthnStatement { authenticated_at: at(SKEW + 1), ..statement() };
    assert!(with(|case| case.assertion.authn_statements.push(second)).is_err());
    // A session at the identity provider may be as old as it allows.
    passes(|case| case.statement().authenticated_at = at(-86_400));
}

#[test]
fn the_earliest_end_of_a_session_there_ends_the_session_here() {
    passes(|case| case.statement().session_ends_at = Some(at(1)));
    let error = refusal(|case| case.statement().session_ends_at = Some(at(0)));
    assert_eq!(error, ProfileError::SessionOver { by: 0 });
    let ends = |ends: &[Option<i64>]| {
        let statements =
            ends.iter().map(|end| AuthnStatement { session_ends_at: end.map(at), ..statement() }).collect();
        let checked = bound(|case| case.assertion.authn_statements = statements, |_| {}).unwrap();
        checked.session_ends_at()
    };
    assert_eq!(ends(&[None]), None);
    assert_eq!(ends(&[Some(300), Some(200), None]), Some(at(200)));
}

// The browser

#[test]
fn the_answer_to_another_request_is_refused() {
    for id in ["_r2", "_r", "_r11", "", "_R1"] {
        assert_eq!(
            bound(nothing, |asked| asked.request = Some(Request { id, begun_at: at(-TAKEN) })).err(),
            Some(ProfileError::InResponseToMismatch)
        );
    }
    let refused = check_bound(good().unbound().unwrap(), &from_nowhere(&[])).unwrap_err();
    assert_eq!(refused.error, ProfileError::AnswerToNobody);
    assert_eq!(refused.steps.len(), good().unbound().unwrap().steps.len() + 1);
}

#[test]
fn an_assertion_older_than_its_request_is_refused() {
    let issued = |seconds: i64| bound(|case| case.assertion.issued_at = at(seconds), |_| {}).err();
    assert_eq!(issued(-TAKEN - SKEW), None);
    assert_eq!(
        issued(-TAKEN - SKEW - 1),
        Some(ProfileError::IssuedBeforeRequest { by: SKEW + 1, skew: SKEW })
    );
}

#[test]
fn the_context_that_was_asked_for_must_be_met_exactly() {
    let met = |classes: &[&str], statements: &[Option<&str>]| {
        let classes: Vec<String> = classes.iter().map(|class| text(class)).collect();
        let statements = statements
            .iter()
            .map(|class| AuthnStatement { context_class: class.map(text), ..statement() })
            .collect();
        let unbound = with(|case| case.assertion.authn_statements = statements).unwrap();
        let checked = check_bound(unbound, &asked(&classes));
        checked.map(|checked| checked.acr().map(text)).map_err(|refused| refused.error)
    };
    let mismatch =
        |found: &str| Err(ProfileError::AuthnContextMismatch { expected: text(MFA), found: text(found) });
    assert_eq!(met(&[MFA], &[Some(MFA)]), Ok(Some(text(MFA))));
    assert_eq!(met(&[PASSWORD, MFA], &[Some(MFA)]), Ok(Some(text(MFA))));
    assert_eq!(met(&[MFA], &[Some(PASSWORD), Some(MFA)]), Ok(Some(text(MFA))));
    assert_eq!(met(&[], &[Some(PASSWORD), Some(MFA)]), Ok(Some(text(PASSWORD))));
    assert_eq!(met(&[], &[None]), Ok(None));
    assert_eq!(met(&[MFA], &[Some(PASSWORD)]), mismatch(PASSWORD));
    assert_eq!(met(&[MFA], &[None]), mismatch(""));
    assert_eq!(
        met(&[MFA], &[Some("https://refeds.org/profile/mfa2")]),
        mismatch("https://refeds.org/profile/mfa2")
    );
}

#[test]
fn a_declaration_stands_in_for_a_class_but_does_not_answer_for_one() {
    let declared = |case: &mut Case| {
        case.statement().context_class = None;
        case.statement().context_declaration = Some(text(MFA));
    };
    assert_eq!(bound(declared, |_| {}).unwrap().acr(), Some(MFA));
    let classes = [text(MFA)];
    let refused = check_bound(with(declared).unwrap(), &asked(&classes));
    assert_eq!(refused.unwrap_err().code(), "authn_context_mismatch");
}

#[test]
fn authentication_anew_is_not_an_old_one() {
    let forced = |seconds: i64| {
        bound(|case| case.statement().authenticated_at = at(seconds), |asked| asked.force_authn = true)
    };
    assert_eq!(forced(-TAKEN - SKEW).unwrap().authenticated_at(), at(-TAKEN - SKEW));
    assert_eq!(forced(-TAKEN - SKEW - 1).err(), Some(ProfileError::NotAuthenticatedAnew { by: SKEW + 1 }));
    // The one statement must be both: anew, and of the context asked for.
    let classes = [text(MFA)];
    let both = |seconds: i64| {
        let old =
            AuthnStatement { context_class: Some(text(MFA)), authenticated_at: at(seconds), ..statement() };
        let unbound = with(|case| case.assertion.authn_statements.push(old)).unwrap();
        check_bound(unbound, &Asked { force_authn: true, ..asked(&classes) })
    };
    assert_eq!(both(-10).unwrap().authenticated_at(), at(-10));
    assert_eq!(both(-3600).unwrap_err().error, ProfileError::NotAuthenticatedAnew { by: 3600 - TAKEN });
}

#[test]
fn what_is_asked_of_everybody_is_asked_of_who_comes_without_request() {
    let classes = [text(PASSWORD)];
    let unsolicited = |authenticated: i64, wanted: &Asked<'_>| {
        let unbound = with(|case| {
            case.expected.allow_unsolicited = true;
            case.head.in_response_to = None;
            case.data().in_response_to = None;
            case.statement().authenticated_at = at(authenticated);
        });
        check_bound(unbound.unwrap(), wanted).map_err(|refused| refused.error)
    };
    assert!(unsolicited(-5, &from_nowhere(&classes)).is_ok());
    let mfa = [text(MFA)];
    assert_eq!(
        unsolicited(-5, &from_nowhere(&mfa)).err(),
        Some(ProfileError::AuthnContextMismatch { expected: text(MFA), found: text(PASSWORD) })
    );
    let forced = Asked { force_authn: true, ..from_nowhere(&[]) };
    // The assertion was issued two seconds ago.
    assert!(unsolicited(-2 - LIMIT - SKEW, &forced).is_ok());
    assert_eq!(
        unsolicited(-3 - LIMIT - SKEW, &forced).err(),
        Some(ProfileError::NotAuthenticatedAnew { by: SKEW + 1 })
    );
    assert!(unsolicited(-86_400, &from_nowhere(&[])).is_ok());
}

#[test]
fn the_session_index_is_that_of_the_statement_that_counts_or_the_first() {
    let indexes = |indexes: &[Option<&str>]| {
        let statements = indexes
            .iter()
            .map(|index| AuthnStatement { session_index: index.map(text), ..statement() })
            .collect();
        let checked = bound(|case| case.assertion.authn_statements = statements, |_| {}).unwrap();
        checked.session_index().map(text)
    };
    assert_eq!(indexes(&[None]), None);
    assert_eq!(indexes(&[Some("a"), Some("b")]), Some(text("a")));
    assert_eq!(indexes(&[None, Some("b"), Some("c")]), Some(text("b")));
}

// Replay, clocks, texts

#[test]
fn an_assertion_is_remembered_for_as_long_as_it_could_pass() {
    let replay = |bearer: i64, conditions: Option<i64>| {
        let unbound = with(|case| {
            case.data().not_on_or_after = Some(at(bearer));
            case.conditions().not_on_or_after = conditions.map(at);
        });
        unbound.unwrap().replay().clone()
    };
    assert_eq!(replay(300, Some(200)).until, at(300 + SKEW));
    assert_eq!(replay(100, Some(200)).until, at(200 + SKEW));
    assert_eq!(replay(100, None).until, at(100 + SKEW));
    assert_eq!(replay(300, Some(200)).key, replay::key(IDP, "_a1"));
    // However far its end: the age alone refuses it by then.
    assert_eq!(replay(i64::MAX / 2, None).until, at(86_400));
}

#[test]
fn an_assertion_is_remembered_until_its_last_confirmation_ends() {
    let mut case = good();
    case.conditions().not_on_or_after = None;
    case.data().not_on_or_after = Some(at(10));
    case.subject().confirmations.push(confirmation());
    let until = case.unbound().unwrap().replay().until;
    assert_eq!(until, at(300 + SKEW));
    // Just before, the second confirmation lets it pass; from then on nothing does.
    case.expected.now = UnixTime(until.0 - 1);
    assert!(case.unbound().is_ok());
    case.expected.now = until;
    assert_eq!(case.unbound().unwrap_err().code(), "confirmation_expired");
}

#[test]
fn the_clocks_are_named_where_they_are_to_blame() {
    let said = |error: &ProfileError, part: &str| {
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
    };
    let ahead = refusal(|case| case.conditions().not_before = Some(at(200)));
    said(&ahead, "valid only in 200 s by our clock (clock_skew is 60 s): the clocks differ by about 200 s");
    let behind = refusal(|case| {
        case.assertion.issued_at = at(-400);
        case.data().not_on_or_after = Some(at(-100));
    });
    said(&behind, "ended 100 s ago by our clock");
    said(
        &behind,
        "issued 400 s ago: either it was on its way for so long, or the clocks differ by about 400 s",
    );
    let zone = refusal(|case| case.head.issued_at = at(2 * 3600 + 1));
    said(&zone, "as if one of the two took its local time for UTC");
    let zone = refusal(|case| case.head.issued_at = at(-3600));
    said(&zone, "as if one of the two took its local time for UTC");
}

#[test]
fn texts_of_others_are_bounded_in_errors_and_steps() {
    let long = format!("urn:\n{}", "x".repeat(1000));
    let mut case = good();
    case.conditions().audience_restrictions = vec![vec![long.clone()]];
    let refused = case.unbound().unwrap_err();
    assert!(refused.to_string().len() < 400 && !refused.to_string().contains('\n'));
    case = good();
    case.head.destination = Some(long.clone());
    case.head.status.codes.push(long);
    for step in case.unbound().unwrap_err().steps {
        assert!(step.found.len() < 200 && !step.found.contains('\n'), "{step:?}");
    }
}

#[test]
fn every_refusal_has_a_code_and_somebody_who_has_to_act() {
    use ProfileError as E;
    let elsewhere = || Elsewhere { expected: text(""), found: text(""), differs: Differs::Whole };
    let (expected, found) = (String::new, String::new);
    let denied = Status { codes: vec![text("urn:oasis:names:tc:SAML:2.0:status:Requester")], message: None };
    let (idp, operator, client) = (Fault::IdentityProvider, Fault::Operator, Fault::Client);
    for (error, code, fault) in [
        (E::ResponseVersion(found()), "response_version", idp),
        (E::StatusNotSuccess(denied), "status_not_success", operator),
        (E::DestinationMissing { expected: expected() }, "destination_missing", idp),
        (E::DestinationMismatch(elsewhere()), "destination_mismatch", operator),
        (
            E::ResponseIssuerMismatch { expected: expected(), found: found() },
            "response_issuer_mismatch",
            operator,
        ),
        (E::ResponseIssuerFormat(found()), "response_issuer_format", idp),
        (E::ResponseIssuedInFuture { by: 1, skew: 1 }, "response_issued_in_future", idp),
        (E::ResponseTooOld { age: 1, limit: 1 }, "response_too_old", idp),
        (E::AssertionVersion(found()), "assertion_version", idp),
        (E::IssuerMismatch { expected: expected(), found: found() }, "issuer_mismatch", operator),
        (E::IssuerFormat(found()), "issuer_format", idp),
        (E::IssuedInFuture { by: 1, skew: 1 }, "issued_in_future", idp),
        (E::TooOld { age: 1, limit: 1 }, "too_old", idp),
        (E::SubjectMissing, "subject_missing", idp),
        (E::BearerMissing { found: found() }, "bearer_missing", idp),
        (E::ConfirmationDataMissing, "confirmation_data_missing", idp),
        (E::ConfirmationForAnother, "confirmation_for_another", idp),
        (E::RecipientMissing { expected: expected() }, "recipient_missing", idp),
        (E::RecipientMismatch(elsewhere()), "recipient_mismatch", operator),
        (E::ConfirmationNotBefore, "confirmation_not_before", idp),
        (E::ConfirmationEndMissing, "confirmation_end_missing", idp),
        (E::ConfirmationExpired { by: 1, skew: 1, age: 1 }, "confirmation_expired", idp),
        (E::InResponseToDiffers { response: found(), confirmation: found() }, "in_response_to_differs", idp),
        (E::Unsolicited, "unsolicited", client),
        (E::ConditionsMissing, "conditions_missing", idp),
        (
            E::ConditionsContradict { not_before: found(), not_on_or_after: found() },
            "conditions_contradict",
            idp,
        ),
        (E::NotYetValid { by: 1, skew: 1 }, "not_yet_valid", idp),
        (E::Expired { by: 1, skew: 1, age: 1 }, "expired", idp),
        (E::AudienceMissing { expected: expected() }, "audience_missing", idp),
        (E::AudienceMismatch { expected: expected(), found: found() }, "audience_mismatch", operator),
        (E::UnknownCondition(found()), "unknown_condition", idp),
        (E::AuthnStatementMissing, "authn_statement_missing", idp),
        (E::AuthenticatedInFuture { by: 1, skew: 1 }, "authenticated_in_future", idp),
        (E::SessionOver { by: 1 }, "session_over", idp),
        (E::AnswerToNobody, "answer_to_nobody", client),
        (E::InResponseToMismatch, "in_response_to_mismatch", client),
        (E::AnswersNoRequest, "answers_no_request", client),
        (E::IssuedBeforeRequest { by: 1, skew: 1 }, "issued_before_request", idp),
        (E::AuthnContextMismatch { expected: expected(), found: found() }, "authn_context_mismatch", client),
        (E::NotAuthenticatedAnew { by: 1 }, "not_authenticated_anew", idp),
    ] {
        let refused = Refused { error, steps: Vec::new() };
        assert_eq!((refused.code(), refused.fault()), (code, fault));
        assert!(!refused.to_string().is_empty());
    }
}
