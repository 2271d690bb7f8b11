//! White space as XML 1.0 has it, which the parser leaves as it stands: ends of lines (2.11) and white space in
//! attributes' values (3.3.3). Without this the canonical form of a message that has any is not that of its signer.

use std::borrow::Cow;

/// The text with each literal line end as a line feed, and each literal white space in an attribute's value as a
/// space. Character references (`&#10;`) stay; they are no literal white space.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    // XML 1.0, 2.11: before anything else, wherever it stands.
    let text = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    match in_attributes(&text) {
        Some(changed) => Cow::Owned(changed),
        None => text,
    }
}

/// XML 1.0, 3.3.3; `None` where nothing is to be changed. All else in the text stays in its place, so what is
/// not well-formed stays so.
fn in_attributes(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.find('<').and_then(|at| rest.split_at_checked(at)) {
        let length = [("<![CDATA[", "]]>"), ("<!--", "-->"), ("<?", "?>")]
            .iter()
            .find(|(opens, _)| tag.starts_with(opens))
            // What is not closed is not well-formed.
            .map_or_else(|| tag_length(tag), |(_, closes)| tag.find(closes).unwrap_or(tag.len()));
        let (tag, after) = tag.split_at_checked(length)?;
        out.push_str(before);
        if tag.starts_with("<!") || tag.starts_with("<?") {
            out.push_str(tag);
        } else {
            push_tag(&mut out, tag);
        }
        rest = after;
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

/// XML 1.0, 3.1: a tag ends at the first `>` outside of quotes.
fn tag_length(tag: &str) -> usize {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return at,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    tag.len()
}

fn push_tag(out: &mut String, tag: &str) {
    let mut quote = None;
    for c in tag.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (Some(_), '\t' | '\n') => {
                out.push(' ');
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
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
            assert_eq!(normalised(text), expected);
        }
        assert!(matches!(normalised("<a b=' '>\n</a>"), Cow::Borrowed(_)));
    }
}
