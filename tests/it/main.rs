//! The integration tests: one binary, real servers on port 0, no sleeps.

mod browser;
mod demo_recipe;
mod support;
