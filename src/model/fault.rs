//! Who has to act when something was refused.

/// At whose door an error lies; decides the status code, the alarm and the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The browser, or whoever steers it.
    Client,
    /// Nobody erred: this person is not meant to come in, or not yet.
    Person,
    IdentityProvider,
    Application,
    /// Whoever wrote the configuration, here or at the identity provider.
    Operator,
    Us,
}

impl Fault {
    /// The word for logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Person => "person",
            Self::IdentityProvider => "identity_provider",
            Self::Application => "application",
            Self::Operator => "operator",
            Self::Us => "us",
        }
    }
}
