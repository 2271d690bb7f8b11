//! Single sign-on (SAML Profiles 2.0, 4.1): what a service provider asks, who is there, and the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{RawForm, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, header};
use url::Url;

use crate::demo::web::{self, Params};
use crate::identify::saml::binding::{Kind, RelayState};
use crate::identify::saml::request::POST_BINDING;
use crate::identify::saml::xml::{Node, SAML, SAMLP, Tree};

use super::super::authorize::COOKIE;
use super::super::pages;
use super::super::state::{Chooser, Provider, REQUEST_LASTS, Session, Waiting};
use super::message::{Head, Incoming, told};
use super::response::{Outcome, answer};
use super::{EMAIL_ADDRESS, Failure, PERSISTENT, TRANSIENT, failed, refused};

/// What a service provider asked, found to be in order; or what it would have asked, where the sign-in begins here.
#[derive(Debug, Clone)]
pub(in super::super) struct Asked {
    /// Its entity ID.
    pub(super) sp: String,
    pub(super) acs: Url,
    pub(super) in_response_to: Option<String>,
    pub(super) relay_state: Option<RelayState>,
    pub(super) format: Format,
    /// `ForceAuthn`: the page, whatever is known.
    force: bool,
    /// `IsPassive`: no page, whatever happens.
    passive: bool,
}

/// How people are named (SAML Core 2.0, 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Persistent,
    Transient,
    EmailAddress,
}

impl Format {
    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Persistent => PERSISTENT,
            Self::Transient => TRANSIENT,
            Self::EmailAddress => EMAIL_ADDRESS,
        }
    }

    /// Core 3.4.1.1: without a wish, or with "unspecified", the provider chooses. `None`: one that is not spoken.
    fn wished(uri: Option<&str>) -> Option<Self> {
        match uri {
            None | Some("urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified" | PERSISTENT) => {
                Some(Self::Persistent)
            }
            Some(TRANSIENT) => Some(Self::Transient),
            Some(EMAIL_ADDRESS) => Some(Self::EmailAddress),
            Some(_) => None,
        }
    }
}

/// What is wrong with a request, and who may be told.
enum Refusal {
    /// Who asks, or where to, is in doubt.
    Page(String),
    /// A second-level status code (Core 3.2.2.2).
    Status(Box<Asked>, &'static str),
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Page(why)
    }
}

pub(super) async fn by_query(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let read = Incoming::of_query(&query.unwrap_or_default()).map_err(Refusal::Page);
    match read.and_then(|incoming| asked(&provider, &incoming)) {
        Ok(asked) => go_on(&provider, &headers, asked).unwrap_or_else(|failure| failed(&failure)),
        Err(refusal) => told_no(&provider, refusal),
    }
}

/// A form of another site comes without this site's cookies (SameSite=Lax), so that nobody would be known; the GET
/// that this answers with has them.
pub(super) async fn by_form(State(provider): State<Arc<Provider>>, RawForm(form): RawForm) -> Response {
    let read = Incoming::of_form(&form).map_err(Refusal::Page);
    let asked = match read.and_then(|incoming| asked(&provider, &incoming)) {
        Ok(asked) => asked,
        Err(refusal) => return told_no(&provider, refusal),
    };
    match wait(&provider, asked) {
        Ok(id) => web::see_other(&format!("/saml/continue?request={id}")),
        Err(failure) => failed(&failure),
    }
}

pub(super) async fn resume(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let parameters = Params::parse(&query.unwrap_or_default()).unwrap_or_default();
    let waiting = parameters.at("request").and_then(|id| provider.waiting().take(id, provider.now()));
    match waiting {
        Some(Waiting::Saml(asked)) => {
            go_on(&provider, &headers, *asked).unwrap_or_else(|failure| failed(&failure))
        }
        Some(Waiting::Oidc(_)) | None => refused("this sign-in was used already or took too long"),
    }
}

/// A sign-in that nobody asked for (Profiles 4.1.5).
pub(super) async fn start(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let parameters = Params::parse(&query.unwrap_or_default()).unwrap_or_default();
    let Some(party) = parameters.at("sp").and_then(|sp| provider.saml.party(sp)) else {
        return refused("no service provider of that entity ID is known here");
    };
    let asked = Asked {
        sp: party.entity_id,
        acs: party.acs,
        in_response_to: None,
        relay_state: parameters.at("relay_state").and_then(RelayState::ours),
        format: Format::Persistent,
        force: false,
        passive: false,
    };
    go_on(&provider, &headers, asked).unwrap_or_else(|failure| failed(&failure))
}

fn told_no(provider: &Provider, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Page(why) => refused(&why),
        Refusal::Status(asked, code) => {
            answer(provider, &asked, Outcome::No(code)).unwrap_or_else(|failure| failed(&failure))
        }
    }
}

/// SAML Core 2.0, 3.4.1, and Profiles 2.0, 4.1.4.1.
fn asked(provider: &Provider, incoming: &Incoming) -> Result<Asked, Refusal> {
    provider.counters.saml_sso.fetch_add(1, Ordering::SeqCst);
    let tree = incoming.tree()?;
    let root = tree.root().map_err(told)?;
    if incoming.kind != Kind::Request || !root.is(SAMLP, "AuthnRequest") {
        return Err(Refusal::Page("only an AuthnRequest is taken here".to_owned()));
    }
    let Head { id, from } = Head::read(root, &provider.saml.sso_url(), provider)?;
    check_signature(provider, incoming, &tree, root, &from)?;
    let acs = root.attribute("AssertionConsumerServiceURL").unwrap_or(from.acs.as_str());
    let index = root.attribute("AssertionConsumerServiceIndex");
    // Profiles 4.1.4.1: the provider "MUST obtain such confirmation" that the address belongs to who asks.
    if acs != from.acs.as_str() || index.is_some_and(|index| index != "0") {
        return Err(Refusal::Page(format!("responses for {} are not sent to {acs}", from.entity_id)));
    }
    if root.attribute("ProtocolBinding").is_some_and(|binding| binding != POST_BINDING) {
        return Err(Refusal::Page("responses go by HTTP-POST only".to_owned()));
    }
    let is_true = |name| matches!(root.attribute(name), Some("true" | "1"));
    let policy = root.child(SAMLP, "NameIDPolicy").map_err(told)?;
    let format = Format::wished(policy.and_then(|policy| policy.attribute("Format")));
    let asked = Asked {
        sp: from.entity_id,
        acs: from.acs,
        in_response_to: Some(id),
        relay_state: incoming.relay_state.clone(),
        format: format.unwrap_or(Format::Persistent),
        force: is_true("ForceAuthn"),
        passive: is_true("IsPassive"),
    };
    if format.is_none() {
        return Err(Refusal::Status(Box::new(asked), "InvalidNameIDPolicy"));
    }
    if !context_fits(root)? {
        return Err(Refusal::Status(Box::new(asked), "NoAuthnContext"));
    }
    Ok(asked)
}

fn check_signature(
    provider: &Provider,
    incoming: &Incoming,
    tree: &Tree<'_>,
    root: Node<'_, '_>,
    from: &super::ServiceProvider,
) -> Result<(), Refusal> {
    let wanted = provider.saml.behaviour().want_signed_requests;
    // Of somebody whose keys are not known, a signature says nothing.
    if from.keys.is_empty() && !wanted {
        return Ok(());
    }
    let signed = incoming.is_signed(root, tree, from)?;
    if wanted && !signed {
        return Err(Refusal::Page("the request is not signed".to_owned()));
    }
    Ok(())
}

/// Core 3.3.2.2.1. This provider authenticates nobody, and says so; so only who asks for that gets it.
fn context_fits(root: Node<'_, '_>) -> Result<bool, String> {
    let Some(requested) = root.child(SAMLP, "RequestedAuthnContext").map_err(told)? else { return Ok(true) };
    let mut fits = false;
    for class in requested.children_named(SAML, "AuthnContextClassRef") {
        fits |= class.text().map_err(told)? == super::response::CONTEXT_CLASS;
    }
    Ok(fits)
}

/// Answers for whoever is signed in here, or asks who it is.
fn go_on(provider: &Provider, headers: &HeaderMap, asked: Asked) -> Result<Response, Failure> {
    let chooser = provider.chooser().clone();
    if let Chooser::Always(login) = chooser
        && provider.person(&login).is_some()
    {
        return chosen(provider, headers, &asked, &login);
    }
    let now = provider.now();
    let id = web::cookie(headers, COOKIE).filter(|_| !asked.force);
    let known = id.filter(|id| {
        let login = provider.sessions().at(id, now).map(|session| session.login.clone());
        login.is_some_and(|login| provider.person(&login).is_some())
    });
    match known {
        Some(id) => signed_in(provider, &asked, id),
        None if asked.passive => answer(provider, &asked, Outcome::No("NoPassive")),
        None => {
            let id = wait(provider, asked)?;
            Ok(pages::chooser(provider, &id, None))
        }
    }
}

fn wait(provider: &Provider, asked: Asked) -> Result<String, Failure> {
    let id = provider.token()?;
    provider.waiting().put(id.clone(), Waiting::Saml(Box::new(asked)), provider.now(), REQUEST_LASTS);
    Ok(id)
}

/// Somebody said who they are: a session here, and the answer.
pub(super) fn chosen(
    provider: &Provider,
    headers: &HeaderMap,
    asked: &Asked,
    login: &str,
) -> Result<Response, Failure> {
    let (id, _) = provider.begin_session(web::cookie(headers, COOKIE), login)?;
    let mut answer = signed_in(provider, asked, &id)?;
    answer.headers_mut().append(header::SET_COOKIE, web::session_cookie(COOKIE, Some(&id)));
    Ok(answer)
}

/// The answer for the person of this session, which remembers whom they were named to.
fn signed_in(provider: &Provider, asked: &Asked, id: &str) -> Result<Response, Failure> {
    let session: Option<Session> = provider.sessions().at(id, provider.now()).cloned();
    let person = session.as_ref().and_then(|session| provider.person(&session.login));
    let (Some(session), Some(person)) = (session, person) else {
        return Ok(refused("this session ended meanwhile"));
    };
    let Some(named) = super::response::named(provider, asked, &session, &person)? else {
        return answer(provider, asked, Outcome::No("InvalidNameIDPolicy"));
    };
    if let Some(session) = provider.sessions().at_mut(id, provider.now()) {
        session.participants.retain(|known| known != &named);
        session.participants.push(named.clone());
    }
    answer(provider, asked, Outcome::Yes { session: &session, person: &person, named: &named })
}
