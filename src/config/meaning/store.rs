//! `[store]` and `[keys]`.

use std::path::{Path, PathBuf};

use url::Url;

use super::{Meaning, is_loopback};
use crate::config::Purpose;
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{Keys, PostgresUrl, SealKey, Store, StoreUrl};
use crate::model::Secret;

/// RFC 5869, 3.1 asks for key material of the hash's length.
const SEAL_BYTES: usize = 32;
/// How sure one may be of whom one talks to, by `sslmode`.
const TLS_MODES: [(&str, bool); 6] = [
    ("disable", false),
    ("allow", false),
    ("prefer", false),
    ("require", false),
    ("verify-ca", true),
    ("verify-full", true),
];

impl Meaning<'_> {
    pub(super) fn store(&mut self, raw: &Raw) -> Option<Store> {
        let store = raw.store.as_ref()?;
        let text = store.url.as_ref()?;
        let path = steps!["store", "url"];
        let url = if text == "memory:" {
            StoreUrl::Memory
        } else if let Some(file) = text.strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
            let file = file.strip_prefix("//").unwrap_or(file);
            if file.contains('?') || file == ":memory:" {
                self.refuse(path, "`store.url`: parameters are not known here", "write \"sqlite:PATH\"");
                return None;
            }
            let file = self.base.join(file);
            self.store_folder(&file, path)?;
            StoreUrl::Sqlite { path: file }
        } else if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return self
                .postgres(text, store)
                .map(|url| Store { url: StoreUrl::Postgres(url), durable: true });
        } else {
            self.refuse(
                path,
                format!("`store.url`: {text:?} is no store"),
                "write \"sqlite:PATH\", \"postgres://user@host/database\" or \"memory:\"",
            );
            return None;
        };
        if store.password.is_some() {
            let message = "`store.password` has no meaning without PostgreSQL";
            self.refuse(steps!["store", "password"], message, "leave it out");
            return None;
        }
        let durable = match &url {
            StoreUrl::Sqlite { .. } => store.durable?,
            StoreUrl::Postgres(_) => true,
            StoreUrl::Memory => false,
        };
        Some(Store { url, durable })
    }

    /// Where it is to be read only, opening says more: that the folder cannot be written to, say.
    fn store_folder(&mut self, file: &Path, at: &[Step]) -> Option<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if self.purpose == Purpose::Serve || folder.is_dir() {
            return Some(());
        }
        let message = format!("`store.url`: there is no folder {}", folder.display());
        let help = "make the folder, owned by the user that narthex runs as, or name a file in another one";
        if self.purpose == Purpose::Check {
            self.warn(at, message, help);
            return Some(());
        }
        self.refuse(at, message, help);
        None
    }

    /// What is refused is not repeated: the text may hold a password.
    fn postgres(&mut self, text: &str, store: &raw::Store) -> Option<PostgresUrl> {
        let path = steps!["store", "url"];
        let help = "write it like \"postgres://narthex@db.internal:5432/narthex\"";
        let Ok(mut url) = Url::parse(text) else {
            self.refuse(path, "`store.url` is no URL of PostgreSQL", help);
            return None;
        };
        let database = url.path().trim_start_matches('/').to_owned();
        if database.is_empty() || database.contains('/') || url.fragment().is_some() {
            self.refuse(path, "`store.url` names no database, or more than one", help);
            return None;
        }
        let mut roots = Vec::new();
        let mut mode = None;
        let mut socket = None;
        let mut parameters = Vec::new();
        for (key, value) in url.query_pairs().into_owned().collect::<Vec<_>>() {
            match key.as_str() {
                "sslmode" => mode = Some(value.clone()),
                "host" if value.starts_with('/') => socket = Some(value.clone()),
                "options" => {}
                "sslrootcert" => {
                    let file = self.file(&value);
                    roots = self.pem(&file, path)?;
                    continue;
                }
                "sslcert" | "sslkey" => {
                    let file = self.file(&value).to_string_lossy().into_owned();
                    parameters.push((key, file));
                    continue;
                }
                _ => {
                    let message = format!("`store.url`: the parameter {key:?} is not known here");
                    let help = "known are sslmode, sslrootcert, sslcert, sslkey, host=/FOLDER/OF/SOCKETS and options; \
                                user, host, port and database stand before the ?";
                    self.refuse(path, message, help);
                    return None;
                }
            }
            parameters.push((key, value));
        }
        if url.host_str().is_none_or(str::is_empty) && socket.is_none() {
            self.refuse(path, "`store.url` names no host", help);
            return None;
        }
        if let Some(mode) = &mode {
            let Some((_, sure)) = TLS_MODES.iter().find(|(name, _)| name == mode) else {
                let message = format!("`store.url`: sslmode={mode} is not known");
                self.refuse(path, message, "write verify-full, verify-ca, require, prefer or disable");
                return None;
            };
            let near = socket.is_some() || is_loopback(&url) || url.host_str() == Some("localhost");
            if !sure && !near {
                let message =
                    format!("`store.url`: with sslmode={mode} nobody checks that it is the database");
                let help = "leave it out, for verify-full, unless the way to the database is yours alone";
                self.warn(path, message, help);
            }
        }
        url.set_query(None);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(&parameters);
        }
        let password = match &store.password {
            None => None,
            Some(written) => {
                if url.password().is_some() {
                    let message = "`store.password` is there, and another password in `store.url`";
                    self.refuse(steps!["store", "password"], message, "leave one of them out");
                    return None;
                }
                Some(self.secret(Some(written), steps!["store", "password"])?)
            }
        };
        Some(PostgresUrl { url: Secret::new(url.as_str()), password, connections: store.connections?, roots })
    }

    pub(super) fn keys(&mut self, raw: &Raw, store: Option<&Store>) -> Option<Keys> {
        let path = steps!["keys", "seal"];
        let Some(written) = raw.keys.as_ref().and_then(|keys| keys.seal.as_ref()) else {
            return match &store?.url {
                StoreUrl::Sqlite { path: database } => {
                    let mut file = database.clone().into_os_string();
                    file.push(".key");
                    Some(Keys { seal: SealKey::FileOrMake(PathBuf::from(file)) })
                }
                StoreUrl::Memory | StoreUrl::Postgres(_)
                    if self.faulty(path) || self.faulty(steps!["keys"]) =>
                {
                    None
                }
                StoreUrl::Memory => {
                    let help =
                        "write seal = { file = \"…\" }; it is made by itself only beside a SQLite file";
                    self.refuse(steps!["store", "url"], "`keys.seal` is missing, which memory: needs", help);
                    None
                }
                StoreUrl::Postgres(_) => {
                    let help = "write seal = { file = \"…\" }, the same for every replica; make one with: openssl \
                                rand -base64 32";
                    self.refuse(
                        steps!["store", "url"],
                        "`keys.seal` is missing, which PostgreSQL needs",
                        help,
                    );
                    None
                }
            };
        };
        let secret = self.secret(Some(written), path)?;
        let length = secret.expose().len();
        if (1..SEAL_BYTES).contains(&length) {
            let message = format!("`keys.seal` has {length} bytes; at least {SEAL_BYTES} are needed");
            self.refuse(path, message, "make one with: openssl rand -base64 32");
            return None;
        }
        Some(Keys { seal: SealKey::Given(secret) })
    }
}
