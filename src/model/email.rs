//! An e-mail address that was parsed once, whole, so that its domain can be trusted to be its domain.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One address `local@domain`: exactly one `@`, domain in lower-case ASCII (IDNA), no quoting, no comment,
/// no display name. Stricter than RFC 5321 where that allows two readings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    local: String,
    domain: String,
}

/// A text that is not one plain e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one plain e-mail address")]
pub struct InvalidEmail;

impl EmailAddress {
    /// SECURITY: lesson 24. `a@evil.test@corp.test` has two domains depending on who reads it, so a second
    /// `@` is refused, as are quotes, blanks, controls and lists.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let local_fits = (1..=64).contains(&local.len())
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"\"(),:;<>@[\\]".contains(c));
        if !local_fits || domain.contains('@') {
            return Err(InvalidEmail);
        }
        Ok(Self { local: local.to_owned(), domain: domain_to_ascii(domain).ok_or(InvalidEmail)? })
    }

    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// Lower-case, IDNA-encoded.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// A host name in its one comparable form; `None` where it is none.
#[must_use]
pub fn domain_to_ascii(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let fits = (1..=253).contains(&ascii.len())
        && ascii.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
    fits.then_some(ascii)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_address_keeps_its_local_part_and_folds_its_domain() {
        let address = EmailAddress::parse("Ada.L+x@Bücher.Example").unwrap();
        assert_eq!((address.local(), address.domain()), ("Ada.L+x", "xn--bcher-kva.example"));
        assert_eq!(address.to_string(), "Ada.L+x@xn--bcher-kva.example");
        assert_eq!(String::from(address), "Ada.L+x@xn--bcher-kva.example");
    }

    #[test]
    fn lesson_24_what_two_readers_could_read_differently_is_refused() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@evil.test@example.com",
            "\"a@b\"@example.com",
            "a b@example.com",
            "a@exa mple.com",
            "a@example.com,b@example.com",
            "<a@example.com>",
            "a@example.com\n",
            "a@.com",
            "a@b..c",
            ".a@b.c",
            "a.@b.c",
            "a..b@b.c",
            "a@-b.c",
            "a@[127.0.0.1]",
            "a\u{0}@b.c",
            "a@b.c\u{0}",
            "a@b_c.d",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
    }
}
