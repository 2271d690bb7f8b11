//! The loader as an operator meets it: texts of errors, positions, overrides, rules.

mod before_serving;
mod existing;
mod lifecycle;
mod mapping;
mod notify;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::settings::*;
use super::*;
use crate::model::Secret;
use crate::provision::connector::{AttributeShape, AttributeSpec, Kind, Named};

const EXAMPLE: &str = include_str!("../../proxy.toml");

/// A whole configuration with nothing more than it needs.
const MINIMAL: &str = r#"
[server]
public_url = "https://app.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "corp"
type = "oidc"
issuer = "https://login.example.com"
client_id = "app"
client_secret = "s3cret"
[provisioning]
unprovisioned = "forward"
"#;

/// The first identity provider.
fn oidc(settings: &Settings) -> &OidcIdp {
    let Idp::Oidc(idp) = &settings.idps[0] else { panic!("{:?}", settings.idps) };
    idp
}

/// A whole configuration with a SAML provider.
const SAML: &str = r#"
[server]
public_url = "https://app.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "partner"
type = "saml"
metadata = { url = "https://idp.partner.example/metadata?tenant=1" }
[provisioning]
unprovisioned = "forward"
"#;

fn features(name: &str) -> Option<Features> {
    let named = |name: &str, privileged| Named { name: name.to_owned(), privileged };
    let attribute = |name: &str, required| {
        (name.to_owned(), AttributeSpec { required, claims: Vec::new(), shape: AttributeShape::default() })
    };
    match name {
        "gitea" => Some(Features {
            can_deactivate: true,
            can_delete: true,
            name: "gitea".to_owned(),
            title: "Gitea".to_owned(),
            roles: true,
            teams: true,
            fixed_roles: vec![named("user", false), named("admin", true)],
            attributes: [
                attribute("username", true),
                attribute("email", true),
                attribute("display_name", false),
            ]
            .into(),
            ..Features::default()
        }),
        // Everything, and something privileged of each kind.
        "forge" => Some(Features {
            name: "forge".to_owned(),
            title: "Forge".to_owned(),
            roles: true,
            teams: true,
            team_roles: true,
            app_groups: true,
            permissions: true,
            owner: true,
            privileged: [
                (Kind::Team, vec!["*/Owners".to_owned()]),
                (Kind::TeamRole, vec!["owner".to_owned()]),
                (Kind::AppGroup, vec!["staff".to_owned()]),
                (Kind::Permission, vec!["sudo".to_owned()]),
            ]
            .into(),
            ..Features::default()
        }),
        "miniflux" => {
            Some(Features { name: name.to_owned(), title: "Miniflux".to_owned(), ..Features::default() })
        }
        _ => None,
    }
}

fn load_with(source: &str, purpose: Purpose, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let env: Vec<(String, String)> = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    load_text(Path::new("/etc/narthex/proxy.toml"), source, purpose, env.into_iter(), &features)
}

fn settings(source: &str) -> Settings {
    load_with(source, Purpose::Serve, &[]).unwrap_or_else(|errors| panic!("{errors}")).settings
}

fn errors(source: &str, env: &[(&str, &str)]) -> Report {
    load_with(source, Purpose::Serve, env).expect_err("accepted").report
}

/// `source` with one text replaced, which must be there.
fn with(source: &str, from: &str, to: &str) -> String {
    assert!(source.contains(from), "{from:?} is not there");
    source.replacen(from, to, 1)
}

/// One line per problem, without the folder.
fn lines(report: &Report) -> String {
    // The folder is there on some machines.
    let folder = "there is no folder /etc/narthex;";
    let told = report.to_string().replace("/etc/narthex/", "");
    told.lines().filter(|line| !line.contains(folder)).collect::<Vec<_>>().join("\n")
}

/// What replacing one text in the minimal configuration leads to.
fn refusal(from: &str, to: &str) -> String {
    lines(&errors(&with(MINIMAL, from, to), &[]))
}

/// What adding at the end of the minimal configuration leads to.
fn added(text: &str) -> String {
    lines(&errors(&format!("{MINIMAL}{text}"), &[]))
}

const JIT: &str = r#"
[server]
public_url = "https://app.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "corp"
type = "oidc"
issuer = "https://login.example.com"
client_id = "app"
client_secret = "s3cret"
email_domains = ["example.com"]
[application]
connector = "gitea"
url = "http://127.0.0.1:3000"
[provisioning]
mode = "jit"
default_role = "user"
groups_claim = "groups"
"#;

fn jit(from: &str, to: &str) -> String {
    lines(&errors(&with(JIT, from, to), &[]))
}

fn jit_added(text: &str) -> String {
    lines(&errors(&format!("{JIT}{text}"), &[]))
}

#[test]
fn the_example_at_the_top_level_is_accepted_by_check_with_warnings_for_its_absent_secrets() {
    let loaded = load_with(EXAMPLE, Purpose::Check, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    insta::assert_snapshot!(lines(&loaded.warnings));
    let settings = loaded.settings;
    assert_eq!(
        settings.headers.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(),
        ["x-webauth-user", "x-webauth-email", "x-webauth-fullname", "x-webauth-teams"]
    );
    assert_eq!(settings.session.idle_timeout, Duration::from_hours(1));
    assert_eq!(settings.provisioning.mode, Mode::Jit);
    assert_eq!(settings.provisioning.mapping.len(), 2);
    assert_eq!(settings.routes.len(), 3);
}

#[test]
fn the_example_is_refused_by_serve_where_its_secrets_are_absent() {
    insta::assert_snapshot!(lines(&errors(EXAMPLE, &[])));
}

#[test]
fn a_minimal_file_gets_every_default() {
    let settings = settings(MINIMAL);
    assert_eq!(settings.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.server.prefix, "/.narthex");
    assert!(settings.server.trusted_proxies.is_empty());
    assert!(settings.server.workers >= 1);
    assert_eq!(settings.upstream.target, UpstreamTarget::Http { host: "127.0.0.1".to_owned(), port: 3000 });
    assert!(
        matches!(&settings.store.url, StoreUrl::Sqlite { path } if path == Path::new("/etc/narthex/narthex.db"))
    );
    assert!(
        matches!(&settings.keys.seal, SealKey::FileOrMake(path) if path == Path::new("/etc/narthex/narthex.db.key"))
    );
    assert_eq!(oidc(&settings).scopes, ["openid", "profile", "email"]);
    assert_eq!(oidc(&settings).label, "corp");
    assert!(matches!(&oidc(&settings).client_auth, ClientAuth::Basic(secret) if secret.expose() == "s3cret"));
    assert!(!oidc(&settings).id_token_algorithms.contains(&jsonwebtoken::Algorithm::HS256));
    assert_eq!(oidc(&settings).clock_skew, Duration::from_mins(1));
    assert_eq!(settings.health.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(settings.session.max_per_member, 20);
    assert!(settings.upstream_token.is_none() && settings.application.is_none());
}

#[test]
fn a_misspelled_key_is_underlined_with_the_nearest() {
    let report = errors(&with(MINIMAL, "public_url =", "pubic_url ="), &[]);
    insta::assert_snapshot!(report.graphical(false));
}

#[test]
fn five_errors_of_five_kinds_are_told_at_once() {
    let source = r#"
[server]
listen = 8080
public_url = "http://app.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "corp"
type = "odic"
issuer = "https://login.example.com"
client_id = "app"
client_secret = "do-not-show-this"
[session]
idle_timeout = "soon"
[[route]]
path = "/admin"
allow = "claims.groups == 'admins' and claim.role == 'x'"
[uptream_token]
"#;
    let report = errors(source, &[]);
    insta::assert_snapshot!(report.graphical(false));
    insta::assert_snapshot!(report.json_lines());
    assert!(!report.graphical(true).contains("do-not-show-this"));
}

#[test]
fn secrets_in_the_file_are_never_shown_beside_an_error() {
    for source in [
        "client_secret = \"hunter2\" # x\nclient_secrt = \"hunter2\"\n",
        "client_secret = { fil = \"x\" }\nclient_secret2 = 'hunter2'\n",
        "credential = { bearer = \"hunter2\", basicc = 1 }\n",
        "password = \"hunter2\nlisten = ",
        "client_secret = \"\"\"hunter2\"\"\" 7\n",
    ] {
        let report = errors(source, &[]);
        for shown in [report.graphical(false), report.json_lines(), report.to_string()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn structure_is_checked_whole() {
    let refusals = [
        refusal("client_id = \"app\"\n", ""),
        refusal("[server]\n", "[server]\nlisten = [1]\n"),
        refusal("[server]\n", "[server]\nworkers = 0\n"),
        refusal("[server]\n", "[server]\nworkers = \"two\"\n"),
        refusal("[server]\n", "[server]\nworkers = 1.5\n"),
        refusal("type = \"oidc\"", "type = \"odic\""),
        refusal("client_secret = \"s3cret\"", "client_secret = 5"),
        refusal("client_secret = \"s3cret\"", "client_secret = { flie = \"x\" }"),
        refusal("client_secret = \"s3cret\"", "client_secret = {}"),
        refusal("client_secret = \"s3cret\"\n", ""),
        refusal("client_secret = \"s3cret\"\n", "clientsecret = \"x\"\n"),
        refusal("id = \"corp\"\n", "idp = \"corp\"\n"),
        refusal("[[idp]]", "[idp]"),
        added("sync = \"always\""),
        added("sync = [\"teams\", \"names\"]"),
        added("delete_at_session_end = true"),
        added("[redis]\nlisten = \"127.0.0.1:9091\""),
        added("[log]\nissuer = 1"),
        lines(&errors("", &[])),
        lines(&errors("[server\nx = 1\ny = = 2\n", &[])),
        lines(&errors("idp = []", &[])),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn lesson_4_a_list_of_trusted_hops_never_holds_everyone() {
    for everyone in [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "8.0.0.0/7",
        "2000::/3",
        "::/1",
        "::ffff:0.0.0.0/96",
    ] {
        let found = refusal("[server]\n", &format!("[server]\ntrusted_proxies = [\"{everyone}\"]\n"));
        assert!(found.contains("holds more than any network of yours"), "{everyone}: {found}");
    }
    let halves: Vec<String> = (0..=255).map(|first| format!("\"{first}.0.0.0/8\"")).collect();
    let found = refusal("[server]\n", &format!("[server]\ntrusted_proxies = [{}]\n", halves.join(", ")));
    assert!(found.contains("together hold more"), "{found}");
    for good in ["10.0.0.0/8", "192.0.2.7", "fd00::/8", "fc00::/7", "127.0.0.1/32", "::1"] {
        let source = with(MINIMAL, "[server]\n", &format!("[server]\ntrusted_proxies = [\"{good}\"]\n"));
        assert_eq!(settings(&source).server.trusted_proxies.len(), 1, "{good}");
    }
}

#[test]
fn s1_networks_are_read_in_the_form_that_clients_are_known_by() {
    let networks = "[network]\nallow = [\"10.0.0.0/8\", \"::ffff:192.0.2.0/120\", \"fd00::/8\"]\ndeny = [\"10.1.2.3\"]\n";
    let network = settings(&format!("{MINIMAL}\n{networks}")).network;
    for (client, admitted) in [
        ("10.0.0.1", true),
        ("10.1.2.3", false),
        ("10.1.2.4", true),
        ("192.0.2.255", true),
        ("192.0.3.0", false),
        ("fd12::1", true),
        ("2001:db8::1", false),
    ] {
        assert_eq!(network.admits(client.parse().unwrap()), admitted, "{client}");
    }
    let everyone = settings(MINIMAL).network;
    assert!(everyone.admits("192.0.2.1".parse().unwrap()));
    for (written, told) in [("10.0.0.1/8", "has bits set"), ("office", "is no network")] {
        let found =
            refusal("[server]\n", &format!("[network]\ndeny = [\"10.0.0.0/8\", \"{written}\"]\n[server]\n"));
        assert!(found.contains(told) && found.contains("network.deny"), "{found}");
    }
}

#[test]
fn f6_a_tokens_name_is_none_of_narthexs_own() {
    let token = "x".repeat(40);
    for name in ["bootstrap", "command line"] {
        let tokens = format!(
            "[[admin.tokens]]\nname = \"{name}\"\nrole = \"operator\"\ntoken = \"{token}\"\n[server]\n"
        );
        let found = refusal("[server]\n", &tokens);
        assert!(found.contains("this name is narthex's own"), "{found}");
    }
}

#[test]
fn addresses_and_limits_are_checked() {
    let refusals = [
        refusal("https://app.example.com", "http://app.example.com"),
        refusal("https://app.example.com", "https://app.example.com/git"),
        refusal("https://app.example.com", "https://user:pw@app.example.com"),
        refusal("https://app.example.com", "https://app.example.com/?x=1"),
        refusal("https://app.example.com", "app.example.com"),
        refusal("https://app.example.com", "ftp://app.example.com"),
        refusal("[server]\n", "[server]\nlisten = \"localhost\"\n"),
        refusal("[server]\n", "[server]\nprefix = \"/\"\n"),
        refusal("[server]\n", "[server]\nprefix = \"/a/../b\"\n"),
        refusal("[server]\n", "[server]\nprefix = \"/a/\"\n"),
        refusal("[server]\n", "[server]\ntrusted_proxies = [\"10.0.0.1/8\", \"proxy\"]\n"),
        refusal("[server]\n", "[server]\nlisten = \"127.0.0.1:9090\"\n"),
        refusal("http://127.0.0.1:3000", "http://127.0.0.1:3000/app"),
        refusal("http://127.0.0.1:3000", "tcp://127.0.0.1:3000"),
        refusal("http://127.0.0.1:3000", "unix:app.sock"),
        refusal("https://login.example.com", "http://login.example.com"),
        refusal("https://login.example.com", "https://login.example.com/.well-known/openid-configuration"),
        added("[session]\nidle_timeout = \"0s\"\nmax_lifetime = \"1 fortnight\""),
        added("[session]\nidle_timeout = \"13h\""),
        added("[store]\nurl = \"mysql://db/x\""),
        added("[store]\nurl = \"postgres://db/x\""),
        added("[store]\nurl = \"postgres://narthex:hidden@db\""),
        added("[store]\nurl = \"postgres:narthex\""),
        added("[store]\nurl = \"postgres://db/x?password=hidden\""),
        added("[store]\nurl = \"postgres://db/x?sslmode=full\""),
        added("[store]\nurl = \"postgres://db/x?sslrootcert=absent.pem\""),
        added("[store]\nurl = \"postgres://narthex:hidden@db/x\"\npassword = \"another\""),
        added("[store]\npassword = \"for what\""),
        added("[store]\nconnections = 1"),
        added("[store]\nurl = \"memory:\""),
        added("[keys]\nseal = \"too short\""),
        added("[log]\nlevel = \"narthex=loud\""),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn a_postgres_url_is_understood_and_its_password_never_shown() {
    let keys = "[keys]\nseal = \"0123456789abcdef0123456789abcdef\"\n";
    let store = |lines: &str| settings(&format!("{MINIMAL}\n[store]\n{lines}\n{keys}")).store.url;
    let StoreUrl::Postgres(found) = store("url = \"postgres://narthex:hidden@db:5433/x\"") else { panic!() };
    assert_eq!(found.url.expose(), "postgres://narthex:hidden@db:5433/x");
    assert!(found.password.is_none() && found.connections == 10 && found.roots.is_empty());
    assert!(!format!("{found:?}").contains("hidden"), "{found:?}");
    let lines = "url = \"postgresql://db/x?sslmode=disable&sslkey=a.key&options=-csearch_path%3Dx\"\n\
                 password = \"hidden\"\nconnections = 3";
    let StoreUrl::Postgres(found) = store(lines) else { panic!() };
    assert_eq!(
        found.url.expose(),
        "postgresql://db/x?sslmode=disable&sslkey=%2Fetc%2Fnarthex%2Fa.key&options=-csearch_path%3Dx"
    );
    assert_eq!((found.password.as_ref().map(Secret::expose), found.connections), (Some("hidden"), 3));
    assert!(!format!("{found:?}").contains("hidden"), "{found:?}");
    let StoreUrl::Postgres(found) = store("url = \"postgres:///x?host=/run/postgresql\"") else { panic!() };
    assert_eq!(found.url.expose(), "postgres:///x?host=%2Frun%2Fpostgresql");
}

#[test]
fn upstreams_of_every_kind_are_understood() {
    let target = |url: &str| settings(&with(MINIMAL, "http://127.0.0.1:3000", url)).upstream.target;
    let host = "app".to_owned();
    assert_eq!(target("http://app"), UpstreamTarget::Http { host: host.clone(), port: 80 });
    assert_eq!(target("https://app"), UpstreamTarget::Https { host: host.clone(), port: 443 });
    assert_eq!(target("h2c://app:50051"), UpstreamTarget::H2c { host, port: 50051 });
    assert_eq!(target("unix:/run/app.sock"), UpstreamTarget::Unix { path: PathBuf::from("/run/app.sock") });
    assert_eq!(target("http://[::1]:8"), UpstreamTarget::Http { host: "::1".to_owned(), port: 8 });
}

#[test]
fn the_applications_own_cookies_and_way_out_are_checked() {
    let with_keys = |keys: &str| {
        with(MINIMAL, "url = \"http://127.0.0.1:3000\"", &format!("url = \"http://127.0.0.1:3000\"\n{keys}"))
    };
    let upstream = settings(MINIMAL).upstream;
    assert_eq!((upstream.session_cookies, upstream.logout_path), (Vec::new(), None));
    let keys = "session_cookies = [\"JSESSIONID\", \"__Host-app*\"]\nlogout_path = \"/app/logout/\"";
    let upstream = settings(&with_keys(keys)).upstream;
    assert_eq!(upstream.session_cookies, ["JSESSIONID", "__Host-app*"]);
    assert_eq!(upstream.logout_path.as_deref(), Some("/app/logout/"));
    for (keys, told) in [
        ("session_cookies = [\"*\"]", "* is every cookie"),
        ("session_cookies = [\"JSESSIONID=1\"]", "\"JSESSIONID=1\" is no name of a cookie"),
        ("session_cookies = [\"JSESSIONID\", \"\"]", "\"\" is no name of a cookie"),
        ("logout_path = \"/\"", "it is the application's first page"),
        ("logout_path = \"logout\"", "a path starts with /"),
        ("logout_path = \"/logout?all=1\"", "the query of a request is not looked at"),
        ("logout_path = \"/a/../logout\"", "it has empty or dot segments"),
        ("logout_path = \"/logout//\"", "it has empty or dot segments"),
        ("logout_path = \"/log%6Fut\"", "it encodes what needs no encoding"),
    ] {
        let found = lines(&errors(&with_keys(keys), &[]));
        assert!(found.contains(told), "{told}: {found}");
    }
}

#[test]
fn identity_providers_are_checked() {
    let refusals = [
        refusal("id = \"corp\"", "id = \"Corp\""),
        refusal("client_id = \"app\"", "client_id = \" app\""),
        refusal("client_id = \"app\"", "client_id = \"app\"\nclient_auth = \"none\""),
        refusal("client_id = \"app\"", "client_id = \"app\"\nclient_auth = \"private_key_jwt\""),
        refusal("client_id = \"app\"", "client_id = \"app\"\nclock_skew = \"6m\""),
        refusal("client_id = \"app\"", "client_id = \"app\"\nemail_domains = [\"a@b.c\", \"exa mple\"]"),
        refusal("client_id = \"app\"", "client_id = \"app\"\nemail_domains = [\"*\", \"b.c\"]"),
        refusal("client_id = \"app\"", "client_id = \"app\"\nid_token_algorithms = [\"HS256\"]"),
        refusal("client_id = \"app\"", "client_id = \"app\"\nid_token_algorithms = [\"RS256\", \"HS256\"]"),
        refusal("client_id = \"app\"", "client_id = \"app\"\nid_token_algorithms = [\"none\"]"),
        refusal("client_id = \"app\"", "client_id = \"app\"\nscopes = [\"openid email\"]"),
        added(
            "[[idp]]\nid = \"corp\"\ntype = \"oidc\"\nissuer = \"https://b.example\"\nclient_id = \"x\"\nclient_secret = \"y\"",
        ),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn f1_trust_email_is_refused_where_anybody_can_register() {
    for issuer in [
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://accounts.google.com",
    ] {
        let source = with(MINIMAL, "https://login.example.com\"", &format!("{issuer}\"\ntrust_email = true"));
        let found = lines(&errors(&source, &[]));
        assert!(found.contains("`trust_email` cannot be used with"), "{found}");
    }
    let tenant =
        "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0\"\ntrust_email = true";
    assert!(oidc(&settings(&with(MINIMAL, "https://login.example.com\"", tenant))).trust_email);
}

#[test]
fn f1_email_domains_are_needed_as_soon_as_email_decides() {
    let found = jit("email_domains = [\"example.com\"]\n", "");
    assert!(found.contains("lacks `email_domains`") && found.contains("takes over accounts"), "{found}");
    let found = added("allowed_email_domains = [\"example.com\"]");
    assert!(found.contains("lacks `email_domains`") && found.contains("restricts"), "{found}");
    settings(&with(
        &with(JIT, "email_domains = [\"example.com\"]\n", ""),
        "mode =",
        "on_existing = \"deny\"\nmode =",
    ));
}

#[test]
fn f1_a_star_in_email_domains_is_for_a_single_provider() {
    let star = with(JIT, "[\"example.com\"]", "[\"*\"]");
    assert_eq!(oidc(&settings(&star)).email_domains, ["*"]);
    let second = "[[idp]]\nid = \"b\"\ntype = \"oidc\"\nissuer = \"https://b.example\"\nclient_id = \"x\"\nclient_secret = \"y\"\nemail_domains = [\"b.example\"]\n[application]";
    let found = lines(&errors(&with(&star, "[application]", second), &[]));
    assert!(found.contains("speak for every e-mail address"), "{found}");
}

#[test]
fn routes_headers_and_token_are_checked() {
    let route = |path: &str| added(&format!("[[route]]\npath = '{path}'\naccess = \"public\""));
    let refusals = [
        route("admin"),
        route("/admin/"),
        route("/admin/*"),
        route("/a//b"),
        route("/a/../b"),
        route("/a?x"),
        route("/%61"),
        route("/a%2fb"),
        route("/caf%c3%a9"),
        route("/%zz"),
        route("/a b"),
        route("/a\\b"),
        route("/.narthex/login"),
        added("[[route]]\npath = \"/a\"\naccess = \"public\"\n[[route]]\npath = \"/a\"\naccess = \"deny\""),
        added("[[route]]\npath = \"/a\""),
        added("[[route]]\npath = \"/a\"\naccess = \"public\"\nallow = \"true\""),
        added("[[route]]\npath = \"/a\"\naccess = \"bearer\""),
        added("[[route]]\npath = \"/a\"\nallow = \"idp.id == 'crop'\""),
        added("[[route]]\npath = \"/a\"\nallow = '''\n  'x' in claims.groups\n  and claims.role'''"),
        added("[headers]\nX-User = \"{{ account.username }}\"\nx_user = \"x\""),
        added(
            "[headers]\nHost = \"x\"\nX-Forwarded-For = \"x\"\nX_Forwarded_Proto = \"x\"\nCookie = \"x\"\n\"a b\" = \"x\"\nAuthorization = \"x\"",
        ),
        added(
            "[headers]\nX-User = \"{{ account.usrname }}\"\nX-Path = \"{{ request.path }}\"\nX-Groups = \"{{ grant.teams }}\"",
        ),
        added("[headers]\nX-User = \"a\\nb\""),
        added("[headers]\nX-Narthex_Token = \"a\"\n[upstream_token]\n"),
        added("[upstream_token]\nheader = \"Cookie\""),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn applications_and_provisioning_are_checked() {
    let refusals = [
        jit("connector = \"gitea\"", "connector = \"gitae\""),
        jit("connector = \"gitea\"", "connector = \"./mine.toml\""),
        jit(
            "url = \"http://127.0.0.1:3000\"\n[provisioning]",
            "url = \"http://git.example.com\"\n[provisioning]",
        ),
        jit("[provisioning]", "credential = {}\n[provisioning]"),
        jit(
            "[provisioning]",
            "credential = { bearer = \"x\", basic = { username = \"a\", password = \"b\" } }\n[provisioning]",
        ),
        jit(
            "[provisioning]",
            "credential = { basic = { username = \"a:b\", password = \"b\" } }\n[provisioning]",
        ),
        jit("[provisioning]", "credential = { barer = \"x\" }\n[provisioning]"),
        jit("default_role = \"user\"\n", ""),
        jit("default_role = \"user\"\n", "default_rule = \"user\"\n"),
        jit("default_role = \"user\"", "default_role = \"admin\""),
        jit("default_role = \"user\"", "default_role = \"usr\""),
        jit("groups_claim = \"groups\"\n", "mapping = [{ group = \"a\", team = \"b\" }]\n"),
        jit("[application]\nconnector = \"gitea\"\nurl = \"http://127.0.0.1:3000\"\n", ""),
        jit_added("mapping = [{ group = \"a\" }]"),
        jit_added("mapping = [{ group = \"a\", role = \"user\", team = \"b\" }]"),
        jit_added("mapping = [{ group = \"a\", role = \"admin\" }]"),
        jit_added("mapping = [{ group = \"a\", role = \"boss\" }]"),
        jit_added("mapping = [{ group = \"a\", role = \"user\", idp = \"crop\" }]"),
        jit_added("mapping = [{ group = \"a\", team = \"b\", team_role = \"owner\" }]"),
        jit_added("mapping = [{ group = \"a\", app_groups = [\"b\"] }]"),
        jit_added("mapping = [{ group = \"a\", permission = \"b\" }]"),
        jit_added("owners_groups = [\"a\"]\nunknown_team = \"create\""),
        jit_added("assignable_teams = [\"a/*/b\", \"*\"]"),
        jit_added("onboarding = { app_groups = [\"a\"] }"),
        jit_added("attributes = { email = { claim = \"a\", constant = \"b\" } }"),
        jit_added("attributes = { nickname = { claim = \"a\" } }"),
        jit_added("attributes = { display_name = { template = \"{{ account.username }}\" } }"),
        jit_added("allowed_email_domains = [\"*\", \"@example.com\"]"),
        lines(&errors(
            &with(
                &with(JIT, "\"gitea\"", "\"miniflux\""),
                "groups_claim",
                "role_claim = \"r\"\ngroups_claim",
            ),
            &[],
        )),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn what_is_most_probably_not_meant_is_warned_of() {
    let warnings = |source: &str| lines(&load_with(source, Purpose::Serve, &[]).unwrap().warnings);
    let all = [
        warnings(&with(MINIMAL, "forward", "deny")),
        warnings(&with(JIT, "mode = \"jit\"", "mode = \"off\"")),
        warnings(&with(MINIMAL, "http://127.0.0.1:3000", "http://app.example.com")),
        warnings(&format!(
            "{JIT}allowed_email_domains = [\"example.com\", \"other.example\", \"*.example.com\"]"
        )),
        warnings(&format!("{JIT}attributes = {{ email = {{ enabled = false }} }}")),
        warnings(&format!("{JIT}teams_claim = {{ claim = \"teams\" }}")),
    ];
    insta::assert_snapshot!(all.join("\n--\n"));
    assert_eq!(warnings(MINIMAL), "");
    assert_eq!(warnings(JIT), "");
}

#[test]
fn the_environment_overrides_the_file() {
    let env = [
        ("NARTHEX__SERVER__LISTEN", "0.0.0.0:80"),
        ("NARTHEX__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
        ("NARTHEX__SERVER__WORKERS", "3"),
        ("NARTHEX__SERVER__TIMEOUTS__DRAIN", "1s"),
        ("NARTHEX__IDP__CORP__CLIENT_SECRET", "{not a table"),
        ("NARTHEX__IDP__0__CLIENT_ID", "12345"),
        ("NARTHEX__IDP__0__SCOPES", "[\"openid\", \"groups\"]"),
        ("NARTHEX__IDP__0__TRUST_EMAIL", "true"),
        ("NARTHEX__KEYS__SEAL__ENV", "SEAL"),
        ("NARTHEX__HEADERS__X_USER", "{{ subject }}"),
        ("NARTHEX__UPSTREAM_TOKEN", "{}"),
        ("SEAL", "0123456789abcdef0123456789abcdef\n"),
        ("NARTHEX_CONFIG", "ignored"),
        ("OTHER__SERVER__LISTEN", "ignored"),
    ];
    let settings =
        load_with(MINIMAL, Purpose::Serve, &env).unwrap_or_else(|errors| panic!("{errors}")).settings;
    assert_eq!(settings.server.listen, "0.0.0.0:80".parse().unwrap());
    assert_eq!(settings.server.trusted_proxies.len(), 2);
    assert_eq!(settings.server.workers, 3);
    assert_eq!(settings.server.timeouts.drain, Duration::from_secs(1));
    assert!(matches!(&oidc(&settings).client_auth, ClientAuth::Basic(s) if s.expose() == "{not a table"));
    assert_eq!(oidc(&settings).client_id, "12345");
    assert_eq!(oidc(&settings).scopes, ["openid", "groups"]);
    assert!(oidc(&settings).trust_email);
    assert!(matches!(&settings.keys.seal, SealKey::Given(s) if s.expose().len() == 32));
    assert_eq!(settings.headers[0].name, "x-user");
    assert_eq!(settings.upstream_token.unwrap().audience, "https://app.example.com");
}

#[test]
fn an_identity_provider_can_come_from_the_environment_alone() {
    let (before, rest) = MINIMAL.split_once("[[idp]]").unwrap();
    let (_, after) = rest.split_once("[provisioning]").unwrap();
    let env = [
        ("NARTHEX__IDP__0__ID", "corp"),
        ("NARTHEX__IDP__0__TYPE", "oidc"),
        ("NARTHEX__IDP__0__ISSUER", "https://login.example.com"),
        ("NARTHEX__IDP__0__CLIENT_ID", "app"),
        ("NARTHEX__IDP__0__CLIENT_AUTH", "none"),
    ];
    let source = format!("{before}[provisioning]{after}");
    assert!(load_with(&source, Purpose::Serve, &env).is_ok());
}

#[test]
fn errors_in_the_environment_name_the_variable() {
    let env = [
        ("NARTHEX__SERVER__LISTN", "0.0.0.0:80"),
        ("NARTHEX__SEVER__LISTEN", "0.0.0.0:80"),
        ("NARTHEX__SERVER__LISTEN__X", "0.0.0.0:80"),
        ("NARTHEX__", "x"),
        ("NARTHEX__SERVER__WORKERS", "many"),
        ("NARTHEX__SERVER__PUBLIC_URL", "http://app.example.com"),
        ("NARTHEX__IDP__CROP__CLIENT_ID", "x"),
        ("NARTHEX__IDP__7__CLIENT_ID", "x"),
        ("NARTHEX__IDP__CORP__TRUST_EMAIL", "yes"),
        ("NARTHEX__IDP__CORP__SCOPES", "[openid"),
        ("NARTHEX__PROVISIONING__MODE", "jti"),
        ("NARTHEX__KEYS__SEAL", "short"),
    ];
    insta::assert_snapshot!(lines(&errors(MINIMAL, &env)));
}

#[test]
fn a_secret_is_read_from_its_file_without_the_newline_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("proxy.toml");
    fs::write(folder.path().join("secret"), "from-file\r\n").unwrap();
    private(&folder.path().join("secret"), 0o600);
    fs::write(&config, with(MINIMAL, "\"s3cret\"", "{ file = \"secret\" }")).unwrap();
    let loaded = load(&config, Purpose::Serve, std::iter::empty(), &features).unwrap();
    assert!(matches!(&oidc(&loaded.settings).client_auth, ClientAuth::Basic(s) if s.expose() == "from-file"));
    assert!(!format!("{:?}", loaded.settings).contains("from-file"));
    let database = folder.path().join("narthex.db");
    assert!(matches!(&loaded.settings.store.url, StoreUrl::Sqlite { path } if *path == database));
}

fn private(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What the loader says of one secret file; `make` is given its path.
fn secret_refusal(purpose: Purpose, make: impl Fn(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("proxy.toml");
    make(&folder.path().join("secret"));
    fs::write(&config, with(MINIMAL, "\"s3cret\"", "{ file = \"secret\" }")).unwrap();
    let report = match load(&config, purpose, std::iter::empty(), &features) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.report,
    };
    report.to_string().replace(&folder.path().display().to_string(), "")
}

#[test]
fn secrets_that_cannot_be_used_name_key_file_reason_and_remedy() {
    let write = |content: &'static [u8], mode| {
        move |path: &Path| {
            fs::write(path, content).unwrap();
            private(path, mode);
        }
    };
    let all = [
        secret_refusal(Purpose::Serve, |_| {}),
        secret_refusal(Purpose::Check, |_| {}),
        secret_refusal(Purpose::Serve, write(b"\n", 0o600)),
        secret_refusal(Purpose::Check, write(b"", 0o600)),
        secret_refusal(Purpose::Serve, write(b"x", 0o644)),
        secret_refusal(Purpose::Serve, write(b"x", 0o602)),
        secret_refusal(Purpose::Serve, write(b"\xff\xfe", 0o600)),
        secret_refusal(Purpose::Serve, |path| fs::create_dir(path).unwrap()),
        lines(&errors(&with(MINIMAL, "\"s3cret\"", "{ env = \"NOT_SET\" }"), &[])),
        lines(&errors(&with(MINIMAL, "\"s3cret\"", "{ env = \"EMPTY\" }"), &[("EMPTY", "")])),
        refusal("\"s3cret\"", "\"\""),
    ];
    insta::assert_snapshot!(all.join("\n--\n"));
}

#[test]
fn a_secret_in_a_kubernetes_volume_may_be_readable_by_all() {
    let made = secret_refusal(Purpose::Serve, |path| {
        let folder = path.parent().unwrap();
        fs::create_dir(folder.join("..data")).unwrap();
        fs::write(path, "x").unwrap();
        private(path, 0o644);
    });
    assert_eq!(made, "");
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_its_own() {
    let errors =
        load(Path::new("/nowhere/proxy.toml"), Purpose::Serve, std::iter::empty(), &features).unwrap_err();
    insta::assert_snapshot!(errors.to_string(), @"/nowhere/proxy.toml: error: cannot be read: No such file or directory (os error 2); name the configuration file with --config");
}

#[test]
fn generated_docs_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let bless = std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS");
    for (name, text) in [
        ("config.md", docs::config()),
        ("variables.md", crate::expr::docs::variables()),
        ("proxy.schema.json", schema::printed()),
    ] {
        let path = folder.join(name);
        if bless {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "docs/{name} is stale; run: NARTHEX_BLESS=1 cargo test --lib generated_docs"
            );
        }
    }
}

#[test]
fn every_key_is_described_and_every_key_of_the_example_is_in_the_schema() {
    fn undescribed(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        for (name, key) in schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
            let path = format!("{path}.{name}");
            if key.get("description").is_none_or(|d| d.as_str().unwrap_or_default().len() < 5) {
                found.push(path.clone());
            }
            undescribed(key, &path, found);
            for below in ["items", "additionalProperties"] {
                if let Some(below) = key.get(below) {
                    undescribed(below, &path, found);
                }
            }
            let items = key.get("items").unwrap_or(key);
            for branch in items.get("anyOf").and_then(|b| b.as_array()).into_iter().flatten() {
                undescribed(branch, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    undescribed(schema::schema(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert!(!schema::printed().contains("\"null\""));
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in ".{0,200}") {
        let _ = load_with(&text, Purpose::Check, &[]);
    }

    #[test]
    fn no_change_to_the_example_makes_the_loader_panic(
        at in 0..EXAMPLE.len(),
        cut in 0..30usize,
        put in prop_oneof![
            "[ -~]{0,12}", Just("\n".to_owned()), Just("\"".to_owned()), Just("[[idp]]".to_owned()), Just("= 5".to_owned()),
            Just("é\u{0}".to_owned()), Just("{{ claims.x | join(',') }}".to_owned()), Just("1979-05-27".to_owned()), Just("''' \"\"\"".to_owned())
        ],
    ) {
        let start = (0..=at).rev().find(|i| EXAMPLE.is_char_boundary(*i)).unwrap_or(0);
        let end = ((start + cut).min(EXAMPLE.len())..=EXAMPLE.len())
            .find(|i| EXAMPLE.is_char_boundary(*i))
            .unwrap();
        let text = format!("{}{put}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        match load_with(&text, Purpose::Check, &[]) {
            Ok(loaded) => { let _ = (loaded.warnings.graphical(true), loaded.warnings.json_lines()); }
            Err(errors) => { let _ = (errors.report.graphical(false), errors.report.json_lines(), errors.to_string()); }
        }
    }

    #[test]
    fn no_variable_makes_the_loader_panic(
        name in prop_oneof!["[A-Z_0-9]{0,20}", Just("SERVER__TLS".to_owned()), Just("IDP".to_owned()), Just("IDP__0".to_owned()), Just("APPLICATION__CREDENTIAL".to_owned()), Just("HEADERS__".to_owned()), Just("IDP__1__ID__X".to_owned())],
        value in prop_oneof![".{0,20}", Just("{ a = 1 }".to_owned()), Just("[[1], 2]".to_owned())],
    ) {
        let _ = load_with(MINIMAL, Purpose::Check, &[(&format!("NARTHEX__{name}"), &value)]);
    }
}

#[test]
fn a_saml_provider_needs_its_metadata_and_nothing_else() {
    let settings = settings(SAML);
    let Idp::Saml(idp) = &settings.idps[0] else { panic!("{:?}", settings.idps) };
    assert_eq!(idp.entity_id, "https://app.example.com/.narthex/saml/partner/metadata");
    let MetadataFrom::Url(url) = &idp.metadata else { panic!("{:?}", idp.metadata) };
    assert_eq!(url.as_str(), "https://idp.partner.example/metadata?tenant=1");
    assert_eq!((idp.label.as_str(), idp.require_signed), ("partner", RequireSigned::Either));
    assert_eq!((idp.sign_requests, idp.request_binding), (None, None));
    assert!(idp.idp_initiated.is_none() && !idp.allow_sha1 && !idp.want_encrypted);
    assert_eq!(idp.clock_skew, Duration::from_mins(1));
    assert!(settings.idps[0].trust_email());

    let more =
        "allow_idp_initiated = true\nlanding = \"/start\"\nname_id_format = \"persistent\"\n[provisioning]";
    let settings = self::settings(&SAML.replace("[provisioning]", more));
    let Idp::Saml(idp) = &settings.idps[0] else { panic!("{:?}", settings.idps) };
    assert_eq!(idp.idp_initiated.as_ref().unwrap().as_str(), "/start");
    assert_eq!(idp.name_id_format.as_deref(), Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"));
}

#[test]
fn a_saml_key_that_is_of_another_certificate_is_refused_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let pair = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (one, other) = (pair(), pair());
    let certificate = rcgen::CertificateParams::new(vec!["sp.test".to_owned()]).unwrap();
    let file = folder.path().join("sp.crt");
    fs::write(&file, certificate.self_signed(&one).unwrap().pem()).unwrap();
    let with_key = |key: &rcgen::KeyPair, kind: &str| {
        let pair = format!("{{ key = {:?}, certificate = {file:?} }}", key.serialize_pem());
        SAML.replace("[provisioning]", &format!("{kind} = [{pair}]\n[provisioning]"))
    };
    settings(&with_key(&one, "signing_keys"));
    let found = lines(&errors(&with_key(&other, "signing_keys"), &[]));
    assert!(found.contains("proxy.toml:10:17: error: `idp[0].signing_keys[0]` cannot be used"), "{found}");
    assert!(!found.contains("PRIVATE KEY"), "{found}");
    // What is no certificate is not no certificate.
    let public = folder.path().join("public.pem");
    fs::write(&public, one.public_key_pem()).unwrap();
    let more = format!("metadata_certificate = {public:?}\nidp_entity_id = \"urn:idp\"\n[provisioning]");
    let found = lines(&errors(&SAML.replace("[provisioning]", &more), &[]));
    assert!(found.contains("proxy.toml:10:24: error: `idp[0].metadata_certificate`: "), "{found}");
    // Encryption is for RSA keys.
    let found = lines(&errors(&with_key(&one, "decryption_keys"), &[]));
    assert!(found.contains("`idp[0].decryption_keys[0]` cannot be used"), "{found}");
}

#[test]
fn saml_providers_are_checked() {
    let mut refusals = Vec::new();
    for more in [
        "metadata = { url = \"http://idp.partner.example/\" }",
        "metadata = {}",
        "landing = \"/x\"",
        "allow_idp_initiated = true\nlanding = \"//evil.example\"",
        "name_id_format = \"persistant\"",
        "want_encrypted = true",
        "sign_requests = true",
        "force_authn = true\nis_passive = true",
        "entity_id = \"with blank\"",
        "require_signed = \"none\"",
        "issuer = \"https://login.example.com\"",
        "signing_keys = [{ key = \"x\" }]",
        "metadata_certificate = \"federation.crt\"",
        "allow_sha1 = true",
    ] {
        let text = if more.starts_with("metadata =") {
            SAML.replace("metadata = { url = \"https://idp.partner.example/metadata?tenant=1\" }", more)
        } else {
            SAML.replace("[provisioning]", &format!("{more}\n[provisioning]"))
        };
        let found = load_with(&text, Purpose::Check, &[]);
        let report = match &found {
            Ok(loaded) => &loaded.warnings,
            Err(errors) => &errors.report,
        };
        refusals.push(format!("{more}\n{}\n", lines(report)));
    }
    insta::assert_snapshot!(refusals.join("--\n"));
}

const SCIM: &str = r#"
[server]
public_url = "https://app.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "corp"
type = "oidc"
issuer = "https://login.example.com"
client_id = "app"
client_secret = "secret"
email_domains = ["example.com"]
[application]
connector = "gitea"
url = "http://127.0.0.1:3000"
credential = { bearer = "token" }
[provisioning]
mode = "scim"
default_role = "user"
[scim]
tokens = ["0123456789abcdef01234567", "another-token-of-the-directory"]
"#;

#[test]
fn a_signing_secret_that_is_not_there_yet_is_a_warning_of_check_and_a_bad_one_a_refusal() {
    let webhook = |secret: &str| with(SCIM, "bearer = \"token\"", &format!("signing_secret = {secret}"));
    let absent = webhook("{ file = \"/nowhere/secret\" }");
    let loaded = load_with(&absent, Purpose::Check, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(lines(&loaded.warnings).contains("there is no file /nowhere/secret"));
    let found = lines(&errors(&absent, &[]));
    assert!(found.contains("there is no file /nowhere/secret") && !found.contains("signed"), "{found}");
    assert!(lines(&errors(&webhook("\"short\""), &[])).contains("nothing can be signed with this secret"));
}

#[test]
fn m1_scim_is_configured_with_its_mode_and_only_then() {
    let scim = settings(SCIM).scim.unwrap();
    assert_eq!((scim.listen.to_string().as_str(), scim.tokens.len()), ("127.0.0.1:9092", 2));
    let refused = |from: &str, to: &str| lines(&errors(&with(SCIM, from, to), &[]));
    for (from, to, told) in [
        ("mode = \"scim\"", "mode = \"jit\"", "exclude each other"),
        ("mode = \"scim\"", "mode = \"off\"", "provisioning.mode is \"off\""),
        (
            "[scim]\ntokens = [\"0123456789abcdef01234567\", \"another-token-of-the-directory\"]\n",
            "",
            "there is no [scim]",
        ),
        ("\"another-token-of-the-directory\"", "\"short\"", "fewer than 24 characters"),
        (
            "tokens = [\"0123456789abcdef01234567\", \"another-token-of-the-directory\"]",
            "tokens = []",
            "scim.tokens",
        ),
        ("[scim]", "[scim]\nlisten = \"127.0.0.1:8080\"", "which `server.listen` has already"),
        ("[scim]", "[scim]\nlisten = \"127.0.0.1:9090\"", "which `health.listen` has already"),
        ("[scim]", "[scim]\npublic_url = \"ftp://x\"", "is no scheme"),
        (
            "[application]\nconnector = \"gitea\"\nurl = \"http://127.0.0.1:3000\"\ncredential = { bearer = \"token\" }\n",
            "",
            "needs an [application]",
        ),
        ("default_role = \"user\"\n", "", "default_role` is missing"),
        ("id = \"corp\"", "id = \"scim\"", "the name under which SCIM clients push people"),
        ("[scim]", "[scim]\nmatch = \"email\"\nmatch_claim = \"upn\"", "has no meaning"),
        ("[scim]", "[scim]\nidp = \"corq\"", "did you mean \"corp\"?"),
        (
            "[application]",
            "[[idp]]\nid = \"other\"\ntype = \"oidc\"\nissuer = \"https://other.example.com\"\nclient_id = \"app\"\nclient_secret = \"secret\"\nemail_domains = [\"other.example\"]\n[application]",
            "`scim.idp` is missing",
        ),
    ] {
        let found = refused(from, to);
        assert!(found.contains(told), "{told}: {found}");
    }
}
