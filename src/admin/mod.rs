//! The administrators' side: what is reached on listeners of its own, never through the public one.

pub mod scim_server;
