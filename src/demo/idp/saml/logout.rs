//! Single logout (SAML Profiles 2.0, 4.4) through the browser: asked for by a service provider, or at this provider's
//! own page. Everybody else to whom the session was named is told, one after the other.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawForm, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use crate::demo::web;
use crate::identify::saml::binding::{Kind, RelayState};
use crate::identify::saml::instant;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{Node, SAML, SAMLP};

use super::super::authorize::COOKIE;
use super::super::pages;
use super::super::state::{Provider, Session};
use super::message::{Head, Incoming, message_id, send, told};
use super::response::{Named, STATUS, status};
use super::{Failure, ServiceProvider, failed, refused};

/// A logout may take this long until the last one has answered.
const LASTS: Duration = Duration::from_mins(5);

/// A logout on its way from one service provider to the next.
#[derive(Debug)]
pub(super) struct Running {
    todo: Vec<Named>,
    /// The request that is out, and whom it was sent to.
    out: Option<(String, String)>,
    /// Entity IDs, and whether their sessions ended.
    told: Vec<(String, bool)>,
    then: Then,
}

/// What comes after the last one.
#[derive(Debug)]
enum Then {
    Page,
    /// The answer to the one who asked.
    Answer {
        sp: Box<ServiceProvider>,
        in_response_to: String,
        relay_state: Option<RelayState>,
        by_post: bool,
    },
}

/// The button of this provider's own page.
pub(super) async fn at_own_page(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    if web::is_cross_site(&headers) {
        return pages::refused(StatusCode::FORBIDDEN, "this form was sent by another site");
    }
    sign_out(&provider, &headers).unwrap_or_else(|failure| failed(&failure))
}

/// Ends this browser's session here and wherever it was named by SAML.
fn sign_out(provider: &Provider, headers: &HeaderMap) -> Result<Response, Failure> {
    let session = web::cookie(headers, COOKIE).and_then(|id| provider.sessions().take(id, provider.now()));
    let todo = session.map(|session| session.participants).unwrap_or_default();
    let running = Running { todo, out: None, told: Vec::new(), then: Then::Page };
    let mut answer = next(provider, running)?;
    answer.headers_mut().append(header::SET_COOKIE, web::session_cookie(COOKIE, None));
    Ok(answer)
}

pub(super) async fn by_query(State(provider): State<Arc<Provider>>, RawQuery(query): RawQuery) -> Response {
    answer(&provider, Incoming::of_query(&query.unwrap_or_default()))
}

pub(super) async fn by_form(State(provider): State<Arc<Provider>>, RawForm(form): RawForm) -> Response {
    answer(&provider, Incoming::of_form(&form))
}

fn answer(provider: &Provider, incoming: Result<Incoming, String>) -> Response {
    let running = incoming.and_then(|incoming| match incoming.kind {
        Kind::Request => begun(provider, &incoming),
        Kind::Response => answered(provider, &incoming),
    });
    match running {
        Ok(running) => next(provider, running).unwrap_or_else(|failure| failed(&failure)),
        Err(why) => refused(&why),
    }
}

/// A service provider's LogoutRequest (Core 3.7.1): the sessions that it names end here.
fn begun(provider: &Provider, incoming: &Incoming) -> Result<Running, String> {
    let tree = incoming.tree()?;
    let root = tree.root().map_err(told)?;
    if !root.is(SAMLP, "LogoutRequest") {
        return Err("only a LogoutRequest or a LogoutResponse is taken here".to_owned());
    }
    let Head { id, from } = Head::read(root, &provider.saml.slo_url(), provider)?;
    // Profiles 4.4.4.1: through a browser it "MUST be signed".
    if !incoming.is_signed(root, &tree, &from)? {
        return Err("the logout request is not signed".to_owned());
    }
    if let Some(until) = root.attribute("NotOnOrAfter") {
        let until = instant::parse(until).map_err(|error| error.to_string())?;
        if provider.now() >= until {
            return Err("the logout request came too late".to_owned());
        }
    }
    let name = root.required(SAML, "NameID").and_then(|name| name.text()).map_err(told)?;
    let mut indexes = Vec::new();
    for index in root.children_named(SAMLP, "SessionIndex") {
        indexes.push(index.text().map_err(told)?);
    }
    // Core 3.7.3.2: those of the indexes, or all of the person's.
    let is_meant = |named: &Named| {
        named.sp == from.entity_id
            && named.name == name
            && (indexes.is_empty() || indexes.contains(&named.session_index))
    };
    let mut todo = Vec::new();
    provider.sessions().retain(|session: &Session| {
        let ends = session.participants.iter().any(is_meant);
        if ends {
            let others = session.participants.iter().filter(|named| named.sp != from.entity_id);
            todo.extend(others.cloned());
        }
        !ends
    });
    let then = Then::Answer {
        sp: Box::new(from),
        in_response_to: id,
        relay_state: incoming.relay_state.clone(),
        by_post: incoming.by_post,
    };
    Ok(Running { todo, out: None, told: Vec::new(), then })
}

/// A service provider's LogoutResponse (Core 3.7.2) to the request that is out.
fn answered(provider: &Provider, incoming: &Incoming) -> Result<Running, String> {
    let tree = incoming.tree()?;
    let root = tree.root().map_err(told)?;
    if !root.is(SAMLP, "LogoutResponse") {
        return Err("only a LogoutRequest or a LogoutResponse is taken here".to_owned());
    }
    let Head { from, .. } = Head::read(root, &provider.saml.slo_url(), provider)?;
    if !incoming.is_signed(root, &tree, &from)? {
        return Err("the answer to the logout request is not signed".to_owned());
    }
    let id = incoming.relay_state.as_ref().map(RelayState::as_str).unwrap_or_default();
    let running = provider.saml.logouts().take(id, provider.now());
    let mut running = running.ok_or("no logout waits for this answer")?;
    let (request, sp) = running.out.take().ok_or("no logout waits for this answer")?;
    if from.entity_id != sp || root.attribute("InResponseTo") != Some(&*request) {
        return Err("this is not the answer that the logout waits for".to_owned());
    }
    running.told.push((sp, is_success(root)?));
    Ok(running)
}

fn is_success(root: Node<'_, '_>) -> Result<bool, String> {
    let code = root.required(SAMLP, "Status").and_then(|status| status.required(SAMLP, "StatusCode"));
    let code = code.map_err(told)?;
    Ok(code.attribute("Value").and_then(|value| value.strip_prefix(STATUS)) == Some("Success"))
}

/// Asks the next one, or ends.
fn next(provider: &Provider, mut running: Running) -> Result<Response, Failure> {
    while let Some(named) = running.todo.pop() {
        let Some(slo) = provider.saml.party(&named.sp).and_then(|party| party.slo) else {
            running.told.push((named.sp, false));
            continue;
        };
        let request_id = message_id(provider)?;
        let request = request(provider, &named, &request_id, slo.as_str());
        let id = provider.token()?;
        let relay_state = RelayState::ours(&id);
        running.out = Some((request_id, named.sp));
        provider.saml.logouts().put(id, running, provider.now(), LASTS);
        let by_post = provider.saml.behaviour().logout_by_post;
        return send(provider, Kind::Request, request, &slo, relay_state.as_ref(), by_post);
    }
    let all = running.told.iter().all(|(_, ended)| *ended);
    match running.then {
        Then::Page => Ok(pages::signed_out(&running.told)),
        Then::Answer { sp, in_response_to, relay_state, by_post } => {
            let Some(slo) = &sp.slo else { return Ok(pages::signed_out(&running.told)) };
            let response = response(provider, &in_response_to, slo.as_str(), all)?;
            send(provider, Kind::Response, response, slo, relay_state.as_ref(), by_post)
        }
    }
}

/// Core 3.7.1.
fn request(provider: &Provider, named: &Named, id: &str, to: &str) -> Written {
    let now = provider.now();
    let mut writer = Writer::new(
        "samlp:LogoutRequest",
        &[
            ("xmlns:samlp", Some(SAMLP)),
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(id)),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&now.to_string())),
            ("Destination", Some(to)),
            ("NotOnOrAfter", Some(&now.after(LASTS).to_string())),
        ],
    );
    let issuer = provider.saml.entity_id();
    writer.text("saml:Issuer", &[], &issuer);
    let of_both = named.format == super::PERSISTENT;
    writer.text(
        "saml:NameID",
        &[
            ("Format", Some(named.format)),
            ("NameQualifier", of_both.then_some(&*issuer)),
            ("SPNameQualifier", of_both.then_some(&*named.sp)),
        ],
        &named.name,
    );
    writer.text("samlp:SessionIndex", &[], &named.session_index);
    writer.finish()
}

/// Core 3.7.2. `all`: everybody else's sessions ended too (3.7.3.2, `PartialLogout`).
fn response(provider: &Provider, in_response_to: &str, to: &str, all: bool) -> Result<Written, Failure> {
    let id = message_id(provider)?;
    let mut writer = Writer::new(
        "samlp:LogoutResponse",
        &[
            ("xmlns:samlp", Some(SAMLP)),
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(&id)),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&provider.now().to_string())),
            ("Destination", Some(to)),
            ("InResponseTo", Some(in_response_to)),
        ],
    );
    writer.text("saml:Issuer", &[], &provider.saml.entity_id());
    // Core 3.2.2.2: PartialLogout is a code of the second level.
    status(&mut writer, "Success", (!all).then_some("PartialLogout"));
    Ok(writer.finish())
}
