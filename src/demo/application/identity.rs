//! Who the application thinks is there.

use std::sync::atomic::Ordering;

use http::HeaderMap;

use crate::demo::web;

use super::directory::{ROLES, User};
use super::state::Application;

/// The application's own session cookie.
pub(super) const COOKIE: &str = "legacy_session";

/// Somebody with an account.
pub(super) struct Visitor {
    pub(super) user: User,
    /// Names of teams, each with the role in it.
    pub(super) teams: Vec<(String, String)>,
    /// What `X-Remote-Role` says, where that is a role of ours.
    pub(super) header_role: Option<String>,
    /// What `X-Remote-Teams` says.
    pub(super) header_teams: Vec<String>,
    /// The session id that the browser sent, where it is this user's.
    pub(super) session: Option<String>,
}

impl Visitor {
    /// The role that counts now.
    pub(super) fn role(&self) -> &str {
        self.header_role.as_deref().unwrap_or(&self.user.role)
    }
}

/// Who is let in, and why not.
pub(super) enum Answer {
    Welcome(Box<Visitor>),
    /// Neither header nor session.
    Nobody,
    /// A name without an account.
    NoAccount(String),
    Deactivated(String),
}

pub(super) fn recognise(application: &Application, headers: &HeaderMap) -> Answer {
    let named = header(headers, "xremoteuser");
    let cookie = web::cookie(headers, COOKIE);
    let remembered = cookie.and_then(|id| application.sessions().at(id, application.now()).cloned());
    let username = if application.cookie_wins.load(Ordering::SeqCst) {
        remembered.clone().or(named)
    } else {
        named.or_else(|| remembered.clone())
    };
    let Some(username) = username else {
        return Answer::Nobody;
    };
    let directory = application.directory();
    let Some(user) = directory.by_username(&username).cloned() else {
        return Answer::NoAccount(username);
    };
    if !user.active {
        return Answer::Deactivated(username);
    }
    let teams = directory.teams_of(user.id);
    let teams = teams.into_iter().map(|(team, role)| (team.name.clone(), role.to_owned())).collect();
    let session = cookie.filter(|_| remembered.as_deref() == Some(&user.username)).map(str::to_owned);
    let header_teams = header(headers, "xremoteteams").unwrap_or_default();
    let header_teams: Vec<String> =
        header_teams.split(',').map(str::trim).filter(|team| !team.is_empty()).map(str::to_owned).collect();
    let header_role = header(headers, "xremoterole").filter(|role| ROLES.contains(&role.as_str()));
    Answer::Welcome(Box::new(Visitor { user, teams, header_role, header_teams, session }))
}

/// The first header whose name folds to `folded`, unless it is empty. CGI and WSGI servers make one name of
/// `X-Remote-User` and `x_remote_user`; others drop more.
fn header(headers: &HeaderMap, folded: &str) -> Option<String> {
    headers
        .iter()
        .find(|(name, _)| fold(name.as_str()) == folded)
        .map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .filter(|value| !value.is_empty())
}

/// Lower-case letters and digits only.
fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The headers that say who or whence, in any spelling, for the page.
pub(super) fn identity_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    listed(headers, |name| {
        let folded = fold(name);
        ["xremote", "xnarthex", "xforwarded", "xauth", "forwarded"]
            .iter()
            .any(|prefix| folded.starts_with(prefix))
    })
}

/// Headers as texts, in the order of arrival.
pub(super) fn listed(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| wanted(name.as_str()))
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}
