//! The identity providers, made from the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Settings;
use crate::config::settings::{Idp, OidcIdp, SamlIdp};
use crate::identify::IdentityProtocol;
use crate::identify::oidc::Oidc;
use crate::identify::saml::{Addresses, Saml, UnusableKey};
use crate::model::IdpId;
use crate::platform::{Outbound, Platform, Tasks};
use crate::store::Store;

/// The identity providers, each by its protocol; those that speak SAML once more as what they are.
#[derive(Default)]
pub(super) struct Providers {
    pub(super) protocols: Vec<Arc<dyn IdentityProtocol>>,
    pub(super) saml: HashMap<IdpId, Arc<Saml>>,
}

impl Providers {
    /// # Errors
    /// Where a key of ours cannot be used.
    pub(super) fn start(
        settings: &Settings,
        wanted: &[String],
        outbound: &Outbound,
        store: &Arc<dyn Store>,
        platform: &Platform,
        tasks: &Tasks,
    ) -> Result<Self, UnusableKey> {
        let address = |path: String| {
            let mut url = settings.server.public_url.clone();
            url.set_path(&format!("{}/{path}", settings.server.prefix));
            url
        };
        let mut providers = Self::default();
        for idp in &settings.idps {
            let (outbound, store, platform) = (outbound.clone(), store.clone(), platform.clone());
            match idp {
                Idp::Oidc(idp) => {
                    let redirect = address(format!("oidc/{}/callback", idp.id));
                    let idp = OidcIdp::clone(idp);
                    let oidc = Oidc::new(idp, redirect, wanted.to_vec(), outbound, store, platform);
                    oidc.spawn(tasks);
                    providers.protocols.push(oidc);
                }
                Idp::Saml(idp) => {
                    let addresses = Addresses {
                        acs: address(format!("saml/{}/acs", idp.id)),
                        slo: address(format!("saml/{}/slo", idp.id)),
                    };
                    let saml = Saml::new(SamlIdp::clone(idp), addresses, outbound, store, platform)?;
                    saml.spawn(tasks);
                    providers.saml.insert(idp.id.clone(), saml.clone());
                    providers.protocols.push(saml);
                }
            }
        }
        Ok(providers)
    }
}
