//! Changes to messages, drawn by a seeded generator: of the structure (elements moved, doubled, wrapped, renamed),
//! of what canonicalisation evens out (quotes, references, white space in tags), and of single bytes.

use std::ops::Range;

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Draw(u64);

impl Draw {
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    fn text(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Where an element stands in its text.
#[derive(Debug, Clone)]
struct Element {
    open: Range<usize>,
    /// Empty, at the end of `open`, for `<a/>`.
    close: Range<usize>,
}

impl Element {
    fn whole(&self) -> Range<usize> {
        self.open.start..self.close.end
    }

    fn is_empty_tag(&self) -> bool {
        self.close.is_empty()
    }
}

/// The elements of a text that is more or less XML: what no end tag belongs to is left out.
fn elements(text: &str) -> Vec<Element> {
    let (mut found, mut open) = (Vec::new(), Vec::<Range<usize>>::new());
    let mut at = 0;
    while let Some(begin) = text[at..].find('<').map(|offset| at + offset) {
        let rest = &text[begin..];
        at = match rest.as_bytes().get(1) {
            Some(b'!' | b'?') => begin + rest.find('>').map_or(rest.len(), |end| end + 1),
            _ => begin + end_of_tag(rest),
        };
        match rest.as_bytes().get(1) {
            Some(b'/') => {
                if let Some(start) = open.pop() {
                    found.push(Element { open: start, close: begin..at });
                }
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                if text[begin..at].ends_with("/>") {
                    found.push(Element { open: begin..at, close: at..at });
                } else {
                    open.push(begin..at);
                }
            }
            _ => {}
        }
    }
    found
}

/// Behind the `>` of the tag that `text` begins with.
fn end_of_tag(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, '>') => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// An attribute or namespace declaration in a text: the whole of it with the space before, and its value.
struct Attribute {
    whole: Range<usize>,
    value: Range<usize>,
}

fn attributes(text: &str, tag: &Range<usize>) -> Vec<Attribute> {
    let (mut found, mut at) = (Vec::new(), tag.start);
    while let Some(equals) = text[at..tag.end].find('=').map(|offset| at + offset) {
        let Some(quote) = text[equals + 1..tag.end].chars().next().filter(|c| "\"'".contains(*c)) else {
            break;
        };
        let Some(length) = text[equals + 2..tag.end].find(quote) else { break };
        let value = equals + 2..equals + 2 + length;
        let begin = text[at..equals].rfind(char::is_whitespace).map_or(at, |offset| at + offset);
        at = value.end + 1;
        found.push(Attribute { whole: begin..at, value });
    }
    found
}

/// The texts between tags that are more than white space.
fn texts(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(begin) = text[at..].find('<').map(|offset| at + offset) {
        if !text[at..begin].trim().is_empty() {
            found.push(at..begin);
        }
        at = begin + end_of_tag(&text[begin..]);
    }
    found
}

const WRAPPERS: &[(&str, &str)] = &[
    ("<x>", "</x>"),
    ("<samlp:Extensions>", "</samlp:Extensions>"),
    ("<saml:Advice>", "</saml:Advice>"),
    ("<saml:Assertion ID=\"_wrapper\" Version=\"2.0\">", "</saml:Assertion>"),
    ("<samlp:Response ID=\"_wrapper\" Version=\"2.0\">", "</samlp:Response>"),
    ("<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">", "</ds:Object>"),
    ("<samlp:StatusDetail>", "</samlp:StatusDetail>"),
    ("<![CDATA[", "]]>"),
    ("<!--", "-->"),
];

const DECLARATIONS: &[&str] = &[
    " xmlns:unused=\"urn:example:unused\"",
    " xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
    " xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
    " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"",
    " xmlns:saml=\"urn:evil\"",
    " xmlns:samlp=\"urn:evil\"",
    " xmlns:ds=\"urn:evil\"",
    " xmlns=\"\"",
    " xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
    " xmlns:relative=\"relative/uri\"",
    " xmlns:xs=\"urn:evil\"",
    " xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"",
];

const ATTRIBUTES: &[&str] = &[
    " evil=\"1\"",
    " xml:lang=\"en\"",
    " xml:space=\"preserve\"",
    " xml:base=\"https://evil.example/\"",
    " xml:id=\"_other\"",
    " Id=\"_other\"",
    " id=\"_assertion-9a44d0e2\"",
    " ID=\"_assertion-9a44d0e2\"",
    " ID=\"_response-7c1be1f3\"",
    " saml:ID=\"_assertion-9a44d0e2\"",
    " Consent=\"urn:oasis:names:tc:SAML:2.0:consent:unspecified\"",
];

const NAMES: &[(&str, &str)] = &[
    ("Assertion", "assertion"),
    ("Assertion", "EncryptedAssertion"),
    ("Response", "LogoutResponse"),
    ("NameID", "EncryptedID"),
    ("Signature", "signature"),
    ("SignedInfo", "Object"),
    ("KeyInfo", "Object"),
    ("Subject", "Advice"),
    ("saml:", "samlp:"),
    ("samlp:", "saml:"),
    ("ds:", "saml:"),
    ("saml:", "xs:"),
];

/// One change more. It may be that nothing comes of it.
pub fn mutate(text: &str, draw: &mut Draw) -> String {
    // Nothing may be left of it.
    if text.is_empty() {
        return String::new();
    }
    match draw.below(100) {
        0..46 => structure(text, draw),
        46..84 => form(text, draw),
        _ => bytes(text, draw),
    }
}

fn spliced(text: &str, range: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..range.start], &text[range.end..])
}

/// A place between a tag and what follows it.
fn boundary(elements: &[Element], draw: &mut Draw) -> usize {
    let element = draw.one(elements);
    *draw.one(&[element.open.start, element.open.end, element.close.start, element.close.end])
}

fn structure(text: &str, draw: &mut Draw) -> String {
    let all = elements(text);
    if all.is_empty() {
        return text.to_owned();
    }
    let element = draw.one(&all).clone();
    let whole = &text[element.whole()];
    match draw.below(12) {
        0 => spliced(text, element.whole(), ""),
        1 | 2 => {
            let to = boundary(&all, draw);
            let (from, end) = (element.whole().start, element.whole().end);
            if to <= from {
                let without = spliced(text, from..end, "");
                spliced(&without, to..to, whole)
            } else if to >= end {
                let with = spliced(text, to..to, whole);
                spliced(&with, from..end, "")
            } else {
                text.to_owned()
            }
        }
        3 => {
            let to = boundary(&all, draw);
            spliced(text, to..to, whole)
        }
        4 => {
            // The copy says another name, and has IDs of its own.
            let to = boundary(&all, draw);
            let copy = whole.replace("ada@example.com", "admin@example.com").replace("ID=\"_", "ID=\"_copy");
            spliced(text, to..to, &copy)
        }
        5 => {
            let (before, behind) = *draw.one(WRAPPERS);
            spliced(text, element.whole(), &format!("{before}{whole}{behind}"))
        }
        6 if !element.is_empty_tag() => {
            let inside = &text[element.open.end..element.close.start];
            spliced(text, element.whole(), inside)
        }
        7 => {
            let (old, new) = *draw.one(NAMES);
            let open = text[element.open.clone()].replacen(old, new, 1);
            let close = text[element.close.clone()].replacen(old, new, 1);
            let inside = &text[element.open.end..element.close.start];
            spliced(text, element.whole(), &format!("{open}{inside}{close}"))
        }
        8 | 9 => {
            let more = if draw.below(2) == 0 { draw.one(DECLARATIONS) } else { draw.one(ATTRIBUTES) };
            let end = element.open.end - if text[element.open.clone()].ends_with("/>") { 2 } else { 1 };
            spliced(text, end..end, more)
        }
        _ => {
            let found = attributes(text, &element.open);
            if found.is_empty() {
                return text.to_owned();
            }
            let attribute = draw.one(&found);
            match draw.below(3) {
                0 => spliced(text, attribute.whole.clone(), ""),
                1 => spliced(
                    text,
                    attribute.value.clone(),
                    draw.text(&["", "x", "_other", "urn:evil", "#_other"]),
                ),
                _ => {
                    let other = draw.one(&found);
                    let value = text[other.value.clone()].to_owned();
                    spliced(text, attribute.value.clone(), &value)
                }
            }
        }
    }
}

/// What does not change the canonical form, if it stands where it may.
fn form(text: &str, draw: &mut Draw) -> String {
    let all = elements(text);
    if all.is_empty() {
        return text.to_owned();
    }
    let element = draw.one(&all).clone();
    match draw.below(11) {
        // White space in tags.
        0 => {
            let end = element.open.end - if text[element.open.clone()].ends_with("/>") { 2 } else { 1 };
            spliced(text, end..end, draw.text(&[" ", "\n", "\t", "\r\n"]))
        }
        1 if !element.is_empty_tag() => spliced(text, element.close.end - 1..element.close.end - 1, " "),
        // <a/> and <a></a>
        2 if element.is_empty_tag() => {
            let name: String = text[element.open.start + 1..]
                .chars()
                .take_while(|c| !c.is_whitespace() && !"/>".contains(*c))
                .collect();
            spliced(text, element.open.end - 2..element.open.end, &format!("></{name}>"))
        }
        // The order of attributes, and their quotes.
        3 | 4 => {
            let found = attributes(text, &element.open);
            let Some(attribute) = found.first() else { return text.to_owned() };
            let whole = text[attribute.whole.clone()].to_owned();
            let end = found.last().map_or(attribute.whole.end, |last| last.whole.end);
            spliced(&spliced(text, end..end, &whole), attribute.whole.clone(), "")
        }
        5 => {
            let found = attributes(text, &element.open);
            if found.is_empty() {
                return text.to_owned();
            }
            let value = draw.one(&found).value.clone();
            let quoted = &text[value.clone()];
            spliced(text, value.start - 1..value.end + 1, &format!("'{quoted}'"))
        }
        // References to characters, in attributes and in text.
        6 => {
            let found = attributes(text, &element.open);
            if found.is_empty() {
                return text.to_owned();
            }
            let value = draw.one(&found).value.clone();
            referenced(text, value, draw)
        }
        7 => {
            let found = texts(text);
            if found.is_empty() {
                return text.to_owned();
            }
            let range = draw.one(&found).clone();
            referenced(text, range, draw)
        }
        8 => {
            let found = texts(text);
            if found.is_empty() {
                return text.to_owned();
            }
            let range = draw.one(&found).clone();
            let within = &text[range.clone()];
            if within.contains('&') || within.contains('>') {
                return text.to_owned();
            }
            spliced(text, range.clone(), &format!("<![CDATA[{within}]]>"))
        }
        // White space, a comment or an instruction anywhere between tags, and around it all.
        9 => {
            let to = boundary(&all, draw);
            spliced(
                text,
                to..to,
                draw.text(&[" ", "\n", "\t", "<!-- x -->", "<?x y?>", "&#32;", "<![CDATA[]]>"]),
            )
        }
        _ => match draw.below(4) {
            0 => format!("{text}\n"),
            1 => format!("\n{text}"),
            2 => format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}"),
            _ => format!("\u{feff}{text}"),
        },
    }
}

/// One character of the range as a reference to it.
fn referenced(text: &str, range: Range<usize>, draw: &mut Draw) -> String {
    let within = &text[range.clone()];
    let chars: Vec<_> = within.char_indices().filter(|(_, c)| !"&;#<".contains(*c)).collect();
    if chars.is_empty() || within.contains('&') {
        return text.to_owned();
    }
    let (at, c) = *draw.one(&chars);
    let reference = match draw.below(2) {
        0 => format!("&#{};", u32::from(c)),
        _ => format!("&#x{:x};", u32::from(c)),
    };
    spliced(text, range.start + at..range.start + at + c.len_utf8(), &reference)
}

const TOKENS: &[&str] = &[
    "<",
    ">",
    "/",
    "\"",
    "'",
    "=",
    "&",
    "&amp;",
    "&#0;",
    "&#x10FFFF;",
    "\0",
    "\t",
    "\r",
    "\u{feff}",
    "\u{2028}",
    "A",
    "#",
    "_",
    "<x/>",
    "<!DOCTYPE x>",
    "<!-- -->",
    "<?x?>",
    "]]>",
    "<![CDATA[",
    " ID=\"x\"",
    "xmlns=\"\"",
    "admin@",
];

fn bytes(text: &str, draw: &mut Draw) -> String {
    let mut place = || {
        let mut at = draw.below(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (one, other) = (place(), place());
    let (from, to) = (one.min(other), one.max(other));
    match draw.below(6) {
        0 | 1 => {
            // Another character in the place of one.
            let Some(c) = text[one..].chars().next() else { return text.to_owned() };
            let flipped = u32::from(c) ^ (1 << draw.below(7));
            let by = char::from_u32(flipped).unwrap_or('x').to_string();
            spliced(text, one..one + c.len_utf8(), &by)
        }
        2 | 3 => spliced(text, one..one, draw.text(TOKENS)),
        4 => {
            let to =
                text[from..].char_indices().map(|(at, _)| from + at).nth(1 + draw.below(8)).unwrap_or(to);
            spliced(text, from..to.max(from), "")
        }
        _ => {
            let piece: String = text[from..to].chars().take(200).collect();
            spliced(text, to..to, &piece)
        }
    }
}
