//! Stage 3: may this go through? Routes compiled at load, the most specific path wins.

pub mod permitted;
pub mod routes;

pub use permitted::{Permitted, Refusal, Refused, authorise};
pub use routes::Routes;
