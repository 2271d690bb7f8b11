//! What has no value for a session without account, told before anybody signs in.

use super::typed::{Piece, Text};

impl Piece {
    /// See [`Text::needs_account`]; what stands under a condition may not be asked for.
    pub fn needs_account(&self) -> Option<String> {
        match self {
            Self::Value(text) => text.needs_account(),
            Self::Raw(_) | Self::If { .. } => None,
        }
    }
}

impl Text {
    /// The variable of account.* or member.* without which this has no value; what has another way counts as none.
    pub fn needs_account(&self) -> Option<String> {
        match self {
            Self::Variable { name, .. } => {
                let of_account = ["account.", "member."].iter().any(|root| name.starts_with(root));
                of_account.then(|| (*name).to_owned())
            }
            Self::Attribute(name) => Some(format!("account.attributes.{name}")),
            Self::Lower(text) | Self::Upper(text) | Self::Trim(text) => text.needs_account(),
            Self::Replace { text, to, .. } => text.needs_account().or_else(|| to.needs_account()),
            Self::Concat(left, right) => left.needs_account().or_else(|| right.needs_account()),
            Self::Default(text, fallback) => text.needs_account().and_then(|_| fallback.needs_account()),
            Self::If { then, otherwise: Some(otherwise), .. } => {
                then.needs_account().and_then(|_| otherwise.needs_account())
            }
            Self::If { then, otherwise: None, .. } => then.needs_account(),
            Self::Const(_)
            | Self::Address { .. }
            | Self::Claim(_)
            | Self::First(_)
            | Self::Last(_)
            | Self::Join { .. }
            | Self::Number(_)
            | Self::Flag(_) => None,
        }
    }
}
