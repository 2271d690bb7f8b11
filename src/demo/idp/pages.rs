//! The provider's pages: who are you, what is wrong, sign out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::demo::people::Person;
use crate::demo::web::{self, Params};
use crate::platform::entropy::NoEntropy;

use super::authorize::COOKIE;
use super::state::{Provider, REQUEST_LASTS};

#[derive(Template)]
#[template(path = "demo/pages/idp_people.html")]
struct People {
    /// The sign-in that waits; empty on the front page.
    request: String,
    /// Who is signed in here; told on the front page only.
    signed_in: Option<String>,
    /// Where a sign-in begins from here: the service provider, and the address.
    services: Vec<(String, String)>,
    cards: Vec<Card>,
}

/// One person as the page shows them.
struct Card {
    login: String,
    name: String,
    initial: String,
    email: String,
    verified: bool,
    groups: Option<Vec<String>>,
    role: String,
    hint: String,
    /// `login_hint` names them.
    hinted: bool,
}

impl Card {
    fn new(person: &Person, hint: Option<&str>) -> Self {
        Self {
            login: person.login.clone(),
            name: person.display_name(),
            initial: person.given_name.chars().take(1).collect(),
            email: person.email.clone().unwrap_or_default(),
            verified: person.email_verified == Some(true),
            groups: person.groups.clone(),
            role: person.role.clone().unwrap_or_default(),
            hint: person.hint.clone(),
            hinted: hint.is_some_and(|hint| hint == person.login || person.email.as_deref() == Some(hint)),
        }
    }

    fn groups_text(&self) -> String {
        self.groups.as_deref().unwrap_or_default().join(", ")
    }
}

#[derive(Template)]
#[template(path = "demo/pages/idp_message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
}

#[derive(Template)]
#[template(path = "demo/pages/idp_logout.html")]
struct Logout {
    hidden: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "demo/pages/idp_signed_out.html")]
struct SignedOut<'a> {
    told: &'a [(String, bool)],
}

pub(super) async fn home(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let id = web::cookie(&headers, COOKIE);
    let login = id.and_then(|id| Some(provider.sessions().at(id, provider.now())?.login.clone()));
    let signed_in = login.and_then(|login| provider.person(&login)).map(|person| person.display_name());
    let services = provider.saml.services();
    show(&People { request: String::new(), signed_in, services, cards: cards(&provider, None) })
}

/// Asks who is there. `request` is the sign-in that waits for the answer.
pub(super) fn chooser(provider: &Provider, request: &str, hint: Option<&str>) -> Response {
    let (request, cards) = (request.to_owned(), cards(provider, hint));
    show(&People { request, signed_in: None, services: Vec::new(), cards })
}

fn cards(provider: &Provider, hint: Option<&str>) -> Vec<Card> {
    provider.people().iter().map(|person| Card::new(person, hint)).collect()
}

fn show(people: &People) -> Response {
    web::page(StatusCode::OK, people)
}

/// Changes what this provider says of somebody, for the logins to come.
pub(super) async fn edit_person(
    State(provider): State<Arc<Provider>>,
    Path(login): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    if web::is_cross_site(&headers) {
        return refused(StatusCode::FORBIDDEN, "this form was sent by another site");
    }
    let Ok(parameters) = Params::parse(&String::from_utf8_lossy(&form)) else {
        return refused(StatusCode::BAD_REQUEST, "a parameter stands there twice");
    };
    let groups = parameters.text("groups");
    let groups: Vec<String> =
        groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
    {
        let mut people = provider.people();
        let Some(person) = people.iter_mut().find(|person| person.login == login) else {
            return refused(StatusCode::NOT_FOUND, "there is nobody of that name");
        };
        person.role =
            parameters.at("role").map(|role| role.trim().to_owned()).filter(|role| !role.is_empty());
        person.groups = Some(groups);
    }
    let Some(id) = parameters.at("request") else {
        return web::see_other("/");
    };
    let waiting = provider.waiting().take(id, provider.now());
    match waiting {
        Some(waiting) => {
            let hint = waiting.login_hint().map(str::to_owned);
            provider.waiting().put(id.to_owned(), waiting, provider.now(), REQUEST_LASTS);
            chooser(&provider, id, hint.as_deref())
        }
        None => web::see_other("/"),
    }
}

pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    web::page(status, &Message { title: "That does not work", text: why })
}

pub(super) fn failed(error: NoEntropy) -> Response {
    refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

pub(super) async fn not_found() -> Response {
    refused(StatusCode::NOT_FOUND, "there is no such page here")
}

/// `told`: the service providers that were told, and whether their sessions ended too.
pub(super) fn signed_out(told: &[(String, bool)]) -> Response {
    web::page(StatusCode::OK, &SignedOut { told })
}

/// Asks whether to sign out; the form repeats the request.
pub(super) fn confirm_logout(parameters: &Params) -> Response {
    let hidden = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"]
        .into_iter()
        .filter_map(|name| Some((name, parameters.at(name)?.to_owned())))
        .collect();
    web::page(StatusCode::OK, &Logout { hidden })
}
