//! Cookies on their way through: ours never pass, and the application's own sessions hold within ours only.

mod reading;
mod tie;

use http::HeaderMap;
use http::header::{self, HeaderValue};

use self::reading::Declared;
use self::tie::{Tag, Tie, Value};
use crate::model::SessionHash;
use crate::platform::KeyRing;

/// Name and value of a cookie that browsers take are 4,096 bytes (RFC 6265bis, 5.6); this has the equals sign too.
const LONGEST: usize = 4097;

/// Which cookies are ours, and which are sessions of the application.
///
/// SECURITY: most applications believe their own session cookie before any header. Left alone it would
/// outlive logout, expiry and revocation here, work on public routes without any session of ours, and greet
/// the next person on this browser as the last one (PROVISIONING.md E7). So a declared cookie `NAME` is
/// `NAME.TAG` in the browser, with a tag of the session of ours that it was set in, and its value bears a seal over
/// that session, its name and its value. It goes up only together with that session, whatever its path or lifetime,
/// and whoever knows the value cannot make it one of another session, nor of none.
#[derive(Debug, Clone)]
pub struct Cookies {
    own_prefixes: Vec<String>,
    application: Declared,
    tie: Tie,
}

impl Cookies {
    /// `application`: names, or `prefix*`.
    #[must_use]
    pub fn new(own_prefix: &str, application: Vec<String>, keys: &KeyRing) -> Self {
        Self {
            own_prefixes: vec![own_prefix.to_owned()],
            application: Declared::new(application),
            tie: Tie::new(keys),
        }
    }

    /// With further cookies of ours that browsers may send here: those of the admin API.
    #[must_use]
    pub fn keeping(mut self, prefixes: &[&str]) -> Self {
        self.own_prefixes.extend(prefixes.iter().map(|prefix| (*prefix).to_owned()));
        self
    }

    /// Keeps of a request's cookies what the application may see, in one field (RFC 9113, 8.2.3), under the
    /// names and with the values that it gave.
    pub fn to_application(&self, headers: &mut HeaderMap, session: Option<&SessionHash>) {
        if !headers.contains_key(header::COOKIE) {
            return;
        }
        // Allocated for the first cookie that is kept: most requests have ours only.
        let mut kept: Vec<u8> = Vec::new();
        for cookie in pairs(headers) {
            let pass = match self.whose(cookie) {
                Whose::Ours | Whose::Forged => continue,
                Whose::Free => None,
                Whose::Tied { name, tag, sealed } => {
                    if tag != Tag::of(session).as_bytes() {
                        continue;
                    }
                    let Some(value) = self.tie.untied(session, name, sealed) else { continue };
                    Some((name, value))
                }
            };
            if kept.is_empty() {
                kept.reserve(headers.get_all(header::COOKIE).iter().map(HeaderValue::len).sum());
            } else {
                kept.extend_from_slice(b"; ");
            }
            match pass {
                None => kept.extend_from_slice(cookie),
                Some((name, value)) => {
                    kept.extend_from_slice(name);
                    kept.push(b'=');
                    value.push_to(&mut kept);
                }
            }
        }
        headers.remove(header::COOKIE);
        if let Ok(value) = HeaderValue::from_bytes(&kept)
            && !kept.is_empty()
        {
            headers.insert(header::COOKIE, value);
        }
    }

    /// Drops a response's cookies that would pass for ours and ties the application's sessions to this one.
    pub fn to_browser(&self, headers: &mut HeaderMap, session: Option<&SessionHash>) {
        let concerned = |value: &HeaderValue| {
            let name = Set::of(value).name;
            self.resembles_ours(name) || self.application.has(name)
        };
        if !headers.get_all(header::SET_COOKIE).iter().any(concerned) {
            return;
        }
        let rewritten: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| self.tied(value, session))
            .collect();
        headers.remove(header::SET_COOKIE);
        for value in rewritten {
            headers.append(header::SET_COOKIE, value);
        }
    }

    fn tied(&self, line: &HeaderValue, session: Option<&SessionHash>) -> Option<HeaderValue> {
        let Set { name, value, attributes } = Set::of(line);
        if self.resembles_ours(name) {
            return None;
        }
        if !self.application.has(name) {
            return Some(line.clone());
        }
        let mut text = self.tie.tied(session, name, Value::of(value))?;
        if text.len() > LONGEST {
            let (name, bytes) = (String::from_utf8_lossy(name), text.len());
            tracing::warn!(%name, bytes, "a session cookie of the application is longer than browsers take, with its tie to the session");
        }
        text.extend_from_slice(attributes);
        HeaderValue::from_bytes(&text).ok()
    }

    /// `Set-Cookie` values that clear every session of the application which the browser showed.
    #[must_use]
    pub fn clearing(&self, request: &HeaderMap, secure: bool) -> Vec<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        pairs(request)
            .map(|cookie| split(cookie).0)
            .filter(|name| self.application.has(Tag::split_from(name).map_or(*name, |(name, _)| name)))
            .filter_map(|name| {
                let name = std::str::from_utf8(name).ok()?;
                HeaderValue::try_from(format!("{name}=; Path=/; Max-Age=0{secure}")).ok()
            })
            .collect()
    }

    fn whose<'a>(&self, cookie: &'a [u8]) -> Whose<'a> {
        let (name, value) = split(cookie);
        if self.resembles_ours(split(without_signs(cookie)).0) {
            return Whose::Ours;
        }
        if let (Some((name, tag)), Some(sealed)) = (Tag::split_from(name), value)
            && self.application.has(name)
        {
            return Whose::Tied { name, tag, sealed };
        }
        if self.application.is_in(cookie) { Whose::Forged } else { Whose::Free }
    }

    fn resembles_ours(&self, name: &[u8]) -> bool {
        let mut prefixes = self.own_prefixes.iter().map(String::as_bytes);
        prefixes
            .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
    }
}

/// Whose a cookie is, by its name in the browser.
enum Whose<'a> {
    Ours,
    /// The application's session under its own name, the session of ours that it says it belongs to, and its value
    /// with a seal.
    Tied {
        name: &'a [u8],
        tag: &'a [u8],
        sealed: &'a [u8],
    },
    /// What the application would take for its session, though we did not make it so.
    Forged,
    Free,
}

/// The single cookies of all `Cookie` fields, whatever bytes are in them.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

/// What a browser makes of a `Set-Cookie` (RFC 6265, 5.2).
struct Set<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// With the semicolon before them.
    attributes: &'a [u8],
}

impl<'a> Set<'a> {
    fn of(line: &'a HeaderValue) -> Self {
        let line = without_signs(line.as_bytes());
        let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
        let (cookie, attributes) = line.split_at_checked(end).unwrap_or((line, b""));
        let (name, value) = split(cookie);
        Self { name: name.trim_ascii(), value: value.unwrap_or_default().trim_ascii(), attributes }
    }
}

/// SECURITY: `Set-Cookie: =name=x` makes a cookie without name, which comes back as `name=x` (RFC 6265bis, 5.6);
/// so what stands behind such a sign counts as the name.
fn without_signs(cookie: &[u8]) -> &[u8] {
    let mut cookie = cookie.trim_ascii_start();
    while let Some(rest) = cookie.strip_prefix(b"=") {
        cookie = rest.trim_ascii_start();
    }
    cookie
}

/// The name, and the value where there is an equals sign.
fn split(cookie: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = cookie.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Option<&SessionHash> = Some(&SessionHash([0xaa; 32]));
    const BOB: Option<&SessionHash> = Some(&SessionHash([0xbb; 32]));
    const NOBODY: Option<&SessionHash> = None;

    fn keys() -> KeyRing {
        KeyRing::new(&[1; 32])
    }

    fn cookies() -> Cookies {
        let declared = ["app_session", "hub-*"].map(str::to_owned).to_vec();
        Cookies::new("__Host-narthex", declared, &keys())
    }

    fn up(lines: &[&[u8]], session: Option<&SessionHash>) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        cookies().to_application(&mut headers, session);
        assert!(headers.get_all(header::COOKIE).iter().count() <= 1);
        headers.get(header::COOKIE).map(|value| value.as_bytes().to_vec())
    }

    fn down(lines: &[&str], session: Option<&SessionHash>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::SET_COOKIE, line.parse().unwrap());
        }
        cookies().to_browser(&mut headers, session);
        headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    /// What a browser sends back of a cookie that the application set in this session.
    fn kept(set: &str, session: Option<&SessionHash>) -> String {
        let lines = down(&[set], session);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        format!("{}={}", name.trim(), value.trim())
    }

    /// What the application hears of it in that one.
    fn heard(cookie: &str, session: Option<&SessionHash>) -> Option<String> {
        up(&[cookie.as_bytes()], session).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn our_cookies_do_not_go_up_and_others_do() {
        let lines: [&[u8]; 1] = [b"a=1; __Host-narthex=x; b=2;__Host-narthex-login=y"];
        assert_eq!(up(&lines, ADA).unwrap(), b"a=1; b=2");
        assert_eq!(up(&[b"__Host-narthex=x"], ADA), None);
        assert_eq!(up(&[], ADA), None);
        for ours in ["__Host-narthex =x", "__host-NARTHEX=x", "=__Host-narthex=x", "__Host-narthex"] {
            assert_eq!(heard(&format!("{ours}; a=1"), ADA).unwrap(), "a=1", "{ours}");
        }
    }

    #[test]
    fn s5_the_admin_apis_cookies_neither_go_up_nor_come_down() {
        // A plain name beside a secure prefix, and the other way round: cookies know no ports.
        for own in ["__Host-narthex", "narthex-8080"] {
            let cookies =
                Cookies::new(own, Vec::new(), &keys()).keeping(&["__Host-narthex-", "narthex-admin-"]);
            let mut headers = HeaderMap::new();
            let sent = "a=1; narthex-admin-9091=x; __Host-narthex-admin=y; narthex-admin-9091-login=z";
            headers.append(header::COOKIE, sent.parse().unwrap());
            headers.append(header::SET_COOKIE, "Narthex-Admin-9091=mine; Path=/".parse().unwrap());
            headers.append(header::SET_COOKIE, "__host-narthex-admin=mine; Path=/".parse().unwrap());
            cookies.to_application(&mut headers, ADA);
            cookies.to_browser(&mut headers, ADA);
            assert_eq!(headers[header::COOKIE], "a=1", "{own}");
            assert!(!headers.contains_key(header::SET_COOKIE), "{own}");
        }
    }

    #[test]
    fn e7_the_applications_session_goes_up_within_the_session_that_it_was_set_in_only() {
        let all = [
            kept("app_session=ada", ADA),
            kept("hub-login=1", ADA),
            kept("hub-login=2", BOB),
            kept("hub-login=3", NOBODY),
            "x=y".to_owned(),
        ]
        .join("; ");
        assert_eq!(heard(&all, ADA).unwrap(), "app_session=ada; hub-login=1; x=y");
        assert_eq!(heard(&all, BOB).unwrap(), "hub-login=2; x=y");
        assert_eq!(heard(&all, NOBODY).unwrap(), "hub-login=3; x=y");
        assert_eq!(heard("app_session=bare; hub-x=bare", ADA), None);
        assert_eq!(heard("hub-login.aaaaaaaa.bbbb=x; hub-login.=x", ADA), None);
    }

    #[test]
    fn e7_the_applications_session_is_tied_to_ours_on_its_way_down() {
        let lines = down(&["app_session=1; Path=/hub/; HttpOnly", "x=2", "hub-login=3"], ADA);
        let [session, other, login] = lines.as_slice() else { panic!("{lines:?}") };
        let value = session.strip_prefix("app_session.aaaaaaaa=").unwrap();
        let value = value.strip_suffix("1; Path=/hub/; HttpOnly").unwrap();
        assert_eq!((value.len(), other.as_str()), (22, "x=2"));
        assert!(login.starts_with("hub-login.aaaaaaaa=") && login.ends_with('3'), "{login}");
        assert!(kept("app_session=1", NOBODY).starts_with("app_session.anonymous="));
        assert_eq!(down(&["x=2; Path=/"], ADA), ["x=2; Path=/"]);
    }

    #[test]
    fn e7_a_value_that_somebody_knows_goes_up_in_no_other_session_and_without_none() {
        let cookie = kept("app_session=v", ADA);
        let (_, sealed) = cookie.split_once('=').unwrap();
        assert_eq!(heard(&cookie, ADA).unwrap(), "app_session=v");
        // Noted with the seal and without, as what was a session of the past or is another person's.
        for value in [sealed, "v"] {
            for (tag, session) in [("anonymous", NOBODY), ("bbbbbbbb", BOB)] {
                assert_eq!(
                    heard(&format!("app_session.{tag}={value}; x=y"), session).unwrap(),
                    "x=y",
                    "{tag}"
                );
            }
        }
        // The tag says little of a session, the seal all.
        let mut alike = [0xaa; 32];
        alike[31] = 0;
        assert_eq!(heard(&cookie, Some(&SessionHash(alike))), None);
        let before_sign_in = kept("app_session=v", NOBODY).replace("anonymous", "aaaaaaaa");
        assert_eq!(heard(&before_sign_in, ADA), None);
    }

    #[test]
    fn e7_nothing_of_a_tied_cookie_can_be_changed() {
        let cookie = kept("hub-a=value", ADA);
        assert_eq!(heard(&cookie, ADA).unwrap(), "hub-a=value");
        for changed in [
            cookie.replace("aaaaaaaa", "anonymous"),
            cookie.replace("aaaaaaaa", "bbbbbbbb"),
            cookie.replace("hub-a", "hub-b"),
            cookie.replace("value", "walue"),
            cookie.replace("value", ""),
            format!("{cookie}x"),
            cookie.replace("value", "\"value"),
            cookie.replace('=', "=\""),
            cookie.replace('=', "=A"),
            "hub-a.aaaaaaaa=value".to_owned(),
            "hub-a.aaaaaaaa=AAAAAAAAAAAAAAAAAAAAAAvalue".to_owned(),
            "hub-a.aaaaaaaa=".to_owned(),
            "hub-a.aaaaaaaa".to_owned(),
        ] {
            assert_ne!(changed, cookie);
            assert_eq!(heard(&changed, ADA), None, "{changed}");
        }
        let other = Cookies::new("__Host-narthex", vec!["hub-*".to_owned()], &KeyRing::new(&[2; 32]));
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, cookie.parse().unwrap());
        other.to_application(&mut headers, ADA);
        assert!(!headers.contains_key(header::COOKIE), "another seal key");
    }

    #[test]
    fn the_application_gets_the_very_value_that_it_gave() {
        for value in [
            "v",
            "",
            "\"quoted\"",
            "\"\"",
            "\"",
            "\"open",
            "a=b==",
            "a b, c",
            "eyJ.e30.x-_~%20",
            "{\"a\":[1]}",
            "app_session=x",
        ] {
            let cookie = kept(&format!("app_session={value}; Path=/"), ADA);
            assert_eq!(heard(&cookie, ADA).unwrap(), format!("app_session={value}"));
        }
        let quoted = kept("app_session=\"q\"", ADA);
        assert!(quoted.contains("=\"") && quoted.ends_with("q\""), "{quoted}");
        let cookie = kept("app_session = v ; Path=/", ADA);
        assert_eq!(heard(&cookie, ADA).unwrap(), "app_session=v");
        // As the application spells it.
        let cookie = kept("App_Session=v", ADA);
        assert_eq!(heard(&cookie, ADA).unwrap(), "App_Session=v");
    }

    #[test]
    fn the_application_deletes_its_cookie() {
        for end in ["; Path=/; Max-Age=0", "; expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
            let lines = down(&[&format!("app_session={end}")], ADA);
            let line = lines[0].strip_prefix("app_session.aaaaaaaa=").unwrap();
            assert_eq!(line.split_at(22).1, end);
        }
        let lines = down(&["app_session; Max-Age=0"], ADA);
        assert!(lines[0].starts_with("app_session.aaaaaaaa=") && lines[0].ends_with("; Max-Age=0"));
    }

    /// How often it was warned.
    #[derive(Clone, Default)]
    struct Warned(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl tracing::Subscriber for Warned {
        fn enabled(&self, of: &tracing::Metadata<'_>) -> bool {
            *of.level() == tracing::Level::WARN
        }

        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_cookie_that_browsers_do_not_take_is_told_of() {
        let warned = Warned::default();
        let tied = |value: usize| {
            let line = format!("app_session={}; Path=/; Max-Age=100000", "v".repeat(value));
            let taken =
                tracing::subscriber::with_default(warned.clone(), || kept(&line, ADA).len() - 1 <= 4096);
            (taken, warned.0.load(std::sync::atomic::Ordering::Relaxed))
        };
        let fits = 4096 - "app_session.aaaaaaaa".len() - 22;
        assert_eq!((tied(fits), tied(fits + 1)), ((true, 0), (false, 1)));
    }

    /// Another value here loses the application's sessions at the next update. Computed elsewhere (Python's hmac).
    #[test]
    fn the_same_cookie_is_tied_alike_by_every_replica_and_version() {
        assert_eq!(kept("app_session=v", ADA), "app_session.aaaaaaaa=eooQWzSfeCRbf4ZDuWBRcQv");
        assert_eq!(kept("app_session=\"v\"", NOBODY), "app_session.anonymous=\"zyT8JvhU_KSMYn_FBIOtUgv\"");
    }

    /// Browsers drop a blank before the equals sign (RFC 6265bis, 5.6), and so do many applications.
    #[test]
    fn e7_a_blank_behind_the_name_does_not_loosen_the_tie() {
        let lines = down(&["app_session =1; HttpOnly"], ADA);
        assert!(lines[0].starts_with("app_session.aaaaaaaa="), "{lines:?}");
        assert_eq!(heard("app_session =1; x=y", ADA).unwrap(), "x=y");
        assert_eq!(heard("app_session\t=1; x=y", NOBODY).unwrap(), "x=y");
    }

    #[test]
    fn e7_what_an_application_would_read_as_its_session_does_not_go_up() {
        for forged in [
            "app_session=v",
            "app_session",
            "=app_session=v",
            "APP_SESSION=v",
            "app.session=v",
            "app%5Fsession=v",
            "app_session[]=v",
            "$Version=1, app_session=v",
            "a=1,app_session=v",
            "a=1 app_session=v",
            "a=\"1\"app_session=v",
            "hub-x=v",
            "Hub-x=v",
        ] {
            for session in [ADA, NOBODY] {
                assert_eq!(heard(&format!("x=y; {forged}; z=1"), session).unwrap(), "x=y; z=1", "{forged}");
            }
        }
        // Quotes hide no semicolon from us, and from others only what stands behind it.
        assert_eq!(heard("a=\"; app_session=v\"; z=1", ADA).unwrap(), "a=\"; z=1");
    }

    #[test]
    fn cookies_with_odd_names_and_values_are_kept() {
        let odd = "a[b]=1; /c=2; (d)=3; e f=4; g; =h; i=j=k; $l=m; n.0123456=o; app=p; app_session.=q; app_session.sig=r; app_session.original=r; t.anonymous=u; v.aaaaaaaa=w; s=app_session";
        assert_eq!(heard(odd, ADA).unwrap(), odd);
        let lines: [&[u8]; 2] = [b"a=1", b"b=\xff\xe9"];
        assert_eq!(up(&lines, ADA).unwrap(), b"a=1; b=\xff\xe9");
    }

    #[test]
    fn the_application_cannot_set_our_cookies_in_any_case() {
        let lines =
            ["__Host-narthex=1", "__host-NARTHEX-login=2", " __Host-narthex=3", "=__Host-narthex=5", "y=4"];
        assert_eq!(down(&lines, ADA), ["y=4"]);
    }

    #[test]
    fn e7_what_the_browser_showed_of_the_application_is_cleared() {
        let mut headers = HeaderMap::new();
        let sent = "app_session.aaaaaaaa=1; x=2; hub-z=3; App_Session.anonymous=4; a=1 app_session=5";
        headers.append(header::COOKIE, sent.parse().unwrap());
        let cleared = cookies().clearing(&headers, true);
        let names = ["app_session.aaaaaaaa", "hub-z", "App_Session.anonymous"];
        assert_eq!(cleared, names.map(|name| format!("{name}=; Path=/; Max-Age=0; Secure")));
    }
}
