//! Stage 1: accept connections, read requests, and give each the one form that the other stages believe.

pub mod accept;
pub mod path;
pub mod request;
pub mod tls;

pub use accept::DataPlane;
pub use request::Inbound;
