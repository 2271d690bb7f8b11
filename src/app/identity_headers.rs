//! `[headers]`: what the application gets with every request of a session.

use http::HeaderValue;

use crate::config::settings::Header;
use crate::expr::blanks::has_blank_end;
use crate::identify::session::RenderHeaders;
use crate::observe::audit::{Audit, Entry, Event, Plain};

/// Renders `[headers]` for a session, once. A value that is absent, empty or would not arrive as what it is
/// (PROVISIONING.md G5) leaves its header out. `audit` is told of it; `None`: it is only shown what the headers would be.
pub(super) fn render_headers(headers: Vec<Header>, audit: Option<Audit>) -> Box<RenderHeaders> {
    Box::new(move |context| {
        let render = |header: &Header| {
            let text = match header.template.render(context) {
                Ok(text) => text?,
                Err(error) => {
                    if audit.is_some() {
                        tracing::warn!(header = %header.name, %error, "an identity header is left out");
                    }
                    return None;
                }
            };
            if text.is_empty() {
                return None;
            }
            let value = sendable(&text);
            if let (None, Some(audit)) = (&value, &audit) {
                let name = Plain::name(header.name.as_str());
                audit.record(Entry::new(Event::HeaderValueRefused).field("header", name));
            }
            Some((header.name.clone(), value?))
        };
        headers.iter().filter_map(render).collect()
    })
}

/// The text as UTF-8, where whoever reads it gets just that: `None` with CR, LF, NUL and other controls, and with a blank
/// at an end.
fn sendable(text: &str) -> Option<HeaderValue> {
    if has_blank_end(text) {
        return None;
    }
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use serde_json::json;

    use super::*;
    use crate::expr::{Context, SessionFacts, Template};
    use crate::model::{Claims, Grant, Subject};

    fn rendered(template: &str, name: &str) -> Vec<String> {
        let header = Header {
            name: HeaderName::from_static("x-user"),
            template: Template::compile(template).unwrap(),
        };
        let render = render_headers(vec![header], None);
        let claims = json!({ "name": name, "family": "" });
        let context = Context::of_session(SessionFacts {
            idp: &"corp".parse().unwrap(),
            subject: &Subject::parse("s-1").unwrap(),
            claims: &Claims::new(claims.as_object().unwrap().clone()).unwrap(),
            account: None,
            grant: &Grant::default(),
        });
        let headers = render(&context);
        headers.iter().map(|(_, value)| String::from_utf8(value.as_bytes().to_vec()).unwrap()).collect()
    }

    #[test]
    fn g5_a_value_that_would_not_arrive_as_it_is_leaves_its_header_out() {
        for name in ["admin", "ad min", "Niccolà", "王芳"] {
            assert_eq!(rendered("{{ claims.name }}", name), [name]);
        }
        for refused in [
            "admin ",
            " admin",
            "\tadmin",
            "admin\u{a0}",
            "\u{2003}admin",
            "admin\u{85}",
            "admin\u{feff}",
            " ",
            "admin\r",
            "ad\r\nmin",
            "ad\0min",
            "ad\u{7f}min",
        ] {
            assert_eq!(rendered("{{ claims.name }}", refused), [""; 0], "{refused:?}");
            assert_eq!(rendered("{{ claims.name }} {{ claims.family }}", refused), [""; 0], "{refused:?}");
        }
    }

    #[test]
    fn g5_the_templates_own_blanks_at_the_ends_are_dropped() {
        for template in ["{{ claims.name }} {{ claims.family }}", " {{ claims.family }} {{ claims.name }}\t"]
        {
            assert_eq!(rendered(template, "Ada"), ["Ada"], "{template}");
        }
        assert_eq!(rendered("{{ claims.family }} ", ""), [""; 0]);
        assert_eq!(rendered("{{ claims.name }} of us ", "Ada"), ["Ada of us"]);
    }
}
