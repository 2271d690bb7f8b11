//! A text that never shows itself in logs, errors or `Debug`, and is wiped when dropped.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A password, token or key in memory. To read it, say so: [`Secret::expose`].
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself. Not for logs, errors or metrics (SECURITY.md 8).
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
