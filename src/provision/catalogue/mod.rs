//! The applications that narthex knows: one recipe each, shipped in the binary, or a file of one's own.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use crate::config::settings::{Application, Credential};
use crate::model::Secret;
use crate::platform::webhook::WebhookKeys;
use crate::platform::{Outbound, Platform};

use super::connector::{Connector, Features};
use super::rest::auth::{Auth, ClientCredentials, Way, basic};
use super::rest::call::Api;
use super::rest::connector::RestConnector;
use super::rest::encode;
use super::rest::error::{RecipeError, nearest};
use super::rest::load::MAX_RECIPE;
use super::rest::recipe::{CredentialKind, Protocol, Recipe};
use super::scim::ScimConnector;
use super::webhook::connector::WebhookConnector;

/// Name and text of every shipped recipe, in the order of their names.
const SHIPPED: [(&str, &str); 9] = [
    ("directus", include_str!("directus.toml")),
    ("gitea", include_str!("gitea.toml")),
    ("grafana", include_str!("grafana.toml")),
    ("jupyterhub", include_str!("jupyterhub.toml")),
    ("miniflux", include_str!("miniflux.toml")),
    ("scim", include_str!("scim.toml")),
    ("synapse", include_str!("synapse.toml")),
    ("webhook", include_str!("webhook.toml")),
    ("zabbix", include_str!("zabbix.toml")),
];

/// The names of the shipped recipes.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// What a shipped recipe, or the one at a path, can do; for checks of the configuration.
///
/// # Errors
/// [`RecipeError`] where there is none, or it is broken.
pub fn features(name_or_path: &str) -> Result<Features, RecipeError> {
    load(name_or_path).map(|recipe| recipe.features)
}

/// The text of a shipped recipe, or of the one at a path.
///
/// # Errors
/// [`RecipeError`] where there is none, or it cannot be read.
pub fn source(name_or_path: &str) -> Result<String, RecipeError> {
    text(name_or_path).map(|(_, text)| text.into_owned())
}

/// The JSON Schema of recipes.
#[must_use]
pub fn schema() -> serde_json::Value {
    super::rest::schema::schema()
}

/// The connector that `application` asks for.
///
/// # Errors
/// [`RecipeError`] where the recipe is missing or broken, or the credential is of a kind that it does not
/// take.
pub fn connector(
    application: &Application,
    outbound: Outbound,
    platform: Platform,
) -> Result<Arc<dyn Connector>, RecipeError> {
    assemble(load(&application.connector)?, application, outbound, platform)
}

/// The connector that `recipe` makes.
pub(super) fn assemble(
    recipe: Recipe,
    application: &Application,
    outbound: Outbound,
    platform: Platform,
) -> Result<Arc<dyn Connector>, RecipeError> {
    let auth = auth(&recipe, &application.credential, &platform)?;
    let api = Api::new(outbound, base(&recipe, &application.url)?, auth);
    let Recipe { features, privileged, protocol, .. } = recipe;
    Ok(match protocol {
        Protocol::Rest(rest) => Arc::new(RestConnector { features, privileged, rest, api, platform }),
        Protocol::Scim(options) => Arc::new(ScimConnector { features, privileged, options, api }),
        Protocol::Webhook => {
            let Credential::Signing(secret) = &application.credential else {
                return Err(credential_kind(
                    &features.name,
                    CredentialKind::None,
                    &[CredentialKind::Signing],
                ));
            };
            let keys = WebhookKeys::new(secret)
                .map_err(|fault| RecipeError::SigningSecret { connector: features.name.clone(), fault })?;
            Arc::new(WebhookConnector { features, privileged, api, keys, platform })
        }
    })
}

fn load(name_or_path: &str) -> Result<Recipe, RecipeError> {
    let (file, text) = text(name_or_path)?;
    Recipe::parse(&file, &text)
}

/// What errors call a recipe's file, and what stands in it.
fn text(name_or_path: &str) -> Result<(String, Cow<'static, str>), RecipeError> {
    if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
        return Ok((format!("{name}.toml"), Cow::Borrowed(*text)));
    }
    let is_path =
        name_or_path.contains('/') || Path::new(name_or_path).extension().is_some_and(|e| e == "toml");
    if !is_path {
        return Err(RecipeError::UnknownConnector {
            name: name_or_path.to_owned(),
            nearest: nearest(name_or_path, names()),
            known: names().collect::<Vec<_>>().join(", "),
        });
    }
    let unreadable = |reason: String| RecipeError::Unreadable { file: name_or_path.to_owned(), reason };
    let size = std::fs::metadata(name_or_path).map_err(|error| unreadable(error.to_string()))?;
    if !size.is_file() {
        return Err(unreadable("not a file".to_owned()));
    }
    if size.len() > MAX_RECIPE as u64 {
        return Err(RecipeError::TooLarge { file: name_or_path.to_owned(), limit: MAX_RECIPE });
    }
    let text = std::fs::read_to_string(name_or_path).map_err(|error| unreadable(error.to_string()))?;
    Ok((name_or_path.to_owned(), Cow::Owned(text)))
}

/// SECURITY: everything that is ever called lies below this URL, so it must be nothing but a place.
fn base(recipe: &Recipe, url: &Url) -> Result<Url, RecipeError> {
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if fits { Ok(url.clone()) } else { Err(RecipeError::Url { connector: recipe.features.name.clone() }) }
}

fn credential_kind(connector: &str, kind: CredentialKind, known: &[CredentialKind]) -> RecipeError {
    RecipeError::CredentialKind {
        connector: connector.to_owned(),
        kind: kind.key(),
        known: known.iter().map(|kind| kind.key()).collect::<Vec<_>>().join(", "),
    }
}

fn auth(recipe: &Recipe, credential: &Credential, platform: &Platform) -> Result<Auth, RecipeError> {
    let name = &recipe.features.name;
    let kind = match credential {
        Credential::None => CredentialKind::None,
        Credential::Bearer(_) => CredentialKind::Bearer,
        Credential::Basic { .. } => CredentialKind::Basic,
        Credential::Header { .. } => CredentialKind::Header,
        Credential::ClientCredentials { .. } => CredentialKind::ClientCredentials,
        Credential::Login { .. } => CredentialKind::Login,
        Credential::Signing(_) => CredentialKind::Signing,
    };
    if !recipe.credentials.contains(&kind) {
        return Err(credential_kind(name, kind, &recipe.credentials));
    }
    let unsendable = || RecipeError::CredentialUnsendable { connector: name.clone() };
    let mut known = Vec::new();
    let way = match credential {
        Credential::None => Way::None,
        // Events are signed one by one; there is no header that stays the same.
        Credential::Signing(secret) => {
            known.extend(secret.expose().split_whitespace().map(Secret::new));
            Way::None
        }
        Credential::Bearer(token) => {
            known.push(token.clone());
            let value = recipe.bearer.value(token).ok_or_else(unsendable)?;
            Way::Fixed(recipe.bearer.header.clone(), value)
        }
        Credential::Basic { username, password } => {
            let value = basic(username, password.expose());
            known.push(password.clone());
            known.push(Secret::new(value.trim_start_matches("Basic ")));
            let value = encode::header(&value).map_err(|_| unsendable())?;
            Way::Fixed(http::header::AUTHORIZATION, value)
        }
        Credential::Header { name, value } => {
            known.push(value.clone());
            Way::Fixed(name.clone(), encode::header(value.expose()).map_err(|_| unsendable())?)
        }
        Credential::ClientCredentials { token_url, client_id, client_secret, scope } => {
            known.push(client_secret.clone());
            Way::ClientCredentials(ClientCredentials {
                token_url: token_url.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                scope: scope.clone(),
            })
        }
        Credential::Login { username, password } => {
            known.push(password.clone());
            Way::Login { username: username.clone(), password: password.clone() }
        }
    };
    Ok(Auth::new(way, recipe.bearer.clone(), Arc::clone(&platform.clock), known))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn x3_every_shipped_recipe_loads_and_is_called_by_its_name() {
        for name in names() {
            match features(name) {
                Ok(features) => assert_eq!(features.name, name),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn x3_every_shipped_recipe_says_which_credential_it_needs_and_what_to_set_in_the_application() {
        for name in names() {
            let help = features(name).unwrap().help;
            for text in [help.credential, help.application] {
                let text = text.unwrap_or_else(|| panic!("{name} does not say"));
                assert!(text.ends_with('.') && !text.contains('\n'), "{name}: {text}");
            }
        }
    }

    #[test]
    fn an_unknown_connector_is_refused_with_the_nearest_name() {
        let Err(RecipeError::UnknownConnector { nearest, .. }) = features("gittea") else { panic!() };
        assert_eq!(nearest.as_deref(), Some("gitea"));
        assert!(matches!(features("./nowhere.toml"), Err(RecipeError::Unreadable { .. })));
        assert!(matches!(features("/"), Err(RecipeError::Unreadable { .. })));
    }

    /// The table of docs/connectors.md.
    fn table() -> String {
        const LABELS: [&str; 10] = [
            "JIT",
            "roles",
            "teams",
            "groups",
            "permissions",
            "borrow",
            "create teams",
            "deactivate",
            "transfer",
            "delete",
        ];
        let mut table = format!("| connector | application | {} | tested against |\n", LABELS.join(" | "));
        let _ = writeln!(table, "|---|---|{}---|", "---|".repeat(LABELS.len()));
        for name in names() {
            let features = features(name).unwrap();
            let labels = features.labels();
            let can = LABELS.map(|label| if labels.contains(&label) { "yes" } else { "" }).join(" | ");
            let tested = features.tested_against.clone().unwrap_or_else(|| features.tested());
            let _ = writeln!(table, "| `{name}` | {} | {can} | {tested} |", features.title);
        }
        table.push_str("\nWhat each needs, as `narthex connector show NAME` says it too:\n\n");
        table.push_str("| connector | credential | url | in the application |\n|---|---|---|---|\n");
        for name in names() {
            let Features { credentials, help, .. } = features(name).unwrap();
            let kinds = credentials.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            let credential = help.credential.unwrap();
            let (url, application) = (help.url.unwrap_or_default(), help.application.unwrap());
            let cell = |text: String| text.replace('|', "\\|");
            let (credential, url, application) = (cell(credential), cell(url), cell(application));
            let _ = writeln!(table, "| `{name}` | {kinds}: {credential} | {url} | {application} |");
        }
        for name in names() {
            let Features { title, help, .. } = features(name).unwrap();
            let Some(settings) = help.settings else { continue };
            let _ = write!(table, "\n{title}'s settings:\n\n```ini\n{settings}\n```\n");
        }
        table
    }

    #[test]
    fn x3_the_documentations_connectors_table_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/connectors.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (head, rest) = text.split_once("connectors_table -->\n").unwrap();
        let (_, tail) = rest.split_once("<!-- end -->").unwrap();
        let fresh = format!("{head}connectors_table -->\n{}<!-- end -->{tail}", table());
        if std::env::var_os("NARTHEX_BLESS").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        let now = std::fs::read_to_string(path).unwrap();
        assert!(
            now == fresh,
            "docs/connectors.md is stale; run: NARTHEX_BLESS=1 cargo test --lib connectors_table"
        );
    }
}
