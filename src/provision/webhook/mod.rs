//! The connector for an application without an admin API of its own: narthex posts signed events to one URL, and a
//! small receiver of the operator's answers them. docs/webhook.md is the contract.

pub(in crate::provision) mod connector;
mod wire;

#[cfg(test)]
mod tests;
