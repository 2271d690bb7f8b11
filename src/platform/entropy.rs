//! Randomness as a parameter: the one place that asks the machine for random bytes.

use uuid::Uuid;

use crate::model::{ErrorId, MemberId, UnixTime};

/// Unpredictable bytes. Tests may hand in reproducible ones.
pub trait Entropy: Send + Sync {
    /// Fills `target` from a cryptographically secure source.
    ///
    /// # Errors
    /// Where the source fails nothing may be made from `target`.
    fn fill(&self, target: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The machine's random source failed; nothing secret can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine's random source failed")]
pub struct NoEntropy;

/// The machine's random source, by way of aws-lc.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for random bytes")]
    fn fill(&self, target: &mut [u8]) -> Result<(), NoEntropy> {
        aws_lc_rs::rand::fill(target).map_err(|_| NoEntropy)
    }
}

impl dyn Entropy + '_ {
    /// `N` random bytes.
    ///
    /// # Errors
    /// As [`Entropy::fill`].
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A fresh error id. An id need not be secret, so a failing source gives a fixed one instead of a
    /// second error.
    pub fn error_id(&self) -> ErrorId {
        ErrorId::from_random(self.bytes().unwrap_or_default())
    }

    /// A fresh member id (UUID version 7: ordered by time of creation).
    ///
    /// # Errors
    /// As [`Entropy::fill`].
    pub fn member_id(&self, now: UnixTime) -> Result<MemberId, NoEntropy> {
        self.uuid(now).map(MemberId)
    }

    /// A fresh UUID version 7.
    ///
    /// # Errors
    /// As [`Entropy::fill`].
    pub fn uuid(&self, now: UnixTime) -> Result<Uuid, NoEntropy> {
        let millis = u64::try_from(now.0).unwrap_or(0).saturating_mul(1000);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()?).into_uuid())
    }
}
