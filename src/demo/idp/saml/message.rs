//! Messages of service providers, in and out: who sent them, whether they are signed, the page that carries ours.

use askama::Template;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use url::Url;

use crate::demo::web;
use crate::identify::saml::algorithm::AlgorithmPolicy;
use crate::identify::saml::binding::post::{Form, Posted};
use crate::identify::saml::binding::redirect::{Query, QuerySignature, Redirected};
use crate::identify::saml::binding::{Kind, RelayState};
use crate::identify::saml::request::MessageId;
use crate::identify::saml::signature::verify_enveloped;
use crate::identify::saml::writer::Written;
use crate::identify::saml::xml::{DSIG, Node, SAML, Tree, XmlError};
use crate::platform::crypto::sha256;

use super::super::state::Provider;
use super::{Failure, ServiceProvider};

/// A message from a browser.
pub(super) struct Incoming {
    pub(super) kind: Kind,
    pub(super) relay_state: Option<RelayState>,
    pub(super) by_post: bool,
    message: Vec<u8>,
    signature: Option<QuerySignature>,
}

impl Incoming {
    pub(super) fn of_query(query: &str) -> Result<Self, String> {
        let Redirected { kind, message, relay_state, signature } =
            Redirected::read(query).map_err(|error| error.to_string())?;
        Ok(Self { kind, relay_state, by_post: false, message, signature })
    }

    pub(super) fn of_form(form: &[u8]) -> Result<Self, String> {
        let Posted { kind, message, relay_state } = Posted::read(form).map_err(|error| error.to_string())?;
        Ok(Self { kind, relay_state, by_post: true, message, signature: None })
    }

    pub(super) fn tree(&self) -> Result<Tree<'_>, String> {
        Tree::parse(&self.message, self.message.len()).map_err(told)
    }

    /// Whether `from` signed it, by either binding's way; a signature that is not its own is an error.
    pub(super) fn is_signed(
        &self,
        root: Node<'_, '_>,
        tree: &Tree<'_>,
        from: &ServiceProvider,
    ) -> Result<bool, String> {
        let policy = AlgorithmPolicy::Sha2;
        let verified = if let Some(signature) = &self.signature {
            signature.verify(&from.keys, policy)
        } else if root.child(DSIG, "Signature").map_err(told)?.is_some() {
            verify_enveloped(tree, root, &from.keys, policy).map(drop)
        } else {
            return Ok(false);
        };
        verified.map(|()| true).map_err(|error| format!("the signature does not hold: {error}"))
    }
}

/// What every message says of itself (SAML Core 2.0, 3.2.1 and 3.2.2), checked.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) from: ServiceProvider,
}

impl Head {
    /// `here`: the address that the message came to.
    pub(super) fn read(root: Node<'_, '_>, here: &str, provider: &Provider) -> Result<Self, String> {
        if root.attribute("Version") != Some("2.0") {
            return Err("the message is not of SAML 2.0".to_owned());
        }
        let id = root.attribute("ID").and_then(MessageId::parse);
        let id = id.ok_or("the message has no ID, or one that XML does not allow")?.as_str().to_owned();
        let issuer = root.required(SAML, "Issuer").and_then(|issuer| issuer.text()).map_err(told)?;
        let Some(from) = provider.saml.party(&issuer) else {
            return Err(format!("no service provider with the entity ID {issuer} is known here"));
        };
        // Core 3.2.1: "If it is present, the actual recipient MUST check that the URI reference identifies the
        // location at which the message was received."
        if root.attribute("Destination").is_some_and(|destination| destination != here) {
            return Err(format!("the message was sent to {here} and is meant for another address"));
        }
        Ok(Self { id, from })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
pub(super) fn told(error: XmlError) -> String {
    error.to_string()
}

/// A fresh identifier.
pub(super) fn message_id(provider: &Provider) -> Result<String, Failure> {
    Ok(MessageId::from_random(provider.platform.entropy.bytes()?).as_str().to_owned())
}

/// The way to the other side with a message, signed as its binding wants it.
pub(super) fn send(
    provider: &Provider,
    kind: Kind,
    message: Written,
    to: &Url,
    relay_state: Option<&RelayState>,
    by_post: bool,
) -> Result<Response, Failure> {
    let key = provider.saml.key()?;
    if by_post {
        let message = message.signed(&key.signing)?;
        return Ok(post(to, kind, &message, relay_state));
    }
    let query = Query::new(kind, &message, relay_state)?.signed(&key.signing)?;
    Ok(web::see_other(query.at(to).as_str()))
}

/// All that the page does by itself.
pub(super) const SCRIPT: &str = "document.forms[0].submit()";

#[derive(Template)]
#[template(path = "demo/pages/idp_post.html")]
struct Post<'a> {
    form: &'a Form,
    script: &'static str,
}

/// A page whose form sends itself, or is sent by a click where scripts do not run.
pub(super) fn post(to: &Url, kind: Kind, message: &Written, relay_state: Option<&RelayState>) -> Response {
    let form = Form::new(to.clone(), kind, message, relay_state);
    let mut answer = web::page(StatusCode::OK, &Post { form: &form, script: SCRIPT });
    let digest = STANDARD.encode(sha256(SCRIPT.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
