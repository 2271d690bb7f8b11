//! A browser without a screen: cookies, redirects step by step, forms, the headers that browsers send.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

use super::cookies::{Jar, Sending, site};
use super::html::{self, Form, Tag};

/// One person's browser. Clones are further tabs: they share the cookies.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    jar: Arc<Mutex<Jar>>,
}

/// More redirects than this are a loop.
const MAX_HOPS: usize = 20;

/// One step of a chain of redirects.
#[derive(Debug, Clone)]
pub struct Hop {
    pub method: Method,
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
}

/// Where a request ended.
#[derive(Debug, Clone)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    /// Every step, this page's last.
    pub hops: Vec<Hop>,
}

impl Browser {
    pub fn new() -> Self {
        Self::with(&[], &[])
    }

    /// Trusts further roots (PEM), and takes names to addresses of the test's own.
    #[expect(clippy::disallowed_methods, reason = "the tests' browser is no part of the product")]
    pub fn with(roots: &[u8], names: &[(&str, SocketAddr)]) -> Self {
        super::crypto_provider();
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_mins(1))
            .user_agent("Mozilla/5.0 (narthex integration tests)");
        if !roots.is_empty() {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(roots).unwrap());
        }
        for (name, address) in names {
            builder = builder.resolve(name, *address);
        }
        Self { http: builder.build().unwrap(), jar: Arc::default() }
    }

    /// Another person's: no cookie of this one, but its connections, which keeps a thousand of them cheap.
    pub fn stranger(&self) -> Self {
        Self { http: self.http.clone(), jar: Arc::default() }
    }

    /// The same person's, with these names at other addresses.
    pub fn by_way_of(&self, names: &[(&str, SocketAddr)]) -> Self {
        Self { jar: Arc::clone(&self.jar), ..Self::with(&[], names) }
    }

    /// The cookies, to look at or to change.
    pub fn jar(&self) -> std::sync::MutexGuard<'_, Jar> {
        self.jar.lock().unwrap()
    }

    /// The value of a cookie by its name, whatever its host.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().all().iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value.clone())
    }

    /// Types an address and follows where it leads.
    pub async fn visit(&self, url: &str) -> Page {
        self.request(Method::GET, url).send().await
    }

    /// Follows a link of the page; `href` may be relative.
    pub async fn follow(&self, page: &Page, href: &str) -> Page {
        let url = page.url.join(href).unwrap();
        self.request(Method::GET, url.as_str()).from(&page.url).send().await
    }

    /// Sends a form of the page.
    pub async fn submit(&self, page: &Page, form: Form) -> Page {
        let request = self.request(form.method.clone(), form.action.as_str()).from(&page.url);
        if form.method == Method::POST {
            return request.form(&form.fields).send().await;
        }
        let mut url = form.action.clone();
        url.query_pairs_mut().clear().extend_pairs(&form.fields);
        Request { url, ..request }.send().await
    }

    /// A request to be described further.
    pub fn request(&self, method: Method, url: &str) -> Request<'_> {
        Request {
            browser: self,
            method,
            url: Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}")),
            headers: HeaderMap::new(),
            body: Vec::new(),
            initiator: None,
            background: false,
            stay: false,
        }
    }
}

/// A request before it is sent.
#[must_use]
pub struct Request<'b> {
    browser: &'b Browser,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    initiator: Option<Url>,
    background: bool,
    stay: bool,
}

impl Request<'_> {
    /// A header beside those of the browser; the same name again adds another.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub fn form<N: AsRef<str>, V: AsRef<str>>(mut self, fields: &[(N, V)]) -> Self {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(fields);
        self.body = encoded.finish().into_bytes();
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    pub fn json(mut self, value: &Value) -> Self {
        self.body = value.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Caused by this page, and not typed.
    pub fn from(mut self, page: &Url) -> Self {
        self.initiator = Some(page.clone());
        self
    }

    /// By a script of the page that it is from (fetch, XHR), not a navigation.
    pub fn background(mut self) -> Self {
        self.background = true;
        self
    }

    /// Follows no redirect.
    pub fn stay(mut self) -> Self {
        self.stay = true;
        self
    }

    pub async fn send(self) -> Page {
        let Self { browser, mut method, mut url, mut headers, mut body, initiator, background, stay } = self;
        let mut hops: Vec<Hop> = Vec::new();
        // Once a chain of redirects has left a site, all of it counts as cross-site (Fetch, 2.2.7).
        let mut chain = vec![];
        loop {
            chain.push(url.clone());
            let sending = Sending {
                url: &url,
                method: &method,
                initiator: initiator.as_ref(),
                navigation: !background,
            };
            let mut request = browser.http.request(method.clone(), url.clone()).headers(headers.clone());
            for (name, value) in own_headers(&chain, &method, initiator.as_ref(), background) {
                if !headers.contains_key(&name) {
                    request = request.header(name, value);
                }
            }
            let line = browser.jar().line(&sending);
            if let Some(line) = line.filter(|_| !headers.contains_key(header::COOKIE)) {
                request = request.header(header::COOKIE, line);
            }
            let answer =
                request.body(body.clone()).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let (status, answered) = (answer.status(), answer.headers().clone());
            let bytes = answer.bytes().await.unwrap().to_vec();
            for value in answered.get_all(header::SET_COOKIE) {
                browser.jar().store(&url, &String::from_utf8_lossy(value.as_bytes()));
            }
            hops.push(Hop { method: method.clone(), url: url.clone(), status, headers: answered.clone() });
            let location = answered
                .get(header::LOCATION)
                .filter(|_| !stay && matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308))
                .map(|value| url.join(value.to_str().unwrap()).unwrap());
            let Some(next) = location else {
                return Page { url, status, headers: answered, bytes, hops };
            };
            assert!(hops.len() < MAX_HOPS, "a loop of redirects: {:#?}", trail(&hops));
            // Fetch, 4.4, 12: 303 becomes GET, and so does POST at 301 and 302.
            let code = status.as_u16();
            if (code == 303 && method != Method::HEAD) || (code < 303 && method == Method::POST) {
                method = Method::GET;
                body.clear();
                headers.remove(header::CONTENT_TYPE);
            }
            url = next;
        }
    }
}

/// What a browser says by itself: Accept, Origin, Fetch Metadata.
fn own_headers(
    chain: &[Url],
    method: &Method,
    initiator: Option<&Url>,
    background: bool,
) -> Vec<(HeaderName, String)> {
    let relation = match initiator {
        None => "none",
        Some(from) if chain.iter().all(|url| url.origin() == from.origin()) => "same-origin",
        Some(from) if chain.iter().all(|url| site(url) == site(from)) => "same-site",
        Some(_) => "cross-site",
    };
    let (mode, destination, accept) = if background {
        ("cors", "empty", "*/*")
    } else {
        ("navigate", "document", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    };
    let mut headers = vec![
        (header::ACCEPT, accept.to_owned()),
        (header::ACCEPT_LANGUAGE, "en".to_owned()),
        (HeaderName::from_static("sec-fetch-site"), relation.to_owned()),
        (HeaderName::from_static("sec-fetch-mode"), mode.to_owned()),
        (HeaderName::from_static("sec-fetch-dest"), destination.to_owned()),
    ];
    if !background {
        headers.push((HeaderName::from_static("sec-fetch-user"), "?1".to_owned()));
        headers.push((header::UPGRADE_INSECURE_REQUESTS, "1".to_owned()));
    }
    if let Some(from) = initiator.filter(|_| *method != Method::GET && *method != Method::HEAD) {
        // Fetch, 3.2: a redirect that crossed origins makes it opaque.
        let crossed = chain.windows(2).any(|pair| pair[0].origin() != pair[1].origin());
        let origin = if crossed { "null".to_owned() } else { from.origin().ascii_serialization() };
        headers.push((header::ORIGIN, origin));
    }
    headers
}

fn trail(hops: &[Hop]) -> Vec<String> {
    hops.iter().map(|hop| format!("{} {} {}", hop.method, hop.url, hop.status.as_u16())).collect()
}

impl Page {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn query(&self) -> HashMap<String, String> {
        self.url.query_pairs().into_owned().collect()
    }

    /// One line per step, for messages of failed tests.
    pub fn trail(&self) -> Vec<String> {
        trail(&self.hops)
    }

    /// The element with this id.
    pub fn element(&self, id: &str) -> Option<Tag> {
        html::tags(&self.text()).into_iter().find(|tag| tag.at("id") == Some(id))
    }

    pub fn forms(&self) -> Vec<Form> {
        html::forms(&self.text(), &self.url)
    }

    /// The first form that has a field or button of this name.
    pub fn form_with(&self, name: &str) -> Form {
        let found = self.forms().into_iter().find(|form| form.has(name));
        found.unwrap_or_else(|| panic!("no form with {name} at {:#?}:\n{}", self.trail(), self.text()))
    }

    /// The form that sends this button.
    pub fn form_with_button(&self, name: &str, value: &str) -> Form {
        let found = self
            .forms()
            .into_iter()
            .find(|form| form.buttons.iter().any(|(known, text)| known == name && text == value));
        found.unwrap_or_else(|| panic!("no button {name}={value} at {:#?}:\n{}", self.trail(), self.text()))
    }

    /// Where a redirect that was not followed leads.
    pub fn location(&self) -> Url {
        let location = self.header("location");
        let location =
            location.unwrap_or_else(|| panic!("no redirect at {:#?}: {}", self.trail(), self.text()));
        self.url.join(location).unwrap()
    }

    /// At the demo's identity provider: says who it is, and gives the address that the answer goes to.
    pub async fn answer_as(&self, browser: &Browser, login: &str) -> Url {
        let form = self.form_with_button("person", login).press("person", login);
        let request = browser.request(Method::POST, form.action.as_str()).from(&self.url);
        request.form(&form.fields).stay().send().await.location()
    }

    /// At the demo's identity provider: signs in as one of its people.
    pub async fn sign_in_as(&self, browser: &Browser, login: &str) -> Page {
        let form = self.form_with_button("person", login).press("person", login);
        browser.submit(self, form).await
    }
}
