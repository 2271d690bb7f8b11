//! narthex between identity providers and applications that others wrote. Needs `tests/parties/install all`; cargo
//! leaves these out ("ignored"), `tests/run` runs them.

mod applications;
mod front;
mod gitea;
mod gitea_members;
mod gitea_shadow;
mod gitea_tokens;
mod jupyterhub;
mod keycloak;
mod keycloak_saml;
mod miniflux;
mod oidc_provider;
mod samlp;
mod scim;
mod scim_server;
