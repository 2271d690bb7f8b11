//! Texts of others as they may stand in errors and log lines.

/// A text of somebody else as it may stand in an error or a log line: printable, at most 100 characters.
///
/// SECURITY: a newline or an escape sequence in it would write log lines of its sender's choice.
#[must_use]
pub fn shown(text: &str) -> String {
    const LIMIT: usize = 100;
    let mut out: String = text
        .chars()
        .take(LIMIT)
        .map(|c| if c.is_control() || is_format(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LIMIT).is_some() {
        out.push('…');
    }
    out
}

/// Characters that change the order or the look of what stands around them.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The code with which a provider's own words begin, if they do: `AADSTS50105` of `AADSTS50105: The signed in user …`.
///
/// The words name people, and what a browser brings of them anybody can write; so no more of them is logged or kept.
/// The code is what their vendor's documentation is searched for: four capitals or more, then capitals and digits.
#[must_use]
pub fn leading_code(text: &str) -> Option<&str> {
    const LIMIT: usize = 32;
    let (code, _) = text.split_once(':')?;
    let capitals = code.bytes().take_while(u8::is_ascii_uppercase).count();
    let of_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let fits = capitals >= 4
        && code.len() <= LIMIT
        && code.bytes().all(of_code)
        && code.ends_with(|last: char| last.is_ascii_digit());
    fits.then_some(code)
}

/// ` (CODE)`, or nothing.
#[must_use]
pub fn in_brackets(code: Option<&str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_cut_and_made_printable() {
        assert_eq!(shown("plain"), "plain");
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}c"), "a\u{fffd}b\u{fffd}[2J\u{fffd}c");
        assert_eq!(shown(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(shown(&"x".repeat(101)), format!("{}…", "x".repeat(100)));
    }

    #[test]
    fn of_a_providers_words_nothing_is_shown_but_the_code_that_they_begin_with() {
        assert_eq!(leading_code("AADSTS50105: The signed in user 'ada@example.com' is"), Some("AADSTS50105"));
        assert_eq!(leading_code("AADB2C90118: The user has forgotten"), Some("AADB2C90118"));
        for words in [
            "",
            "The user ada is not assigned: ask",
            "ada: no",
            "ADA: no",
            "LOVELACE: no",
            "D123456: no",
            "AADSTS50105",
            "AADSTS 50105: no",
            "AADSTSé1: no",
            &format!("{}1: no", "A".repeat(40)),
        ] {
            assert_eq!(leading_code(words), None, "{words:?}");
        }
    }
}
