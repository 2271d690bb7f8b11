//! The one table from errors to HTTP answers: only here are status codes known.

mod admin;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::authorise::Refusal;
use crate::forward::Body;
use crate::forward::send::ForwardError;
use crate::forward::upstream::UpstreamError;
use crate::identify::LoginError;
use crate::identify::intent::Intent;
use crate::identify::session::SessionError;
use crate::listen::request::RequestError;
use crate::model::{CaseId, ErrorId, Fault};
use crate::pages::{self, Next, ProblemPage};
use crate::provision::ProvisionError;

/// What the browser or client is told. Nothing of a claim, a rule or an internal name is in it
/// (SECURITY.md, invariant 11); the log has that, under the error id.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// Stable, snake_case; the last part of the RFC 9457 `type`.
    code: &'static str,
    title: &'static str,
    sentence: String,
    next: Option<Next>,
    error_id: Option<ErrorId>,
    /// What an administrator is to decide on.
    case: Option<CaseId>,
    login_url: Option<String>,
    headers: HeaderMap,
    /// An extension member of RFC 9457, 3.2.
    more: Option<(&'static str, serde_json::Value)>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            sentence: sentence.into(),
            next: None,
            error_id: None,
            case: None,
            login_url: None,
            headers: HeaderMap::new(),
            more: None,
        }
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    #[must_use]
    pub fn with_id(mut self, id: ErrorId) -> Self {
        self.error_id = Some(id);
        self
    }

    #[must_use]
    pub fn with_next(mut self, next: Next) -> Self {
        self.next = Some(next);
        self
    }

    /// Closes the connection after the answer: what follows on it is not believed.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        self
    }

    /// The answer in the form that suits who asked: a page, or `application/problem+json` (RFC 9457).
    #[must_use]
    pub fn into_response(self, intent: Intent) -> Response<Body> {
        let mut response = match intent {
            Intent::Navigation => pages::show(
                self.status,
                &ProblemPage {
                    title: self.title,
                    sentence: &self.sentence,
                    next: self.next.as_ref(),
                    error_id: self.error_id.as_ref().map(ErrorId::as_str),
                    case: self.case.map(|case| case.to_string()).as_deref(),
                },
            ),
            Intent::Background => self.json(),
        };
        response.headers_mut().extend(self.headers);
        response
    }

    fn json(&self) -> Response<Body> {
        let mut body = json!({
            "type": format!("urn:narthex:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.sentence,
        });
        if let Some(object) = body.as_object_mut() {
            if let Some(id) = &self.error_id {
                object.insert("error_id".to_owned(), json!(id.as_str()));
            }
            if let Some(case) = &self.case {
                object.insert("case".to_owned(), json!(case.to_string()));
            }
            if let Some(url) = &self.login_url {
                object.insert("login_url".to_owned(), json!(url));
            }
            if let Some((name, value)) = &self.more {
                object.insert((*name).to_owned(), value.clone());
            }
        }
        let mut response = json_response(self.status, &body);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }

    /// 401 for a request in the background without a session (SECURITY.md 36).
    #[must_use]
    pub fn login_needed(login_url: String) -> Self {
        let mut problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "login_needed",
            "Sign-in needed",
            "There is no session. Open the login URL in a browser, then try again.",
        );
        // RFC 9110, 15.5.2 wants a challenge; this one makes no browser ask for a password.
        problem.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Session"));
        problem.login_url = Some(login_url);
        problem
    }

    /// A path below the prefix that is none of ours, or a method that it does not have.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "There is nothing at this address.")
    }

    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
            "This address does not take this method.",
        );
        problem.headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        problem
    }

    /// A form of ours came without its token, or too large, or not as a form.
    #[must_use]
    pub fn bad_form(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_form", "This form cannot be taken", sentence)
    }

    /// A logout that no page of ours or of the application asked for.
    #[must_use]
    pub fn csrf() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "csrf",
            "Please confirm",
            "The request did not come with the token of your session. Open the sign-out page and confirm there.",
        )
    }

    /// One address begins too many sign-ins.
    #[must_use]
    pub fn too_many_logins() -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_logins",
            "Too many sign-ins at once",
            "Very many sign-ins were begun from your network just now. Please try again in a moment.",
        );
        problem.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        problem
    }

    /// The verified identity waited for longer than it is kept.
    #[must_use]
    pub fn nothing_to_resume() -> Self {
        Self::new(
            StatusCode::GONE,
            "nothing_to_resume",
            "Please sign in again",
            "This sign-in was finished, or has waited for too long.",
        )
    }

    /// Something of ours that should not happen.
    #[must_use]
    pub fn internal(code: &'static str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            "Not possible at the moment",
            "Something is not available that this needs. Please try again in a moment.",
        )
    }
}

/// A JSON answer of ours, never cached.
#[must_use]
pub fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl From<&RequestError> for Problem {
    fn from(error: &RequestError) -> Self {
        let problem =
            |status, code, sentence: &str| Self::new(status, code, "This request cannot be taken", sentence);
        match error {
            RequestError::ForeignHost => problem(
                StatusCode::MISDIRECTED_REQUEST,
                "foreign_host",
                "This server does not answer for the host that was asked for.",
            ),
            RequestError::Network { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "network",
                "No access from here",
                "This application is not open to the network that you come from.",
            ),
            RequestError::Method(_) => {
                problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This method is not served.")
            }
            RequestError::NoHost | RequestError::SeveralHosts => {
                problem(StatusCode::BAD_REQUEST, "bad_host", "The request must name one host.")
            }
            RequestError::TransferCoding | RequestError::Framing => problem(
                StatusCode::BAD_REQUEST,
                "bad_framing",
                "The length of the request's body is not clear.",
            ),
            RequestError::Path(_) | RequestError::Query => {
                problem(StatusCode::BAD_REQUEST, "bad_path", "The address can be read in more than one way.")
            }
        }
        .closing()
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::LoginNeeded => Self::login_needed(String::new()),
            Refusal::Denied | Refusal::NotAllowed | Refusal::CannotTell(_) => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "No access",
                "This page is not open to you. If it should be, ask an administrator.",
            ),
            Refusal::Path(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "bad_path",
                "This request cannot be taken",
                "The address can be read in more than one way.",
            ),
        }
    }
}

impl From<&SessionError> for Problem {
    fn from(error: &SessionError) -> Self {
        match error {
            SessionError::Store(_) => Self::internal("store_away"),
            SessionError::StoreAwayTooLong { .. } => Self::internal("store_away_too_long"),
            SessionError::AccountChanged => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "account_changed",
                "Please sign in again",
                "Your account was changed while you signed in. Please sign in again.",
            ),
            SessionError::NoEntropy(_) => Self::internal("no_entropy"),
        }
    }
}

impl From<&ForwardError> for Problem {
    fn from(error: &ForwardError) -> Self {
        let away = |status, code| {
            Self::new(
                status,
                code,
                "The application does not answer",
                "It may be starting or under maintenance. Please try again in a moment.",
            )
        };
        match error {
            ForwardError::Upstream(error) => match error {
                UpstreamError::ResponseTimeout { .. } => {
                    away(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout")
                }
                UpstreamError::ConnectTimeout { .. } => {
                    away(StatusCode::GATEWAY_TIMEOUT, "upstream_connect_timeout")
                }
                UpstreamError::Connect { .. } => away(StatusCode::BAD_GATEWAY, "upstream_unreachable"),
                UpstreamError::Tls(_) => away(StatusCode::BAD_GATEWAY, "upstream_tls"),
                UpstreamError::Broken(_) => away(StatusCode::BAD_GATEWAY, "upstream_broken"),
                UpstreamError::Request(_) => away(StatusCode::BAD_GATEWAY, "request_broken"),
                UpstreamError::BadName(_) => away(StatusCode::BAD_GATEWAY, "upstream_name"),
            },
            ForwardError::SessionEnded => Self::login_needed(String::new()),
            ForwardError::Token => Self::internal("upstream_token"),
            ForwardError::Target => Self::internal("upstream_target"),
            ForwardError::WrongProtocol => away(StatusCode::BAD_GATEWAY, "upstream_protocol"),
        }
    }
}

impl From<&LoginError> for Problem {
    fn from(error: &LoginError) -> Self {
        let code = error.code();
        match error {
            LoginError::AnswerFromAnotherBrowser => Self::new(
                StatusCode::BAD_REQUEST,
                code,
                "This sign-in began elsewhere",
                "It was begun in another browser, or this browser did not keep the cookie that it was begun \
                 with. Allow cookies for this address, and sign in from here.",
            ),
            LoginError::LoginLoop { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                code,
                "Sign-in goes round in circles",
                "You were sent to sign in again and again. The most frequent reasons: this browser does not \
                 keep cookies for this address, the application was opened by another address than the one \
                 that it is set up for, or a clock is wrong.",
            ),
            LoginError::UnknownProvider => Self::new(
                StatusCode::NOT_FOUND,
                code,
                "Unknown identity provider",
                "There is no identity provider of this name here.",
            ),
            _ => match error.fault() {
                Fault::Client | Fault::Person => Self::new(
                    StatusCode::BAD_REQUEST,
                    code,
                    "This sign-in cannot be finished",
                    "The answer does not belong to a sign-in that is under way here. Please begin again.",
                ),
                Fault::IdentityProvider => Self::new(
                    StatusCode::BAD_GATEWAY,
                    code,
                    "Sign-in did not succeed",
                    "The identity provider's answer could not be accepted, or it did not answer.",
                ),
                Fault::Operator => Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    code,
                    "Sign-in is not set up rightly",
                    "An administrator has to correct the configuration.",
                ),
                Fault::Application | Fault::Us => Self::internal(code),
            },
        }
    }
}

impl From<&ProvisionError> for Problem {
    fn from(error: &ProvisionError) -> Self {
        let status = match error.fault() {
            Fault::Client | Fault::Person => StatusCode::FORBIDDEN,
            _ if error.retryable() => StatusCode::SERVICE_UNAVAILABLE,
            Fault::IdentityProvider => StatusCode::FORBIDDEN,
            Fault::Application | Fault::Operator | Fault::Us => StatusCode::SERVICE_UNAVAILABLE,
        };
        let title = match error.fault() {
            _ if error.case().is_some() => "Waiting for an administrator",
            Fault::Client | Fault::Person => "You cannot be let in",
            _ if error.retryable() => "The application does not answer",
            Fault::IdentityProvider | Fault::Application | Fault::Operator | Fault::Us => {
                "Your account could not be made ready"
            }
        };
        Self { case: error.case(), ..Self::new(status, error.code(), title, error.public()) }
    }
}
