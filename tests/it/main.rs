//! The integration tests: one binary, real servers on port 0, no sleeps.

mod browser;
mod data_plane;
mod demo_recipe;
mod firewall;
mod main_job;
mod sessions;
mod support;
