//! The calls of RFC 7644: list with a filter, page by page; create, patch, delete.

use http::{HeaderValue, Method};
use serde_json::Value as Json;

use crate::provision::ConnectorError;
use crate::provision::rest::call::{Answered, Api, Call, unsafe_value};
use crate::provision::rest::encode;

use super::resource::Page;

/// Resources asked for at once.
const COUNT: usize = 100;
/// More resources than this are refused.
const MAX_RESOURCES: usize = 20_000;
const SCIM: HeaderValue = HeaderValue::from_static("application/scim+json");
const ACCEPT: HeaderValue = HeaderValue::from_static("application/scim+json, application/json;q=0.9");

pub(super) struct Client<'c>(pub(super) &'c Api);

impl Client<'_> {
    /// All resources at `path` that match.
    pub(super) async fn list(
        &self,
        operation: &'static str,
        path: &str,
        filter: Option<&str>,
        without: Option<&str>,
    ) -> Result<Vec<Json>, ConnectorError> {
        let mut all: Vec<Json> = Vec::new();
        loop {
            // RFC 7644, 3.4.2.4: the index of the first result counts from 1.
            let mut call = Call::new(Method::GET, path)
                .query("startIndex", (all.len() + 1).to_string())
                .query("count", COUNT.to_string());
            if let Some(filter) = filter {
                call = call.query("filter", filter);
            }
            if let Some(without) = without {
                call = call.query("excludedAttributes", without);
            }
            let answer = self.send(operation, call).await?;
            let page: Page = serde_json::from_value(answer.json()?)
                .map_err(|_| answer.unexpected("a SCIM ListResponse with `totalResults`"))?;
            let found = page.resources.unwrap_or_default();
            let (none, total) = (found.is_empty(), page.total_results);
            all.extend(found);
            if all.len() >= total {
                return Ok(all);
            }
            if none {
                return Err(
                    answer.unexpected(format!("{total} resources; the list ended after {}", all.len()))
                );
            }
            if all.len() > MAX_RESOURCES {
                return Err(answer.unexpected(format!("at most {MAX_RESOURCES} resources")));
            }
        }
    }

    /// Asks for one resource, whichever, to see whether the credential may.
    pub(super) async fn list_one(&self, operation: &'static str, path: &str) -> Result<(), ConnectorError> {
        let answer = self.send(operation, Call::new(Method::GET, path).query("count", "1")).await?;
        serde_json::from_value::<Page>(answer.json()?)
            .map(|_| ())
            .map_err(|_| answer.unexpected("a SCIM ListResponse with `totalResults`"))
    }

    /// One resource.
    pub(super) async fn get(
        &self,
        operation: &'static str,
        kind: &str,
        id: &str,
    ) -> Result<Json, ConnectorError> {
        self.send(operation, Call::new(Method::GET, path(operation, kind, id)?)).await?.json()
    }

    pub(super) async fn create(
        &self,
        operation: &'static str,
        kind: &str,
        resource: Json,
    ) -> Result<Answered, ConnectorError> {
        self.send(operation, with_body(Call::new(Method::POST, kind), resource)).await
    }

    pub(super) async fn patch(
        &self,
        operation: &'static str,
        kind: &str,
        id: &str,
        patch: Json,
    ) -> Result<(), ConnectorError> {
        self.send(operation, with_body(Call::new(Method::PATCH, path(operation, kind, id)?), patch))
            .await
            .map(|_| ())
    }

    pub(super) async fn delete(
        &self,
        operation: &'static str,
        kind: &str,
        id: &str,
    ) -> Result<(), ConnectorError> {
        self.send(operation, Call::new(Method::DELETE, path(operation, kind, id)?)).await.map(|_| ())
    }

    pub(super) async fn read(&self, operation: &'static str, path: &str) -> Result<Json, ConnectorError> {
        self.send(operation, Call::new(Method::GET, path)).await?.json()
    }

    /// Sends, and lets only an answer pass that is a success in the form of this protocol.
    async fn send(&self, operation: &'static str, call: Call) -> Result<Answered, ConnectorError> {
        let call = call.header(http::header::ACCEPT, ACCEPT);
        let no_login = |_: &str, _: &crate::model::Secret| -> crate::provision::rest::call::LogIn<'_> {
            Box::pin(async { Err(ConnectorError::Unsupported { operation: "log in" }) })
        };
        let answer = self.0.signed_in(operation, &call, &[], no_login).await?;
        match answer.status.as_u16() {
            200 | 201 | 204 if answer.body.is_empty() || answer.is_json() => Ok(answer),
            200 | 201 | 204 => Err(answer.unexpected("a SCIM answer")),
            // RFC 7644, 3.12: uniqueness is 409; some servers say 400 with the same scimType.
            400 if scim_type(&answer).as_deref() == Some("uniqueness") => {
                Err(ConnectorError::Conflict { operation, excerpt: answer.excerpt() })
            }
            _ => Err(answer.refusal()),
        }
    }
}

fn scim_type(answer: &Answered) -> Option<String> {
    let json: Json = serde_json::from_slice(&answer.body).ok()?;
    Some(json.get("scimType")?.as_str()?.to_owned())
}

fn with_body(call: Call, body: Json) -> Call {
    call.header(http::header::CONTENT_TYPE, SCIM).json(body)
}

fn path(operation: &'static str, kind: &str, id: &str) -> Result<String, ConnectorError> {
    let id = encode::segment(id).map_err(|error| unsafe_value(operation, error))?;
    Ok(format!("{kind}/{id}"))
}
