//! What an identity provider said of a person: name to list of values, whatever the protocol.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The claims of one sign-in as a bounded JSON object. OIDC claims stand as they came; other protocols
/// put lists of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

/// More claims than this, or more bytes of JSON than [`MAX_BYTES`], refuse the login (SECURITY.md 9).
pub const MAX_CLAIMS: usize = 256;
/// See [`MAX_CLAIMS`].
pub const MAX_BYTES: usize = 64 * 1024;

/// The identity provider sent more than is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider sent {found} {unit}, at most {limit} are taken")]
pub struct TooManyClaims {
    pub found: usize,
    pub limit: usize,
    pub unit: &'static str,
}

impl Claims {
    /// Takes a JSON object within the bounds.
    pub fn new(map: Map<String, Value>) -> Result<Self, TooManyClaims> {
        if map.len() > MAX_CLAIMS {
            return Err(TooManyClaims { found: map.len(), limit: MAX_CLAIMS, unit: "claims" });
        }
        let bytes = serde_json::to_vec(&map).map_or(usize::MAX, |v| v.len());
        if bytes > MAX_BYTES {
            return Err(TooManyClaims { found: bytes, limit: MAX_BYTES, unit: "bytes of claims" });
        }
        Ok(Self(map))
    }

    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The value at `path`: the claim of exactly this name, else nested objects by dots
    /// (`realm_access.roles`). A JSON null counts as absent.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        let found = self.0.get(path).or_else(|| {
            let mut parts = path.split('.');
            let first = self.0.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.as_object()?.get(part))
        })?;
        (!found.is_null()).then_some(found)
    }

    /// The values at `path` as texts: a list's members, or the one value. Numbers and booleans in their
    /// JSON form; objects and nested lists are left out. `None` where the claim is absent, which is not
    /// the same as an empty list (PROVISIONING.md L7).
    #[must_use]
    pub fn values(&self, path: &str) -> Option<Vec<String>> {
        Some(match self.at(path)? {
            Value::Array(items) => items.iter().filter_map(scalar).collect(),
            one => scalar(one).into_iter().collect(),
        })
    }

    /// The first value at `path`, where one is wanted.
    #[must_use]
    pub fn first(&self, path: &str) -> Option<String> {
        match self.at(path)? {
            Value::Array(items) => items.iter().find_map(scalar),
            one => scalar(one),
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
