//! What outlives a request, behind traits named by the atomic act that each method is.
//!
//! Every method is one transaction: it happens whole or not at all, and two callers see one order.

pub mod cases;
mod columns;
#[cfg(test)]
mod conformance;
pub mod console;
mod families;
pub mod feed;
pub mod invites;
pub mod lists;
pub mod memory;
pub mod postgres;
pub mod rehearsals;
mod scim;
pub mod sqlite;
mod standing;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::cases::{CaseStore, OpenedCase};
use self::feed::FeedStore;
pub use self::lists::AdminStore;
use crate::model::audit::{AuditQuery, PartKey};
use crate::model::letter::{ClaimedLetter, Letter};
use crate::model::{
    AccountId, AuditHead, AuditRecord, BrowserHash, ChainId, ErrorId, IdpId, LoginAttempt, Member, MemberId,
    ReturnTo, SessionHash, SessionRecord, StateHash, Subject, UnixTime,
};

pub use self::console::ConsoleStore;
pub use self::rehearsals::RehearsalStore;
pub use self::scim::{ScimStore, ScimWhich, ScimWrite};
pub use self::standing::{
    ClaimedJob, CreationIntent, GuardStore, Hold, Intended, JobOutcome, JobStore, Landing, OnUpdate,
    Standing, StandingSession, StandingStore, Update, Updated,
};

/// The store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Unreachable, locked for too long, disk full, I/O error.
    #[error("the store is unavailable ({act}): {reason}")]
    Unavailable { act: &'static str, reason: String },
    /// A row that this version cannot read.
    #[error("the store holds a {what} that cannot be read: {reason}")]
    Unreadable { what: &'static str, reason: String },
    /// Opening it failed: wrong path, permissions, a schema of a newer version.
    #[error("the store {url} cannot be opened: {reason}")]
    CannotOpen { url: String, reason: String },
    /// One process at a time serves from it.
    #[error(
        "another narthex{holder} has the store {path} open; stop it, or take PostgreSQL for several replicas \
         (docs/postgres.md)"
    )]
    HeldElsewhere { path: String, holder: String },
    /// A program of a newer version came beside it, whose tables would not be those of who serves.
    #[error(
        "the store {path} has tables of version {found}, this narthex needs them of version {known}, and another \
         narthex{holder} serves from it: use the program of that one, or stop it and start this one, which brings the \
         tables up to date"
    )]
    ServedByOlder { path: String, holder: String, found: i64, known: i64 },
    /// What the act builds on went away meanwhile; nothing was written. Begin again.
    #[error("nothing was written ({act}): {what} is gone")]
    Gone { act: &'static str, what: &'static str },
    /// What the act would record once is there already; nothing was written.
    #[error("nothing was written ({act}): {what} is there already")]
    Conflict { act: &'static str, what: &'static str },
}

/// Everything at once: what `app` hands round.
pub trait Store:
    LoginStore
    + SessionStore
    + MemberStore
    + StandingStore
    + GuardStore
    + JobStore
    + KeyStore
    + DocumentStore
    + RehearsalStore
    + AuditStore
    + ScimStore
    + FeedStore
    + AdminStore
    + CaseStore
    + OutboxStore
    + ConsoleStore
{
}
impl<T> Store for T where
    T: LoginStore
        + SessionStore
        + MemberStore
        + StandingStore
        + GuardStore
        + JobStore
        + KeyStore
        + DocumentStore
        + RehearsalStore
        + AuditStore
        + ScimStore
        + FeedStore
        + AdminStore
        + CaseStore
        + OutboxStore
        + ConsoleStore
{
}

/// Logins in flight.
#[async_trait]
pub trait LoginStore: Send + Sync {
    /// Records `attempt`; beyond [`crate::model::login::MAX_PER_BROWSER`] the browser's oldest is evicted
    /// (those that were taken first), beyond [`crate::model::login::MAX_IN_FLIGHT`] the store's oldest. A
    /// state that is there already is a [`StoreError::Conflict`].
    async fn put_login(&self, attempt: &LoginAttempt) -> Result<(), StoreError>;

    /// Takes the attempt of this state if it belongs to this browser; a second call finds it
    /// [`TakenLogin::Used`]. An expired one counts as [`TakenLogin::Unknown`].
    async fn take_login(
        &self,
        state: &StateHash,
        browser: Option<&BrowserHash>,
        now: UnixTime,
    ) -> Result<TakenLogin, StoreError>;

    /// Keeps sealed bytes under `id` until `expires_at`, for one [`LoginStore::take_parked`]. Beyond
    /// [`crate::model::login::MAX_IN_FLIGHT`] the oldest is evicted.
    async fn park(&self, id: &StateHash, sealed: &[u8], expires_at: UnixTime) -> Result<(), StoreError>;

    /// Takes what was parked, once; `None` where it is unknown, taken or expired.
    async fn take_parked(&self, id: &StateHash, now: UnixTime) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether this is the first use of what `digest` stands for; every later one is told `false`, at least
    /// until `expires_at`. None is ever evicted to make room: that would open the way for a replay.
    async fn first_use(&self, digest: &[u8; 32], expires_at: UnixTime) -> Result<bool, StoreError>;

    /// Keeps how a sign-in was refused, for [`LoginStore::find_refusal`]; the latest
    /// [`crate::model::login::MAX_REFUSALS`] of them.
    async fn record_refusal(&self, id: &ErrorId, record: &str) -> Result<(), StoreError>;

    /// What [`LoginStore::record_refusal`] kept.
    async fn find_refusal(&self, id: &str) -> Result<Option<String>, StoreError>;

    /// Drops what has expired; returns how many records went.
    async fn sweep_logins(&self, now: UnixTime) -> Result<u64, StoreError>;
}

/// What [`LoginStore::take_login`] found.
#[derive(Debug)]
pub enum TakenLogin {
    /// The one and only taking.
    Fresh(Box<LoginAttempt>),
    /// Was taken before, by the same browser; where it wanted to go.
    Used(ReturnTo),
    /// Belongs to another browser (or this one sent no login cookie). Left as it was.
    Foreign(ReturnTo),
    /// Never recorded here, evicted or expired.
    Unknown,
}

/// Sessions. The end of each, whatever ends it, is a change ([`feed`]) that all replicas hear of, and makes its member's
/// [`crate::model::Task::Settle`] due in the same transaction, where there is one (PROVISIONING.md E1, L2).
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Records a new session. Beyond `max_per_member` the member's oldest sessions end, never the new one; their
    /// hashes are returned. Of a session without account those count that its identity has without account. A hash that is there already is a
    /// [`StoreError::Conflict`]. A member who is not there (any more), is blocked, or whose account is not the session's
    /// or not present any more, gets none: [`StoreError::Gone`].
    async fn insert_session(
        &self,
        session: &SessionRecord,
        max_per_member: usize,
    ) -> Result<Vec<SessionHash>, StoreError>;

    /// The session of this hash, whether or not it has expired.
    async fn find_session(&self, hash: &SessionHash) -> Result<Option<SessionRecord>, StoreError>;

    /// Notes activity, a batch at a time; never moves a time backwards, ignores unknown hashes.
    async fn touch_sessions(&self, seen: &[(SessionHash, UnixTime)]) -> Result<(), StoreError>;

    /// Which of these are there.
    async fn sessions_among(&self, hashes: &[SessionHash]) -> Result<Vec<SessionHash>, StoreError>;

    /// Ends this session; `false` where there was none.
    async fn end_session(&self, hash: &SessionHash) -> Result<bool, StoreError>;

    /// Ends the sessions that `idp` began for whom it calls `name`: those of `idp_sessions`, or all of them where
    /// that is empty (SAML Core 2.0, 3.7.1); returns their hashes.
    async fn end_sessions_of(
        &self,
        idp: &IdpId,
        name: &str,
        idp_sessions: &[String],
    ) -> Result<Vec<SessionHash>, StoreError>;

    /// Drops sessions past their absolute end, or idle for longer than `idle`; returns their hashes.
    async fn sweep_sessions(&self, now: UnixTime, idle: Duration) -> Result<Vec<SessionHash>, StoreError>;
}

/// Members, and who is being made one just now.
#[async_trait]
pub trait MemberStore: Send + Sync {
    async fn find_member(&self, idp: &IdpId, subject: &Subject) -> Result<Option<Member>, StoreError>;

    async fn find_member_by_account(&self, account: &AccountId) -> Result<Option<Member>, StoreError>;

    async fn find_member_by_id(&self, id: MemberId) -> Result<Option<Member>, StoreError>;

    /// Takes the right to make this identity a member until `until`, unless another holder has it
    /// (PROVISIONING.md F9). The holder's intent survives a crash: a later holder is told of it. Whoever has
    /// it looks for the member again before anything else: the holder before may have finished. For the
    /// holder itself the lease is renewed.
    async fn begin_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<CreationLease, StoreError>;

    /// Records, after "not found", what is about to be created, and the job that cleans it up (E1); the holder must
    /// have the lease. `false`: the lease was lost.
    async fn intend_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        intent: &CreationIntent,
    ) -> Result<bool, StoreError>;

    /// Records the member and gives up lease, intent and its job. Where the identity already has a member, or
    /// another member has the account, nothing is written and that member is returned as the error side.
    /// A holder that has lost its lease gets [`StoreError::Gone`], and nothing is written. `landing_until`: the
    /// account is to be settled after this time, or after its sessions.
    async fn finish_creation(
        &self,
        member: &Member,
        holder: u64,
        landing_until: Option<UnixTime>,
    ) -> Result<Result<(), Member>, StoreError>;

    /// Gives up the lease; the intent and its job stay if `keep_intent` (the outcome of a create is not known).
    async fn abandon_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        keep_intent: bool,
    ) -> Result<(), StoreError>;

    /// Updates what a login tells of a member: names and time. The time never goes backwards, nor do the names of an
    /// earlier generation come back. An unknown member is [`StoreError::Gone`], as is a landing whose holder lost the
    /// right to work on the member: nothing is written then. With a landing the member has a
    /// [`crate::model::Task::Settle`] from then on.
    async fn record_login(&self, member: &Member, landing: Option<Landing>) -> Result<(), StoreError>;
}

/// Whether the right to create was had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreationLease {
    /// Ours; with what an earlier, unfinished attempt intended to create.
    Acquired { earlier_intent: Option<Intended> },
    /// Another holder is at it, at most until then.
    Busy { until: UnixTime },
}

/// Keys of ours, sealed.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// All keys of this purpose, retired ones that were not swept yet among them, in no order.
    async fn list_keys(&self, purpose: &str) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a key if it is the first of its purpose (`after` is `None`), or if the key `after` is there and
    /// has no successor yet; `false` where another replica was faster (then list again).
    async fn add_key(&self, key: &StoredKey, after: Option<&str>) -> Result<bool, StoreError>;

    /// Drops keys whose `retired_at` has passed.
    async fn sweep_keys(&self, now: UnixTime) -> Result<u64, StoreError>;
}

/// One signing key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The `kid`.
    pub id: String,
    pub purpose: String,
    /// Sealed PKCS #8.
    pub sealed: Vec<u8>,
    /// From then on in the JWKS.
    pub published_at: UnixTime,
    /// From then on used to sign.
    pub active_at: UnixTime,
    /// From then on gone from the JWKS.
    pub retired_at: UnixTime,
}

/// The last good copy of what was fetched from elsewhere (discovery documents, key sets).
#[async_trait]
pub trait DocumentStore: Send + Sync {
    async fn put_document(&self, name: &str, body: &[u8], fetched_at: UnixTime) -> Result<(), StoreError>;

    async fn find_document(&self, name: &str) -> Result<Option<(Vec<u8>, UnixTime)>, StoreError>;
}

/// The audit log (PROVISIONING.md S3). What hashes and digests are made of is the writer's affair
/// (`observe::audit`); here they are bytes.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends `records`, which follow one another in one chain, all or none; outlives a power cut. With them,
    /// `links` are marked as noted in that chain, and `letters` put into the outbox. Where the chain does not end in
    /// what the first record goes on from, nothing is written: [`StoreError::Conflict`].
    async fn append_audit_and_letters(
        &self,
        records: &[AuditRecord],
        links: &[AuditHead],
        letters: &[Letter],
    ) -> Result<(), StoreError>;

    /// The same without letters.
    async fn append_audit(&self, records: &[AuditRecord], links: &[AuditHead]) -> Result<(), StoreError> {
        self.append_audit_and_letters(records, links, &[]).await
    }

    /// How far each chain has come, by chain.
    async fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError>;

    /// Those of [`AuditStore::audit_heads`] that have moved on since another chain noted them, but for `own`; at
    /// most `limit`.
    async fn loose_audit_heads(&self, own: ChainId, limit: usize) -> Result<Vec<AuditHead>, StoreError>;

    /// All entries by chain and sequence, at most `limit` behind `after`.
    async fn read_audit(
        &self,
        after: Option<(ChainId, u64)>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError>;

    /// Entries in the order of time.
    async fn list_audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError>;

    /// Where something is said of this member, of whoever has one of these identities or, where an entry names nobody
    /// (whom somebody invited, say), where one of `words` stands as a whole value, whatever the case of its ASCII
    /// letters: for those, all of them are looked through. Each place once, in order.
    async fn find_audit_parts(
        &self,
        member: Option<MemberId>,
        identities: &[(IdpId, Subject)],
        words: &[String],
    ) -> Result<Vec<PartKey>, StoreError>;

    /// Erases what is said there, with its salt; the digests stay. Returns how many there were.
    async fn erase_audit_parts(&self, keys: &[PartKey]) -> Result<u64, StoreError>;
}

/// Messages that wait to be sent (PROVISIONING.md S4): at least once each, by one replica at a time.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Puts letters into the outbox, due at once; outlives a power cut. One of an id that is there already is left
    /// as it is.
    async fn put_letters(&self, letters: &[Letter]) -> Result<(), StoreError>;

    /// Takes at most `limit` letters that are due and that nobody has, those first that are due longest; until
    /// `until` they are `holder`'s (never 0).
    async fn claim_letters(
        &self,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
        limit: usize,
    ) -> Result<Vec<ClaimedLetter>, StoreError>;

    /// Gives back a letter that was not sent; `false` where it is not `holder`'s any more.
    async fn put_off_letter(&self, id: Uuid, holder: u64, due_at: UnixTime) -> Result<bool, StoreError>;

    /// Drops a letter that was sent, or is given up; `false` where it is not `holder`'s any more.
    async fn drop_letter(&self, id: Uuid, holder: u64) -> Result<bool, StoreError>;
}
