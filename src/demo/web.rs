//! What both servers do with a request: parameters, cookies, pages.

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// A form's or a query's parameters, each at most once.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

/// A form of ours is smaller than this many bytes.
pub(super) const MAX_FORM: usize = 16 * 1024;

impl Params {
    /// RFC 6749, 3.1: "Request and response parameters MUST NOT be included more than once"; the name of
    /// the first that is comes back as the error. Parameters without a value count as omitted.
    pub(super) fn parse(encoded: &str) -> Result<Self, String> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded.as_bytes()) {
            if value.is_empty() {
                continue;
            }
            if found.iter().any(|(known, _)| *known == name) {
                return Err(name.into_owned());
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(found))
    }

    pub(super) fn at(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.at(name).unwrap_or_default().to_owned()
    }
}

/// The value of the cookie `name`; the first, where a browser sends several. Blanks around the name do not count, and
/// commas separate too, as many servers have it.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split([';', ',']))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known.trim() == name).then_some(value))
}

/// `Set-Cookie` for a session of this server; `None` clears it. Without `Secure`, since it is plain HTTP on
/// loopback.
pub(super) fn session_cookie(name: &str, value: Option<&str>) -> HeaderValue {
    let text = match value {
        Some(value) => format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"),
        None => format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A POST that another site's page caused. Browsers say so; other clients do not send the header.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none" && site != "same-site")
}

/// A page with the headers that any page should have.
pub(super) fn page<T: Template>(status: StatusCode, template: &T) -> Response {
    let (status, html) = match template.render() {
        Ok(html) => (status, html),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("this page cannot be shown: {error}")),
    };
    let mut answer = Response::new(Body::from(html));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // No form-action: Chromium applies it to the redirect after the form as well, which leads elsewhere.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
    );
    answer
}

/// 303: fetch `location` with GET.
pub(super) fn see_other(location: &str) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::try_from(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A JSON answer that nobody may keep.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut answer = Response::new(Body::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    scheme(headers, "bearer")
}

/// What stands behind the scheme (compared without case, RFC 9110, 11.1) of the `Authorization` header.
pub(super) fn scheme<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// application/x-www-form-urlencoded, one value.
pub(super) fn form_decoded(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Compares secrets in constant time.
pub(super) fn same_secret(a: &str, b: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(a.as_bytes(), b.as_bytes()).into()
}
