//! Bulk requests (RFC 7644, 3.7): what is in them, and in which order it can be done.

use std::collections::{HashMap, HashSet};

use serde_json::{Value as Json, json};

use super::Object;
use super::error::ScimError;
use super::patch::field;
use crate::model::scim::ScimKind;

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
const REFERENCE: &str = "bulkId:";

/// Operations of one request.
pub const MAX_OPERATIONS: usize = 1000;

/// One request, in the order of its operations.
#[derive(Debug)]
pub struct Bulk {
    /// After so many errors nothing more is done.
    pub fail_on_errors: Option<usize>,
    pub operations: Vec<Operation>,
}

/// One operation; `what` is an error where it cannot even be tried.
#[derive(Debug)]
pub struct Operation {
    pub method: String,
    pub bulk_id: Option<String>,
    pub version: Option<String>,
    pub what: Result<Deed, ScimError>,
    /// The operations, by their places, that make what this one refers to.
    pub needs: Vec<usize>,
}

/// What an operation does; references are replaced by ids.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Create { kind: ScimKind, id: String, data: Json },
    Replace { kind: ScimKind, id: String, data: Json },
    Patch { kind: ScimKind, id: String, data: Json },
    Delete { kind: ScimKind, id: String },
}

impl Bulk {
    /// Reads a request. What is made gets its id here, from `fresh`, so that references forward and in circles
    /// mean something before anything is made.
    ///
    /// # Errors
    /// Where the message as a whole cannot be used, or `fresh` fails.
    pub fn parse(
        body: &Json,
        fresh: &mut dyn FnMut() -> Result<String, ScimError>,
    ) -> Result<Self, ScimError> {
        let syntax = |what: &str| ScimError::InvalidSyntax(what.to_owned());
        let body = body.as_object().ok_or_else(|| syntax("a JSON object is expected"))?;
        let schemas = field(body, "schemas").and_then(Json::as_array).into_iter().flatten();
        if !schemas.filter_map(Json::as_str).any(|urn| urn.eq_ignore_ascii_case(REQUEST)) {
            return Err(ScimError::InvalidSyntax(format!("schemas does not name {REQUEST}")));
        }
        let fail_on_errors = match field(body, "failOnErrors") {
            None | Some(Json::Null) => None,
            Some(value) => {
                let most =
                    value.as_u64().filter(|most| *most > 0).and_then(|most| usize::try_from(most).ok());
                Some(most.ok_or_else(|| syntax("failOnErrors is a whole number above 0"))?)
            }
        };
        let written = field(body, "Operations").and_then(Json::as_array);
        let written = written.ok_or_else(|| syntax("Operations is missing"))?;
        if written.len() > MAX_OPERATIONS {
            // RFC 7644, 3.7.4.
            return Err(ScimError::TooLarge(MAX_OPERATIONS));
        }
        let made = made(written, fresh)?;
        let operations =
            written.iter().enumerate().map(|(place, one)| operation(one, place, &made)).collect();
        Ok(Self { fail_on_errors, operations })
    }

    /// The places of the operations, each after those that it needs, as far as they form no circle; else in the
    /// order of the request.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.operations.len());
        let mut seen = HashSet::new();
        for start in 0..self.operations.len() {
            // Depth first, without recursion: a chain may be as long as the request.
            let mut path = vec![(start, false)];
            while let Some((place, done)) = path.pop() {
                if done {
                    order.push(place);
                } else if seen.insert(place) {
                    path.push((place, true));
                    let needs =
                        self.operations.get(place).map(|one| one.needs.as_slice()).unwrap_or_default();
                    path.extend(needs.iter().rev().map(|need| (*need, false)));
                }
            }
        }
        order
    }
}

/// What is made under a bulkId: the place of the operation and the new id.
type Made = HashMap<String, (usize, String)>;

fn made(written: &[Json], fresh: &mut dyn FnMut() -> Result<String, ScimError>) -> Result<Made, ScimError> {
    let mut made = Made::new();
    for (place, one) in written.iter().enumerate() {
        let text = |name: &str| one.as_object().and_then(|one| field(one, name)).and_then(Json::as_str);
        let posts = text("method").is_some_and(|method| method.eq_ignore_ascii_case("POST"));
        if let (true, Some(bulk_id)) = (posts, text("bulkId"))
            && made.insert(bulk_id.to_owned(), (place, fresh()?)).is_some()
        {
            return Err(ScimError::InvalidSyntax(format!("the bulkId {bulk_id:?} is used twice")));
        }
    }
    Ok(made)
}

fn operation(written: &Json, place: usize, made: &Made) -> Operation {
    let empty = Object::new();
    let one = written.as_object().unwrap_or(&empty);
    let text = |name: &str| field(one, name).and_then(Json::as_str).map(str::to_owned);
    let method = text("method").unwrap_or_default().to_ascii_uppercase();
    let bulk_id = text("bulkId");
    let mut needs = Vec::new();
    let what = deed(one, &method, bulk_id.as_deref(), made, &mut needs);
    needs.retain(|need| *need != place);
    Operation { method, bulk_id, version: text("version"), what, needs }
}

fn deed(
    one: &Object,
    method: &str,
    bulk_id: Option<&str>,
    made: &Made,
    needs: &mut Vec<usize>,
) -> Result<Deed, ScimError> {
    let syntax = |what: &str| ScimError::InvalidSyntax(what.to_owned());
    let path = field(one, "path").and_then(Json::as_str).ok_or_else(|| syntax("path is missing"))?;
    let mut segments = path.trim_start_matches('/').splitn(2, '/');
    let kind = match segments.next() {
        Some(name) if name.eq_ignore_ascii_case("Users") => ScimKind::User,
        Some(name) if name.eq_ignore_ascii_case("Groups") => ScimKind::Group,
        _ => return Err(ScimError::InvalidPath(format!("{path:?} is neither in /Users nor in /Groups"))),
    };
    let id = segments.next().filter(|id| !id.is_empty() && !id.contains('/'));
    let mut data = field(one, "data").cloned().unwrap_or(Json::Null);
    refer(&mut data, false, made, needs)?;
    if method == "POST" {
        // RFC 7644, 3.7: required for POST.
        let bulk_id = bulk_id.ok_or_else(|| syntax("bulkId is missing"))?;
        let id = made.get(bulk_id).map(|(_, id)| id.clone());
        let id = id.ok_or_else(|| syntax("bulkId is missing"))?;
        return match segments.next() {
            None if !path.trim_start_matches('/').contains('/') => Ok(Deed::Create { kind, id, data }),
            _ => Err(ScimError::InvalidPath(format!("{path:?}: what is made has no id yet"))),
        };
    }
    let id = id.ok_or_else(|| ScimError::InvalidPath(format!("{path:?} names no resource")))?;
    let id = match id.strip_prefix(REFERENCE) {
        None => id.to_owned(),
        Some(name) => look_up(name, made, needs)?,
    };
    match method {
        "PUT" => Ok(Deed::Replace { kind, id, data }),
        "PATCH" => Ok(Deed::Patch { kind, id, data }),
        "DELETE" => Ok(Deed::Delete { kind, id }),
        _ => Err(syntax("method is one of POST, PUT, PATCH and DELETE")),
    }
}

fn look_up(name: &str, made: &Made, needs: &mut Vec<usize>) -> Result<String, ScimError> {
    let (place, id) = made
        .get(name)
        .ok_or_else(|| ScimError::InvalidValue(format!("nothing in this request has the bulkId {name:?}")))?;
    needs.push(*place);
    Ok(id.clone())
}

/// Replaces `bulkId:NAME` where an id stands: as a `value` or at the end of a `$ref`.
fn refer(
    data: &mut Json,
    id_stands_here: bool,
    made: &Made,
    needs: &mut Vec<usize>,
) -> Result<(), ScimError> {
    match data {
        Json::String(text) if id_stands_here => {
            let (before, last) = match text.rsplit_once('/') {
                Some((before, last)) => (Some(before), last),
                None => (None, text.as_str()),
            };
            if let Some(name) = last.strip_prefix(REFERENCE) {
                let id = look_up(name, made, needs)?;
                *text = before.map_or_else(|| id.clone(), |before| format!("{before}/{id}"));
            }
        }
        Json::Array(elements) => {
            for element in elements {
                refer(element, id_stands_here, made, needs)?;
            }
        }
        Json::Object(parts) => {
            for (name, part) in parts {
                let here = name.eq_ignore_ascii_case("value") || name == "$ref";
                refer(part, here, made, needs)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What became of one operation.
#[derive(Debug)]
pub struct Outcome {
    pub location: Option<String>,
    pub version: Option<String>,
    pub result: Result<u16, ScimError>,
}

/// The answer; of operations that were not tried nothing is told.
#[must_use]
pub fn response(operations: &[Operation], outcomes: Vec<Option<Outcome>>) -> Json {
    let mut told = Vec::new();
    for (operation, outcome) in operations.iter().zip(outcomes) {
        let Some(outcome) = outcome else { continue };
        let mut one = Object::new();
        one.insert("method".to_owned(), json!(operation.method));
        let mut text = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                one.insert(name.to_owned(), Json::from(value));
            }
        };
        text("bulkId", operation.bulk_id.clone());
        text("location", outcome.location);
        text("version", outcome.version);
        let status = match &outcome.result {
            Ok(status) => *status,
            Err(error) => error.status(),
        };
        text("status", Some(status.to_string()));
        if let Err(error) = &outcome.result {
            one.insert("response".to_owned(), error.to_json());
        }
        told.push(Json::Object(one));
    }
    json!({ "schemas": [RESPONSE], "Operations": told })
}
