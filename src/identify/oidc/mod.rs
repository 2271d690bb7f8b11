//! OpenID Connect: discovery, authorization code with PKCE, ID token checks, logout.

pub mod discovery;
pub mod document;
pub mod error;
pub mod id_token;
pub mod jws;
pub mod keys;
pub mod logout;
mod provider;
pub mod token;
pub mod userinfo;

#[cfg(test)]
pub(in crate::identify) mod testing;
#[cfg(test)]
mod tests;

pub use error::OidcError;
pub use provider::{Oidc, WantedClaims};
