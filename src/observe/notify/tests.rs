//! Letters as they are written, sent, put off and given up; the mail server and the receiver are on loopback.

mod servers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use url::Url;

use self::servers::{MailServer, Offer, Receiver};
use super::*;
use crate::config::settings::{self, NotifyEvent, SmtpSecurity};
use crate::model::audit::AuditQuery;
use crate::model::letter::Channel;
use crate::model::{
    Account, AccountId, AccountProfile, EmailAddress, Entitlements, IdpId, Secret, Subject, UnixTime,
};
use crate::observe::audit::{Audit, AuditWriter, Entry, Event};
use crate::platform::smtp::{Mail, MailError, Mailer, Security, Server};
use crate::platform::{Clock, Outbound, Platform, SystemEntropy};
use crate::store::memory::Memory;
use crate::store::{AuditStore, OutboxStore};

const NOW: UnixTime = UnixTime(1_800_000_000);
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

fn root() -> EmailAddress {
    EmailAddress::parse("root@example.com").unwrap()
}

fn public_url() -> Url {
    "https://git.example.com".parse().unwrap()
}

/// As whom the tests send, to `server`.
fn account(server: &MailServer, security: Security) -> Server {
    Server {
        host: "localhost".to_owned(),
        port: server.port,
        security,
        credentials: (security != Security::Plain).then(|| ("narthex".to_owned(), Secret::new("pass word"))),
        from: EmailAddress::parse("narthex@example.com").unwrap(),
        hello: "git.example.com".to_owned(),
    }
}

fn mailer(server: &MailServer, security: Security) -> Mailer {
    Mailer::new(&account(server, security), server.root.as_bytes()).unwrap()
}

fn all_events() -> Vec<NotifyEvent> {
    vec![
        NotifyEvent::JitEnabled,
        NotifyEvent::JitDisabled,
        NotifyEvent::AccountCreated,
        NotifyEvent::JobStuck,
        NotifyEvent::RemovalsPaused,
        NotifyEvent::CaseOpened,
        NotifyEvent::AuditGap,
    ]
}

fn announcer(events: Vec<NotifyEvent>, nudge: Arc<Notify>) -> Announcer {
    let smtp = settings::Smtp {
        host: "localhost".to_owned(),
        port: 25,
        security: SmtpSecurity::None,
        credentials: None,
        from: root(),
    };
    let webhook =
        settings::Webhook { url: "https://hooks.example.com".parse().unwrap(), secret: Secret::new(SECRET) };
    let settings =
        settings::Notify { administrators: vec![root()], events, smtp: Some(smtp), webhook: Some(webhook) };
    Announcer::of(&settings, &public_url(), nudge).unwrap()
}

/// A log whose entries become letters, and who sends them.
struct Scene {
    clock: Arc<Hands>,
    store: Arc<Memory>,
    audit: Audit,
    writer: AuditWriter,
    courier: Courier,
}

fn scene(mailer: Option<Mailer>, webhook: Option<Webhook>) -> Scene {
    let (clock, store) = (Arc::new(Hands(AtomicI64::new(NOW.0))), Arc::new(Memory::default()));
    let platform = Platform { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
    let nudge = Arc::new(Notify::new());
    let announcing = Announcing::new(Some(Arc::new(announcer(all_events(), nudge.clone()))).into());
    let (audit, writer) =
        Audit::start_announcing(store.clone(), platform.clone(), Handle::current(), announcing);
    let courier = Courier::new(store.clone(), mailer, webhook, platform, audit.clone(), nudge);
    Scene { clock, store, audit, writer, courier }
}

impl Scene {
    async fn record(&self, entry: Entry) {
        self.audit.record_durably(entry).await.unwrap();
    }

    fn wait(&self, by: Duration) {
        self.clock.0.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }

    /// What waits for its turn, whenever that is.
    async fn waiting(&self, channel: Channel) -> usize {
        let (far, further) = (UnixTime(i64::MAX - 1), UnixTime(i64::MAX));
        let claimed = self.store.claim_letters(99, far, further, 100).await.unwrap();
        claimed.iter().filter(|one| one.letter.channel == channel).count()
    }

    async fn events(&self) -> Vec<String> {
        let entries = self.store.list_audit(&AuditQuery::default()).await.unwrap();
        entries.into_iter().map(|one| one.event).collect()
    }
}

fn created(username: &str) -> Entry {
    let account = Account {
        id: AccountId("42".to_owned()),
        profile: AccountProfile { username: username.to_owned(), ..AccountProfile::default() },
        active: true,
        privileged: false,
        entitlements: Entitlements::default(),
    };
    let idp: IdpId = "corp".parse().unwrap();
    Entry::new(Event::AccountCreated).about(&idp, &Subject::parse("ada").unwrap()).after(&account)
}

fn mail<'a>(to: &'a EmailAddress, subject: &'a str, text: &'a str) -> Mail<'a> {
    Mail { id: uuid::Uuid::from_bytes([7; 16]), at: NOW, to, subject, text }
}

#[tokio::test]
async fn s4_an_account_that_was_made_is_told_by_mail_over_starttls() {
    let server = MailServer::start(Offer::StartTls).await;
    let scene = scene(Some(mailer(&server, Security::StartTls)), None);
    scene.record(created("ada")).await;
    scene.courier.round().await.unwrap();
    let [received] = server.received().try_into().unwrap();
    assert!(received.tls, "not a word of it was in the clear");
    assert_eq!(received.login.as_deref(), Some("\0narthex\0pass word"));
    assert_eq!((received.from.as_str(), received.to.as_str()), ("narthex@example.com", "root@example.com"));
    let (head, body) = received.data.split_once("\r\n\r\n").unwrap();
    for line in [
        "From: narthex <narthex@example.com>",
        "To: root@example.com",
        "Subject: narthex at git.example.com: an account was made",
        "Date: Fri, 15 Jan 2027 08:00:00 +0000",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(head.lines().any(|one| one == line), "{line}: {head}");
    }
    assert!(body.contains("account: id 42, username ada"), "{body}");
    assert!(body.contains("subject: ada"), "{body}");
    assert_eq!(scene.waiting(Channel::Email).await, 0, "it went once");
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_mail_goes_over_tls_from_the_first_byte_and_plainly_on_this_machine() {
    let server = MailServer::start(Offer::Tls).await;
    mailer(&server, Security::Tls).send(&mail(&root(), "subject", "text\n")).await.unwrap();
    assert!(server.received()[0].tls);
    let server = MailServer::start(Offer::Plain).await;
    mailer(&server, Security::Plain).send(&mail(&root(), "subject", "text\n")).await.unwrap();
    assert!(!server.received()[0].tls);
}

#[tokio::test]
async fn s4_a_server_without_starttls_gets_neither_password_nor_mail() {
    let server = MailServer::start(Offer::Plain).await;
    let sent = mailer(&server, Security::StartTls).send(&mail(&root(), "subject", "text\n")).await;
    assert!(matches!(sent, Err(MailError::NotTaken { .. })), "{sent:?}");
    assert!(server.received().is_empty());
    let said = server.commands();
    assert!(!said.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{said:?}");
}

#[tokio::test]
async fn s4_a_server_that_nobody_vouches_for_gets_nothing() {
    let (server, other) =
        (MailServer::start(Offer::StartTls).await, MailServer::start(Offer::StartTls).await);
    let mailer = Mailer::new(&account(&server, Security::StartTls), other.root.as_bytes()).unwrap();
    let sent = mailer.send(&mail(&root(), "subject", "text\n")).await;
    assert!(matches!(sent, Err(MailError::NotTaken { .. })), "{sent:?}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn s4_control_characters_are_refused_in_headers_and_text() {
    let server = MailServer::start(Offer::Plain).await;
    let mailer = mailer(&server, Security::Plain);
    for subject in ["a\r\nBcc: eve@example.com", "a\nb", "a\u{0}"] {
        let sent = mailer.send(&mail(&root(), subject, "text\n")).await;
        assert_eq!(sent, Err(MailError::ControlCharacter { part: "subject" }), "{subject:?}");
    }
    let sent = mailer.send(&mail(&root(), "subject", "a\u{1b}[31m")).await;
    assert_eq!(sent, Err(MailError::ControlCharacter { part: "text" }));
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn s4_a_name_that_would_write_lines_of_its_own_does_not() {
    let server = MailServer::start(Offer::Plain).await;
    let scene = scene(Some(mailer(&server, Security::Plain)), None);
    scene.record(created("mallory\r\n.\r\nMAIL FROM:<eve@example.com>")).await;
    scene.courier.round().await.unwrap();
    let received = server.received();
    assert_eq!(received.len(), 1);
    let (head, _) = received[0].data.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("mallory") && !head.contains("eve@"), "{head}");
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_a_letter_that_was_not_taken_is_tried_again_under_the_same_id() {
    let server = MailServer::start(Offer::Plain).await;
    let scene = scene(Some(mailer(&server, Security::Plain)), None);
    server.answer_recipients_with("451 later");
    scene.record(created("ada")).await;
    assert!(scene.courier.round().await.unwrap() > 0);
    assert!(server.received().is_empty());
    server.answer_recipients_with("250 fine");
    scene.courier.round().await.unwrap();
    assert!(server.received().is_empty(), "not at once");
    scene.wait(Duration::from_secs(30));
    scene.courier.round().await.unwrap();
    assert_eq!(server.received().len(), 1);
    assert_eq!(scene.waiting(Channel::Email).await, 0);
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_delays_grow_and_after_three_days_a_letter_is_given_up_and_the_log_says_so() {
    let server = MailServer::start(Offer::Plain).await;
    let scene = scene(Some(mailer(&server, Security::Plain)), None);
    server.answer_recipients_with("451 later");
    scene.record(created("ada")).await;
    let mut tries = 0;
    for _ in 0..(72 * 60) {
        let before = server.commands().len();
        scene.courier.round().await.unwrap();
        tries += u32::from(server.commands().len() > before);
        scene.wait(Duration::from_mins(1));
    }
    assert!((20..40).contains(&tries), "{tries}");
    scene.wait(Duration::from_hours(4));
    scene.courier.round().await.unwrap();
    scene.audit.flush().await.unwrap();
    let lost = scene.events().await.iter().filter(|one| *one == "notification_lost").count();
    // The webhook is not configured for the courier, so that its letter is given up too.
    assert_eq!((lost, scene.waiting(Channel::Email).await), (2, 0));
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_a_refusal_for_good_is_tried_again_after_an_hour_not_sooner() {
    let server = MailServer::start(Offer::Plain).await;
    let scene = scene(Some(mailer(&server, Security::Plain)), None);
    server.answer_recipients_with("550 nobody of this name");
    scene.record(created("ada")).await;
    scene.courier.round().await.unwrap();
    let before = server.commands().len();
    scene.wait(Duration::from_mins(59));
    scene.courier.round().await.unwrap();
    assert_eq!(server.commands().len(), before);
    scene.wait(Duration::from_mins(1));
    scene.courier.round().await.unwrap();
    assert!(server.commands().len() > before);
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_the_webhook_gets_a_signed_call_that_says_what_happened() {
    let receiver = Receiver::start().await;
    let webhook = Webhook::new(receiver.url.clone(), Secret::new(SECRET), Outbound::new(&[]).unwrap());
    let scene = scene(None, Some(webhook));
    scene.record(created("ada")).await;
    scene.courier.round().await.unwrap();
    let [call] = receiver.received().try_into().unwrap();
    let header = |name: &str| call.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        (header("content-type").as_str(), header("webhook-timestamp")),
        ("application/json", NOW.0.to_string())
    );
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), call.body);
    assert_eq!(header("webhook-signature"), servers::signature(SECRET, &signed));
    let payload: serde_json::Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!(
        (&payload["type"], &payload["timestamp"]),
        (&"account_created".into(), &"2027-01-15T08:00:00Z".into())
    );
    assert_eq!(payload["data"]["details"]["account"]["username"], "ada");
    assert_eq!(scene.waiting(Channel::Webhook).await, 0);
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_a_webhook_that_fails_is_called_again_with_the_same_id_and_a_new_signature() {
    let receiver = Receiver::start().await;
    let webhook = Webhook::new(receiver.url.clone(), Secret::new(SECRET), Outbound::new(&[]).unwrap());
    let scene = scene(None, Some(webhook));
    receiver.answer_with(503);
    scene.record(created("ada")).await;
    scene.courier.round().await.unwrap();
    receiver.answer_with(204);
    scene.wait(Duration::from_secs(30));
    scene.courier.round().await.unwrap();
    let [first, second] = receiver.received().try_into().unwrap();
    assert_eq!((&first.body, &first.headers["webhook-id"]), (&second.body, &second.headers["webhook-id"]));
    assert_ne!(first.headers["webhook-signature"], second.headers["webhook-signature"]);
    assert_eq!(scene.waiting(Channel::Webhook).await, 0);
    scene.writer.finish().await;
}

#[tokio::test]
async fn s4_a_redirect_of_the_webhook_is_not_followed() {
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    receiver.redirect_to(&other.url);
    let webhook = Webhook::new(receiver.url.clone(), Secret::new(SECRET), Outbound::new(&[]).unwrap());
    let sent = webhook.send(uuid::Uuid::nil(), NOW, "{}").await;
    assert!(matches!(sent, Err(webhook::WebhookError::NotTaken { .. })), "{sent:?}");
    assert_eq!((receiver.received().len(), other.received().len()), (1, 0));
}

#[tokio::test]
async fn s4_letters_stand_in_the_outbox_as_soon_as_the_entry_stands_in_the_log() {
    let scene = scene(None, None);
    scene.record(created("ada")).await;
    scene.record(Entry::new(Event::Login)).await;
    assert_eq!(scene.waiting(Channel::Email).await, 1, "signing in is nothing to be told of");
    scene.writer.finish().await;
}

#[test]
fn s4_usual_events_are_told_of_thirty_times_an_hour_and_alarms_always() {
    let announcer = announcer(all_events(), Arc::default());
    let letters = |entry: &Entry, at| announcer.letters(entry, at, &SystemEntropy).unwrap();
    let told: Vec<_> =
        (0..40).map(|_| letters(&created("ada"), NOW)).filter(|some| !some.is_empty()).collect();
    assert_eq!(told.len(), 30);
    let says_more = |letters: &[crate::model::letter::Letter]| {
        letters[0].body.contains("Further ones are in the audit log only")
    };
    assert!(!says_more(&told[28]) && says_more(&told[29]));
    assert_eq!(letters(&created("ada"), UnixTime(NOW.0 + 3600)).len(), 2, "the next hour");
    let stuck = (0..40).filter(|_| !letters(&Entry::new(Event::JobStuck), NOW).is_empty()).count();
    assert_eq!(stuck, 40);
}

#[test]
fn s4_every_event_of_the_setting_has_words_of_its_own() {
    let announcer = announcer(all_events(), Arc::default());
    for event in [
        Event::JitEnabled,
        Event::JitDisabled,
        Event::AccountCreated,
        Event::JobStuck,
        Event::RemovalsPaused,
        Event::CaseOpened,
        Event::Gap,
    ] {
        let letters = announcer.letters(&Entry::new(event), NOW, &SystemEntropy).unwrap();
        let [mail, call] = letters.as_slice() else { panic!("{event}: {letters:?}") };
        assert!(mail.subject.starts_with("narthex at git.example.com: "), "{}", mail.subject);
        assert!(!mail.body.contains("The audit log has more."), "{event}");
        assert_eq!((call.subject.as_str(), call.channel), (event.name(), Channel::Webhook));
    }
    let nobody =
        settings::Notify { administrators: Vec::new(), events: all_events(), smtp: None, webhook: None };
    assert!(Announcer::of(&nobody, &public_url(), Arc::default()).is_none());
}
