//! The text before the parser gets it: what XML 1.0 says of characters, of the ends of lines (2.11) and of white space
//! in attributes' values (3.3.3), and how many attributes an element may have. The parser leaves the first three as
//! they stand, and compares each attribute with each.

use std::borrow::Cow;

use super::xml::XmlError;

/// Attributes and namespace declarations of an element and of those around it, at most.
///
/// SECURITY: the parser looks at each attribute for each, and at each prefix in scope for each name: 256 kB can
/// be made to cost seconds. Those who aggregate federations come to fifty.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// Sections that are no tags.
const SECTIONS: [(&str, &str); 3] = [("<![CDATA[", "]]>"), ("<!--", "-->"), ("<?", "?>")];

/// The text with each literal line end as a line feed, and each literal white space in an attribute's value as a
/// space; character references (`&#10;`) are not literal. Otherwise a message's canonical form is not its signer's.
///
/// All else stays in its place, so that what is not well-formed stays so.
pub(super) fn prepared(text: &str) -> Result<Cow<'_, str>, XmlError> {
    if !is_character_data(text) {
        return Err(XmlError::Malformed("a character that XML does not allow".to_owned()));
    }
    // XML 1.0, 2.11: before anything else, wherever it stands.
    let text = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let literal = literal_white_space(&text)?;
    if literal.is_empty() {
        return Ok(text);
    }
    let mut octets = text.into_owned().into_bytes();
    for at in literal {
        if let Some(octet) = octets.get_mut(at) {
            *octet = b' ';
        }
    }
    String::from_utf8(octets).map(Cow::Owned).map_err(|_| XmlError::NotUtf8)
}

/// XML 1.0, 2.2: what may stand in XML at all. The parser lets controls pass in attributes' values.
fn is_character_data(text: &str) -> bool {
    let control = |octet: u8| octet < 0x20 && !matches!(octet, b'\t' | b'\n' | b'\r');
    // U+FFFE and U+FFFF are three octets, of which this is the first.
    let may_be_none = text.bytes().any(|octet| octet == 0xef);
    !text.bytes().any(control) && !(may_be_none && text.contains(['\u{fffe}', '\u{ffff}']))
}

/// Where tabs and line feeds stand in attributes' values (XML 1.0, 3.3.3).
fn literal_white_space(text: &str) -> Result<Vec<usize>, XmlError> {
    let mut found = Vec::new();
    // The attributes of each element that is open, and of all of them.
    let (mut open, mut in_scope) = (Vec::new(), 0);
    let mut done = 0;
    while let Some(rest) = text.get(done..) {
        let Some(start) = rest.find('<') else { break };
        let Some(rest) = rest.get(start..) else { break };
        let start = done + start;
        if let Some((_, closes)) = SECTIONS.iter().find(|(opens, _)| rest.starts_with(opens)) {
            // What is not closed is not well-formed.
            done = start + rest.find(closes).unwrap_or(rest.len());
            continue;
        }
        let (tag, values) = tag(rest, start, &mut found);
        done = start + tag.len();
        if tag.starts_with("</") {
            in_scope -= open.pop().unwrap_or(0);
            continue;
        }
        in_scope += values;
        if in_scope > MAX_ATTRIBUTES {
            return Err(XmlError::TooManyAttributes { limit: MAX_ATTRIBUTES });
        }
        if tag.ends_with('/') {
            in_scope -= values;
        } else {
            open.push(values);
        }
    }
    Ok(found)
}

/// A tag, up to the first `>` outside of quotes (XML 1.0, 3.1), and how many quoted values it has.
fn tag<'t>(text: &'t str, start: usize, found: &mut Vec<usize>) -> (&'t str, usize) {
    let mut quote = None;
    let mut values = 0;
    for (at, octet) in text.bytes().enumerate() {
        match (quote, octet) {
            (None, b'>') => return (text.get(..at).unwrap_or(text), values),
            (None, b'"' | b'\'') => {
                quote = Some(octet);
                values += 1;
            }
            (Some(_), b'\t' | b'\n') => found.push(start + at),
            (Some(open), _) if open == octet => quote = None,
            _ => {}
        }
    }
    (text, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_in_values_is_a_space_and_elsewhere_itself() {
        for (text, expected) in [
            ("<a\n\tb='1\n2\t3' c=\"'\n'\">\n\t'\n'</a>", "<a\n\tb='1 2 3' c=\"' '\">\n\t'\n'</a>"),
            ("<a b='>\n'/>\n", "<a b='> '/>\n"),
            ("<a><![CDATA[<b c='\n'>]]></a\n>", "<a><![CDATA[<b c='\n'>]]></a\n>"),
            ("<!-- '\n' --><a b='\n'/>", "<!-- '\n' --><a b=' '/>"),
            ("<?x '\n'?><a b='\n'/>", "<?x '\n'?><a b=' '/>"),
            ("<a b='&#10;\n'/>", "<a b='&#10; '/>"),
            ("a\r\nb\rc\n\rd<a b='\r\n\r'/>", "a\nb\nc\n\nd<a b='  '/>"),
            ("<a>é'\n</a>", "<a>é'\n</a>"),
            ("<a b='\n", "<a b=' "),
            ("", ""),
        ] {
            assert_eq!(prepared(text).unwrap(), expected);
        }
        assert!(matches!(prepared("<a b=' '>\n</a>"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn attributes_in_scope_are_counted_before_they_are_parsed() {
        let start = |count: usize| format!("<a{}", " b=\"/>'\"".repeat(count));
        let half = start(MAX_ATTRIBUTES / 2);
        let refused = Err(XmlError::TooManyAttributes { limit: MAX_ATTRIBUTES });
        for (text, fits) in [
            (format!("{}>'\"=</a>", start(MAX_ATTRIBUTES)), true),
            (format!("{}>", start(MAX_ATTRIBUTES + 1)), false),
            (format!("{}/>", start(MAX_ATTRIBUTES + 1)), false),
            (format!("{half}>{half}></a></a>"), true),
            (format!("{half}>{half}><a b=''/></a></a>"), false),
            (format!("{half}>{half}></a><a b=''/></a>"), true),
            (format!("{half}>{half}/><a b=''/></a>"), true),
            (format!("{half}><![CDATA[</a>]]>{half}><a b=''/>"), false),
            ("<a b='' c=''/>".repeat(MAX_ATTRIBUTES), true),
            ("<a b='' c=''></a>".repeat(MAX_ATTRIBUTES), true),
            ("</a>".to_owned(), true),
        ] {
            let found = prepared(&text);
            assert_eq!(found.is_ok(), fits, "{text}");
            assert!(fits || found == refused);
        }
    }

    #[test]
    fn characters_that_are_none_in_xml_are_refused() {
        for wrong in ["\0", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
            assert!(matches!(prepared(wrong), Err(XmlError::Malformed(_))), "{wrong:?}");
        }
        for good in ["\t\n ", "\u{7f}\u{85}\u{fffd}\u{feff}\u{10ffff}"] {
            assert_eq!(prepared(good).unwrap(), good);
        }
    }
}
