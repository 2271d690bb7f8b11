//! Sign-ins that wait for an administrator (PROVISIONING.md F7, F8).

use async_trait::async_trait;

use super::StoreError;
use crate::model::case::{Case, CaseId, CaseStanding};
use crate::model::{AccountId, IdpId, MemberId, Subject, UnixTime};

/// Cases: at most one for each identity and account.
#[async_trait]
pub trait CaseStore: Send + Sync {
    /// Records that the identity of `case` asks about its account ([`Case::asked`] says what becomes of a case that is
    /// there). An identity that has `most` other cases opens none.
    async fn open_case(&self, case: &Case, most: usize) -> Result<OpenedCase, StoreError>;

    async fn find_case(&self, id: CaseId) -> Result<Option<Case>, StoreError>;

    /// The case of this identity about this account.
    async fn find_case_of(
        &self,
        idp: &IdpId,
        subject: &Subject,
        account: &AccountId,
    ) -> Result<Option<Case>, StoreError>;

    /// The newest cases of this standing, or of any, at most `limit`, older than `before`.
    async fn list_cases(
        &self,
        standing: Option<CaseStanding>,
        before: Option<CaseId>,
        limit: usize,
    ) -> Result<Vec<Case>, StoreError>;

    /// Puts standing, decision, end and outcome of `case` in the place of those of the revision before its own; `false`
    /// where that is not the present one.
    async fn change_case(&self, case: &Case) -> Result<bool, StoreError>;

    /// Forgets the case; `false` where it has another revision, or is not there.
    async fn drop_case(&self, id: CaseId, revision: i64) -> Result<bool, StoreError>;

    /// Forgets the person who has these identities, this member and this account (PROVISIONING.md E6): cases that they
    /// opened, or that are about them. Gives how many changed.
    ///
    /// SECURITY: a denial stays, with nothing but what it needs ([`CaseFacts::blanked`]): one who wanted the account and
    /// was kept off it could else wait until its person is erased, and ask again.
    ///
    /// [`CaseFacts::blanked`]: crate::model::case::CaseFacts::blanked
    async fn forget_cases(
        &self,
        identities: &[(IdpId, Subject)],
        member: MemberId,
        account: Option<&AccountId>,
    ) -> Result<u64, StoreError>;

    /// Drops cases whose end has come; gives how many.
    async fn sweep_cases(&self, now: UnixTime) -> Result<u64, StoreError>;
}

/// What [`CaseStore::open_case`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenedCase {
    /// It begins with this.
    Opened(Case),
    /// It waited already.
    Waiting(Case),
    /// It was decided; nothing was written.
    Decided(Case),
    /// The identity has too many; nothing was written.
    TooMany,
}
