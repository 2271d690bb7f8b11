//! Values on their way into and out of columns, the same for every SQL database.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// A hash as it comes out of a column.
pub(super) fn hash<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Unreadable {
        what,
        reason: format!("a hash of {} bytes, {N} were expected", bytes.len()),
    })
}

/// Sizes as SQL knows them.
pub(super) fn sql(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A two-state noun by the name that serde gives it.
pub(super) fn word(act: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(_) | Err(_) => Err(StoreError::Unavailable { act, reason: "a value without a name".to_owned() }),
    }
}

/// The noun of this name in a `column` of a `what`.
pub(super) fn read_word<T: DeserializeOwned>(
    what: &'static str,
    word: String,
    column: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|_| unknown(what, column))
}

/// A `what` of which this version cannot read a `column`.
pub(super) fn unknown(what: &'static str, column: &'static str) -> StoreError {
    StoreError::Unreadable { what, reason: format!("this version does not know its {column}") }
}

/// A noun of many parts, as JSON.
pub(super) fn json(act: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unavailable { act, reason: error.to_string() })
}

/// What [`json`] wrote into a `column` of a `what`. The error does not show the text.
pub(super) fn read_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
    column: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| unknown(what, column))
}
