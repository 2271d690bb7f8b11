//! The integration tests: one binary, real servers on port 0, no sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do, with a message, and their tasks end with the test"
)]

mod admin;
mod admitted;
mod audit;
mod browser;
mod cases;
mod console;
mod data_plane;
mod demo_recipe;
mod deployment;
mod failures;
mod firewall;
mod full;
mod kills;
mod lifecycle;
mod login;
mod main_job;
mod members;
mod parties;
mod postgres;
mod provisioning;
mod rehearsal;
mod reload;
mod replicas;
mod saml;
mod saml_login;
mod sessions;
mod sqlite_file;
mod support;
mod transport;
