//! What waits in the outbox to be sent: an e-mail, or a call to a webhook.

use uuid::Uuid;

use super::UnixTime;

/// One message to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Stays the same however often it is sent: receivers tell repetitions by it (UUID version 7).
    pub id: Uuid,
    pub channel: Channel,
    /// An e-mail address; empty for the webhook, whose URL is configured.
    pub recipient: String,
    /// Of an e-mail; for the webhook, the event's name.
    pub subject: String,
    pub body: String,
    pub written_at: UnixTime,
}

/// How a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Email,
    Webhook,
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Email, Self::Webhook];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
        }
    }
}

/// A letter that one sender has for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedLetter {
    pub letter: Letter,
    /// How often it was tried before.
    pub attempts: u32,
}
