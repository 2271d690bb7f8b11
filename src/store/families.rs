//! What acts take turns at, where several write at once: names for `in_turn` of the databases (ADR 6).

/// Changes are recorded by one act after the other, so that their numbers become visible in their order (`feed`).
/// Sessions end in this turn from the act's beginning: several rows go in each, and rows locked in two orders
/// would be a deadlock. It is the last turn that an act takes. The key is empty.
pub(super) const CHANGES: &str = "changes";
/// The sessions of the member that is the key, or of the identity where there is no account: who begins one counts them.
pub(super) const SESSIONS_OF: &str = "sessions of";
