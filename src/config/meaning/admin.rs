//! `[admin]`.

use std::collections::BTreeSet;

use super::Meaning;
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{Admin, AdminToken, Health, Server};

/// SECURITY: what has 32 characters of a random source is not guessed, however fast one may try.
const MIN_TOKEN: usize = 32;

impl Meaning<'_> {
    pub(super) fn admin(
        &mut self,
        raw: &Raw,
        server: Option<&Server>,
        health: Option<&Health>,
    ) -> Option<Admin> {
        let written = raw.admin.as_ref()?;
        let listen = self.address(written.listen.as_ref(), steps!["admin", "listen"])?;
        let others = [("server", server.map(|one| one.listen)), ("health", health.map(|one| one.listen))];
        for (section, other) in others {
            if listen.port() != 0 && other == Some(listen) {
                let message = format!("`admin.listen` is {listen}, which `{section}.listen` has already");
                let at = if self.stated(steps!["admin", "listen"]) { "admin" } else { section };
                self.refuse(steps![at, "listen"], message, "give one of them another port");
                return None;
            }
        }
        if !listen.ip().is_loopback() {
            // SECURITY: invariant 12.
            let message = format!("`admin.listen`: the admin API can be reached from elsewhere at {listen}");
            let help = "tokens travel on it in the clear: put a TLS-terminating proxy in front, and let nobody else reach it";
            self.warn(steps!["admin", "listen"], message, help);
        }
        let hosts = self.admin_hosts(written);
        let tokens = self.admin_tokens(written);
        Some(Admin { listen, hosts: hosts?, tokens: tokens? })
    }

    fn admin_hosts(&mut self, written: &raw::Admin) -> Option<Vec<String>> {
        let texts = written.hosts.as_ref()?;
        let mut hosts = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let fits = !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
            if fits {
                hosts.push(text.to_ascii_lowercase());
            } else {
                let at = steps!["admin", "hosts", index];
                self.refuse(at, format!("{text:?} is no host name"), "write the bare name, without port");
            }
        }
        (hosts.len() == texts.len()).then_some(hosts)
    }

    fn admin_tokens(&mut self, written: &raw::Admin) -> Option<Vec<AdminToken>> {
        let all = written.tokens.as_ref()?;
        let mut names = BTreeSet::new();
        let mut tokens: Vec<AdminToken> = Vec::new();
        for (index, one) in all.iter().enumerate() {
            let at = |key: &'static str| -> [Step; 4] {
                ["admin".into(), "tokens".into(), index.into(), key.into()]
            };
            let name = self.name(one.name.as_ref(), &at("name"));
            if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
                self.refuse(&at("name"), "this name stands here twice", "give each token a name of its own");
                continue;
            }
            // SECURITY: invites of these count as those of whoever has the machine, and the audit log names them so.
            if name.as_ref().is_some_and(|name| ["bootstrap", "command line"].contains(&name.as_str())) {
                self.refuse(&at("name"), "this name is narthex's own", "give the token another name");
                continue;
            }
            let token = self.secret(one.token.as_ref(), &at("token"));
            let (Some(name), Some(role), Some(token)) = (name, one.role, token) else { continue };
            let length = token.expose().chars().count();
            if length != 0 && length < MIN_TOKEN {
                let message =
                    format!("the token of {name:?} has {length} characters, {MIN_TOKEN} are the least");
                self.refuse(&at("token"), message, "make one: openssl rand -base64 32");
                continue;
            }
            if length != 0 && tokens.iter().any(|other| other.token.expose() == token.expose()) {
                let message = "two names have one token: nobody could tell who did what";
                self.refuse(&at("token"), message, "make another one: openssl rand -base64 32");
                continue;
            }
            tokens.push(AdminToken { name, role, token });
        }
        (tokens.len() == all.len()).then_some(tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Purpose, Settings, load_text};

    const BASE: &str = r#"
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
[admin]
"#;

    fn loaded(admin: &str) -> Result<(Settings, String), String> {
        let source = format!("{BASE}{admin}");
        let path = Path::new("/etc/narthex/proxy.toml");
        match load_text(path, &source, Purpose::Serve, std::iter::empty(), &|_| None) {
            Ok(loaded) => Ok((loaded.settings, loaded.warnings.to_string())),
            Err(errors) => Err(errors.to_string()),
        }
    }

    fn refusal(admin: &str) -> String {
        loaded(admin).expect_err("accepted")
    }

    const GOOD: &str = r#"{ name = "a", role = "viewer", token = "0123456789abcdef0123456789abcdef" }"#;

    #[test]
    fn invariant_12_the_admin_api_is_on_loopback_unless_said_and_that_is_warned_of() {
        let (settings, warnings) = loaded("").unwrap();
        assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9091");
        assert_eq!(warnings, "");
        let (_, warnings) = loaded("listen = \"0.0.0.0:9091\"").unwrap();
        assert!(warnings.contains("can be reached from elsewhere at 0.0.0.0:9091"), "{warnings}");
        assert!(refusal("listen = \"127.0.0.1:8080\"").contains("which `server.listen` has already"));
        assert!(refusal("listen = \"127.0.0.1:9090\"").contains("which `health.listen` has already"));
    }

    #[test]
    fn tokens_are_long_and_each_somebody_elses() {
        let (settings, _) = loaded(&format!("tokens = [{GOOD}]\nhosts = [\"Admin.example.com\"]")).unwrap();
        assert_eq!(settings.admin.tokens[0].name, "a");
        assert_eq!(settings.admin.hosts, ["admin.example.com"]);
        let short = GOOD.replace("cdef\"", "cde\"");
        assert!(refusal(&format!("tokens = [{short}]")).contains("has 31 characters, 32 are the least"));
        let same = GOOD.replace("\"a\"", "\"b\"");
        assert!(refusal(&format!("tokens = [{GOOD}, {same}]")).contains("two names have one token"));
        let named = GOOD.replace("0123", "3210");
        assert!(refusal(&format!("tokens = [{GOOD}, {named}]")).contains("this name stands here twice"));
        let role = GOOD.replace("viewer", "viwer");
        assert!(refusal(&format!("tokens = [{role}]")).contains("did you mean \"viewer\"?"));
        assert!(refusal("hosts = [\"a.example:9091\"]").contains("is no host name"));
        // Wherever the report is shown, the token is not.
        assert!(!refusal(&format!("tokens = [{role}]")).contains("0123456789"));
    }
}
