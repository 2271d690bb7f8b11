//! `[admin]`.

use std::collections::BTreeSet;

use super::{Meaning, Reported};
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{Admin, AdminRule, AdminToken, Console, Health, Idp, Server};
use crate::expr::{Condition, Place};
use crate::model::console::named_person;

/// SECURITY: what has 32 characters of a random source is not guessed, however fast one may try.
const MIN_TOKEN: usize = 32;

impl Meaning<'_> {
    pub(super) fn admin(
        &mut self,
        raw: &Raw,
        server: Option<&Server>,
        health: Option<&Health>,
        idps: Option<&[Idp]>,
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
        let tokens = self.admin_tokens(written, raw);
        let console = self.console(written, server, idps.unwrap_or_default());
        let (mut hosts, console) = (hosts?, console.ok()?);
        hosts.extend(console.iter().filter_map(|one| one.public_url.host()).map(|host| match host {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(address) => address.to_string(),
            url::Host::Ipv6(address) => address.to_string(),
        }));
        // What a rule refers to is looked at only where the providers are known.
        idps?;
        Some(Admin { listen, hosts, tokens: tokens?, console })
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

    fn admin_tokens(&mut self, written: &raw::Admin, raw: &Raw) -> Option<Vec<AdminToken>> {
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
            // SECURITY: nor may a token pass for a person who signs in.
            let person = name.as_deref().and_then(named_person);
            let mut ids = raw.idp.iter().flatten().filter_map(|idp| idp.id());
            if person.is_some_and(|(idp, _)| ids.any(|id| id == idp.as_str())) {
                let message = "this is how somebody who signs in at the identity provider is named";
                self.refuse(&at("name"), message, "give the token another name");
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

impl Meaning<'_> {
    fn console(
        &mut self,
        written: &raw::Admin,
        server: Option<&Server>,
        idps: &[Idp],
    ) -> Result<Option<Console>, Reported> {
        let rules = written.rule.as_deref().unwrap_or_default();
        let at = steps!["admin", "public_url"];
        let faulty = self.faulty(at);
        let public_url = match &written.public_url {
            None => None,
            Some(_) => Some(self.origin_url(written.public_url.as_ref(), at).ok_or(Reported)?),
        };
        let read = rules.iter().enumerate().map(|(index, rule)| self.admin_rule(rule, index, idps));
        let read: Vec<Option<AdminRule>> = read.collect();
        let complete: Option<Vec<AdminRule>> = read.into_iter().collect();
        let rules = complete.ok_or(Reported)?;
        match public_url {
            _ if faulty => Err(Reported),
            None if rules.is_empty() => Ok(None),
            Some(_) if rules.is_empty() => {
                let help = "write [[admin.rule]] with when and role, or leave public_url out";
                self.refuse(at, "nobody gets a role by signing in there", help);
                Err(Reported)
            }
            None => {
                let help =
                    "write where browsers reach the admin API, like \"https://narthex-admin.example.com\"";
                let at = steps!["admin", "rule", 0];
                self.refuse(
                    at,
                    "`admin.public_url` is missing: nobody could come back from signing in",
                    help,
                );
                Err(Reported)
            }
            Some(public_url) => {
                let others = server.map(|server| &server.public_url);
                let same = others.is_some_and(|other| other.host() == public_url.host());
                if same && public_url.scheme() == "https" {
                    // SECURITY: cookies know no ports.
                    let message = "`admin.public_url` has the host of `server.public_url`: browsers send the cookies of the \
                                   one to the other, and pages of the application may set them";
                    self.warn(at, message, "give the admin API a host name of its own");
                }
                Ok(Some(Console { public_url, rules }))
            }
        }
    }

    fn admin_rule(&mut self, rule: &raw::AdminRule, index: usize, idps: &[Idp]) -> Option<AdminRule> {
        let at =
            |key: &'static str| -> [Step; 4] { ["admin".into(), "rule".into(), index.into(), key.into()] };
        let known: Vec<&str> = idps.iter().map(|idp| idp.id().as_str()).collect();
        let idp = match (&rule.idp, idps) {
            (Some(id), _) if self.one_of("identity provider", id, &known, &at("idp")) => {
                idps.iter().find(|idp| idp.id().as_str() == id)
            }
            (None, [only]) => Some(only),
            // The providers themselves are at fault, which is told of there.
            (Some(_), _) | (None, []) => None,
            (None, _) => {
                // SECURITY: invariant 11. What one provider says of groups and addresses must not count as another's.
                let message = "an administrators' rule says whose people it is for: `idp`";
                self.refuse(steps!["admin", "rule", index], message, "name the identity provider");
                None
            }
        };
        let source = rule.when.as_ref()?;
        let when = match Condition::compile_at(source, Place::Console) {
            Ok(when) => when,
            Err(located) => {
                self.refuse_expression(&at("when"), source, &located);
                return None;
            }
        };
        if !when.named_idps().into_iter().all(|id| self.one_of("identity provider", id, &known, &at("when")))
        {
            return None;
        }
        let says = |name: &str| when.claims().iter().any(|claim| claim == name);
        let trusted = match idp {
            Some(Idp::Oidc(idp)) => idp.trust_email,
            // There is no such claim; whose addresses they are is the provider's to know.
            Some(Idp::Saml(_)) => true,
            None => false,
        };
        if says("email") && !says("email_verified") && !trusted {
            let message = "an administrators' rule goes by an e-mail address that nobody may have verified";
            let help = "ask for claims.email_verified too, or better for a group or the subject";
            self.warn(&at("when"), message, help);
        }
        Some(AdminRule { idp: idp?.id().clone(), when, role: rule.role? })
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

    /// With `more` instead of the one provider's client secret.
    const PARTNER: &str = "[[idp]]\nid = \"partner\"\ntype = \"oidc\"\nissuer = \"https://id.partner.example\"\nclient_id = \"app\"\nclient_secret = \"s3cret\"\n[admin]";

    fn ruled(rule: &str) -> String {
        format!("public_url = \"https://admin.example.com\"\n[[admin.rule]]\n{rule}")
    }

    #[test]
    fn s5_people_get_a_role_by_rules_that_are_checked_at_load() {
        let rule = ruled("when = \"'ops' in claims.groups\"\nrole = \"operator\"");
        let (settings, warnings) = loaded(&rule).unwrap();
        assert_eq!(warnings, "");
        let console = settings.admin.console.unwrap();
        assert_eq!(console.rules[0].text(), "operator of corp when 'ops' in claims.groups");
        assert_eq!(settings.admin.hosts, ["admin.example.com"]);
        for (wrong, why) in [
            (ruled("when = \"'ops' in clams.groups\"\nrole = \"operator\""), "did you mean"),
            (ruled("when = \"claims.groups\"\nrole = \"operator\""), "claims.groups"),
            (ruled("when = \"request.path == '/'\"\nrole = \"viewer\""), "in an administrators' rule"),
            (ruled("when = \"account.username == 'ada'\"\nrole = \"viewer\""), "in an administrators' rule"),
            (ruled("when = \"idp.id == 'crop'\"\nrole = \"viewer\""), "crop"),
            (ruled("idp = \"crop\"\nwhen = \"true\"\nrole = \"viewer\""), "did you mean \"corp\"?"),
            (ruled("when = \"'ops' in claims.groups\""), "role"),
            (ruled("role = \"viewer\""), "when"),
            (ruled("when = \"'ops' in claims.groups\"\nrole = \"root\""), "root"),
            (rule.replace("https:", "http:"), "loopback"),
            (rule.replace(".com", ".com/admin"), "has a path"),
            (rule.replace("public_url", "# public_url"), "`admin.public_url` is missing"),
            ("public_url = \"https://admin.example.com\"".to_owned(), "nobody gets a role"),
        ] {
            let refusal = refusal(&wrong);
            assert!(refusal.contains(why), "{wrong}: {refusal}");
        }
    }

    #[test]
    fn s5_a_rule_is_for_one_providers_people() {
        let two = |rule: &str| {
            let source = format!("{BASE}{}", ruled(rule)).replacen("[admin]", PARTNER, 1);
            let path = Path::new("/etc/narthex/proxy.toml");
            load_text(path, &source, Purpose::Serve, std::iter::empty(), &|_| None)
        };
        let rule = "when = \"'ops' in claims.groups\"\nrole = \"operator\"";
        assert!(two(rule).unwrap_err().to_string().contains("says whose people it is for"));
        let settings = two(&format!("idp = \"partner\"\n{rule}")).unwrap().settings;
        assert_eq!(settings.admin.console.unwrap().rules[0].idp.as_str(), "partner");
    }

    #[test]
    fn s5_an_unverified_address_and_a_host_shared_with_the_application_are_warned_of() {
        let by_address = ruled("when = \"claims.email == 'a@example.com'\"\nrole = \"viewer\"");
        let (_, warnings) = loaded(&by_address).unwrap();
        assert!(warnings.contains("nobody may have verified"), "{warnings}");
        let shared = ruled("when = \"'ops' in claims.groups\"\nrole = \"viewer\"")
            .replace("admin.example.com", "app.example.com:9443");
        let (_, warnings) = loaded(&shared).unwrap();
        assert!(warnings.contains("has the host of `server.public_url`"), "{warnings}");
    }

    #[test]
    fn s5_a_token_does_not_pass_for_a_person() {
        let named = GOOD.replace("\"a\"", "\"corp:248289761001\"");
        assert!(refusal(&format!("tokens = [{named}]")).contains("who signs in at the identity provider"));
        let free = GOOD.replace("\"a\"", "\"ci: deploy\"");
        assert!(loaded(&format!("tokens = [{free}]")).is_ok());
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
