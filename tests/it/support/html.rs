//! Just enough HTML to find forms and marked elements on simple pages.

use http::Method;
use url::Url;

/// A start tag with the text up to the next tag.
#[derive(Debug, Clone)]
pub struct Tag {
    /// Lower-case; end tags begin with a slash.
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
}

impl Tag {
    pub fn at(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn text_at(&self, name: &str) -> String {
        self.at(name).unwrap_or_default().to_owned()
    }
}

/// The tags of a page in order. Comments, scripts and styles are left out.
pub fn tags(html: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if rest.starts_with("<!--") {
            rest = rest.find("-->").map_or("", |end| &rest[end + 3..]);
            continue;
        }
        let Some((mut tag, after)) = tag(&rest[1..]) else {
            rest = &rest[1..];
            continue;
        };
        rest = after;
        if matches!(tag.name.as_str(), "script" | "style") {
            rest = rest.find(&format!("</{}", tag.name)).map_or("", |end| &rest[end..]);
            continue;
        }
        tag.text = unescape(rest[..rest.find('<').unwrap_or(rest.len())].trim());
        found.push(tag);
    }
    found
}

/// What stands after `<`, up to and with its `>`.
fn tag(text: &str) -> Option<(Tag, &str)> {
    let end = text.find(|c: char| c.is_whitespace() || c == '>')?;
    let name = text[..end].trim_end_matches('/').to_ascii_lowercase();
    if !name.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut tag = Tag { name, attributes: Vec::new(), text: String::new() };
    let mut rest = text[end..].trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('>') {
            return Some((tag, after));
        }
        if let Some(after) = rest.strip_prefix('/') {
            rest = after.trim_start();
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=>/".contains(c))?;
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            let (raw, left) = if let Some(quote) = quote {
                after[1..].split_once(quote)?
            } else {
                after.split_at(after.find(|c: char| c.is_whitespace() || c == '>')?)
            };
            value = unescape(raw);
            rest = left.trim_start();
        }
        if name.is_empty() {
            return None;
        }
        tag.attributes.push((name, value));
    }
}

/// The references that pages use, named and numeric.
pub fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let decoded = rest.find(';').filter(|end| *end < 12).and_then(|end| {
            let name = &rest[1..end];
            let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => number.parse().ok(),
            });
            let c = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                "nbsp" => '\u{a0}',
                _ => char::from_u32(number?)?,
            };
            Some((c, end + 1))
        });
        let (c, used) = decoded.unwrap_or(('&', 1));
        out.push(c);
        rest = &rest[used..];
    }
    out.push_str(rest);
    out
}

/// A form as the page has it, to be filled in.
#[derive(Debug, Clone)]
pub struct Form {
    /// Resolved against the page's address.
    pub action: Url,
    pub method: Method,
    /// What would be sent: hidden and filled-in inputs, ticked boxes, chosen options.
    pub fields: Vec<(String, String)>,
    /// Name and value of each button that submits.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Fills in a field, or adds it.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Presses the button; it must be there.
    #[must_use]
    pub fn press(mut self, name: &str, value: &str) -> Self {
        let button = (name.to_owned(), value.to_owned());
        assert!(self.buttons.contains(&button), "no button {name}={value} among {:?}", self.buttons);
        self.fields.push(button);
        self
    }

    /// What a field holds; it must be there.
    pub fn value(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no field {name} among {:?}", self.fields)).1
    }

    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().chain(&self.buttons).any(|(known, _)| known == name)
    }
}

/// The forms of a page.
pub fn forms(html: &str, page: &Url) -> Vec<Form> {
    let mut found: Vec<Form> = Vec::new();
    let (mut open, mut select) = (false, None::<String>);
    for tag in tags(html) {
        if tag.name == "form" {
            let method = tag.text_at("method").to_ascii_uppercase();
            found.push(Form {
                action: page.join(&tag.text_at("action")).unwrap(),
                method: if method == "POST" { Method::POST } else { Method::GET },
                fields: Vec::new(),
                buttons: Vec::new(),
            });
            open = true;
        }
        let Some(form) = found.last_mut().filter(|_| open) else { continue };
        let (name, value) = (tag.text_at("name"), tag.text_at("value"));
        match tag.name.as_str() {
            "/form" => open = false,
            "button" if tag.at("type").unwrap_or("submit") == "submit" => form.buttons.push((name, value)),
            "input" => match tag.at("type").unwrap_or("text") {
                "submit" | "image" => form.buttons.push((name, value)),
                "button" | "reset" => {}
                "checkbox" | "radio" if tag.at("checked").is_none() => {}
                "checkbox" | "radio" => {
                    form.fields.push((name, tag.at("value").unwrap_or("on").to_owned()));
                }
                _ if name.is_empty() => {}
                _ => form.fields.push((name, value)),
            },
            "textarea" => form.fields.push((name, tag.text)),
            "select" => select = Some(name),
            "/select" => select = None,
            "option" => {
                if let Some(name) = &select {
                    let value = tag.at("value").map_or_else(|| tag.text.clone(), str::to_owned);
                    let first = !form.fields.iter().any(|(known, _)| known == name);
                    if tag.at("selected").is_some() {
                        *form = form.clone().set(name, &value);
                    } else if first {
                        form.fields.push((name.clone(), value));
                    }
                }
            }
            _ => {}
        }
    }
    found
}
