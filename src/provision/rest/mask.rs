//! The first part of an answer as it may stand in an error: secrets masked, controls gone, 200 characters.

use crate::model::Secret;

const LENGTH: usize = 200;
const MASK: &str = "[masked]";
/// A run of token characters of this length with a digit and a letter in it looks like a token.
const TOKEN_LENGTH: usize = 24;
/// Shorter secrets are not searched for: they would mask half of every text, and no credential is that short.
const SHORTEST: usize = 4;

/// Masks `secrets` in every form that an answer may echo them in, then whatever else looks like a secret,
/// and only then cuts: a secret cut in half would no longer be found.
pub(in crate::provision) fn excerpt(body: &[u8], secrets: &[Secret]) -> String {
    let mut text = String::from_utf8_lossy(body.get(..64 * 1024).unwrap_or(body)).into_owned();
    let mut forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret.expose())).collect();
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    for form in forms.iter().filter(|form| form.len() >= SHORTEST) {
        text = text.replace(form.as_str(), MASK);
    }
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = mask_tokens(&mask_named(&text));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(LENGTH).collect()
}

fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
    vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        json.trim_matches('"').replace('/', "\\/"),
        html,
        percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    ]
}

/// `"password": "…"`, `token=…`, `Bearer …`: what follows a telling name.
fn mask_named(text: &str) -> String {
    const NAMES: [&str; 8] =
        ["password", "passwd", "secret", "token", "api_key", "apikey", "bearer ", "authorization"];
    let lower = text.to_ascii_lowercase();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            let from = at + name.len();
            let Some(rest) = text.get(from..) else { continue };
            let bearer = name.ends_with(' ');
            let value = rest.trim_start_matches(|c: char| "\"'\\ ".contains(c));
            let separated = value.starts_with([':', '=']);
            if !separated && !bearer {
                continue;
            }
            let value =
                value.trim_start_matches([':', '=']).trim_start_matches(|c: char| "\"'\\ ".contains(c));
            let start = text.len() - value.len();
            let length = value.find(|c: char| "\"'\\,;&<>{}[] ".contains(c)).unwrap_or(value.len());
            // A sentence such as "token: is missing" names no value; only what is long enough is masked.
            if length >= 6 {
                spans.push((start, start + length));
            }
        }
    }
    cut(text, spans)
}

fn mask_tokens(text: &str) -> String {
    let mut spans = Vec::new();
    let mut start = None;
    let ends = text.char_indices().chain(std::iter::once((text.len(), ' ')));
    for (at, c) in ends {
        let inside = c.is_ascii_alphanumeric() || "-_+/=.~".contains(c);
        match (start, inside) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let run = text.get(from..at).unwrap_or_default();
                let token = run.len() >= TOKEN_LENGTH
                    && run.bytes().any(|b| b.is_ascii_digit())
                    && run.bytes().any(|b| b.is_ascii_alphabetic())
                    && run.split('/').any(|part| part.len() >= TOKEN_LENGTH - 8);
                if token {
                    spans.push((from, at));
                }
                start = None;
            }
            (Some(_), true) | (None, false) => {}
        }
    }
    cut(text, spans)
}

fn cut(text: &str, mut spans: Vec<(usize, usize)>) -> String {
    spans.sort_unstable();
    let mut out = String::new();
    let mut done = 0;
    for (from, to) in spans {
        if from >= done {
            out.push_str(text.get(done..from).unwrap_or_default());
            out.push_str(MASK);
        }
        done = done.max(to);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_a_known_secret_is_masked_in_every_form_that_an_answer_echoes() {
        let secret = Secret::new("pä\"ss/w&rd");
        for body in [
            "no pä\"ss/w&rd here",
            r#"{"said":"pä\"ss/w&rd"}"#,
            r#"{"said":"pä\"ss\/w&rd"}"#,
            "p%C3%A4%22ss%2Fw%26rd",
            "pä&#34;ss/w&amp;rd",
        ] {
            let excerpt = excerpt(body.as_bytes(), std::slice::from_ref(&secret));
            assert!(excerpt.contains(MASK) && !excerpt.contains("ss"), "{body}: {excerpt}");
        }
    }

    #[test]
    fn a4_what_looks_like_a_secret_is_masked_without_being_known() {
        for body in [
            "token gta_0123456789abcdef0123456789abcdef01234567 refused",
            r#"{"password":"hunter22"}"#,
            r#"{"access_token": "short-one"}"#,
            "Authorization: Bearer abcdef",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        ] {
            let excerpt = excerpt(body.as_bytes(), &[]);
            assert!(excerpt.contains(MASK), "{body}: {excerpt}");
            for part in ["gta_", "hunter22", "short-one", "abcdef", "eyJ"] {
                assert!(!excerpt.contains(part), "{body}: {excerpt}");
            }
        }
    }

    #[test]
    fn a4_an_excerpt_is_200_characters_in_one_line_and_plain_text_stays() {
        let long = excerpt("ü\n".repeat(500).as_bytes(), &[]);
        assert_eq!(long.chars().count(), 200);
        assert_eq!(excerpt(b"user already\r\nexists [name: ada]", &[]), "user already exists [name: ada]");
        assert_eq!(excerpt(b"password is required", &[]), "password is required");
    }

    #[test]
    fn a4_a_secret_at_the_cut_is_masked_whole() {
        let secret = Secret::new("abcd-efgh-ijkl");
        let excerpt = excerpt(format!("{}abcd-efgh-ijkl", "x".repeat(195)).as_bytes(), &[secret]);
        assert!(!excerpt.contains("abcd"), "{excerpt}");
    }
}
