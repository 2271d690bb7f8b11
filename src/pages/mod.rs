//! The few pages that people see of narthex: everything escaped, nothing from elsewhere, and no script but the one
//! line that sends a form on.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use http::{HeaderValue, Response, StatusCode, header};

use crate::forward::Body;
use crate::platform::crypto::sha256;

/// The one style sheet, inline; the content security policy names it by its digest.
pub const STYLE: &str = include_str!("style.css");

/// The one script: posts the form of [`DeparturePage`]. Without scripts there is its button.
pub const SUBMIT: &str = "document.forms[0].submit()";

/// What a person can do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Link {
        href: String,
        label: &'static str,
    },
    /// A button that posts `token` to `action`.
    Retry {
        action: String,
        token: String,
    },
}

#[derive(Template)]
#[template(path = "pages/problem.html")]
pub struct ProblemPage<'a> {
    pub title: &'a str,
    pub sentence: &'a str,
    pub next: Option<&'a Next>,
    pub error_id: Option<&'a str>,
    /// What an administrator is to decide on.
    pub case: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "pages/chooser.html")]
pub struct ChooserPage<'a> {
    pub action: &'a str,
    pub return_to: &'a str,
    pub email: &'a str,
    /// Whether an e-mail's domain can choose.
    pub by_email: bool,
    /// An e-mail was given and no provider speaks for its domain.
    pub unknown: bool,
    pub choices: &'a [Choice],
}

/// One provider in the chooser.
#[derive(Debug, Clone)]
pub struct Choice {
    pub href: String,
    pub label: String,
}

#[derive(Template)]
#[template(path = "pages/logout.html")]
pub struct LogoutPage<'a> {
    pub name: &'a str,
    pub action: &'a str,
    pub csrf_token: &'a str,
}

#[derive(Template)]
#[template(path = "pages/signed_out.html")]
pub struct SignedOutPage<'a> {
    pub login: &'a str,
    /// Some session of this person elsewhere may still be there.
    pub elsewhere: bool,
}

/// A form that goes on to an identity provider by itself (SAML Bindings 2.0, 3.5.4).
#[derive(Template)]
#[template(path = "pages/departure.html")]
pub struct DeparturePage<'a> {
    pub action: &'a str,
    pub fields: &'a [(&'static str, String)],
}

static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| HeaderValue::try_from(policy()).ok());

static POLICY_WITH_SUBMIT: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    HeaderValue::try_from(format!("{}; script-src 'sha256-{}'", policy(), digest(SUBMIT))).ok()
});

fn digest(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(sha256(text.as_bytes()))
}

fn policy() -> String {
    let digest = digest(STYLE);
    // `form-action` is left out on purpose: Chromium applies it to the redirects that follow a form, and a
    // logout goes on to the identity provider.
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'")
}

/// Shows the page that posts itself.
pub fn depart(page: &DeparturePage<'_>) -> Response<Body> {
    show_under(StatusCode::OK, page, POLICY_WITH_SUBMIT.as_ref())
}

/// Shows a page: never cached, never framed.
pub fn show(status: StatusCode, page: &impl Template) -> Response<Body> {
    show_under(status, page, POLICY.as_ref())
}

fn show_under(status: StatusCode, page: &impl Template, policy: Option<&HeaderValue>) -> Response<Body> {
    let (status, html) = match page.render() {
        Ok(html) => (status, html),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    let mut response = Response::new(Body::whole(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}
