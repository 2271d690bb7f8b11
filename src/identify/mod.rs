//! Stage 2: who is it? Sessions and cookies for requests; the login state machine for sign-ins.

pub mod cookie;
pub mod csrf;
pub mod endpoints;
pub mod intent;
pub mod login;
pub mod oidc;
pub mod protocol;
pub mod session;
pub mod verified;

pub use protocol::{Begun, IdentityProtocol, LoginError};
pub use verified::Verified;
