//! Attribute values as XML 1.0 has them read, 3.3.3: what is literally a tab or a line end in one is a space.
//!
//! The parser leaves this out. Without it the canonical form of such a message would be another than everybody
//! else's: a right signature would not hold, and a literal tab would pass for a signed `&#9;` (SECURITY.md 26).

use std::borrow::Cow;

/// The text with a space for each literal tab and line end in attribute values. Whatever is not well-formed stays
/// so; comments, CDATA and text are left as they are.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let (mut kept, mut at) = (0, 0);
    while let Some(begin) = text.get(at..).and_then(|rest| rest.find('<')).map(|offset| at + offset) {
        let rest = text.get(begin..).unwrap_or_default();
        let skipped = [("<![CDATA[", "]]>"), ("<!--", "-->"), ("<?", "?>")];
        if let Some((_, end)) = skipped.iter().find(|(start, _)| rest.starts_with(start)) {
            at = rest.find(end).map_or(text.len(), |offset| begin + offset + end.len());
            continue;
        }
        let mut quote = None;
        at = text.len();
        for (offset, byte) in rest.bytes().enumerate() {
            let here = begin + offset;
            match (quote, byte) {
                (None, b'>') => {
                    at = here + 1;
                    break;
                }
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(open), _) if open == byte => quote = None,
                (Some(_), b'\t' | b'\n' | b'\r') => {
                    let out = out.get_or_insert_default();
                    out.push_str(text.get(kept..here).unwrap_or_default());
                    // XML 1.0, 2.11: the two of Windows are one line end.
                    let first_of_two = byte == b'\r' && rest.as_bytes().get(offset + 1) == Some(&b'\n');
                    out.push_str(if first_of_two { "" } else { " " });
                    kept = here + 1;
                }
                _ => {}
            }
        }
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(kept..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_white_space_in_attribute_values_is_spaces() {
        assert_eq!(normalised("<a b='1\t2\n3\r4\r\n5' c=\"'\t'\"/>"), "<a b='1 2 3 4 5' c=\"' '\"/>");
        assert_eq!(normalised("<a><b c='>\t<'/></a>"), "<a><b c='> <'/></a>");
    }

    #[test]
    fn white_space_elsewhere_and_references_stay() {
        for same in [
            "<a\tb='1'\n>\t'\n'</a\n>",
            "<a b='&#9;'/>",
            "<a><![CDATA[<x y='\t'>]]></a>",
            "<a><!-- <x y='\t'> --></a>",
            "<?xml version='1.0'\n?><a>\r\n</a>",
            "<a b='",
            "<",
            "",
        ] {
            assert!(matches!(normalised(same), Cow::Borrowed(text) if text == same), "{same:?}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_carried_to_the_parser() {
        assert_eq!(normalised("<a b='\t"), "<a b=' ");
        assert_eq!(normalised("ü<ü ü='ü\tü'>ü"), "ü<ü ü='ü ü'>ü");
    }
}
