//! What a list is asked for, in the URL or by `/.search` (RFC 7644, 3.4.2 and 3.4.3).

use serde_json::Value as Json;

use super::error::ScimError;
use super::filter::Filter;
use super::patch::field;
use super::projection::Wanted;

pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Resources of one answer, unless fewer are asked for.
pub const MAX_COUNT: usize = 500;
const DEFAULT_COUNT: usize = 100;

/// One search.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub filter: Option<Filter>,
    pub sort_by: Option<String>,
    pub descending: bool,
    /// From 1.
    pub start: usize,
    pub count: usize,
    pub wanted: Wanted,
}

impl Query {
    /// From the query of a URL. Names that are not known are passed over (RFC 7644, 3.4.2).
    ///
    /// # Errors
    /// The first parameter that cannot be used.
    pub fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, ScimError> {
        let mut written = Written::default();
        for (name, value) in pairs {
            match name {
                "filter" => written.filter = Some(value.to_owned()),
                "sortBy" => written.sort_by = Some(value.to_owned()),
                "sortOrder" => written.order = Some(value.to_owned()),
                "startIndex" => written.start = Some(number(name, value)?),
                "count" => written.count = Some(number(name, value)?),
                "attributes" => written.wanted.attributes = names(value),
                "excludedAttributes" => written.wanted.excluded = names(value),
                _ => {}
            }
        }
        written.meant()
    }

    /// From a `/.search`.
    ///
    /// # Errors
    /// As [`Query::from_pairs`], and what is no such message.
    pub fn from_json(body: &Json) -> Result<Self, ScimError> {
        let syntax = |what: String| ScimError::InvalidSyntax(what);
        let body = body.as_object().ok_or_else(|| syntax("a JSON object is expected".to_owned()))?;
        let schemas = field(body, "schemas").and_then(Json::as_array).into_iter().flatten();
        if !schemas.filter_map(Json::as_str).any(|urn| urn.eq_ignore_ascii_case(SEARCH)) {
            return Err(syntax(format!("schemas does not name {SEARCH}")));
        }
        let text = |name: &str| match field(body, name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(syntax(format!("{name} is a string"))),
        };
        let number = |name: &str| match field(body, name) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => {
                value.as_i64().map(Some).ok_or_else(|| syntax(format!("{name} is a whole number")))
            }
        };
        let list = |name: &str| match field(body, name) {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::String(text)) => Ok(names(text)),
            Some(Json::Array(elements)) => elements
                .iter()
                .map(|element| element.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| syntax(format!("{name} is a list of strings"))),
            Some(_) => Err(syntax(format!("{name} is a list of strings"))),
        };
        let written = Written {
            filter: text("filter")?,
            sort_by: text("sortBy")?,
            order: text("sortOrder")?,
            start: number("startIndex")?,
            count: number("count")?,
            wanted: Wanted { attributes: list("attributes")?, excluded: list("excludedAttributes")? },
        };
        written.meant()
    }
}

#[derive(Default)]
struct Written {
    filter: Option<String>,
    sort_by: Option<String>,
    order: Option<String>,
    start: Option<i64>,
    count: Option<i64>,
    wanted: Wanted,
}

impl Written {
    fn meant(self) -> Result<Query, ScimError> {
        let filter = self.filter.filter(|text| !text.trim().is_empty());
        let descending = match self.order.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "ascending") => false,
            Some("descending") => true,
            Some(_) => {
                return Err(ScimError::InvalidValue("sortOrder is ascending or descending".to_owned()));
            }
        };
        Ok(Query {
            filter: filter.as_deref().map(Filter::parse).transpose()?,
            sort_by: self.sort_by.filter(|text| !text.trim().is_empty()),
            descending,
            // RFC 7644, 3.4.2.4: less than 1 is 1, a negative count 0.
            start: usize::try_from(self.start.unwrap_or(1)).unwrap_or(1).max(1),
            count: self
                .count
                .map_or(DEFAULT_COUNT, |count| usize::try_from(count).unwrap_or(0))
                .min(MAX_COUNT),
            wanted: self.wanted.checked()?,
        })
    }
}

fn number(name: &str, text: &str) -> Result<i64, ScimError> {
    text.trim().parse().map_err(|_| ScimError::InvalidValue(format!("{name} is a whole number")))
}

/// RFC 7644, 3.9: names with commas between them.
pub(super) fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
