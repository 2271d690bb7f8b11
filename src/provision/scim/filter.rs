//! Filters, with values that stay values.

/// `attribute eq "value"` (RFC 7644, 3.4.2.2): the value is a JSON string, so its quotes and backslashes are
/// escaped as there.
///
/// SECURITY: without the escape a username such as `x" or userName pr or "` would match everybody.
pub(super) fn equals(attribute: &str, value: &str) -> String {
    format!("{attribute} eq {}", serde_json::Value::from(value))
}

/// `members[value eq "id"]`: the path of one member in a PATCH (RFC 7644, 3.5.2).
pub(super) fn member(id: &str) -> String {
    format!("members[{}]", equals("value", id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_a_filter_value_cannot_end_its_quotes() {
        assert_eq!(equals("userName", "ada"), r#"userName eq "ada""#);
        assert_eq!(
            equals("userName", r#"x" or userName pr or "\"#),
            r#"userName eq "x\" or userName pr or \"\\""#
        );
        assert_eq!(member(r#"a"]"#), r#"members[value eq "a\"]"]"#);
        assert_eq!(equals("userName", "a\nb"), r#"userName eq "a\nb""#);
    }
}
