//! The application's admin API: users, roles, teams, for whoever has the token.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, put};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::demo::server::HangUp;
use crate::demo::web::{self, Params};

use super::directory::{Directory, ROLES, Rule, TEAM_ROLES, Team, User, UserChange};
use super::state::{ApiCall, Application, Lie};

const VERSION: &str = "4.2.0";
const DEFAULT_PAGE: usize = 20;
const MAX_PAGE: usize = 50;

type App = State<Arc<Application>>;

pub(super) fn router(application: Arc<Application>) -> Router<Arc<Application>> {
    Router::new()
        .route("/version", get(version))
        .route("/me", get(me))
        .route("/roles", get(roles))
        .route("/team_roles", get(team_roles))
        .route("/users", get(list_users).post(create_user))
        .route("/users/{id}", get(one_user).patch(update_user).delete(delete_user))
        .route("/users/{id}/teams", get(teams_of_user))
        .route("/teams", get(list_teams).post(create_team))
        .route("/teams/{id}", get(one_team))
        .route("/teams/{id}/members", get(members).post(add_member))
        .route("/teams/{id}/members/{user}", put(put_member).delete(remove_member))
        .fallback(no_such_endpoint)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(from_fn_with_state(application, gate))
}

/// Every call: written down, authenticated, and lied to where a test wants that.
async fn gate(State(application): App, request: Request, next: Next) -> Response {
    // `nest` takes the prefix off; what the caller sent is wanted here.
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut call = ApiCall { method: request.method().clone(), path: format!("/api{path}"), status: None };
    let lie = application.lie_for(&call);
    let answer = match lie {
        _ if !authorised(&application, request.headers()) => {
            let mut answer =
                refuse(StatusCode::UNAUTHORIZED, "unauthorized", "the bearer token is missing or wrong");
            let scheme = HeaderValue::from_static("Bearer realm=\"inventory\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            answer
        }
        None => next.run(request).await,
        Some(Lie::Late(delay)) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Some(Lie::HangUp) => hang_up(),
        Some(Lie::LoseAnswer) => {
            next.run(request).await;
            hang_up()
        }
        Some(Lie::Html) => {
            let mut answer = web::json(StatusCode::OK, &Value::Null);
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            answer.headers_mut().insert(header::CONTENT_TYPE, html);
            *answer.body_mut() =
                "<!doctype html><title>Log in</title><form><input name=password></form>".into();
            answer
        }
        Some(Lie::MissingId) => without_id(next.run(request).await).await,
        Some(Lie::Oversized) => {
            let answer = next.run(request).await;
            web::json(answer.status(), &json!({ "id": 1, "padding": "x".repeat(2 * 1024 * 1024) }))
        }
        Some(Lie::Status { status, message, retry_after }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = refuse(status, "refused", &message);
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            answer
        }
    };
    if answer.extensions().get::<HangUp>().is_none() {
        call.status = Some(answer.status().as_u16());
    }
    application.remember(call);
    answer
}

fn authorised(application: &Application, headers: &HeaderMap) -> bool {
    web::bearer(headers).is_some_and(|token| web::same_secret(token, application.api_token.expose()))
}

fn hang_up() -> Response {
    let mut answer = Response::default();
    answer.extensions_mut().insert(HangUp);
    answer
}

async fn without_id(answer: Response) -> Response {
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1024 * 1024).await.unwrap_or_default();
    let mut value: Value = serde_json::from_slice(&body).unwrap_or_default();
    strip_id(&mut value);
    web::json(status, &value)
}

fn strip_id(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("id");
            members.values_mut().for_each(strip_id);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_id),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn refuse(status: StatusCode, error: &str, message: &str) -> Response {
    web::json(status, &json!({ "error": error, "message": message }))
}

fn broken(rule: &Rule) -> Response {
    let (status, error) = match rule {
        Rule::UsernameTaken(_) => (StatusCode::CONFLICT, "username_taken"),
        Rule::EmailTaken(_) => (StatusCode::CONFLICT, "email_taken"),
        Rule::TeamTaken(_) => (StatusCode::CONFLICT, "team_taken"),
        Rule::AlreadyInTeam { .. } => (StatusCode::CONFLICT, "already_in_team"),
        Rule::Unknown(_) => (StatusCode::NOT_FOUND, "not_found"),
        Rule::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
    };
    refuse(status, error, &rule.to_string())
}

/// The JSON body as what it should be.
fn body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, Box<Response>> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let refusal = refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "send application/json");
        return Err(Box::new(refusal));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Box::new(refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &error.to_string())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    username: String,
    email: String,
    name: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedUser {
    username: Option<String>,
    email: Option<String>,
    name: Option<String>,
    role: Option<String>,
    active: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTeam {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMember {
    user_id: u64,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberRole {
    role: Option<String>,
}

const FIRST_TEAM_ROLE: &str = "member";

fn user_json(directory: &Directory, user: &User) -> Value {
    let mut value = json!(user);
    let teams: Vec<Value> = directory.teams_of(user.id).into_iter().map(membership_json).collect();
    if let Some(members) = value.as_object_mut() {
        members.insert("teams".into(), teams.into());
    }
    value
}

fn membership_json((team, role): (&Team, &str)) -> Value {
    json!({ "id": team.id, "name": team.name, "role": role })
}

fn team_json(team: &Team) -> Value {
    json!({ "id": team.id, "name": team.name, "members": team.members.len() })
}

async fn version() -> Response {
    web::json(StatusCode::OK, &json!({ "name": "Inventory 2009", "version": VERSION }))
}

/// Whose token this is.
async fn me(State(application): App) -> Response {
    let directory = application.directory();
    match directory.user(1) {
        Ok(user) => web::json(StatusCode::OK, &user_json(&directory, user)),
        Err(rule) => broken(&rule),
    }
}

async fn roles() -> Response {
    let roles: Vec<Value> =
        ROLES.iter().map(|role| json!({ "name": role, "privileged": *role == "admin" })).collect();
    web::json(StatusCode::OK, &json!({ "roles": roles }))
}

async fn team_roles() -> Response {
    let roles: Vec<Value> = TEAM_ROLES.iter().map(|role| json!({ "name": role })).collect();
    web::json(StatusCode::OK, &json!({ "team_roles": roles }))
}

/// `?username=`, `?email=`, `?role=` compare whole values without case; `?page=` from 1, `?per_page=`.
async fn list_users(State(application): App, RawQuery(query): RawQuery) -> Response {
    let Ok(parameters) = Params::parse(&query.unwrap_or_default()) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid", "a parameter stands there twice");
    };
    let meets =
        |name: &str, value: &str| parameters.at(name).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value));
    let directory = application.directory();
    let found: Vec<Value> = directory
        .users()
        .filter(|user| {
            meets("username", &user.username) && meets("email", &user.email) && meets("role", &user.role)
        })
        .map(|user| user_json(&directory, user))
        .collect();
    paged("users", "/api/users", found, &parameters)
}

async fn list_teams(State(application): App, RawQuery(query): RawQuery) -> Response {
    let Ok(parameters) = Params::parse(&query.unwrap_or_default()) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid", "a parameter stands there twice");
    };
    let directory = application.directory();
    let found = directory
        .teams()
        .filter(|team| parameters.at("name").is_none_or(|name| name == team.name))
        .map(team_json)
        .collect();
    paged("teams", "/api/teams", found, &parameters)
}

/// One page, and where the next one is.
fn paged(kind: &str, path: &str, all: Vec<Value>, parameters: &Params) -> Response {
    let number = |name: &str, default: usize| match parameters.at(name).map(str::parse::<usize>) {
        None => Some(default),
        Some(Ok(number)) if number > 0 => Some(number),
        Some(_) => None,
    };
    let (Some(page), Some(size)) = (number("page", 1), number("per_page", DEFAULT_PAGE)) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid", "page and per_page are numbers from 1");
    };
    let size = size.min(MAX_PAGE);
    let total = all.len();
    let before = (page - 1).saturating_mul(size);
    let more = before.saturating_add(size) < total;
    let next = more.then(|| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in ["username", "email", "role", "name"] {
            if let Some(value) = parameters.at(name) {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &(page + 1).to_string()).append_pair("per_page", &size.to_string());
        format!("{path}?{}", query.finish())
    });
    let rows: Vec<Value> = all.into_iter().skip(before).take(size).collect();
    web::json(
        StatusCode::OK,
        &json!({ kind: rows, "page": page, "per_page": size, "total": total, "next": next }),
    )
}

async fn create_user(State(application): App, headers: HeaderMap, bytes: Bytes) -> Response {
    let wanted: NewUser = match body(&headers, &bytes) {
        Ok(wanted) => wanted,
        Err(refusal) => return *refusal,
    };
    let change = UserChange {
        username: Some(wanted.username),
        email: Some(wanted.email),
        name: wanted.name,
        role: wanted.role,
        active: None,
    };
    let mut directory = application.directory();
    match directory.create(change).cloned() {
        Ok(user) => web::json(StatusCode::CREATED, &user_json(&directory, &user)),
        Err(rule) => broken(&rule),
    }
}

async fn one_user(State(application): App, Path(id): Path<u64>) -> Response {
    let directory = application.directory();
    match directory.user(id) {
        Ok(user) => web::json(StatusCode::OK, &user_json(&directory, user)),
        Err(rule) => broken(&rule),
    }
}

async fn update_user(
    State(application): App,
    Path(id): Path<u64>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let ChangedUser { username, email, name, role, active } = match body(&headers, &bytes) {
        Ok(wanted) => wanted,
        Err(refusal) => return *refusal,
    };
    let mut directory = application.directory();
    match directory.update(id, UserChange { username, email, name, role, active }).cloned() {
        Ok(user) => web::json(StatusCode::OK, &user_json(&directory, &user)),
        Err(rule) => broken(&rule),
    }
}

async fn delete_user(State(application): App, Path(id): Path<u64>) -> Response {
    done(application.directory().delete(id))
}

async fn teams_of_user(State(application): App, Path(id): Path<u64>) -> Response {
    let directory = application.directory();
    match directory.user(id) {
        Ok(user) => {
            let teams: Vec<Value> = directory.teams_of(user.id).into_iter().map(membership_json).collect();
            web::json(StatusCode::OK, &json!({ "teams": teams }))
        }
        Err(rule) => broken(&rule),
    }
}

async fn create_team(State(application): App, headers: HeaderMap, bytes: Bytes) -> Response {
    let wanted: NewTeam = match body(&headers, &bytes) {
        Ok(wanted) => wanted,
        Err(refusal) => return *refusal,
    };
    match application.directory().create_team(&wanted.name) {
        Ok(team) => web::json(StatusCode::CREATED, &team_json(team)),
        Err(rule) => broken(&rule),
    }
}

async fn one_team(State(application): App, Path(id): Path<u64>) -> Response {
    match application.directory().team(id) {
        Ok(team) => web::json(StatusCode::OK, &team_json(team)),
        Err(rule) => broken(&rule),
    }
}

async fn members(State(application): App, Path(id): Path<u64>, RawQuery(query): RawQuery) -> Response {
    let Ok(parameters) = Params::parse(&query.unwrap_or_default()) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid", "a parameter stands there twice");
    };
    let directory = application.directory();
    let team = match directory.team(id) {
        Ok(team) => team,
        Err(rule) => return broken(&rule),
    };
    let rows = team.members.iter().filter_map(|(user, role)| {
        let user = directory.user(*user).ok()?;
        Some(json!({ "user_id": user.id, "username": user.username, "role": role }))
    });
    paged("members", &format!("/api/teams/{id}/members"), rows.collect(), &parameters)
}

/// 409 where the user is a member already.
async fn add_member(
    State(application): App,
    Path(id): Path<u64>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let wanted: NewMember = match body(&headers, &bytes) {
        Ok(wanted) => wanted,
        Err(refusal) => return *refusal,
    };
    let as_what = wanted.role.as_deref().unwrap_or(FIRST_TEAM_ROLE);
    match application.directory().join(id, wanted.user_id, as_what, false) {
        Ok(()) => web::json(StatusCode::CREATED, &json!({ "user_id": wanted.user_id, "role": as_what })),
        Err(rule) => broken(&rule),
    }
}

/// Idempotent.
async fn put_member(
    State(application): App,
    Path((id, user)): Path<(u64, u64)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let wanted: MemberRole = match body(&headers, &bytes) {
        Ok(wanted) => wanted,
        Err(refusal) => return *refusal,
    };
    done(application.directory().join(id, user, wanted.role.as_deref().unwrap_or(FIRST_TEAM_ROLE), true))
}

async fn remove_member(State(application): App, Path((id, user)): Path<(u64, u64)>) -> Response {
    done(application.directory().leave(id, user))
}

async fn no_such_endpoint() -> Response {
    refuse(StatusCode::NOT_FOUND, "not_found", "there is no such endpoint")
}

fn done(outcome: Result<(), Rule>) -> Response {
    match outcome {
        Ok(()) => {
            let mut answer = Response::default();
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        Err(rule) => broken(&rule),
    }
}
