//! `narthex connector list | show NAME | test`: what the connectors can do, and whether one does (X2, X3).

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::config::Settings;
use crate::platform::{Outbound, Platform};
use crate::provision::catalogue;
use crate::provision::connector::{AttributeShape, CaseRule, Features};

use super::connector_life::{Life, Options};
use super::{CANNOT, FINE};

/// `narthex connector …`
#[derive(Debug, Args)]
pub struct ConnectorArgs {
    #[command(subcommand)]
    command: ConnectorCommand,
}

#[derive(Debug, Subcommand)]
enum ConnectorCommand {
    /// The shipped connectors and what each can do
    List {
        #[arg(long)]
        json: bool,
    },
    /// One connector: what it can do and which attributes it needs
    Show {
        /// A shipped connector, or a path to a recipe
        name: String,
        #[arg(long, conflicts_with = "source")]
        json: bool,
        /// Print a shipped recipe itself, to copy it
        #[arg(long)]
        source: bool,
    },
    /// The JSON Schema of recipes, for editors
    Schema,
    /// Lead a throw-away user through a whole life in the configured application, and remove it again
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct TestArgs {
    #[arg(long)]
    json: bool,
    /// Team to try; else the first that the application lists
    #[arg(long)]
    team: Option<String>,
    /// Application group to try; else the first that the application lists
    #[arg(long)]
    app_group: Option<String>,
    /// Permission to try; else the first that the application lists
    #[arg(long)]
    permission: Option<String>,
    /// Role to try where the application cannot list its roles; else the configured default role
    #[arg(long)]
    role: Option<String>,
    /// Domain of the throw-away user's e-mail address
    #[arg(long, default_value = "example.com")]
    email_domain: String,
    /// Give the throw-away user privileged roles too, each for a moment
    #[arg(long)]
    privileged: bool,
}

impl ConnectorArgs {
    /// Whether [`run`] needs the configuration; the others work without any.
    #[must_use]
    pub fn needs_settings(&self) -> bool {
        matches!(self.command, ConnectorCommand::Test(_))
    }
}

/// Runs the command on standard output, with the settings of `config` where it needs them.
pub(super) fn run_with(config: &Path, args: &ConnectorArgs) -> u8 {
    let settings = match args.needs_settings().then(|| super::serve::settings(config)).transpose() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    super::block_on(async move { run(args, settings.as_ref(), &Platform::system(), &mut io::stdout()).await })
}

/// Runs the command; what it says goes to `out`. [`FINE`], `NOT_SO` where a step of the test failed, or
/// [`CANNOT`].
pub async fn run(
    args: &ConnectorArgs,
    settings: Option<&Settings>,
    platform: &Platform,
    out: &mut (dyn Write + Send),
) -> u8 {
    let done = match &args.command {
        ConnectorCommand::List { json } => list(*json, out),
        ConnectorCommand::Show { name, source: true, .. } => source(name, out),
        ConnectorCommand::Show { name, json, .. } => show(name, *json, out),
        ConnectorCommand::Schema => writeln!(out, "{:#}", catalogue::schema()).map(|()| FINE),
        ConnectorCommand::Test(args) => test(args, settings, platform, out).await,
    };
    // A reader that went away (`| head`) is no failure of ours, but nothing more can be said to it.
    done.unwrap_or(CANNOT)
}

fn list(as_json: bool, out: &mut dyn Write) -> io::Result<u8> {
    let mut all = Vec::new();
    for name in catalogue::names() {
        match catalogue::features(name) {
            Ok(features) => all.push(features),
            Err(error) => {
                writeln!(out, "{error}")?;
                return Ok(CANNOT);
            }
        }
    }
    if as_json {
        let all: Vec<Json> = all.iter().map(described).collect();
        writeln!(out, "{}", Json::Array(all))?;
        return Ok(FINE);
    }
    for features in &all {
        let tested = features.tested();
        writeln!(
            out,
            "{:<12} {:<16} {:<46} {}",
            features.name,
            features.title,
            tested,
            features.labels().join(", ")
        )?;
    }
    Ok(FINE)
}

fn source(name: &str, out: &mut dyn Write) -> io::Result<u8> {
    match catalogue::source(name) {
        Ok(text) => write!(out, "{text}").map(|()| FINE),
        Err(error) => writeln!(out, "{error}").map(|()| CANNOT),
    }
}

fn show(name: &str, as_json: bool, out: &mut dyn Write) -> io::Result<u8> {
    let features = match catalogue::features(name) {
        Ok(features) => features,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(CANNOT);
        }
    };
    if as_json {
        writeln!(out, "{}", described(&features))?;
        return Ok(FINE);
    }
    writeln!(out, "{} ({}), {}", features.title, features.name, features.tested())?;
    writeln!(out, "can do         {}", features.labels().join(", "))?;
    if features.roles {
        let roles: Vec<String> = features
            .fixed_roles
            .iter()
            .map(|role| format!("{}{}", role.name, if role.privileged { " (privileged)" } else { "" }))
            .collect();
        let roles =
            if roles.is_empty() { "as the application lists them".to_owned() } else { roles.join(", ") };
        writeln!(out, "roles          {roles}")?;
    }
    writeln!(out, "credential     {}", hanging(&credentials(&features)))?;
    if let Some(url) = &features.help.url {
        writeln!(out, "its url        {}", hanging(url))?;
    }
    if let Some(application) = &features.help.application {
        writeln!(out, "to set there   {}", hanging(application))?;
    }
    for line in features.help.settings.iter().flat_map(|settings| settings.lines()) {
        writeln!(out, "{}", format!("{:LABEL$}{line}", "").trim_end())?;
    }
    writeln!(out, "attributes")?;
    for (name, spec) in &features.attributes {
        let need = if spec.required { "required" } else { "optional" };
        writeln!(out, "  {name:<14} {need}, from {}", claims(&spec.claims))?;
    }
    writeln!(
        out,
        "names          usernames {}, e-mail addresses {}",
        case(features.username_case),
        case(features.email_case)
    )?;
    if !features.session_cookies.is_empty() {
        writeln!(out, "its cookies    {}", features.session_cookies.join(", "))?;
    }
    if let Some(path) = &features.logout_path {
        writeln!(out, "its logout     {path}")?;
    }
    if !features.trusted_headers.is_empty() {
        writeln!(out, "its headers    {}", features.trusted_headers.join(", "))?;
    }
    Ok(FINE)
}

async fn test(
    args: &TestArgs,
    settings: Option<&Settings>,
    platform: &Platform,
    out: &mut (dyn Write + Send),
) -> io::Result<u8> {
    let Some((settings, application)) = settings.and_then(|all| Some((all, all.application.as_ref()?)))
    else {
        writeln!(out, "there is no [application] in the configuration, so there is nothing to test")?;
        return Ok(CANNOT);
    };
    let outbound = match Outbound::within(
        &settings.outbound.extra_roots,
        settings.provisioning.connect_timeout,
        settings.provisioning.call_timeout,
    ) {
        Ok(outbound) => outbound,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(CANNOT);
        }
    };
    let connector = match catalogue::connector(application, outbound, platform.clone()) {
        Ok(connector) => connector,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(CANNOT);
        }
    };
    let options = Options {
        team: args.team.clone(),
        app_group: args.app_group.clone(),
        permission: args.permission.clone(),
        role: args.role.clone().or_else(|| settings.provisioning.default_role.clone()),
        email_domain: args.email_domain.clone(),
        privileged: args.privileged,
    };
    let life = Life::lead(connector.as_ref(), &options, platform).await;
    if args.json {
        writeln!(out, "{}", life.json())?;
    } else {
        write!(out, "{}", life.text())?;
    }
    Ok(life.exit())
}

/// The kinds, by their keys, and which one it has to be.
fn credentials(features: &Features) -> String {
    let kinds = features.credentials.join(" or ");
    match &features.help.credential {
        Some(help) => format!("{kinds}: {help}"),
        None => kinds,
    }
}

/// How far right of the labels the text begins.
const LABEL: usize = 15;

/// In lines of 100 columns, below one another behind the labels.
fn hanging(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if LABEL + line.len() + 1 + word.len() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:LABEL$}", ""))
}

fn claims(claims: &[String]) -> String {
    if claims.is_empty() { "no claim unless configured".to_owned() } else { claims.join(", else ") }
}

fn case(rule: CaseRule) -> &'static str {
    match rule {
        CaseRule::Sensitive => "differ by case",
        CaseRule::Insensitive => "do not differ by case",
    }
}

fn described(features: &Features) -> Json {
    let attributes: serde_json::Map<String, Json> = features
        .attributes
        .iter()
        .map(|(name, spec)| {
            let shape = match spec.shape {
                AttributeShape::Text => "text",
                AttributeShape::Email => "email",
                AttributeShape::Username => "username",
                AttributeShape::LowerUsername => "lower_username",
                AttributeShape::Url => "url",
            };
            (name.clone(), json!({ "required": spec.required, "claims": spec.claims, "shape": shape }))
        })
        .collect();
    let roles = features.fixed_roles.iter();
    let roles = roles.map(|role| json!({ "name": role.name, "privileged": role.privileged }));
    json!({
        "name": features.name,
        "title": features.title,
        "tested_against": features.tested_against,
        "tested": features.tested(),
        "labels": features.labels(),
        "credentials": features.credentials,
        "help": {
            "credential": features.help.credential,
            "url": features.help.url,
            "application": features.help.application,
            "settings": features.help.settings,
        },
        "roles": roles.collect::<Vec<_>>(),
        "attributes": attributes,
        "username_case": if features.username_case == CaseRule::Sensitive { "sensitive" } else { "insensitive" },
        "email_case": if features.email_case == CaseRule::Sensitive { "sensitive" } else { "insensitive" },
        "session_cookies": features.session_cookies,
        "logout_path": features.logout_path,
        "trusted_headers": features.trusted_headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(arguments: &[&str]) -> (String, u8) {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            connector: ConnectorArgs,
        }
        let cli = <Cli as clap::Parser>::try_parse_from([&["narthex"], arguments].concat()).unwrap();
        let mut out = Vec::new();
        let code = run(&cli.connector, None, &Platform::system(), &mut out).await;
        (String::from_utf8(out).unwrap(), code)
    }

    #[tokio::test]
    async fn x3_list_shows_each_connector_with_its_labels_and_version() {
        let (text, code) = said(&["list"]).await;
        assert_eq!(code, FINE);
        let gitea = text.lines().find(|line| line.starts_with("gitea")).unwrap();
        assert!(gitea.contains("tested against 1.26.0"), "{gitea}");
        assert!(
            gitea.ends_with("JIT, roles, teams, borrow, create teams, deactivate, transfer, delete"),
            "{gitea}"
        );
        assert_eq!(text.lines().count(), catalogue::names().count());
    }

    #[tokio::test]
    async fn x3_show_as_json_names_privileged_roles_and_required_attributes() {
        let (text, _) = said(&["show", "gitea", "--json"]).await;
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(json["attributes"]["email"]["required"], true);
        assert_eq!(json["roles"][2], json!({ "name": "admin", "privileged": true }));
        let (text, _) = said(&["show", "miniflux"]).await;
        assert!(text.contains("admin (privileged)"), "{text}");
    }

    #[tokio::test]
    async fn x3_show_says_which_credential_with_which_scopes_and_what_to_set_in_the_application() {
        let (text, _) = said(&["show", "gitea"]).await;
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for needed in [
            "credential bearer or basic: An access token of a site administrator",
            "write:admin, write:organization and read:user",
            "[service] ENABLE_REVERSE_PROXY_AUTHENTICATION = true",
            "nobody signs in by a password",
        ] {
            assert!(flat.contains(needed), "{text}");
        }
        assert!(text.contains("\n               ENABLE_BASIC_AUTHENTICATION = false\n"), "{text}");
        assert!(text.contains("\n               "), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100 || line.starts_with("its headers")), "{text}");
        let (text, _) = said(&["show", "jupyterhub"]).await;
        assert!(text.contains("its url        The hub's"), "{text}");
        let (text, _) = said(&["show", "grafana", "--json"]).await;
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(json["credentials"], json!(["basic"]));
        assert!(json["help"]["application"].as_str().unwrap().contains("auto_sign_up = false"), "{json}");
        assert_eq!(json["help"]["url"], Json::Null);
    }

    #[tokio::test]
    async fn x3_an_unknown_name_cannot_be_shown_and_says_the_nearest() {
        let (text, code) = said(&["show", "minifluks"]).await;
        assert!(text.contains("did you mean `miniflux`?"), "{text}");
        assert_eq!(code, CANNOT);
    }

    #[tokio::test]
    async fn x2_a_test_without_an_application_cannot_run() {
        let (text, code) = said(&["test"]).await;
        assert!(text.contains("[application]"), "{text}");
        assert_eq!(code, CANNOT);
    }
}
