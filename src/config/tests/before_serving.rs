//! What `serve` or the application would find out later: told when the configuration is read.

use super::*;
use crate::provision::catalogue;

/// What is said of `source` with the shipped connectors.
fn shipped(source: &str) -> String {
    let features = |name: &str| catalogue::features(name).ok();
    let path = Path::new("/etc/narthex/proxy.toml");
    match load_text(path, source, Purpose::Serve, std::iter::empty(), &features) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(errors) => lines(&errors.report),
    }
}

fn with_credential(connector: &str, role: &str, credential: &str) -> String {
    let application = format!("\"{connector}\"\nurl = \"http://127.0.0.1:3000\"\n{credential}");
    let written = with(JIT, "\"gitea\"\nurl = \"http://127.0.0.1:3000\"\n", &application);
    shipped(&with(&written, "\"user\"", &format!("{role:?}")))
}

#[test]
fn a_credential_of_a_kind_that_the_connector_does_not_take_is_refused_with_its_line() {
    let basic = "credential = { basic = { username = \"admin\", password = \"p\" } }\n";
    let bearer = "credential = { bearer = \"t\" }\n";
    let oauth2 = "credential = { oauth2 = { token_url = \"https://login.example.com/token\", client_id = \"app\", client_secret = \"s\" } }\n";
    assert_eq!(with_credential("grafana", "Viewer", basic), "");
    assert_eq!(
        with_credential("grafana", "Viewer", bearer),
        "proxy.toml:16:25: error: Grafana does not take a credential of the kind `bearer`; it takes `basic`; write credential = { basic = … }; `narthex connector show grafana` says more"
    );
    assert_eq!(with_credential("gitea", "user", bearer), "");
    assert_eq!(
        with_credential("gitea", "user", oauth2),
        "proxy.toml:16:16: error: Gitea does not take a credential of the kind `oauth2`; it takes `bearer` or `basic`; write credential = { bearer = … }; `narthex connector show gitea` says more"
    );
    assert_eq!(
        with_credential("gitea", "user", ""),
        "proxy.toml:13:2: error: `application.credential` is missing, and Gitea takes `bearer` or `basic`; write credential = { bearer = … }; `narthex connector show gitea` says more"
    );
    // SCIM takes it, and none at all.
    assert_eq!(with_credential("scim", "member", oauth2), "");
    assert_eq!(with_credential("scim", "member", ""), "");
}

#[test]
fn a_header_that_needs_an_account_where_there_never_is_one_is_warned_of() {
    let said = |template: &str| shipped(&format!("{MINIMAL}[headers]\nX-User = \"{template}\"\n"));
    let warned = |variable: &str| {
        format!(
            "proxy.toml:15:10: warning: `X-User` is never sent: it is made from {variable}, and without [application] there are never accounts here; make it from claims.* (claims.preferred_username, say), or add [application] and provisioning.mode = \"jit\""
        )
    };
    for (template, variable) in [
        ("{{ account.username }}", "account.username"),
        ("{{ subject }} {{ member.id }}", "member.id"),
        ("{{ account.attributes.phone | lower }}", "account.attributes.phone"),
        ("{{ account.email | default(account.username) }}", "account.username"),
    ] {
        assert_eq!(said(template), warned(variable), "{template}");
    }
    for template in [
        "{{ claims.preferred_username }}",
        "{{ account.username | default(subject) }}",
        "{% if account.id is defined %}{{ account.id }}{% endif %}",
        "{{ grant.teams | join(',') }}",
    ] {
        assert_eq!(said(template), "", "{template}");
    }
    // Where there is an application, invited people have accounts even with mode "off".
    let off = with(JIT, "mode = \"jit\"", "mode = \"off\"");
    let off = with(&off, "\"gitea\"\n", "\"gitea\"\ncredential = { bearer = \"t\" }\n");
    let said = shipped(&format!("{off}[headers]\nX-User = \"{{{{ account.username }}}}\"\n"));
    assert!(!said.contains("never sent"), "{said}");
}

#[test]
fn a_number_where_a_text_is_wanted_is_told_with_a_text_that_would_do() {
    let session = "[session]\nidle_timeout = 3600\n";
    assert_eq!(
        added(session),
        "proxy.toml:15:16: error: `session.idle_timeout` is a number; expected a text in quotes, like \"1h\""
    );
    assert_eq!(
        refusal("[server]\n", "[server]\nlisten = 8443\n"),
        "proxy.toml:3:10: error: `server.listen` is a number; expected a text in quotes, like \"127.0.0.1:8443\", or \"0.0.0.0:8443\" for all addresses"
    );
}

#[test]
fn words_of_other_languages_for_membership_are_told_with_what_is_written_here() {
    let allow = |expression: &str| added(&format!("[[route]]\npath = \"/a\"\nallow = \"{expression}\"\n"));
    for word in ["contains", "has", "includes"] {
        let said = allow(&format!("claims.groups {word} admin"));
        let instead = format!("there is no `{word}`: membership is written `'admin' in claims.groups`");
        assert!(said.contains(&instead), "{said}");
    }
    let said = allow("claims.email like '%@example.com'");
    assert!(said.contains("`claims.email is startingwith('@example.com')`, `is endingwith(…)`"), "{said}");
    assert!(said.contains("`'@example.com' in claims.email` for membership"), "{said}");
    // A value may be called so.
    let sound = format!("{MINIMAL}[[route]]\npath = \"/a\"\nallow = \"'contains' in claims.groups\"\n");
    assert_eq!(shipped(&sound), "");
    let said = allow("claims.groups admin");
    assert!(!said.contains("membership"), "{said}");
}
