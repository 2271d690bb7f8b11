//! What acts take turns at, where several write at once: names for `in_turn` of the databases (ADR 6).

/// Sessions end one act after the other: several rows go in each, and rows locked in two orders would be a
/// deadlock. The key is empty.
pub(super) const ENDING: &str = "ending";
/// The sessions of the member that is the key: who begins one counts them.
pub(super) const SESSIONS_OF: &str = "sessions of";
