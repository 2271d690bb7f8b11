//! Whether a request comes from a person going somewhere, or from a program that wants data.

use http::{HeaderMap, Method, header};

/// How an answer that the requester did not ask for should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A top-level or framed document load: redirect to the login, show pages.
    Navigation,
    /// XHR, fetch, API client, upgrade: 401 with a JSON body (SECURITY.md 36).
    Background,
}

impl Intent {
    /// Reads what the browser says of its own request; nothing here decides about access.
    ///
    /// Fetch Metadata (`Sec-Fetch-Mode`, `Sec-Fetch-Dest`) comes first, since scripts cannot set it; then
    /// `X-Requested-With` and `Accept`, for clients that do not send it.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let prefetched = text("sec-purpose").is_some_and(|purpose| purpose.starts_with("prefetch"));
        if headers.contains_key(header::UPGRADE) || prefetched {
            return Self::Background;
        }
        if !matches!(*method, Method::GET | Method::HEAD | Method::POST) {
            return Self::Background;
        }
        match (text("sec-fetch-mode"), text("sec-fetch-dest")) {
            (Some("navigate"), None | Some("document" | "iframe" | "frame" | "embed" | "object")) => {
                return Self::Navigation;
            }
            (Some(_), _) => return Self::Background,
            (None, _) => {}
        }
        let scripted = text("x-requested-with").is_some();
        let wants_page = text("accept").is_some_and(|accept| {
            accept.split(',').any(|range| {
                let media = range.split(';').next().unwrap_or(range).trim();
                media.eq_ignore_ascii_case("text/html") || media.eq_ignore_ascii_case("application/xhtml+xml")
            })
        });
        if wants_page && !scripted { Self::Navigation } else { Self::Background }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(method: &Method, lines: &[(&str, &str)]) -> Intent {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        Intent::of(method, &headers)
    }

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn lesson_36_a_document_load_is_a_navigation() {
        assert_eq!(
            intent(&Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]),
            Intent::Navigation
        );
        assert_eq!(
            intent(&Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
            Intent::Navigation
        );
        assert_eq!(intent(&Method::POST, &[("sec-fetch-mode", "navigate")]), Intent::Navigation);
        assert_eq!(intent(&Method::GET, &[PAGE]), Intent::Navigation);
        assert_eq!(intent(&Method::HEAD, &[PAGE]), Intent::Navigation);
    }

    #[test]
    fn lesson_36_everything_else_is_background() {
        for lines in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[PAGE, ("x-requested-with", "XMLHttpRequest")],
            &[PAGE, ("sec-fetch-mode", "cors")],
            &[PAGE, ("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "empty")],
            &[PAGE, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            &[PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "serviceworker")],
            &[PAGE, ("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch;prerender")],
            &[PAGE, ("upgrade", "websocket"), ("sec-fetch-mode", "websocket")],
        ] {
            assert_eq!(intent(&Method::GET, lines), Intent::Background, "{lines:?}");
        }
        assert_eq!(intent(&Method::PUT, &[PAGE]), Intent::Background);
        assert_eq!(intent(&Method::OPTIONS, &[PAGE]), Intent::Background);
    }
}
