//! Digests and seals, without the clock and what reaches out.

pub mod crypto;
pub mod entropy;

pub use crypto::KeyRing;
pub use entropy::{Entropy, SystemEntropy};
