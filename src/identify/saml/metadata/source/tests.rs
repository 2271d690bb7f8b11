//! Metadata from a file and from an address: kept fresh, kept over a restart, and gone when it has expired.

use std::collections::VecDeque;
use std::sync::MutexGuard;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::super::super::testing::{P256, RSA};
use super::super::testing::{GOOD, ID, certificate};
use super::*;
use crate::identify::oidc::testing::{TestClock, outbound, platform_of};
use crate::identify::saml::sign::sign_enveloped;
use crate::store::memory::Memory;

/// What the address does.
#[derive(Clone, Default)]
struct Site(Arc<Mutex<Behaviour>>);

#[derive(Default)]
struct Behaviour {
    /// Served at `/metadata`.
    document: Vec<u8>,
    etag: Option<&'static str>,
    /// Answers that come before the document, one for each request.
    instead: VecDeque<Response>,
    /// No answer comes.
    silent: bool,
    /// `If-None-Match` and path of each request.
    asked: Vec<(Option<String>, String)>,
}

impl Site {
    async fn start(document: &str) -> (Self, Url) {
        let site = Self::default();
        site.behaviour().document = document.as_bytes().to_vec();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/metadata", listener.local_addr().unwrap())).unwrap();
        let app = Router::new().fallback(answer).with_state(site.clone());
        let serving = async move { axum::serve(listener, app).await };
        drop(tokio::runtime::Handle::current().spawn(serving));
        (site, url)
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.0.lock().unwrap()
    }
}

async fn answer(State(site): State<Site>, request: Request) -> Response {
    match site.answer(&request) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

impl Site {
    fn answer(&self, request: &Request) -> Option<Response> {
        let mut behaviour = self.behaviour();
        let condition =
            request.headers().get(header::IF_NONE_MATCH).map(|etag| etag.to_str().unwrap().to_owned());
        behaviour.asked.push((condition.clone(), request.uri().path().to_owned()));
        if behaviour.silent {
            return None;
        }
        if let Some(instead) = behaviour.instead.pop_front() {
            return Some(instead);
        }
        Some(match behaviour.etag {
            Some(etag) if condition.as_deref() == Some(etag) => StatusCode::NOT_MODIFIED.into_response(),
            Some(etag) => ([(header::ETAG, etag)], behaviour.document.clone()).into_response(),
            None => behaviour.document.clone().into_response(),
        })
    }
}

struct Scene {
    clock: TestClock,
    store: Arc<Memory>,
    settings: SourceSettings,
}

impl Scene {
    fn of(origin: Origin) -> Self {
        let settings = SourceSettings {
            idp: "partner".parse().unwrap(),
            origin,
            entity_id: None,
            trust_anchor: Vec::new(),
            policy: AlgorithmPolicy::Sha2,
        };
        Self { clock: TestClock::default(), store: Arc::new(Memory::default()), settings }
    }

    /// A process that starts with what the store has.
    fn start(&self) -> MetadataSource {
        MetadataSource::build(self.settings.clone(), outbound(), self.store.clone(), platform_of(&self.clock))
    }

    fn now(&self) -> UnixTime {
        platform_of(&self.clock).clock.now()
    }

    fn until(&self, seconds: i64) -> String {
        let until = UnixTime(self.now().0 + seconds);
        GOOD.replacen("entityID=", &format!("validUntil=\"{until}\" entityID="), 1)
    }
}

fn redirect_to(location: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location.to_owned())]).into_response()
}

#[tokio::test]
async fn metadata_is_fetched_at_the_first_sign_in_and_held() {
    let (site, url) = Site::start(&GOOD).await;
    let source = Scene::of(Origin::Url(url)).start();
    assert!(!source.ready());
    let first = source.current().await.unwrap();
    assert_eq!((first.entity_id.as_str(), source.ready()), (ID, true));
    assert!(Arc::ptr_eq(&first, &source.current().await.unwrap()));
    assert_eq!(site.behaviour().asked.len(), 1);
}

#[tokio::test]
async fn lesson_39_a_restart_needs_no_identity_provider() {
    let (site, url) = Site::start(&GOOD).await;
    let scene = Scene::of(Origin::Url(url));
    let first = scene.start().current().await.unwrap();
    site.behaviour().instead = (0..9).map(|_| StatusCode::BAD_GATEWAY.into_response()).collect();
    let restarted = scene.start();
    assert_eq!(restarted.current().await.unwrap(), first);
    assert_eq!(site.behaviour().asked.len(), 1);
    // What is at hand stays when no newer can be had.
    assert_eq!(restarted.refresh().await, Err(MetadataError::Status { status: 502 }));
    assert_eq!(restarted.current().await.unwrap(), first);
}

#[tokio::test]
async fn lesson_17_what_was_kept_under_another_configuration_is_not_believed() {
    let (site, url) = Site::start(&GOOD).await;
    let scene = Scene::of(Origin::Url(url.clone()));
    scene.start().current().await.unwrap();
    site.behaviour().document = b"gone".to_vec();
    let mut other_url = url;
    other_url.set_query(Some("x"));
    let changes: [fn(&mut SourceSettings); 4] = [
        |settings| settings.entity_id = Some(ID.to_owned()),
        |settings| settings.trust_anchor = vec![RSA.verifying.clone()],
        |settings| settings.policy = AlgorithmPolicy::Sha1Too,
        |settings| settings.idp = "other".parse().unwrap(),
    ];
    for change in changes {
        let mut scene = Scene {
            settings: scene.settings.clone(),
            store: scene.store.clone(),
            clock: scene.clock.clone(),
        };
        change(&mut scene.settings);
        assert!(scene.start().current().await.is_err());
    }
    let elsewhere = Scene {
        settings: SourceSettings { origin: Origin::Url(other_url), ..scene.settings.clone() },
        store: scene.store.clone(),
        clock: scene.clock.clone(),
    };
    assert!(elsewhere.start().current().await.is_err());
    assert!(scene.start().current().await.is_ok());
}

#[tokio::test]
async fn a_signed_documents_copy_serves_after_a_restart() {
    let entity = GOOD.replacen("entityID=", "ID=\"e1\" entityID=", 1);
    let (site, url) = Site::start(&sign_enveloped(&entity, &P256.signing).unwrap()).await;
    let mut scene = Scene::of(Origin::Url(url));
    scene.settings.trust_anchor = vec![P256.verifying.clone()];
    let first = scene.start().current().await.unwrap();
    // From now on it is not signed any more.
    site.behaviour().document = entity.into_bytes();
    let restarted = scene.start();
    assert_eq!(restarted.current().await.unwrap(), first);
    assert_eq!(restarted.refresh().await, Err(MetadataError::NotSigned));
}

#[tokio::test]
async fn metadata_that_has_expired_signs_nobody_in_until_there_is_newer() {
    let (site, url) = Site::start("").await;
    let scene = Scene::of(Origin::Url(url));
    site.behaviour().document = scene.until(600).into_bytes();
    let source = scene.start();
    let first = source.current().await.unwrap();
    let until = first.valid_until.unwrap();
    scene.clock.advance(599);
    assert!(source.current().await.is_ok() && source.ready());
    scene.clock.advance(1);
    assert!(!source.ready());
    assert_eq!(source.current().await, Err(MetadataError::Expired { until, now: scene.now() }));
    // Nor does the copy serve.
    assert!(matches!(scene.start().current().await, Err(MetadataError::Expired { .. })));
    let newer = scene.until(7200);
    site.behaviour().document = newer.into_bytes();
    // It was asked for just now.
    assert!(source.current().await.is_err());
    scene.clock.advance(60);
    assert!(source.current().await.is_ok());
}

#[tokio::test]
async fn unknown_keys_are_asked_for_but_not_oftener_than_every_minute() {
    let (site, url) = Site::start(&GOOD).await;
    let scene = Scene::of(Origin::Url(url));
    let source = scene.start();
    let first = source.current().await.unwrap();
    site.behaviour().document = GOOD.replace(&certificate(&RSA), &certificate(&P256)).into_bytes();
    scene.clock.advance(59);
    assert_eq!(source.other_than(&first).await, None);
    scene.clock.advance(1);
    let second = source.other_than(&first).await.unwrap();
    assert_eq!(second.signing_keys, std::slice::from_ref(&P256.verifying));
    // Who saw the old one still gets the new one, without another fetch.
    assert_eq!(source.other_than(&first).await, Some(second.clone()));
    assert_eq!(source.other_than(&second).await, None);
    assert_eq!(site.behaviour().asked.len(), 2);
}

#[tokio::test]
async fn what_has_not_changed_does_not_travel_again() {
    let (site, url) = Site::start(&GOOD).await;
    site.behaviour().etag = Some("\"1\"");
    let source = Scene::of(Origin::Url(url)).start();
    let first = source.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&first, &source.refresh().await.unwrap()));
    site.behaviour().etag = Some("\"2\"");
    assert!(!Arc::ptr_eq(&first, &source.refresh().await.unwrap()));
    let conditions: Vec<_> = site.behaviour().asked.iter().map(|(condition, _)| condition.clone()).collect();
    assert_eq!(conditions, [None, Some("\"1\"".to_owned()), Some("\"1\"".to_owned())]);
    // Nobody asked for a "not modified" without having something.
    site.behaviour().etag = None;
    site.behaviour().instead.push_back(StatusCode::NOT_MODIFIED.into_response());
    let fresh = Scene::of(source.settings.origin.clone()).start();
    assert_eq!(fresh.refresh().await, Err(MetadataError::Status { status: 304 }));
}

#[tokio::test]
async fn lesson_34_redirects_lead_on_within_the_origin_only() {
    let (site, url) = Site::start(&GOOD).await;
    let source = Scene::of(Origin::Url(url.clone())).start();
    site.behaviour().instead = [redirect_to("/a"), redirect_to("b?c"), redirect_to("/metadata")].into();
    assert!(source.refresh().await.is_ok());
    let paths: Vec<_> = site.behaviour().asked.iter().map(|(_, path)| path.clone()).collect();
    assert_eq!(paths, ["/metadata", "/a", "/b", "/metadata"]);

    site.behaviour().instead = ["/a", "/b", "/c", "/d"].map(redirect_to).into();
    assert_eq!(source.refresh().await, Err(MetadataError::RedirectsTooOften { limit: 3 }));
    site.behaviour().instead.clear();
    let https = format!("https://{}/metadata", url.authority());
    for to in ["http://169.254.169.254/latest", "//evil.example/", &https, "file:///etc/passwd"] {
        site.behaviour().instead = [redirect_to(to)].into();
        let refused = MetadataError::RedirectElsewhere { to: to.to_owned() };
        assert_eq!(source.refresh().await, Err(refused));
    }
}

#[tokio::test]
async fn an_address_is_https_unless_the_metadata_is_signed() {
    let url = Url::parse("http://metadata.invalid/x").unwrap();
    let mut scene = Scene::of(Origin::Url(url));
    let refused = MetadataError::SourceNotSecure("http://metadata.invalid/x".to_owned());
    assert_eq!(scene.start().current().await, Err(refused));
    scene.settings.trust_anchor = vec![P256.verifying.clone()];
    assert!(matches!(scene.start().current().await, Err(MetadataError::Unreachable(_))));
    scene.settings.origin = Origin::Url(Url::parse("ftp://127.0.0.1/").unwrap());
    assert!(matches!(scene.start().current().await, Err(MetadataError::SourceNotSecure(_))));
}

#[tokio::test]
async fn a_file_is_read_and_is_not_needed_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("idp.xml");
    let scene = Scene::of(Origin::File(path.clone()));
    let source = scene.start();
    assert!(matches!(source.current().await, Err(MetadataError::FileUnreadable { .. })));
    std::fs::write(&path, GOOD.as_bytes()).unwrap();
    let first = source.current().await.unwrap();
    // A mistake in it leaves what was read before, for this process.
    std::fs::write(&path, "<oops/>").unwrap();
    assert!(matches!(source.refresh().await, Err(MetadataError::NotMetadata { .. })));
    assert_eq!(source.current().await.unwrap(), first);
    assert!(scene.start().current().await.is_err());
}

#[tokio::test]
async fn a_file_may_name_addresses_on_loopback_and_so_may_loopback() {
    let plain = GOOD.replacen("https://id.example/sso\"", "http://127.0.0.1:1/sso\"", 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("idp.xml");
    std::fs::write(&path, &plain).unwrap();
    assert!(Scene::of(Origin::File(path)).start().current().await.is_ok());
    let (_site, url) = Site::start(&plain).await;
    let scene = Scene::of(Origin::Url(url));
    assert!(scene.start().current().await.is_ok());
    let elsewhere = SourceSettings {
        origin: Origin::Url(Url::parse("https://id.example/metadata").unwrap()),
        ..scene.settings
    };
    let refused = elsewhere.read(plain.as_bytes(), &[], UnixTime(0));
    assert!(matches!(refused, Err(MetadataError::EndpointNotUsable { .. })));
}

#[tokio::test]
async fn a_large_document_is_read_beside_the_event_loop() {
    let padding = format!("<md:Extensions>{}</md:Extensions><md:IDPSSODescriptor", "x".repeat(SMALL));
    let (_site, url) = Site::start(&GOOD.replacen("<md:IDPSSODescriptor", &padding, 1)).await;
    assert!(Scene::of(Origin::Url(url)).start().current().await.is_ok());
}

/// What never comes about fails the test instead of hanging it.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
}

#[tokio::test]
async fn the_background_task_goes_on_until_there_is_metadata() {
    let (site, url) = Site::start("not yet").await;
    let mut source = Scene::of(Origin::Url(url)).start();
    source.first_pause = Duration::from_millis(1);
    let source = Arc::new(source);
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    source.spawn(&tasks);
    until(|| site.behaviour().asked.len() >= 3).await;
    assert!(!source.ready());
    site.behaviour().document = GOOD.as_bytes().to_vec();
    until(|| source.ready()).await;
    tasks.finish().await;
}

#[tokio::test]
async fn a_sign_in_waits_with_patience_and_the_background_task_goes_on() {
    let (site, url) = Site::start(&GOOD).await;
    site.behaviour().silent = true;
    let scene = Scene::of(Origin::Url(url));
    let mut source = scene.start();
    source.patience = Duration::from_millis(50);
    let after = source.patience;
    assert_eq!(source.current().await, Err(MetadataError::TakesLong { after }));
    site.behaviour().silent = false;
    source.patience = Duration::from_secs(30);
    let first = source.current().await.unwrap();
    scene.clock.advance(60);
    site.behaviour().silent = true;
    let asked = site.behaviour().asked.len();
    source.patience = Duration::from_secs(1);
    assert_eq!(source.other_than(&first).await, None);
    site.behaviour().silent = false;
    // Who lost patience left word that it is wanted: once at the start, and once for that.
    let source = Arc::new(source);
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    source.spawn(&tasks);
    until(|| site.behaviour().asked.len() >= asked + 3).await;
    tasks.finish().await;
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("idp.xml");
    let mut source = Scene::of(Origin::File(path.clone())).start();
    source.file_poll = Duration::from_millis(1);
    let source = Arc::new(source);
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    source.spawn(&tasks);
    // As one replaces a file that others read.
    let replace = |text: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
    };
    replace(&GOOD);
    until(|| source.ready()).await;
    replace(&GOOD.replace(ID, "urn:other"));
    until(|| source.at_hand().unwrap().entity_id == "urn:other").await;
    std::fs::remove_file(&path).unwrap();
    assert!(source.ready());
    tasks.finish().await;
}

#[test]
fn metadata_is_asked_for_as_it_wishes_within_reason_and_before_it_ends() {
    let minutes = Duration::from_mins;
    let good = super::super::read::tests::metadata(&GOOD).unwrap();
    let now = UnixTime(1_000_000);
    let after = |cache: Option<u64>, left: Option<i64>| {
        let metadata = IdpMetadata {
            cache_duration: cache.map(minutes),
            valid_until: left.map(|left| UnixTime(now.0 + left * 60)),
            ..good.clone()
        };
        interval(&metadata, now)
    };
    assert_eq!(after(None, None), minutes(60));
    assert_eq!(after(Some(30), None), minutes(30));
    assert_eq!(after(Some(1), None), minutes(5));
    assert_eq!(after(Some(60 * 24 * 7), None), minutes(60 * 24));
    assert_eq!(after(Some(60 * 24), Some(60)), minutes(30));
    assert_eq!(after(None, Some(3)), minutes(5));
    assert_eq!(after(None, Some(-3)), minutes(5));
}
