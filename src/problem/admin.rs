//! The admin API's part of the table: its errors to RFC 9457 problems.

use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::Problem;
use crate::admin::AdminError;

impl From<&AdminError> for Problem {
    fn from(error: &AdminError) -> Self {
        let (status, title) = match error {
            AdminError::ForeignHost => (StatusCode::MISDIRECTED_REQUEST, "Another host"),
            AdminError::CrossOrigin => (StatusCode::FORBIDDEN, "Another origin"),
            AdminError::Unauthenticated | AdminError::UnknownToken => {
                (StatusCode::UNAUTHORIZED, "Token needed")
            }
            AdminError::TooManyFailures => (StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens"),
            AdminError::NotPermitted { .. } | AdminError::BeyondGrant { .. } => {
                (StatusCode::FORBIDDEN, "Not permitted")
            }
            AdminError::CsrfMissing => (StatusCode::FORBIDDEN, "Not from a page of ours"),
            AdminError::NoConsoleRole | AdminError::RuleUndecided { .. } | AdminError::Blocked => {
                (StatusCode::FORBIDDEN, "You cannot be let in")
            }
            AdminError::UnknownPath | AdminError::NoSuch(_) => (StatusCode::NOT_FOUND, "Not found"),
            AdminError::UnknownMethod => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            AdminError::BadRequest(_) => (StatusCode::BAD_REQUEST, "This request cannot be taken"),
            AdminError::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON"),
            AdminError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
            AdminError::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "Too slow"),
            // RFC 6585, 3.
            AdminError::VersionNeeded => (StatusCode::PRECONDITION_REQUIRED, "Version needed"),
            AdminError::VersionChanged { .. } => (StatusCode::PRECONDITION_FAILED, "Changed meanwhile"),
            AdminError::Unconfirmed => (StatusCode::CONFLICT, "Not confirmed"),
            AdminError::Conflict(_) => (StatusCode::CONFLICT, "Not as things are"),
            AdminError::Unsound { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "Unsound"),
            AdminError::Connector(_) => (StatusCode::BAD_GATEWAY, "The application's API"),
            AdminError::Store(_) | AdminError::NoEntropy(_) | AdminError::Broken => {
                (StatusCode::SERVICE_UNAVAILABLE, "Not possible at the moment")
            }
        };
        let sentence = match error {
            // What the store says names paths and hosts; the log has it.
            AdminError::Store(_) => "the store cannot be reached, or refused; the log says why".to_owned(),
            other => other.to_string(),
        };
        let mut problem = Self::new(status, error.code(), title, sentence);
        match error {
            // RFC 6750, 3.
            AdminError::Unauthenticated => {
                problem.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            AdminError::UnknownToken => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                problem.headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            AdminError::TooManyFailures => {
                problem.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            AdminError::Unsound { problems } => problem.more = Some(("problems", json!(problems))),
            _ => {}
        }
        problem
    }
}
