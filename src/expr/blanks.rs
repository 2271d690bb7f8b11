//! Blanks that whoever reads a text may drop at its ends, so that two texts become one.

/// Whether some reader trims it: what Unicode calls white space (`White_Space`; Python's `str.strip()`, Ruby's and Go's
/// `TrimSpace` go by that or less), and what only some trim beside it (U+FEFF: JavaScript's `trim()`; U+200B and U+180E:
/// .NET's of older versions).
#[must_use]
pub fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{feff}' | '\u{200b}' | '\u{180e}')
}

/// Whether a reader that trims it would read another text.
///
/// SECURITY: G5. Every HTTP/1 parser takes blank and tab off the ends of a field's value (RFC 9112, 5.1), and many an
/// application trims more. Whoever gets an identity provider to call them `admin ` would be `admin` there.
///
/// Looked at are characters, not what UTF-8 writes them as. A reader that takes the bytes for Latin-1 sees U+00A0 in the
/// last byte of `à`, and U+0085 in that of `Å`; were it to trim that too, both names would be left with the same half of a
/// character. Such a reader confuses people whose names end so by itself, whoever signs them in; they keep theirs here.
#[must_use]
pub fn has_blank_end(text: &str) -> bool {
    text.starts_with(is_blank) || text.ends_with(is_blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_whatever_some_reader_trims_is_a_blank() {
        // HTTP; Python and Ruby; Java; JavaScript; .NET.
        let trimmed = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2003}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}\u{200b}\u{180e}";
        for blank in trimmed.chars() {
            for text in [format!("{blank}admin"), format!("admin{blank}"), blank.to_string()] {
                assert!(has_blank_end(&text), "{text:?}");
            }
            assert!(!has_blank_end(&format!("ad{blank}min")), "{blank:?}");
        }
        for text in ["", "admin", "Niccolà", "Å", "王芳", "ada lovelace", "a\u{301}"] {
            assert!(!has_blank_end(text), "{text:?}");
        }
    }
}
