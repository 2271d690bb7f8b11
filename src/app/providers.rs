//! The identity providers, made from the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::admin::IsReady;
use crate::admin::console::{Answering, Console, redirect_uri, saml_address};
use crate::config::Settings;
use crate::config::settings::{AttributeSource, Idp, OidcIdp, Provisioning, SamlIdp, Scim};
use crate::identify::IdentityProtocol;
use crate::identify::oidc::{Oidc, WantedClaims};
use crate::identify::saml::{Addresses, Saml, UnusableKey};
use crate::model::IdpId;
use crate::platform::{KeyRing, Outbound, Platform, Tasks};
use crate::provision::connector::Features;
use crate::store::Store;

/// An identity provider that nobody has asked anything yet.
pub(super) enum Made {
    Oidc(Arc<Oidc>),
    Saml(Arc<Saml>),
}

impl Made {
    /// Fetches what the provider says of itself, now.
    ///
    /// # Errors
    /// Why that cannot be had, or used.
    pub(super) async fn refresh(&self) -> Result<(), String> {
        match self {
            Self::Oidc(oidc) => oidc.refresh().await.map_err(|error| error.to_string()),
            Self::Saml(saml) => saml.refresh().await.map_err(|error| error.to_string()),
        }
    }
}

/// What providers are made with.
pub(super) struct With<'a> {
    pub wanted: &'a WantedClaims,
    pub outbound: &'a Outbound,
    pub store: &'a Arc<dyn Store>,
    pub platform: &'a Platform,
}

/// # Errors
/// Where a key of ours cannot be used.
pub(super) fn made(idp: &Idp, settings: &Settings, with: &With<'_>) -> Result<Made, UnusableKey> {
    let address = |path: String| {
        let mut url = settings.server.public_url.clone();
        url.set_path(&format!("{}/{path}", settings.server.prefix));
        url
    };
    let (outbound, store, platform) = (with.outbound.clone(), with.store.clone(), with.platform.clone());
    Ok(match idp {
        Idp::Oidc(idp) => {
            let redirect = address(format!("oidc/{}/callback", idp.id));
            let idp = OidcIdp::clone(idp);
            Made::Oidc(Oidc::new(idp, redirect, with.wanted.clone(), outbound, store, platform))
        }
        Idp::Saml(idp) => {
            let addresses = Addresses {
                acs: address(format!("saml/{}/acs", idp.id)),
                slo: Some(address(format!("saml/{}/slo", idp.id))),
            };
            Made::Saml(Saml::new(SamlIdp::clone(idp), addresses, outbound, store, platform)?)
        }
    })
}

/// The identity providers, each by its protocol; those that speak SAML once more as what they are.
#[derive(Default)]
pub(super) struct Providers {
    pub(super) protocols: Vec<Arc<dyn IdentityProtocol>>,
    pub(super) saml: HashMap<IdpId, Arc<Saml>>,
}

impl Providers {
    /// Makes them, and keeps what they say of themselves fresh from now on.
    ///
    /// # Errors
    /// Where a key of ours cannot be used.
    pub(super) fn start(settings: &Settings, with: &With<'_>, tasks: &Tasks) -> Result<Self, UnusableKey> {
        let mut providers = Self::default();
        for idp in &settings.idps {
            match made(idp, settings, with)? {
                Made::Oidc(oidc) => {
                    oidc.spawn(tasks);
                    providers.protocols.push(oidc);
                }
                Made::Saml(saml) => {
                    saml.spawn(tasks);
                    providers.saml.insert(idp.id().clone(), saml.clone());
                    providers.protocols.push(saml);
                }
            }
        }
        Ok(providers)
    }
}

/// Signing in at the admin API, where that is set up: the same providers, which send browsers back to addresses there.
pub(super) fn console(
    settings: &Settings,
    keys: &KeyRing,
    outbound: &Outbound,
    store: &Arc<dyn Store>,
    platform: &Platform,
    tasks: &Tasks,
) -> Result<Option<Console>, UnusableKey> {
    let Some(configured) = &settings.admin.console else { return Ok(None) };
    let mut claims = vec!["email".to_owned()];
    claims.extend(configured.rules.iter().flat_map(|rule| rule.when.claims().iter().cloned()));
    // G6: the address by which a member may be blocked.
    let email = settings.provisioning.attributes.get("email");
    if let Some(AttributeSource::Claims(named)) = email.map(|email| &email.source) {
        claims.extend(named.first().cloned());
    }
    claims.sort();
    claims.dedup();
    let wanted: WantedClaims = Arc::new(ArcSwap::from_pointee(claims));
    let mut providers = Providers::default();
    let ruled = settings.idps.iter().filter(|idp| configured.rules.iter().any(|rule| rule.idp == *idp.id()));
    for idp in ruled {
        let (outbound, store, platform) = (outbound.clone(), store.clone(), platform.clone());
        match idp {
            Idp::Oidc(idp) => {
                let redirect = redirect_uri(&configured.public_url, &idp.id);
                let idp = OidcIdp::clone(idp);
                let oidc = Oidc::new(idp, redirect, wanted.clone(), outbound, store, platform);
                oidc.spawn(tasks);
                providers.protocols.push(oidc);
            }
            Idp::Saml(idp) => {
                let at = |name: &str| saml_address(&configured.public_url, &idp.id, name);
                // Another service provider than the one for people: what is said to the one is nothing for the other.
                let ours = SamlIdp {
                    entity_id: at("metadata").to_string(),
                    idp_initiated: None,
                    assertion_consumer_service_index: None,
                    ..SamlIdp::clone(idp)
                };
                let addresses = Addresses { acs: at("acs"), slo: None };
                let saml = Saml::new(ours, addresses, outbound, store, platform)?;
                saml.spawn(tasks);
                providers.saml.insert(idp.id.clone(), saml.clone());
                providers.protocols.push(saml);
            }
        }
    }
    let label = |id: &IdpId| {
        let known = settings.idps.iter().find(|idp| idp.id() == id);
        known.map_or_else(|| id.to_string(), |idp| idp.label().to_owned())
    };
    let answering = Answering { protocols: providers.protocols, saml: providers.saml };
    Ok(Some(Console::new(configured, answering, label, store.clone(), keys, platform.clone())))
}

impl Providers {
    /// Which of them have their metadata at hand.
    pub(super) fn is_ready(&self) -> Arc<IsReady> {
        let protocols = self.protocols.clone();
        Arc::new(move |id| protocols.iter().any(|protocol| protocol.id() == id && protocol.ready()))
    }
}

/// What `wanted_claims` gives, to be changed when the settings are.
pub(super) fn wanted(settings: &Settings, features: &Features) -> WantedClaims {
    let wanted = wanted_claims(&settings.provisioning, settings.scim.as_ref(), features);
    Arc::new(ArcSwap::from_pointee(wanted))
}

/// The claims that the configuration refers to: where an ID token lacks one, the provider is asked for more.
pub(super) fn wanted_claims(
    provisioning: &Provisioning,
    scim: Option<&Scim>,
    features: &Features,
) -> Vec<String> {
    let mut wanted: Vec<String> = vec!["email".to_owned()];
    wanted.extend(provisioning.role_claim.clone());
    wanted.extend(provisioning.groups_claim.clone());
    wanted.extend(provisioning.teams_claim.iter().flat_map(|teams| teams.claim.clone()));
    let conditions = provisioning.mapping.iter().filter_map(|row| row.when.as_ref());
    wanted.extend(conditions.flat_map(|condition| condition.claims().iter().cloned()));
    wanted.extend(provisioning.attributes.values().filter_map(|attribute| match &attribute.source {
        AttributeSource::Claims(claims) => claims.first().cloned(),
        AttributeSource::Connector | AttributeSource::Constant(_) | AttributeSource::Template(_) => None,
    }));
    wanted.extend(scim.and_then(|scim| scim.matching.claim().map(str::to_owned)));
    let required = features.attributes.values().filter(|attribute| attribute.required);
    wanted.extend(required.filter_map(|attribute| attribute.claims.first().cloned()));
    wanted.sort();
    wanted.dedup();
    wanted
}
