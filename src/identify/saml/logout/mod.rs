//! Single logout (SAML Profiles 2.0, 4.4; SAML Core 2.0, 3.7): what we ask and answer, and what we are asked.

pub mod error;
pub mod read;
pub mod write;

pub use error::LogoutError;
pub use read::{Answered, Arrived, Asked, Expected, read_request, read_response};
pub use write::{Outcome, Reason, Request, logout_request, logout_response};
