//! Which entries administrators are told of, and in which words.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use url::Url;

use crate::config::settings::{self, NotifyEvent};
use crate::model::letter::{Channel, Letter};
use crate::model::{EmailAddress, UnixTime};
use crate::observe::audit::entry::Actor;
use crate::observe::audit::{Entry, Event, Weight};
use crate::platform::Entropy;
use crate::platform::entropy::NoEntropy;

/// Letters of one usual event in an hour; the last one says that there are more. Alarming events have no limit.
const PER_HOUR: u32 = 30;
/// A value in a letter is cut there.
const MAX_VALUE: usize = 400;

/// Turns entries into letters.
pub struct Announcer {
    events: Vec<Event>,
    administrators: Vec<EmailAddress>,
    webhook: bool,
    public_url: Url,
    /// Wakes the courier.
    nudge: Arc<Notify>,
    /// The hour, and how many letters of the event there were in it.
    written: Mutex<HashMap<Event, (i64, u32)>>,
}

/// The audit event that a setting means.
fn event(event: NotifyEvent) -> Event {
    match event {
        NotifyEvent::JitEnabled => Event::JitEnabled,
        NotifyEvent::JitDisabled => Event::JitDisabled,
        NotifyEvent::AccountCreated => Event::AccountCreated,
        NotifyEvent::JobStuck => Event::JobStuck,
        NotifyEvent::RemovalsPaused => Event::RemovalsPaused,
        NotifyEvent::CaseOpened => Event::CaseOpened,
        NotifyEvent::AuditGap => Event::Gap,
    }
}

/// What happened, as a subject says it, and what to do about it.
fn words(event: Event) -> (&'static str, &'static str) {
    match event {
        Event::JitEnabled => (
            "just-in-time provisioning was switched on",
            "From now on, people whom an identity provider vouches for get accounts by themselves.",
        ),
        Event::JitDisabled => (
            "just-in-time provisioning was switched off",
            "Nobody gets an account by signing in any more; those that there are stay.",
        ),
        Event::AccountCreated => {
            ("an account was made", "Nothing is to be done if this person should have one.")
        }
        Event::JobStuck => (
            "a job waits for you",
            "The application refused something for good, and it will not be tried again by itself. Look at the job's \
             reason, mend that, and have it tried again, or drop it.",
        ),
        Event::RemovalsPaused => (
            "removals are paused",
            "More accounts were to be deactivated, deleted or demoted within an hour than max_removals allows. If that \
             is right, let them go on; if not, look at what the identity provider sends.",
        ),
        Event::CaseOpened => (
            "somebody waits for you to decide",
            "Look at it with `narthex case show` or in the admin API, and decide: the person cannot sign in until then.",
        ),
        Event::Gap => (
            "the audit log has a gap",
            "The store was away for too long, and entries did not fit into memory any more. The process log may have \
             them; look at why the store was away.",
        ),
        other => (other.meaning(), "The audit log has more."),
    }
}

impl Announcer {
    /// `None` where nobody is to be told of anything.
    #[must_use]
    pub fn of(settings: &settings::Notify, public_url: &Url, nudge: Arc<Notify>) -> Option<Self> {
        let administrators =
            if settings.smtp.is_some() { settings.administrators.clone() } else { Vec::new() };
        if administrators.is_empty() && settings.webhook.is_none() {
            return None;
        }
        Some(Self {
            events: settings.events.iter().copied().map(event).collect(),
            administrators,
            webhook: settings.webhook.is_some(),
            public_url: public_url.clone(),
            nudge,
            written: Mutex::default(),
        })
    }

    /// The letters that tell of `entry`, if it is one to be told of.
    ///
    /// # Errors
    /// Where the random source fails; then there are none.
    pub fn letters(
        &self,
        entry: &Entry,
        at: UnixTime,
        entropy: &dyn Entropy,
    ) -> Result<Vec<Letter>, NoEntropy> {
        if !self.events.contains(&entry.event) {
            return Ok(Vec::new());
        }
        let Some(last_of_the_hour) = self.count(entry.event, at) else { return Ok(Vec::new()) };
        let subject = format!("narthex at {}: {}", self.site(), words(entry.event).0);
        let text = self.text(entry, at, last_of_the_hour);
        let mut letters = Vec::new();
        for administrator in &self.administrators {
            letters.push(Letter {
                id: entropy.uuid(at)?,
                channel: Channel::Email,
                recipient: administrator.to_string(),
                subject: subject.clone(),
                body: text.clone(),
                written_at: at,
            });
        }
        if self.webhook {
            letters.push(Letter {
                id: entropy.uuid(at)?,
                channel: Channel::Webhook,
                recipient: String::new(),
                subject: entry.event.name().to_owned(),
                body: self.payload(entry, at).to_string(),
                written_at: at,
            });
        }
        Ok(letters)
    }

    /// Has the courier look into the outbox now.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Whether this is the hour's last letter of its kind; `None` where there were enough.
    fn count(&self, event: Event, at: UnixTime) -> Option<bool> {
        if event.weight() == Weight::Alarming {
            return Some(false);
        }
        let hour = at.0.div_euclid(3600);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = written.entry(event).or_insert((hour, 0));
        if counted.0 != hour {
            *counted = (hour, 0);
        }
        counted.1 = counted.1.saturating_add(1);
        (counted.1 <= PER_HOUR).then_some(counted.1 == PER_HOUR)
    }

    fn site(&self) -> &str {
        self.public_url.host_str().unwrap_or("an unnamed host")
    }

    fn text(&self, entry: &Entry, at: UnixTime, last_of_the_hour: bool) -> String {
        let (what, advice) = words(entry.event);
        let site = self.public_url.origin().ascii_serialization();
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{line}");
        };
        line(format_args!("At {site}, {what}.\n\n{advice}\n"));
        for (name, value) in facts(entry, at) {
            line(format_args!("{name}: {}", plain(&value)));
        }
        if last_of_the_hour {
            line(format_args!(
                "\nThere were {PER_HOUR} of these in this hour. Further ones are in the audit log only, until the next."
            ));
        }
        line(format_args!(
            "\nThe audit log has this as {} (narthex audit export --event {}).\n-- \nSent by narthex to \
             notify.administrators.",
            entry.event, entry.event
        ));
        text
    }

    /// As Standard Webhooks has it (payload structure).
    fn payload(&self, entry: &Entry, at: UnixTime) -> Value {
        let data: Map<String, Value> = facts(entry, at).into_iter().collect();
        json!({
            "type": entry.event.name(),
            "timestamp": at.to_string(),
            "data": {
                "site": self.public_url.origin().ascii_serialization(),
                "message": words(entry.event).0,
                "details": data,
            },
        })
    }
}

/// What an entry says, flat and in order.
fn facts(entry: &Entry, at: UnixTime) -> Vec<(String, Value)> {
    let mut facts = vec![("time".to_owned(), Value::String(at.to_string()))];
    let mut put = |name: &str, value: Value| facts.push((name.to_owned(), value));
    match (&entry.about, &entry.actor) {
        (Some((idp, subject)), _) | (None, Actor::Person { idp, subject }) => {
            put("identity provider", idp.as_str().into());
            put("subject", subject.as_str().into());
        }
        (None, Actor::Administrator { .. } | Actor::Narthex | Actor::Provider(_) | Actor::CommandLine) => {}
    }
    match &entry.actor {
        Actor::Administrator { name, .. } => put("by", name.as_str().into()),
        Actor::CommandLine => put("by", "the command line".into()),
        Actor::Provider(idp) => put("by", idp.as_str().into()),
        Actor::Narthex | Actor::Person { .. } => {}
    }
    if let Some(member) = entry.member {
        put("member", member.to_string().into());
    }
    if let Some(code) = entry.code {
        put("code", code.into());
    }
    for (name, value) in entry.personal.iter().chain(&entry.fields) {
        // Whole states of accounts are for the log.
        if !matches!(name.as_str(), "before" | "after") {
            put(name, value.clone());
        }
    }
    facts
}

/// SECURITY: names and reasons come from outside; what would begin a line or a header of its own does not.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    clean.take(MAX_VALUE).collect()
}
