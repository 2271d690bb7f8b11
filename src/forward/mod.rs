//! Stage 5: the request goes to the application with the identity headers that it can trust.

pub mod keys;
pub mod token;
