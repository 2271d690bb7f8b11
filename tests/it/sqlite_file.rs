//! One SQLite file and the programs that come to it: one of them serves, the others work beside it.

use std::net::SocketAddr;
use std::path::Path;

use http::Method;
use narthex::demo::idp::Chooser;
use serde_json::Value;
use toml::Table;

use crate::replicas::Replica;
use crate::support::party::free_port;
use crate::support::stack::{put, usual};
use crate::support::{Browser, Parties};

/// Parties, and the configuration of a narthex on a file of this folder.
struct Place {
    parties: Parties,
    config: Table,
    port: u16,
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let (parties, port, folder) =
            (Parties::at_present().await, free_port(), tempfile::tempdir().unwrap());
        let url = format!("http://localhost:{port}");
        let mut config = usual(&parties, &url);
        put(&mut config, "server.workers", 1);
        put(&mut config, "store.url", at(&folder.path().join("narthex.db")));
        parties
            .idp
            .register(&format!("{url}/.narthex/oidc/demo/callback"), &format!("{url}/.narthex/logout"));
        parties.idp.set_chooser(Chooser::Always("ada".to_owned()));
        Self { parties, config, port, url, folder }
    }

    fn serve(&self) -> Replica {
        Replica::spawn(self.config.clone(), SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    /// The same narthex at other ports, as somebody starts it by mistake.
    fn serve_elsewhere(&self) -> Replica {
        Replica::spawn(self.config.clone(), SocketAddr::from(([127, 0, 0, 1], free_port())))
    }
}

fn at(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[tokio::test]
async fn a_second_narthex_on_one_file_is_refused_until_the_first_is_gone_however_it_went() {
    let place = Place::new().await;
    let mut first = place.serve();
    first.is_ready().await;
    let browser = first.browser(&Browser::new());
    let page = browser.visit(&format!("{}/echo", place.url)).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"), "{:#?}", page.trail());

    let (code, log) = place.serve_elsewhere().ends().await;
    let file = place.folder.path().join("narthex.db").canonicalize().unwrap();
    let told = format!(
        "another narthex (process {}) has the store {} open; stop it, or take PostgreSQL for several replicas \
         (docs/postgres.md)",
        first.pid(),
        file.display()
    );
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains(&told), "{log}");

    // The first goes on, and nobody else is kept from the file: an act beside it holds in it.
    assert_eq!(browser.visit(&format!("{}/echo", place.url)).await.status.as_u16(), 200);
    for beside in [
        ["session", "list"],
        ["member", "list"],
        ["audit", "verify"],
        ["check", "--store"],
        ["admin", "bootstrap"],
    ] {
        let (code, out, err) = first.program(&beside).await;
        assert!(code == 0 && !err.contains("another narthex"), "{beside:?}: {code} {out}{err}");
    }
    let (_, out, err) = first.program(&["verify-deployment"]).await;
    assert!(out.contains("it can be opened and read"), "{out}{err}");
    let (status, members) = first.ask(Method::GET, "/members?search=ada", "", &Value::Null).await;
    assert_eq!(status, 200, "{members}");

    // Killed, with nothing put in order, it holds nothing any more.
    first.kill();
    let mut second = place.serve_elsewhere();
    second.is_ready().await;
    let (code, log) = place.serve().ends().await;
    assert_eq!(code, Some(2), "{log}");
    assert_eq!(place.parties.app.users().iter().filter(|user| user.email == "ada@example.com").count(), 1);
}
