//! An account out of an application's answer, by the recipe's readers; everything in it is checked (A4).

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::model::{Account, AccountId, AccountProfile, Entitlements};
use crate::provision::ConnectorError;
use crate::provision::connector::Features;

use super::read::{self, Reader};
use super::recipe::{AccountReaders, Op, Privileged};
use super::text::Scope;

/// What reading an account needs to know.
pub(super) struct Reading<'r> {
    pub(super) op: Op,
    pub(super) readers: &'r AccountReaders,
    pub(super) features: &'r Features,
    pub(super) privileged: &'r Privileged,
}

impl Reading<'_> {
    pub(super) fn account(&self, item: &Json) -> Result<Account, ConnectorError> {
        let readers = self.readers;
        let id = self.value(&readers.id, item)?.as_ref().and_then(read::name);
        let id =
            AccountId(id.ok_or_else(|| self.unexpected("an account with an id (a text or a whole number)"))?);
        let username = self.value(&readers.username, item)?.as_ref().and_then(read::name);
        let username = username.ok_or_else(|| self.unexpected("an account with a username"))?;
        let mut profile = AccountProfile {
            username,
            email: self.text(readers.email.as_ref(), item, "an e-mail that is a text")?,
            display_name: self.text(readers.display_name.as_ref(), item, "a name that is a text")?,
            ..AccountProfile::default()
        };
        for (name, reader) in &readers.attributes {
            if let Some(value) = self.text(Some(reader), item, "an attribute that is a text")? {
                profile.attributes.insert(name.clone(), value);
            }
        }
        let role = readers.role.as_ref().filter(|_| self.features.roles);
        let entitlements = Entitlements {
            role: self.text(role, item, "a role that is a text")?,
            teams: self.names(readers.teams.as_ref(), item)?.into_iter().map(|team| (team, None)).collect(),
            app_groups: self.names(readers.app_groups.as_ref(), item)?,
            permissions: self.names(readers.permissions.as_ref(), item)?,
            owner: self.flag(readers.owner.as_ref(), item, false)?,
        };
        let said = self.flag(readers.privileged.as_ref(), item, false)?;
        let mut account = Account {
            id,
            profile,
            active: self.flag(readers.active.as_ref(), item, true)?,
            privileged: said,
            entitlements,
        };
        self.mark(&mut account);
        Ok(account)
    }

    /// Marks an account that holds something privileged (F7).
    pub(super) fn mark(&self, account: &mut Account) {
        mark(self.features, self.privileged, account);
    }

    /// The error for an answer that is no such account; the answer itself holds a person's data and may hold
    /// more, so only its outline is shown.
    fn unexpected(&self, expected: &str) -> ConnectorError {
        ConnectorError::Unexpected {
            operation: self.op.text(),
            status: 200,
            expected: expected.to_owned(),
            excerpt: "an object without it, or with one of another type".to_owned(),
        }
    }

    fn value(&self, reader: &Reader, item: &Json) -> Result<Option<Json>, ConnectorError> {
        reader.value(item, &Scope::default()).map_err(|failed| super::run::failing(self.op, failed))
    }

    fn text(
        &self,
        reader: Option<&Reader>,
        item: &Json,
        expected: &str,
    ) -> Result<Option<String>, ConnectorError> {
        let Some(reader) = reader else { return Ok(None) };
        match self.value(reader, item)? {
            None => Ok(None),
            Some(Json::String(text)) if text.is_empty() => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.unexpected(expected)),
        }
    }

    /// A declared flag that is absent is a wrong answer, not a default: a missing `active` must not read as
    /// active, nor a missing `is_admin` as no administrator.
    fn flag(&self, reader: Option<&Reader>, item: &Json, undeclared: bool) -> Result<bool, ConnectorError> {
        let Some(reader) = reader else { return Ok(undeclared) };
        match self.value(reader, item)? {
            Some(Json::Bool(flag)) => Ok(flag),
            _ => Err(self.unexpected("true or false where the recipe reads a flag")),
        }
    }

    fn names(&self, reader: Option<&Reader>, item: &Json) -> Result<BTreeSet<String>, ConnectorError> {
        let Some(reader) = reader else { return Ok(BTreeSet::new()) };
        let values =
            reader.values(item, &Scope::default()).map_err(|failed| super::run::failing(self.op, failed))?;
        let names =
            values.iter().map(|value| read::name(value).ok_or_else(|| self.unexpected("a list of names")));
        names.collect()
    }
}

/// Sets [`Account::privileged`] where a role, team, group, permission or ownership says so.
pub(in crate::provision) fn mark(features: &Features, privileged: &Privileged, account: &mut Account) {
    let held = &account.entitlements;
    let fixed = |role: &String| {
        let known = |named: &&crate::provision::connector::Named| named.name.eq_ignore_ascii_case(role);
        features.fixed_roles.iter().find(known).is_some_and(|named| named.privileged)
    };
    account.privileged |= held.owner
        || held.role.as_ref().is_some_and(|role| fixed(role) || Privileged::matches(&privileged.roles, role))
        || held.teams.keys().any(|team| Privileged::matches(&privileged.teams, team))
        || held.app_groups.iter().any(|group| Privileged::matches(&privileged.app_groups, group))
        || held.permissions.iter().any(|name| Privileged::matches(&privileged.permissions, name));
}
