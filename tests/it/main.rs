//! The integration tests: one binary, real servers on port 0, no sleeps.

mod browser;
mod support;
