//! How applications read the names of cookies, which is not always as they were written.

/// The application's session cookies, each known by every spelling that some application reads as its name.
///
/// SECURITY: what a client sends under a name that we take for another one, but the application for a declared one,
/// would be a session that nothing ties to ours. So a name counts as a declared one where it is that name
///
/// - in any letter case: ASP.NET Core looks cookies up so;
/// - percent-encoded, `+` for a blank: Plack, CGI.pm, Rack 1 and PHP before 7.2.34 decode names (CVE-2020-7070,
///   CVE-2020-8184);
/// - with `.`, `[` or a blank instead of `_`, up to a `[` or an encoded NUL: PHP makes variables of names;
/// - among whatever else but token characters (RFC 9110, 5.6.2): Go, Python, Node.js and Java trim blanks, some of
///   them Unicode's too.
#[derive(Debug, Clone)]
pub(super) struct Declared(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    /// Decoded and folded.
    start: Vec<u8>,
    /// Names that begin so are others.
    whole: bool,
}

impl Declared {
    /// Names, or `prefix*`.
    pub(super) fn new(names: Vec<String>) -> Self {
        let pattern = |name: String| {
            let (start, whole) = match name.strip_suffix('*') {
                Some(prefix) => (prefix, false),
                None => (name.as_str(), true),
            };
            Pattern { start: decoded(start.as_bytes()).map(folded).collect(), whole }
        };
        Self(names.into_iter().map(pattern).collect())
    }

    /// Whether this is a declared name to some application.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.is_read_in(name))
    }

    /// Whether some application finds a cookie of a declared name in this one.
    ///
    /// SECURITY: not only semicolons separate cookies. RFC 2109 (4.2.2) has commas, as Jetty, Tomcat's legacy parser,
    /// ASP.NET Core and Netty read them; Python's `http.cookies` takes blanks; a quoted value ends at its quotation
    /// mark. So no equals sign may have a declared name before it, whatever stands before that. Parsers that see fewer
    /// separators than we do, such as those for which quotes hide a semicolon, only miss cookies.
    pub(super) fn is_in(&self, cookie: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(last) = cookie.iter().rposition(|byte| *byte == b'=') else { return self.has(cookie) };
        let mut before = cookie.get(..last).unwrap_or_default().split(|byte| *byte == b'=');
        // The first as a whole too: there are names with blanks.
        before.clone().next().is_some_and(|name| self.has(name))
            || before.any(|text| self.has(last_token(text)))
    }
}

impl Pattern {
    fn is_read_in(&self, name: &[u8]) -> bool {
        let mut bytes = decoded(name);
        if !self.start.iter().all(|wanted| bytes.next().map(folded) == Some(*wanted)) {
            return false;
        }
        !self.whole
            || match bytes.next() {
                None | Some(b'[' | 0) => true,
                Some(byte) => !is_token(byte) && !bytes.any(is_token),
            }
    }
}

/// A name's bytes from the first that a name can have, with what is percent-encoded decoded.
fn decoded(name: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = name;
    let bytes = std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let (byte, after) = match first {
            b'+' => (b' ', after),
            b'%' => encoded(after).unwrap_or((b'%', after)),
            other => (*other, after),
        };
        rest = after;
        Some(byte)
    });
    bytes.skip_while(|byte| !is_token(*byte))
}

/// What stands behind a percent sign, and the rest: two hexadecimal digits, or `u` and four, as CGI.pm knows them.
fn encoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([b'u', b'0', b'0', high, low, rest @ ..] | [high, low, rest @ ..]) = text else {
        return None;
    };
    let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
    Some((u8::try_from(value).ok()?, rest))
}

fn folded(byte: u8) -> u8 {
    match byte {
        b'.' | b' ' | b'[' => b'_',
        other => other.to_ascii_lowercase(),
    }
}

/// The last run of token characters.
fn last_token(text: &[u8]) -> &[u8] {
    text.rsplit(|byte| !is_token(*byte)).find(|run| !run.is_empty()).unwrap_or_default()
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Declared {
        Declared::new(["my_session", "hub-*", "Connect.sid"].map(str::to_owned).to_vec())
    }

    #[test]
    fn e7_a_declared_name_is_known_in_every_spelling_that_some_application_reads() {
        for name in [
            "my_session",
            "My_Session",
            "my.session",
            "my session",
            "my[session",
            "my+session",
            "my%5Fsession",
            "my%5fsession",
            "my%u005Fsession",
            "my%2Esession",
            "%6Dy_session",
            " my_session",
            "%20my_session",
            "+my_session",
            "my_session\t",
            "my_session%20",
            "my_session+",
            "my_session\u{a0}",
            "\u{2003}my_session",
            "my_session[id]",
            "my_session%00.png",
            "\"my_session\"",
            "hub-",
            "HUB-login",
            "hub%2Dlogin",
            "connect.sid",
            "CONNECT_SID",
        ] {
            assert!(declared().has(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn another_name_is_not_a_declared_one() {
        for name in [
            "",
            "my",
            "my_sessio",
            "my_session2",
            "my_session.sig",
            "my_session(2)",
            "my-session",
            "xmy_session",
            "my%session",
            "my%5",
            "my%",
            "my%u015Fsession",
            "my%U005Fsession",
            "my%255Fsession",
            "hub",
            "[",
            "%",
            "%00",
            "connect-sid",
        ] {
            assert!(!declared().has(name.as_bytes()), "{name}");
        }
        assert!(!Declared::new(Vec::new()).has(b""));
    }

    #[test]
    fn e7_a_declared_name_is_found_wherever_it_stands_before_an_equals_sign() {
        for cookie in [
            "my_session",
            "my_session=v",
            "my session=v",
            "=my_session=v",
            "==my_session=v",
            "x=1,my_session=v",
            "x=1, my_session =v",
            "x=1 my_session=v",
            "x=1\tmy_session\t=v",
            "x=\"1\"my_session=v",
            "x=\"1\" my%5Fsession=v=",
            "x=(my_session=v",
            "x=/my_session=v",
            "x=1=2,hub-a=v",
        ] {
            assert!(declared().is_in(cookie.as_bytes()), "{cookie}");
        }
    }

    #[test]
    fn a_declared_name_within_another_word_or_behind_the_last_equals_sign_is_none() {
        for cookie in [
            "x=my_session",
            "x=1, my_session",
            "x=1&my_session2=v",
            "x.my_session=v",
            "x=xmy_session=v",
            "x=dG9rZW4==",
            "=",
            "",
        ] {
            assert!(!declared().is_in(cookie.as_bytes()), "{cookie}");
        }
        assert!(!Declared::new(Vec::new()).is_in(b"my_session=v"));
    }
}
