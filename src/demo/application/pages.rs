//! The application's pages.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use crate::demo::web;

use super::directory::User;
use super::identity::{Answer, COOKIE, Visitor, identity_headers, listed, recognise};
use super::state::Application;

#[derive(Template)]
#[template(path = "demo/pages/app_front.html")]
struct Front {
    visitor: Visitor,
    /// Name, value, and what it is, of each identity header.
    identity: Vec<(String, String)>,
    all: Vec<(String, String)>,
}

impl Front {
    fn differs(&self) -> bool {
        self.visitor.role() != self.visitor.user.role
    }
}

#[derive(Template)]
#[template(path = "demo/pages/app_admin.html")]
struct Admin {
    visitor: Visitor,
    users: Vec<(User, String)>,
}

#[derive(Template)]
#[template(path = "demo/pages/app_message.html")]
struct Message<'a> {
    title: &'a str,
    text: String,
    /// For tests and people alike: the value of `data-reason`.
    reason: &'a str,
}

pub(super) async fn front(State(application): State<Arc<Application>>, headers: HeaderMap) -> Response {
    with_visitor(&application, &headers, |visitor| {
        let identity = identity_headers(&headers);
        let all = listed(&headers, |_| true);
        web::page(StatusCode::OK, &Front { visitor, identity, all })
    })
}

pub(super) async fn editor(State(application): State<Arc<Application>>, headers: HeaderMap) -> Response {
    with_visitor(&application, &headers, |visitor| match visitor.role() {
        "editor" | "admin" => message(
            StatusCode::OK,
            "The editors' desk",
            format!("Your role in this session is {}, so this page is open to you.", visitor.role()),
            "editor",
        ),
        role => message(
            StatusCode::FORBIDDEN,
            "For editors only",
            format!("Your role in this session is {role}."),
            "role",
        ),
    })
}

pub(super) async fn admin(State(application): State<Arc<Application>>, headers: HeaderMap) -> Response {
    with_visitor(&application, &headers, |visitor| {
        if visitor.role() != "admin" {
            return message(
                StatusCode::FORBIDDEN,
                "For administrators only",
                format!("Your role in this session is {}.", visitor.role()),
                "role",
            );
        }
        let directory = application.directory();
        let users = directory.users().map(|user| {
            let teams =
                directory.teams_of(user.id).into_iter().map(|(team, role)| format!("{} ({role})", team.name));
            (user.clone(), teams.collect::<Vec<_>>().join(", "))
        });
        web::page(StatusCode::OK, &Admin { visitor, users: users.collect() })
    })
}

/// Ends the application's own session. It cannot know that there is another one in front of it.
pub(super) async fn sign_out(State(application): State<Arc<Application>>, headers: HeaderMap) -> Response {
    if let Some(id) = web::cookie(&headers, COOKIE) {
        application.sessions().take(id, application.now());
    }
    let text = "The application's own session is over.".to_owned();
    let mut answer = message(StatusCode::OK, "Signed out", text, "signed_out");
    answer.headers_mut().append(header::SET_COOKIE, web::session_cookie(COOKIE, None));
    answer
}

/// Whom it would believe, so that forged headers on public routes show.
fn believed(application: &Application, headers: &HeaderMap) -> String {
    match recognise(application, headers) {
        Answer::Welcome(visitor) => visitor.user.username,
        Answer::NoAccount(name) | Answer::Deactivated(name) => name,
        Answer::Nobody => "nobody".to_owned(),
    }
}

/// The same for the command line: one line of text.
pub(super) async fn whoami(State(application): State<Arc<Application>>, headers: HeaderMap) -> String {
    format!("The application thinks you are: {}\n", believed(&application, &headers))
}

/// A page for everybody.
pub(super) async fn public(State(application): State<Arc<Application>>, headers: HeaderMap) -> Response {
    let who = believed(&application, &headers);
    message(
        StatusCode::OK,
        "Opening hours",
        format!("For everybody. The application thinks you are: {who}."),
        "public",
    )
}

pub(super) async fn not_found() -> Response {
    message(
        StatusCode::NOT_FOUND,
        "No such page",
        "There is nothing at this address.".to_owned(),
        "not_found",
    )
}

/// The page for somebody with an account, or the one that says why not.
fn with_visitor(
    application: &Application,
    headers: &HeaderMap,
    page: impl FnOnce(Visitor) -> Response,
) -> Response {
    match recognise(application, headers) {
        Answer::Welcome(visitor) => {
            let username = visitor.user.username.clone();
            let known = visitor.session.is_some();
            let mut answer = page(*visitor);
            if !known && let Ok(id) = application.begin_session(&username) {
                answer.headers_mut().append(header::SET_COOKIE, web::session_cookie(COOKIE, Some(&id)));
            }
            answer
        }
        Answer::Nobody => message(
            StatusCode::UNAUTHORIZED,
            "Who are you?",
            "No X-Remote-User header came with this request. This application expects a proxy in front of it that sets one.".to_owned(),
            "nobody",
        ),
        Answer::NoAccount(name) => message(
            StatusCode::FORBIDDEN,
            "No account",
            format!("There is no account “{name}” here. Ask an administrator for an account."),
            "no_account",
        ),
        Answer::Deactivated(name) => message(
            StatusCode::FORBIDDEN,
            "Deactivated",
            format!("The account “{name}” was deactivated. Ask an administrator."),
            "deactivated",
        ),
    }
}

fn message(status: StatusCode, title: &str, text: String, reason: &str) -> Response {
    web::page(status, &Message { title, text, reason })
}
