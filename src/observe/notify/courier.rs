//! Takes letters out of the outbox and sends them, again and again with growing delays, for three days at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::webhook::{Webhook, WebhookError};
use crate::model::letter::{Channel, ClaimedLetter, Letter};
use crate::model::{EmailAddress, UnixTime};
use crate::observe::audit::{Audit, Entry, Event};
use crate::observe::metrics;
use crate::platform::Platform;
use crate::platform::smtp::{Mail, MailError, Mailer};
use crate::store::{OutboxStore, StoreError};

/// How often the outbox is looked into without anybody's nudge.
const LOOK: Duration = Duration::from_secs(15);
/// Letters taken at a time; all of them are sent within [`LEASE`].
const AT_ONCE: usize = 4;
/// How long no other replica takes what this one took.
const LEASE: Duration = Duration::from_mins(5);
/// Before the second try; doubled before each further one.
const FIRST_DELAY: Duration = Duration::from_secs(30);
const LONGEST_DELAY: Duration = Duration::from_hours(4);
/// After an answer that will most probably be the same next time.
const DELAY_OF_REFUSED: Duration = Duration::from_hours(1);
/// A letter older than this is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(72);

/// The one that sends.
pub struct Courier {
    store: Arc<dyn OutboxStore>,
    mailer: Option<Mailer>,
    webhook: Option<Webhook>,
    platform: Platform,
    audit: Audit,
    nudge: Arc<Notify>,
    /// Tells this process's claims from others'.
    holder: u64,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error("its recipient is no e-mail address any more")]
    NoAddress,
    #[error("notify.{0} is not configured any more")]
    NotConfigured(&'static str),
}

impl SendError {
    /// The same would most probably happen at once.
    fn is_final(&self) -> bool {
        match self {
            Self::Mail(MailError::NotTaken { .. }) | Self::Webhook(WebhookError::Outbound(_)) => false,
            Self::Webhook(WebhookError::NotTaken { status }) => status.is_client_error(),
            Self::Mail(_) | Self::Webhook(_) | Self::NoAddress | Self::NotConfigured(_) => true,
        }
    }
}

impl Courier {
    #[must_use]
    pub fn new(
        store: Arc<dyn OutboxStore>,
        mailer: Option<Mailer>,
        webhook: Option<Webhook>,
        platform: Platform,
        audit: Audit,
        nudge: Arc<Notify>,
    ) -> Self {
        // Never 0, which stands for nobody.
        let holder = u64::from_le_bytes(platform.entropy.bytes().unwrap_or_default()) | 1;
        Self { store, mailer, webhook, platform, audit, nudge, holder }
    }

    /// Sends whatever comes, until `stop`. What is not sent by then waits for the next start, or for another replica.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let full = match stop.run_until_cancelled(self.round()).await {
                None => return,
                Some(Ok(taken)) => taken == AT_ONCE,
                Some(Err(error)) => {
                    tracing::warn!(%error, "the outbox cannot be looked into; it is tried again");
                    false
                }
            };
            if full {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.nudge.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Takes what is due and sends it; returns how many it took.
    ///
    /// # Errors
    /// Where the store is away. What was sent meanwhile may be sent a second time, under the same id.
    pub async fn round(&self) -> Result<usize, StoreError> {
        let now = self.platform.clock.now();
        let claimed = self.store.claim_letters(self.holder, now, now.after(LEASE), AT_ONCE).await?;
        for one in &claimed {
            self.see_to(one).await?;
        }
        Ok(claimed.len())
    }

    async fn see_to(&self, claimed: &ClaimedLetter) -> Result<(), StoreError> {
        let ClaimedLetter { letter, attempts } = claimed;
        let channel = letter.channel.as_str();
        let error = match self.send(letter).await {
            Ok(()) => {
                metrics::notification(channel, "sent");
                self.store.drop_letter(letter.id, self.holder).await?;
                return Ok(());
            }
            Err(error) => error,
        };
        let now = self.platform.clock.now();
        if now.since(letter.written_at) >= GIVEN_UP_AFTER {
            metrics::notification(channel, "lost");
            tracing::error!(id = %letter.id, channel, %error, "a notification is given up");
            if self.store.drop_letter(letter.id, self.holder).await? {
                let lost = Entry::new(Event::NotificationLost).field("channel", channel);
                let lost = lost.field("attempts", attempts.saturating_add(1));
                self.audit.record(
                    lost.personal("recipient", &letter.recipient).personal("reason", &error.to_string()),
                );
            }
            return Ok(());
        }
        let due_at = next_try(now, *attempts, error.is_final());
        metrics::notification(channel, "put_off");
        tracing::warn!(id = %letter.id, channel, attempts, again_at = %due_at, %error, "a notification was not sent");
        self.store.put_off_letter(letter.id, self.holder, due_at).await?;
        Ok(())
    }

    async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        match letter.channel {
            Channel::Email => {
                let mailer = self.mailer.as_ref().ok_or(SendError::NotConfigured("smtp"))?;
                let to = EmailAddress::parse(&letter.recipient).map_err(|_| SendError::NoAddress)?;
                let mail = Mail {
                    id: letter.id,
                    at: letter.written_at,
                    to: &to,
                    subject: &letter.subject,
                    text: &letter.body,
                };
                Ok(mailer.send(&mail).await?)
            }
            Channel::Webhook => {
                let webhook = self.webhook.as_ref().ok_or(SendError::NotConfigured("webhook"))?;
                Ok(webhook.send(letter.id, self.platform.clock.now(), &letter.body).await?)
            }
        }
    }
}

fn next_try(now: UnixTime, attempts: u32, refused: bool) -> UnixTime {
    let doubled = FIRST_DELAY.saturating_mul(1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX));
    let delay = doubled.min(LONGEST_DELAY);
    now.after(if refused { delay.max(DELAY_OF_REFUSED) } else { delay })
}
