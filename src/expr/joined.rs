//! Several values as one text, which whoever reads it can take apart into just these.

use std::borrow::Cow;

use super::ExprError;
use super::blanks::has_blank_end;

/// The values with `separator` between them.
///
/// SECURITY: G5. A team called `a,admins` must not become two teams in a list header. Nor may `admins ` become
/// `admins`, or nothing a value: readers of lists drop blanks round the values, and empty ones (RFC 9110, 5.6.1).
///
/// The errors say which value it is, not what it is: they go to the log, and values are of people.
pub fn joined<'a>(values: &[Cow<'_, str>], separator: &str) -> Result<Cow<'a, str>, ExprError> {
    let wrong = |value: &str| {
        if value.contains(separator) {
            Some("contains the separator")
        } else if value.is_empty() {
            Some("is empty")
        } else if has_blank_end(value) {
            Some("has a blank at an end")
        } else {
            None
        }
    };
    let first_wrong = values.iter().zip(1_usize..).find_map(|(value, at)| Some((at, wrong(value)?)));
    if let Some((at, what)) = first_wrong {
        return Err(ExprError::Failed(format!(
            "value {at} of {} {what}, so that a reader could not tell what was joined by {separator:?}",
            values.len()
        )));
    }
    let text = values.join(separator);
    // A separator of several characters can also arise where two values meet (`a:` + `::` + `:b`).
    if !values.is_empty() && text.matches(separator).count() + 1 != values.len() {
        return Err(ExprError::Failed(format!(
            "the values cannot be told apart when joined by {separator:?}"
        )));
    }
    Ok(Cow::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(values: &[&str], separator: &str) -> Result<String, String> {
        let values: Vec<_> = values.iter().map(|value| Cow::from(*value)).collect();
        joined(&values, separator).map(Cow::into_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn g5_what_a_reader_would_not_get_back_is_not_joined() {
        assert_eq!(join(&["users", "ops"], ","), Ok("users,ops".to_owned()));
        assert_eq!(join(&["all users", "ops"], ", "), Ok("all users, ops".to_owned()));
        assert_eq!(join(&[], ","), Ok(String::new()));
        for (value, what) in [
            ("a,admins", "contains the separator"),
            ("", "is empty"),
            (" admins", "has a blank at an end"),
            ("admins ", "has a blank at an end"),
            ("admins\t", "has a blank at an end"),
            ("admins\u{a0}", "has a blank at an end"),
        ] {
            let expected =
                format!("value 2 of 3 {what}, so that a reader could not tell what was joined by \",\"");
            assert_eq!(join(&["users", value, "ops"], ","), Err(expected), "{value:?}");
        }
        // The separator arises where two values meet.
        assert!(join(&["a:", ":b"], "::").is_err());
    }

    #[test]
    fn invariant_8_the_error_does_not_say_what_the_value_is() {
        let said = join(&["ada@example.com,root"], ",").unwrap_err();
        assert!(!said.contains("ada"), "{said}");
    }
}
