//! A small legacy application: it has accounts, roles and teams of its own and an admin API for them, knows
//! nothing of single sign-on, and believes whatever the identity headers say.
//!
//! It believes them in every spelling that some server or framework would fold into the same name, so that a
//! forged one which reaches it does its harm here, where a test sees it.

mod api;
mod directory;
mod exercise;
mod identity;
mod pages;
mod state;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;

use crate::model::Secret;
use crate::platform::{Platform, Tasks};

pub use directory::{Directory, ROLES, Rule, TEAM_ROLES, Team, User, UserChange};
pub use state::{ApiCall, Lie, LieTo};

use self::state::Application;
use super::DemoError;

/// The running application. Clones are the same application.
#[derive(Clone)]
pub struct DemoApp {
    application: Arc<Application>,
    url: String,
}

impl DemoApp {
    /// Serves on `listener`, which must be bound to loopback, until `tasks` are asked to stop.
    ///
    /// # Errors
    /// Where the listener has no address or no API token can be made.
    pub fn start(listener: TcpListener, platform: &Platform, tasks: &Tasks) -> Result<Self, DemoError> {
        let address = listener.local_addr().map_err(DemoError::Listen)?;
        if !address.ip().is_loopback() {
            return Err(DemoError::NotLoopback { address });
        }
        let application = Arc::new(Application::new(platform.clone(), tasks.clone())?);
        let switches = Arc::clone(&application.switches);
        super::server::serve(listener, router(Arc::clone(&application)), switches, tasks);
        Ok(Self { application, url: format!("http://{address}") })
    }

    /// Without a slash at the end; pages and API alike.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token of the admin API. It belongs to the account `root`.
    pub fn api_token(&self) -> &Secret {
        &self.application.api_token
    }

    /// The calls of the admin API so far.
    pub fn calls(&self) -> Vec<ApiCall> {
        self.application.calls().iter().cloned().collect()
    }

    /// Those of them that write.
    pub fn writes(&self) -> Vec<ApiCall> {
        self.application.calls().iter().filter(|call| call.is_write()).cloned().collect()
    }

    pub fn forget_calls(&self) {
        self.application.calls().clear();
    }

    pub fn users(&self) -> Vec<User> {
        self.application.directory().users().cloned().collect()
    }

    pub fn user(&self, username: &str) -> Option<User> {
        self.application.directory().by_username(username).cloned()
    }

    /// The user's teams with the role in each, by name.
    pub fn teams_of(&self, username: &str) -> Vec<(String, String)> {
        let directory = self.application.directory();
        let id = directory.by_username(username).map(|user| user.id);
        id.map(|id| directory.teams_of(id)).unwrap_or_default().into_iter().map(owned).collect()
    }

    /// Changes the tables as an administrator would, not by way of the API.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Directory) -> T) -> T {
        change(&mut self.application.directory())
    }

    /// While down, connections are dropped without an answer.
    pub fn set_down(&self, down: bool) {
        self.application.switches.set_down(down);
    }

    /// Every answer waits this long, pages and API alike.
    pub fn set_slow(&self, delay: Duration) {
        self.application.switches.set_slow(delay);
    }

    /// What the admin API does wrong from now on.
    pub fn set_lie(&self, to: LieTo, lie: Lie) {
        self.application.set_lie(Some((to, lie)));
    }

    pub fn stop_lying(&self) {
        self.application.set_lie(None);
    }

    /// Whether its own session cookie wins over the identity headers (PROVISIONING.md E7).
    pub fn set_cookie_wins(&self, wins: bool) {
        self.application.cookie_wins.store(wins, Ordering::SeqCst);
    }
}

fn owned((team, role): (&Team, &str)) -> (String, String) {
    (team.name.clone(), role.to_owned())
}

fn router(application: Arc<Application>) -> Router {
    Router::new()
        .route("/", get(pages::front))
        .route("/editor", get(pages::editor))
        .route("/admin", get(pages::admin))
        .route("/signout", get(pages::sign_out).post(pages::sign_out))
        .route("/public", get(pages::public))
        .route("/whoami", get(pages::whoami))
        .route("/healthz", get(exercise::health))
        .route("/echo", any(exercise::echo))
        .route("/echo/{*rest}", any(exercise::echo))
        .route("/upload", post(exercise::upload).put(exercise::upload))
        .route("/download/{bytes}", get(exercise::download))
        .route("/events", get(exercise::events))
        .route("/trailers", get(exercise::trailers))
        .route("/status/{status}", any(exercise::status))
        .route("/upgrade", get(upgrade::echo))
        .nest("/api", api::router(Arc::clone(&application)))
        .fallback(pages::not_found)
        .with_state(application)
}

#[cfg(test)]
mod tests;
