//! One call of the admin API, as its route gets it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::answer::Version;
use super::error::AdminError;
use super::principal::Principal;
use super::routes::Route;
use crate::observe::audit::{Entry, Event};

/// The largest body that is read.
pub const MAX_BODY: usize = 256 * 1024;

/// A call that came through the door, by somebody who may make it.
pub struct Call {
    /// `None` only for the calls that need nobody ([`super::routes::Access::Anybody`]).
    pub(super) by: Option<Principal>,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) client: IpAddr,
}

impl Call {
    /// Who asks.
    ///
    /// # Errors
    /// [`AdminError::Unauthenticated`], where the route lets anybody in.
    pub fn by(&self) -> Result<&Principal, AdminError> {
        self.by.as_ref().ok_or(AdminError::Unauthenticated)
    }

    /// Who asks, from where, as an entry of the audit log begins.
    pub fn entry(&self, event: Event) -> Entry {
        let entry = Entry::new(event).from(self.client);
        match &self.by {
            Some(by) => entry.by(by.actor()),
            None => entry,
        }
    }

    /// A part of the path, by the name that the route gives it; `what` it names.
    ///
    /// # Errors
    /// Whatever cannot be the name of such a thing is the name of none.
    pub fn part<T: FromStr>(&self, name: &str, what: &'static str) -> Result<T, AdminError> {
        let text = self.path.get(name).ok_or(AdminError::NoSuch(what))?;
        text.parse().map_err(|_| AdminError::NoSuch(what))
    }

    /// A parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The same, of this type.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`]
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, AdminError> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let bad = || AdminError::BadRequest(format!("the parameter {name} cannot be {text:?}"));
        text.parse().map(Some).map_err(|_| bad())
    }

    /// The body.
    ///
    /// SECURITY: only as JSON, which no form of a foreign page can send without being asked for first.
    ///
    /// # Errors
    /// [`AdminError::NotJson`], [`AdminError::BadRequest`].
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        if !self.is_of("application/json") {
            return Err(AdminError::NotJson);
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| AdminError::BadRequest(format!("the body cannot be taken: {error}")))
    }

    /// Whether the body is of this media type.
    #[must_use]
    pub fn is_of(&self, media: &str) -> bool {
        let mut sent = self.headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else { return false };
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(media)
    }

    /// Whether this is still the version that the caller knows (RFC 9110, 13.1.1).
    ///
    /// # Errors
    /// [`AdminError::VersionNeeded`] where none is named, [`AdminError::VersionChanged`] where it is another.
    pub fn expects(&self, current: &Version) -> Result<(), AdminError> {
        let mut sent = self.headers.get_all(header::IF_MATCH).iter().peekable();
        if sent.peek().is_none() {
            return Err(AdminError::VersionNeeded);
        }
        // `*` would be "whatever it is now": just what this is there to rule out.
        let tags = sent.flat_map(|value| value.to_str().unwrap_or_default().split(','));
        let met = tags.map(str::trim).any(|tag| tag == current.tag());
        if met { Ok(()) } else { Err(AdminError::VersionChanged { current: current.tag() }) }
    }
}

/// The query's parameters; none twice, none that the route does not have.
pub(super) fn query(raw: &str, route: &Route) -> Result<BTreeMap<String, String>, AdminError> {
    let mut found = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(raw.as_bytes()) {
        if !route.parameters.iter().any(|known| known.name == name) {
            let known: Vec<&str> = route.parameters.iter().map(|one| one.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let text = format!("there is no parameter {name:?} here; there is {known}");
            return Err(AdminError::BadRequest(text));
        }
        if found.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(AdminError::BadRequest(format!("the parameter {name} stands there twice")));
        }
    }
    Ok(found)
}
