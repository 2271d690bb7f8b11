//! What a response failed on: one variant per rule of the Web Browser SSO profile.

use super::super::status::Status;
use super::clocks::Apart;
use super::place::Elsewhere;
use crate::model::Fault;

/// A response or an assertion that a rule does not let pass. Texts of others in it are bounded and printable;
/// what is personal never is in it. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    // The response
    #[error("the response is of SAML version {0:?}, expected 2.0")]
    ResponseVersion(String),
    #[error("the identity provider refused the sign-in: {0}")]
    StatusNotSuccess(Status),
    #[error("the response is signed and lacks Destination, which then is required; expected {expected}")]
    DestinationMissing { expected: String },
    #[error("Destination: {0}")]
    DestinationMismatch(Elsewhere),
    #[error(
        "the response is from {found:?}, expected {expected:?}; does entity_id name this identity provider, and \
         does its metadata?"
    )]
    ResponseIssuerMismatch { expected: String, found: String },
    #[error("the response's Issuer is of format {0:?}, expected an entity ID")]
    ResponseIssuerFormat(String),
    #[error("the response was issued {by} s ahead of our clock (clock_skew is {skew} s): {}", Apart(*.by))]
    ResponseIssuedInFuture { by: i64, skew: i64 },
    #[error(
        "the response was issued {age} s ago by our clock, at most {limit} s are accepted: either it was on its \
         way for so long, or {}", Apart(*.age)
    )]
    ResponseTooOld { age: i64, limit: i64 },

    // The assertion
    #[error("the assertion is of SAML version {0:?}, expected 2.0")]
    AssertionVersion(String),
    #[error(
        "the assertion is from {found:?}, expected {expected:?}; does entity_id name this identity provider, \
         and does its metadata?"
    )]
    IssuerMismatch { expected: String, found: String },
    #[error("the assertion's Issuer is of format {0:?}, expected an entity ID")]
    IssuerFormat(String),
    #[error("the assertion was issued {by} s ahead of our clock (clock_skew is {skew} s): {}", Apart(*.by))]
    IssuedInFuture { by: i64, skew: i64 },
    #[error(
        "the assertion was issued {age} s ago by our clock, at most {limit} s are accepted: either it was on \
         its way for so long, or {}", Apart(*.age)
    )]
    TooOld { age: i64, limit: i64 },
    #[error("the assertion has no Subject, so it is about nobody")]
    SubjectMissing,

    // Who may present it
    #[error("the assertion may not be presented by a browser: it has no bearer confirmation, but {found:?}")]
    BearerMissing { found: String },
    #[error(
        "the bearer confirmation has no SubjectConfirmationData, so it says nothing of where and until when"
    )]
    ConfirmationDataMissing,
    #[error("the bearer confirmation is for another party than the person that the assertion is about")]
    ConfirmationForAnother,
    #[error("the bearer confirmation lacks Recipient; expected {expected}")]
    RecipientMissing { expected: String },
    #[error("Recipient: {0}")]
    RecipientMismatch(Elsewhere),
    #[error("the bearer confirmation has a NotBefore, which the browser profile forbids")]
    ConfirmationNotBefore,
    #[error("the bearer confirmation lacks NotOnOrAfter")]
    ConfirmationEndMissing,
    #[error(
        "the bearer confirmation ended {by} s ago by our clock (clock_skew is {skew} s), and the assertion was \
         issued {age} s ago: either it was on its way for so long, or {}", Apart(*.age)
    )]
    ConfirmationExpired { by: i64, skew: i64, age: i64 },
    #[error(
        "the response answers {response:?}, the bearer confirmation answers {confirmation:?}; both must name \
         the same request"
    )]
    InResponseToDiffers { response: String, confirmation: String },
    #[error(
        "the response answers no request of ours, and allow_idp_initiated is not set; have people begin at the \
         application"
    )]
    Unsolicited,

    // Conditions
    #[error("the assertion has no Conditions, so it is for everybody and for ever")]
    ConditionsMissing,
    #[error("the assertion's Conditions end ({not_on_or_after}) before they begin ({not_before})")]
    ConditionsContradict { not_before: String, not_on_or_after: String },
    #[error("the assertion is valid only in {by} s by our clock (clock_skew is {skew} s): {}", Apart(*.by))]
    NotYetValid { by: i64, skew: i64 },
    #[error(
        "the assertion expired {by} s ago by our clock (clock_skew is {skew} s), and was issued {age} s ago: \
         either it was on its way for so long, or {}", Apart(*.age)
    )]
    Expired { by: i64, skew: i64, age: i64 },
    #[error("the assertion names no audience; expected {expected}")]
    AudienceMissing { expected: String },
    #[error(
        "Audience: expected {expected:?}, the identity provider sent {found:?}: set the SP entity ID at the \
         identity provider to {expected}"
    )]
    AudienceMismatch { expected: String, found: String },
    #[error("the assertion holds only under a condition that is not understood here: {0}")]
    UnknownCondition(String),

    // How and when the person authenticated
    #[error("the assertion does not say that anybody authenticated: it has no AuthnStatement")]
    AuthnStatementMissing,
    #[error("the person authenticated {by} s ahead of our clock (clock_skew is {skew} s): {}", Apart(*.by))]
    AuthenticatedInFuture { by: i64, skew: i64 },
    #[error("the person's session at the identity provider was over {by} s ago by our clock")]
    SessionOver { by: i64 },

    // The request of this browser
    #[error(
        "the response answers a request, but this browser has none in flight: the login began in another \
         browser, was answered already, or took too long"
    )]
    AnswerToNobody,
    #[error("the response answers another request than the one that this browser began")]
    InResponseToMismatch,
    #[error("this browser began a login, and the response answers no request at all")]
    AnswersNoRequest,
    #[error(
        "the assertion was issued {by} s before this login began (clock_skew is {skew} s): {}", Apart(*.by)
    )]
    IssuedBeforeRequest { by: i64, skew: i64 },
    #[error("the person authenticated by {found:?}, asked for was {expected:?} (authn_context)")]
    AuthnContextMismatch { expected: String, found: String },
    #[error(
        "the person authenticated {by} s before this login began, although authentication anew is asked for \
         (force_authn); the identity provider must not reuse its session then"
    )]
    NotAuthenticatedAnew { by: i64 },
}

impl ProfileError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ResponseVersion(_) => "response_version",
            Self::StatusNotSuccess(_) => "status_not_success",
            Self::DestinationMissing { .. } => "destination_missing",
            Self::DestinationMismatch(_) => "destination_mismatch",
            Self::ResponseIssuerMismatch { .. } => "response_issuer_mismatch",
            Self::ResponseIssuerFormat(_) => "response_issuer_format",
            Self::ResponseIssuedInFuture { .. } => "response_issued_in_future",
            Self::ResponseTooOld { .. } => "response_too_old",
            Self::AssertionVersion(_) => "assertion_version",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::IssuerFormat(_) => "issuer_format",
            Self::IssuedInFuture { .. } => "issued_in_future",
            Self::TooOld { .. } => "too_old",
            Self::SubjectMissing => "subject_missing",
            Self::BearerMissing { .. } => "bearer_missing",
            Self::ConfirmationDataMissing => "confirmation_data_missing",
            Self::ConfirmationForAnother => "confirmation_for_another",
            Self::RecipientMissing { .. } => "recipient_missing",
            Self::RecipientMismatch(_) => "recipient_mismatch",
            Self::ConfirmationNotBefore => "confirmation_not_before",
            Self::ConfirmationEndMissing => "confirmation_end_missing",
            Self::ConfirmationExpired { .. } => "confirmation_expired",
            Self::InResponseToDiffers { .. } => "in_response_to_differs",
            Self::Unsolicited => "unsolicited",
            Self::ConditionsMissing => "conditions_missing",
            Self::ConditionsContradict { .. } => "conditions_contradict",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::AudienceMissing { .. } => "audience_missing",
            Self::AudienceMismatch { .. } => "audience_mismatch",
            Self::UnknownCondition(_) => "unknown_condition",
            Self::AuthnStatementMissing => "authn_statement_missing",
            Self::AuthenticatedInFuture { .. } => "authenticated_in_future",
            Self::SessionOver { .. } => "session_over",
            Self::AnswerToNobody => "answer_to_nobody",
            Self::InResponseToMismatch => "in_response_to_mismatch",
            Self::AnswersNoRequest => "answers_no_request",
            Self::IssuedBeforeRequest { .. } => "issued_before_request",
            Self::AuthnContextMismatch { .. } => "authn_context_mismatch",
            Self::NotAuthenticatedAnew { .. } => "not_authenticated_anew",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::StatusNotSuccess(status) => status.fault(),
            Self::Unsolicited
            | Self::AnswerToNobody
            | Self::InResponseToMismatch
            | Self::AnswersNoRequest
            | Self::AuthnContextMismatch { .. } => Fault::Client,
            Self::DestinationMismatch(_)
            | Self::RecipientMismatch(_)
            | Self::ResponseIssuerMismatch { .. }
            | Self::IssuerMismatch { .. }
            | Self::AudienceMismatch { .. } => Fault::Operator,
            Self::ResponseVersion(_)
            | Self::DestinationMissing { .. }
            | Self::ResponseIssuerFormat(_)
            | Self::ResponseIssuedInFuture { .. }
            | Self::ResponseTooOld { .. }
            | Self::AssertionVersion(_)
            | Self::IssuerFormat(_)
            | Self::IssuedInFuture { .. }
            | Self::TooOld { .. }
            | Self::SubjectMissing
            | Self::BearerMissing { .. }
            | Self::ConfirmationDataMissing
            | Self::ConfirmationForAnother
            | Self::RecipientMissing { .. }
            | Self::ConfirmationNotBefore
            | Self::ConfirmationEndMissing
            | Self::ConfirmationExpired { .. }
            | Self::InResponseToDiffers { .. }
            | Self::ConditionsMissing
            | Self::ConditionsContradict { .. }
            | Self::NotYetValid { .. }
            | Self::Expired { .. }
            | Self::AudienceMissing { .. }
            | Self::UnknownCondition(_)
            | Self::AuthnStatementMissing
            | Self::AuthenticatedInFuture { .. }
            | Self::SessionOver { .. }
            | Self::IssuedBeforeRequest { .. }
            | Self::NotAuthenticatedAnew { .. } => Fault::IdentityProvider,
        }
    }
}
