//! Stage 2: who is it? Sessions and cookies for requests; the login state machine for sign-ins.

mod address;
pub mod answer;
pub mod cookie;
pub mod csrf;
pub mod endpoints;
mod held;
pub mod intent;
pub mod live;
pub mod login;
pub mod oidc;
pub mod protocol;
pub mod refused;
mod rounds;
pub mod saml;
pub mod session;
mod shown;
pub mod throttle;
pub mod tokens;
pub mod verified;

pub use login::{BegunLogin, Finished, Logins};
pub use protocol::{Answer, AnswerParameters, Departure, IdentityProtocol, LoginError};
pub use verified::Verified;
