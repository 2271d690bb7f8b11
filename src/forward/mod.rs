//! Stage 5: to the application and back. One choke point writes the headers; bodies stream.

pub mod body;
pub mod cookies;
pub mod headers;
pub mod keys;
pub mod managed;
pub mod send;
pub mod token;
pub mod trace;
pub mod upgrade;
pub mod upstream;

pub use body::{Body, RequestBody};
pub use cookies::Cookies;
pub use headers::Firewall;
pub use upstream::{Upstream, UpstreamError};
