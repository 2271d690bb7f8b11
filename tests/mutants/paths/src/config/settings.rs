//! What routes say. `Allow` stands for any access that asks who it is.

mod network;

pub use network::*;

#[derive(Debug, Clone)]
pub struct Route {
    pub path: String,
    pub access: Access,
    pub keep_encoded_slash: bool,
    pub pass_identity: bool,
}

#[derive(Debug, Clone)]
pub enum Access {
    Public,
    SignedIn,
    Deny,
    Allow(String),
}
