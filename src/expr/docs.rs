//! `docs/variables.md`, made from the tables, and the tables of filters and tests.

use std::fmt::Write;

use super::variables::{Place, Read, VARIABLES};

/// A filter or test.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    pub usage: &'static str,
    pub meaning: &'static str,
}

const fn operation(name: &'static str, usage: &'static str, meaning: &'static str) -> Operation {
    Operation { name, usage, meaning }
}

/// Every filter that `expr::check` knows.
pub const FILTERS: &[Operation] = &[
    operation("lower", "text | lower", "The text in lower case."),
    operation("upper", "text | upper", "The text in upper case."),
    operation("trim", "text | trim", "The text without blanks at its ends."),
    operation("replace", "text | replace('from', 'to')", "Every `from` replaced."),
    operation(
        "split",
        "text | split(' ')",
        "The parts between the separators, trimmed, empty ones left out: `claims.scope | split(' ')`.",
    ),
    operation(
        "join",
        "list | join(',')",
        "One text. Refused (no header, no value) where a value contains the separator: a team called `a,admins` must not become two. Refused as well where a value is empty or has blanks at its ends, since readers drop those.",
    ),
    operation("first", "list | first", "The first value; absent where the list is empty."),
    operation("last", "list | last", "The last value; absent where the list is empty."),
    operation("sort", "list | sort", "The values in order of their characters."),
    operation("length", "list | length", "How many values: `grant.teams | length > 0`."),
    operation("int", "text | int", "The text as a whole number; an error where it is none."),
    operation("bool", "text | bool", "`true` and `false` as such: `claims.email_verified | bool`."),
    operation(
        "default",
        "value | default('text')",
        "Another value where this one is absent; `| default([])` where a list is wanted.",
    ),
];

/// Every test that `expr::check` knows.
pub const TESTS: &[Operation] = &[
    operation("defined", "claims.x is defined", "Whether the claim came, or there is such an account value."),
    operation("undefined", "claims.x is undefined", "The opposite."),
    operation("in", "'a' in list, 'a' not in list", "Exact membership, never a part of a text."),
    operation(
        "startingwith",
        "text is startingwith('a')",
        "Whether the text starts so. For paths, see `under`.",
    ),
    operation("endingwith", "text is endingwith('@example.com')", "Whether the text ends so."),
    operation("containing", "text is containing('a')", "Whether the text contains it."),
    operation(
        "under",
        "request.path is under('/admin')",
        "Whether the path is this one or below it, by whole segments: `/administrators` is not under `/admin`.",
    ),
    operation(
        "within",
        "request.ip is within('10.0.0.0/8', 'fd00::/8')",
        "Whether the address is in one of the networks.",
    ),
];

const INTRODUCTION: &str = "\
<!-- Made from src/expr/variables.rs and src/expr/docs.rs; `NARTHEX_BLESS=1 cargo test --lib generated_docs` writes it anew. -->

# Variables

`allow` of a route and `when` of a mapping row are expressions that are true or false; values of `[headers]` and
templates in `[provisioning.attributes]` are texts with `{{ expressions }}` in them. All are checked when the
configuration is loaded: an unknown name, parts of types that do not fit, and comparisons that could only ever
come out one way are refused, with what to write instead.

## How claims behave

A claim is a list of values, whatever the identity provider sent (one text is a list of one; numbers and
booleans count as their text).

- `'admins' in claims.groups`: one of the values is exactly `admins`. Never a part of a text, also where the
  claim is a single text.
- `claims.role == 'admin'`: the *first* value is `admin`. `!=` is refused for claims, since it would overlook
  later values: write `'guest' not in claims.role`.
- `claims.role in ['admin', 'owner']`: *any* of the values is in the list; `not in`: none is.
- `{{ claims.given_name }}`: the first value. `claims.groups.all`: the whole list.
- `claims.realm_access.roles`: by path. A claim whose own name contains dots comes first.
  `claims['https://example.com/roles']`: by a name with other characters.
- An absent claim is an error in a rule, and an error denies (a mapping row does not match), also where the other
  side of an `or` is true. Ask
  `claims.x is defined and …`, or be lenient: `claims.get('x')` is empty where the claim is absent, and
  `claims.x | default('none')` is what you say.
- In a template, anything absent omits the whole header (or attribute).
- Blanks at the ends of a template's text go where the template itself has them
  (`{{ claims.get('given_name') }} {{ claims.get('family_name') }}` of somebody with one name only). Where a value
  brought them, a header is omitted and the audit log says so (`header_value_refused`): whoever reads a header drops
  blanks at its ends, so that the user ` admin` would be taken for `admin`. `| trim` takes them off where that is
  meant.

Conditions are put together with `and`, `or`, `not`, brackets and `'a' if condition else 'b'`; numbers compare with
`<`, `<=`, `>`, `>=`; texts are joined with `~`. An expression or template has at most 2048 bytes, its result at most
8192.

## Variables

| name | type | where | absent | meaning |
|---|---|---|---|---|
";

/// The whole of `docs/variables.md`.
#[must_use]
pub fn variables() -> String {
    let mut text = INTRODUCTION.to_owned();
    for variable in VARIABLES {
        let kind = match variable.read {
            Read::Claims => "claim",
            Read::Attributes | Read::Text(_) => "text",
            Read::List(_) => "list",
            Read::Flag(_) => "true or false",
            Read::Address(_) => "address",
        };
        let places = variable.places.iter().map(|place| match place {
            Place::Rule => "rules",
            Place::Header => "headers",
            Place::Attribute => "attributes",
            Place::Mapping => "mapping rows",
            Place::Console => "administrators' rules",
        });
        let places = places.collect::<Vec<_>>().join(", ");
        let absent = variable.absent.unwrap_or("never");
        let (name, meaning) = (variable.name, variable.meaning);
        let _ = writeln!(text, "| `{name}` | {kind} | {places} | {absent} | {meaning} |");
    }
    for (title, left, operations) in [("Filters", "filter", FILTERS), ("Tests", "test", TESTS)] {
        let _ = write!(text, "\n## {title}\n\n| {left} | meaning |\n|---|---|\n");
        for operation in operations {
            let _ = writeln!(text, "| `{}` | {} |", operation.usage.replace('|', "\\|"), operation.meaning);
        }
    }
    text
}
