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
}
