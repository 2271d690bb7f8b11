//! What tests replace: the clock, the randomness, the tasks; and what every folder would otherwise do in
//! its own way: digests, seals, outbound HTTP with limits.

pub mod clock;
pub mod crypto;
pub mod entropy;
pub mod files;
pub mod keyfile;
pub mod outbound;
pub mod smtp;
pub mod tasks;
pub mod webhook;

use std::sync::Arc;

pub use clock::{Clock, SystemClock};
pub use crypto::KeyRing;
pub use entropy::{Entropy, SystemEntropy};
pub use outbound::Outbound;
pub use tasks::Tasks;

/// Time and randomness, handed to whoever needs them.
#[derive(Clone)]
pub struct Platform {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Platform {
    /// The machine's own clock and random numbers.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}
