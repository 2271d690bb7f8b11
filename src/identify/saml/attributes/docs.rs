//! `docs/saml-claims.md`, made from the tables.

use std::fmt::Write;

use super::aliases::{ALIASES, RESERVED};

const HEAD: &str = "<!-- Made from src/identify/saml/attributes; `NARTHEX_BLESS=1 cargo test --lib generated_saml_claims` \
writes it anew. -->

# Claims of a SAML sign-in

What a SAML identity provider sends becomes claims, as what an OpenID provider sends does, so that one set of
rules, headers and mappings serves both. A claim is a list of texts; an attribute that comes several times is one
list. White space is kept, except the line breaks and indentation of a message that was laid out for people;
empty values are left out; values that are neither text nor a NameID (XML of the provider's own) are left out.

## Where a claim comes from

For each name, the first of these, and never a mixture:

1. The claims below that narthex makes of the assertion itself. An attribute of such a name is left out.
2. The attribute of exactly this `Name`, so everything is there under the name it was sent by:
   `claims['urn:oid:2.5.4.42']`.
3. For the friendly names below: the first attribute of the row that was sent.
4. The attribute with this `FriendlyName`, if the name stands in neither table and no second attribute has it. A
   FriendlyName is for people to read (SAML Core 2.7.3.1), so it never stands in for `email` or `groups`.

An `email` is what the identity provider says, and believed only within its `email_domains`. Where no attribute is
an e-mail address and the NameID is one (its format says `emailAddress`), that is the claim `email`.

## Who somebody is

The subject is the NameID, whatever its format, unless `subject = { claim = \"…\" }` names a claim, which then must
have exactly one value. A transient NameID is another one at every sign-in and is refused as a subject, by itself and
as `claims.name_id`. A `NameQualifier` or `SPNameQualifier` that is not the identity provider's or narthex's own
entity ID is part of the subject: `NameQualifier!SPNameQualifier!value`, with `!` and `%` in the parts written `%21`
and `%25` (SAML Core 8.3.7).
";

/// The whole of `docs/saml-claims.md`.
#[must_use]
pub fn docs() -> String {
    let mut text = HEAD.to_owned();
    // Writing to a String does not fail.
    let _written = write!(text, "\n## Claims that narthex makes\n\n| claim | what it says |\n|---|---|\n");
    for (claim, meaning) in RESERVED {
        let _written = writeln!(text, "| `{claim}` | {meaning} |");
    }
    let _written =
        write!(text, "\n## Friendly names\n\n| claim | taken from, the first that was sent |\n|---|---|\n");
    for (claim, names) in ALIASES {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _written = writeln!(text, "| `{claim}` | {} |", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_saml_claims_are_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/saml-claims.md");
        if std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS") {
            std::fs::write(&path, super::docs()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == super::docs(),
            "docs/saml-claims.md is stale; run: NARTHEX_BLESS=1 cargo test --lib generated_saml_claims"
        );
    }
}
