//! Paths, methods and headers of the SCIM listener (RFC 7644, 3.2).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};
use url::form_urlencoded;

use super::directory::{Directory, Shown};
use super::protocol::discovery;
use super::protocol::error::ScimError;
use super::protocol::projection::Wanted;
use super::protocol::query::{LIST, Query};
use super::protocol::version::{Condition, Tags, Version};
use super::{MAX_BODY, PREFIX};
use crate::model::scim::{ScimKind, ScimResource};

/// One request, read whole.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The URL that all paths follow, as the client is to be told.
    pub(super) base: String,
}

/// One answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Json>,
}

impl Answer {
    fn new(status: StatusCode, body: Json) -> Self {
        let mut answer = Self { status, headers: HeaderMap::new(), body: Some(body) };
        answer.put(header::CONTENT_TYPE, "application/scim+json");
        answer
    }

    fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: None }
    }

    pub(super) fn error(error: &ScimError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Self::new(status, error.to_json());
        match error {
            ScimError::Method { possible, .. } => answer.put(header::ALLOW, possible),
            ScimError::Unavailable => answer.put(header::RETRY_AFTER, "5"),
            _ => {}
        }
        answer
    }

    /// A resource with its version and place.
    fn shown(status: StatusCode, shown: Shown) -> Self {
        let mut answer = Self::new(status, Json::Object(shown.resource));
        answer.put(header::ETAG, &shown.version.to_string());
        answer.put(header::LOCATION, &shown.location);
        answer
    }

    fn put(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

/// Answers a request whose token was seen to.
pub(super) async fn answer(directory: &Directory, asked: Asked) -> Answer {
    match route(directory, &asked).await {
        Ok(answer) => answer,
        Err(error) => Answer::error(&error),
    }
}

async fn route(directory: &Directory, asked: &Asked) -> Result<Answer, ScimError> {
    let path = asked.uri.path();
    let unknown = || ScimError::NotFound(format!("resource at {path:?}"));
    let below = path.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let segments: Option<Vec<String>> = below
        .ok_or_else(unknown)?
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8().ok().map(std::borrow::Cow::into_owned))
        .collect();
    let segments = segments.ok_or_else(unknown)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] | [".search"] => {
            let all = [ScimKind::User, ScimKind::Group];
            list(directory, asked, &all, !segments.is_empty()).await
        }
        ["Users"] => collection(directory, asked, ScimKind::User).await,
        ["Groups"] => collection(directory, asked, ScimKind::Group).await,
        ["Users", ".search"] => list(directory, asked, &[ScimKind::User], true).await,
        ["Groups", ".search"] => list(directory, asked, &[ScimKind::Group], true).await,
        ["Users", id] => resource(directory, asked, ScimKind::User, id).await,
        ["Groups", id] => resource(directory, asked, ScimKind::Group, id).await,
        ["Bulk"] => {
            only(asked, &[Method::POST], "POST")?;
            let done = directory.bulk(&asked.json()?, &asked.base).await?;
            Ok(Answer::new(StatusCode::OK, done))
        }
        ["ServiceProviderConfig"] => {
            described(asked)?;
            Ok(Answer::new(StatusCode::OK, discovery::service_provider_config(&asked.base, MAX_BODY)))
        }
        ["ResourceTypes", rest @ ..] => about(asked, discovery::resource_types(&asked.base), rest),
        ["Schemas", rest @ ..] => about(asked, discovery::schemas(&asked.base), rest),
        // RFC 7644, 3.11. The token is a program's, not a person's.
        ["Me", ..] => Err(ScimError::NotImplemented("/Me is not possible: a token here is no person's")),
        _ => Err(unknown()),
    }
}

async fn collection(directory: &Directory, asked: &Asked, kind: ScimKind) -> Result<Answer, ScimError> {
    if asked.method != Method::POST {
        only(asked, &[Method::GET], "GET, POST")?;
        return list(directory, asked, &[kind], false).await;
    }
    let wanted = asked.wanted()?;
    let shown = directory.create(kind, &asked.json()?, &wanted, &asked.base).await?;
    Ok(Answer::shown(StatusCode::CREATED, shown))
}

async fn list(
    directory: &Directory,
    asked: &Asked,
    kinds: &[ScimKind],
    by_post: bool,
) -> Result<Answer, ScimError> {
    let query = if by_post {
        only(asked, &[Method::POST], "POST")?;
        Query::from_json(&asked.json()?)?
    } else {
        only(asked, &[Method::GET], "GET")?;
        asked.query()?
    };
    Ok(Answer::new(StatusCode::OK, directory.search(kinds, &query, &asked.base).await?))
}

async fn resource(
    directory: &Directory,
    asked: &Asked,
    kind: ScimKind,
    id: &str,
) -> Result<Answer, ScimError> {
    let wanted = asked.wanted()?;
    let condition = asked.condition()?;
    if asked.method == Method::GET {
        let found = directory.find(kind, id).await?;
        let version = Version(found.revision);
        if condition.is_known(version) {
            let mut answer = Answer::empty(StatusCode::NOT_MODIFIED);
            answer.put(header::ETAG, &version.to_string());
            return Ok(answer);
        }
        return shown(directory, asked, &found, &wanted).await;
    }
    if asked.method == Method::PUT {
        let replaced = directory.replace(kind, id, &asked.json()?, &condition).await?;
        return shown(directory, asked, &replaced, &wanted).await;
    }
    if asked.method == Method::PATCH {
        let patched = directory.patch(kind, id, &asked.json()?, &condition).await?;
        // RFC 7644, 3.5.2: 204 where no attributes are asked for. A group with all its members is much to send to
        // one who added a single person.
        if kind == ScimKind::Group && !wanted.is_stated() {
            let mut answer = Answer::empty(StatusCode::NO_CONTENT);
            answer.put(header::ETAG, &Version(patched.revision).to_string());
            return Ok(answer);
        }
        return shown(directory, asked, &patched, &wanted).await;
    }
    only(asked, &[Method::DELETE], "GET, PUT, PATCH, DELETE")?;
    directory.delete(kind, id, &condition).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn shown(
    directory: &Directory,
    asked: &Asked,
    resource: &ScimResource,
    wanted: &Wanted,
) -> Result<Answer, ScimError> {
    Ok(Answer::shown(StatusCode::OK, directory.show(resource, wanted, &asked.base).await?))
}

/// One of the discovery endpoints: all of `them`, or the one that is named.
fn about(asked: &Asked, them: Vec<(&'static str, Json)>, rest: &[&str]) -> Result<Answer, ScimError> {
    described(asked)?;
    match rest {
        [] => {
            let all: Vec<Json> = them.into_iter().map(|(_, one)| one).collect();
            let count = all.len();
            let list = json!({
                "schemas": [LIST], "totalResults": count, "startIndex": 1, "itemsPerPage": count, "Resources": all,
            });
            Ok(Answer::new(StatusCode::OK, list))
        }
        [id] => {
            let found = them.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(id));
            let (_, one) = found.ok_or_else(|| ScimError::NotFound(format!("{id:?} here")))?;
            Ok(Answer::new(StatusCode::OK, one))
        }
        _ => Err(ScimError::NotFound(format!("resource at {:?}", asked.uri.path()))),
    }
}

/// RFC 7644, 4: discovery is read, and not filtered.
fn described(asked: &Asked) -> Result<(), ScimError> {
    only(asked, &[Method::GET], "GET")?;
    if asked.pairs().any(|(name, _)| name == "filter") {
        return Err(ScimError::Forbidden("discovery cannot be filtered"));
    }
    Ok(())
}

fn only(asked: &Asked, methods: &[Method], possible: &'static str) -> Result<(), ScimError> {
    if methods.contains(&asked.method) {
        return Ok(());
    }
    Err(ScimError::Method { method: asked.method.to_string(), possible })
}

impl Asked {
    fn pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let query = self.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()))
    }

    fn query(&self) -> Result<Query, ScimError> {
        let pairs: Vec<(String, String)> = self.pairs().collect();
        Query::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// RFC 7644, 3.9: possible with every operation that returns a resource.
    fn wanted(&self) -> Result<Wanted, ScimError> {
        Ok(self.query()?.wanted)
    }

    fn condition(&self) -> Result<Condition, ScimError> {
        let tags = |name: HeaderName| {
            let mut tags = Vec::new();
            for value in self.headers.get_all(name) {
                let text = value.to_str();
                tags.push(text.map_err(|_| ScimError::InvalidValue("an entity tag is no text".to_owned()))?);
            }
            Ok((!tags.is_empty()).then(|| Tags::parse(&tags.join(","))))
        };
        Ok(Condition { if_match: tags(header::IF_MATCH)?, if_none_match: tags(header::IF_NONE_MATCH)? })
    }

    /// The body. RFC 7644, 3.1 and 8.1: application/scim+json; application/json is taken, too.
    fn json(&self) -> Result<Json, ScimError> {
        if let Some(kind) = self.headers.get(header::CONTENT_TYPE) {
            let kind = kind.to_str().unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            let known = ["application/scim+json", "application/json"];
            if !known.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
                return Err(ScimError::MediaType);
            }
        }
        // serde_json ends at 128 levels of nesting.
        serde_json::from_slice(&self.body)
            .map_err(|error| ScimError::InvalidSyntax(format!("no JSON: {error}")))
    }
}
