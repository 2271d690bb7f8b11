//! The text before the parser gets it: what XML 1.0 says of characters, of the ends of lines (2.11) and of white space
//! in attributes' values (3.3.3), and how many attributes an element may have. The parser leaves the first three as
//! they stand, and compares each attribute with each.

use std::borrow::Cow;

use super::xml::XmlError;

/// Attributes and namespace declarations of one element, at most.
///
/// SECURITY: the parser's time grows with their square: forty thousand in 256 kB are seconds. Those who aggregate
/// federations declare some twenty namespaces.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// Namespace declarations that hold at one place, at most.
///
/// SECURITY: the parser goes through them for each name. Eight thousand around as many elements are seconds.
pub(super) const MAX_NAMESPACES: usize = 512;

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
    let none = may_be_none && text.contains(['\u{fffe}', '\u{ffff}']);
    !none && !text.bytes().any(control)
}

/// Where tabs and line feeds stand in attributes' values (XML 1.0, 3.3.3).
fn literal_white_space(text: &str) -> Result<Vec<usize>, XmlError> {
    let mut found = Vec::new();
    let mut scope = Scope::default();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let here = rest.get(start..).unwrap_or_default();
        let length = if let Some((_, closes)) = SECTIONS.iter().find(|(opens, _)| here.starts_with(opens)) {
            // What is not closed is not well-formed.
            here.find(closes).unwrap_or(here.len())
        } else {
            let length = tag(here, text.len() - here.len(), &mut found)?;
            scope.tag(here.get(..length).unwrap_or_default())?;
            length
        };
        // The `<` at least, so that it ends.
        rest = here.get(length.max(1)..).unwrap_or_default();
    }
    Ok(found)
}

/// How many namespace declarations the open elements have.
#[derive(Default)]
struct Scope {
    open: Vec<usize>,
    declared: usize,
}

impl Scope {
    /// Takes a tag without the `>` at its end.
    fn tag(&mut self, tag: &str) -> Result<(), XmlError> {
        if tag.starts_with("</") {
            self.declared -= self.open.pop().unwrap_or_default();
            return Ok(());
        }
        // One in a value counts too, which does not matter.
        let own = tag.matches("xmlns").count();
        if self.declared + own > MAX_NAMESPACES {
            return Err(XmlError::TooManyNamespaces { limit: MAX_NAMESPACES });
        }
        if !tag.ends_with('/') {
            self.open.push(own);
            self.declared += own;
        }
        Ok(())
    }
}

/// The length of a tag, up to the first `>` outside of quotes (XML 1.0, 3.1).
fn tag(text: &str, start: usize, found: &mut Vec<usize>) -> Result<usize, XmlError> {
    let mut quote = None;
    let mut values = 0;
    for (at, octet) in text.bytes().enumerate() {
        match (quote, octet) {
            (None, b'>') => return Ok(at),
            (None, b'"' | b'\'') => {
                quote = Some(octet);
                values += 1;
                if values > MAX_ATTRIBUTES {
                    return Err(XmlError::TooManyAttributes { limit: MAX_ATTRIBUTES });
                }
            }
            (Some(_), b'\t' | b'\n') => found.push(start + at),
            (Some(open), _) if open == octet => quote = None,
            _ => {}
        }
    }
    Ok(text.len())
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
    fn the_attributes_of_one_element_are_counted_before_they_are_parsed() {
        let element = |count: usize| format!("<a{}>'\"=</a><b c=''/>", " b=\"'\"".repeat(count));
        assert!(prepared(&element(MAX_ATTRIBUTES)).is_ok());
        let refused = Err(XmlError::TooManyAttributes { limit: MAX_ATTRIBUTES });
        assert_eq!(prepared(&element(MAX_ATTRIBUTES + 1)), refused);
        let many = "<a b='' c=''/>".repeat(MAX_ATTRIBUTES);
        assert!(prepared(&many).is_ok());
    }

    #[test]
    fn the_namespaces_that_hold_at_one_place_are_counted_before_they_are_parsed() {
        let declared = |count: usize| " xmlns:n='u:'".repeat(count);
        let half = declared(MAX_NAMESPACES / 2);
        let nested = |inner: &str| format!("<a{half}><b{half}>{inner}</b></a>");
        assert!(prepared(&nested("<c/>'<![CDATA[<d xmlns=''>]]>")).is_ok());
        let refused = Err(XmlError::TooManyNamespaces { limit: MAX_NAMESPACES });
        assert_eq!(prepared(&nested("<c xmlns=''/>")), refused);
        assert_eq!(prepared(&nested("<c xmlns=''></c>")), refused);
        // Beside each other they may be as many as there are values with a type.
        let beside = format!("<a{half}>{}</a>", format!("<b{half}/><b{half}><c/></b>").repeat(8));
        assert!(prepared(&beside).is_ok());
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
