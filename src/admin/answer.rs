//! What a route answers: JSON never cached, versions as ETags, lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::error::AdminError;

/// Items of a page unless the caller says.
pub const USUAL_PAGE: usize = 50;
/// Items of a page at most.
pub const LARGEST_PAGE: usize = 200;

/// An answer on its way out.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    body: Option<(&'static str, Bytes)>,
    version: Option<Version>,
}

impl Answer {
    /// 200 with JSON.
    ///
    /// # Errors
    /// Where it is no JSON, which is a mistake of ours.
    pub fn json(value: &impl Serialize) -> Result<Self, AdminError> {
        let text = serde_json::to_vec(value).map_err(|error| AdminError::BadRequest(error.to_string()))?;
        Ok(Self { status: StatusCode::OK, body: Some(("application/json", text.into())), version: None })
    }

    /// 200 with text of another kind.
    #[must_use]
    pub fn text(media: &'static str, text: String) -> Self {
        Self { status: StatusCode::OK, body: Some((media, text.into())), version: None }
    }

    /// 204.
    #[must_use]
    pub fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, version: None }
    }

    /// With 201 instead of 200.
    #[must_use]
    pub fn created(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    /// With its ETag.
    #[must_use]
    pub fn of_version(self, version: Version) -> Self {
        Self { version: Some(version), ..self }
    }

    pub(super) fn into_response(self) -> Response<axum::body::Body> {
        let (media, bytes) = self.body.map_or((None, Bytes::new()), |(media, bytes)| (Some(media), bytes));
        let mut response = Response::new(axum::body::Body::from(bytes));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(media) = media {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        }
        if let Some(tag) = self.version.and_then(|version| HeaderValue::try_from(version.tag()).ok()) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

/// Which version of something that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub i64);

impl Version {
    /// As an ETag (RFC 9110, 8.8.3), strong.
    #[must_use]
    pub fn tag(self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// A part of a list, and where the next begins.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `after` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which part of a list is asked for.
pub struct Wanted {
    /// The key of the last item that the caller has.
    pub after: Option<String>,
    pub limit: usize,
}

impl Wanted {
    /// From the parameters `after` and `limit`.
    ///
    /// # Errors
    /// A cursor that is none of ours, or a limit out of its bounds.
    pub fn of(call: &Call) -> Result<Self, AdminError> {
        Self::from(call.parameter("after"), call.parsed::<usize>("limit")?)
    }

    /// From what was said of them.
    ///
    /// # Errors
    /// As [`Wanted::of`].
    pub fn from(after: Option<&str>, limit: Option<usize>) -> Result<Self, AdminError> {
        let limit = limit.unwrap_or(USUAL_PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(AdminError::BadRequest(format!("limit is from 1 to {LARGEST_PAGE}")));
        }
        let decoded = |text: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let after = match after {
            None => None,
            Some(text) => Some(decoded(text).ok_or_else(no_cursor)?),
        };
        Ok(Self { after, limit })
    }

    /// The key of the last item that the caller has.
    ///
    /// # Errors
    /// Where it is not of this kind.
    pub fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, AdminError> {
        self.after.as_deref().map(|text| text.parse().map_err(|_| no_cursor())).transpose()
    }

    /// As `next` says where a page ended.
    #[must_use]
    pub fn cursor(key: &str) -> String {
        URL_SAFE_NO_PAD.encode(key)
    }

    /// One more than fits, to see whether there is a next page.
    #[must_use]
    pub fn and_one(&self) -> usize {
        self.limit + 1
    }

    /// The page, from up to [`Wanted::and_one`] rows.
    pub fn page<R, T>(&self, mut rows: Vec<R>, key: impl Fn(&R) -> String, show: impl Fn(R) -> T) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Page { items: rows.into_iter().map(show).collect(), next }
    }
}

fn no_cursor() -> AdminError {
    AdminError::BadRequest("the parameter after is not what a page gave as next".to_owned())
}
