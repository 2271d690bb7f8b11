//! The applications that narthex knows: one recipe each, shipped in the binary, or a file of one's own.

use std::path::Path;
use std::sync::Arc;

use url::Url;

use crate::config::settings::{Application, Credential};
use crate::model::Secret;
use crate::platform::{Outbound, Platform};

use super::connector::{Connector, Features};
use super::rest::auth::{Auth, ClientCredentials, Way, basic};
use super::rest::call::Api;
use super::rest::connector::RestConnector;
use super::rest::encode;
use super::rest::error::{RecipeError, nearest};
use super::rest::load::{CREDENTIALS, MAX_RECIPE};
use super::rest::recipe::{CredentialKind, Protocol, Recipe};
use super::scim::ScimConnector;

/// Name and text of every shipped recipe, in the order of their names.
const SHIPPED: [(&str, &str); 6] = [
    ("directus", include_str!("directus.toml")),
    ("gitea", include_str!("gitea.toml")),
    ("jupyterhub", include_str!("jupyterhub.toml")),
    ("miniflux", include_str!("miniflux.toml")),
    ("scim", include_str!("scim.toml")),
    ("synapse", include_str!("synapse.toml")),
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
    })
}

fn load(name_or_path: &str) -> Result<Recipe, RecipeError> {
    if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
        return Recipe::parse(&format!("{name}.toml"), text);
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
    Recipe::parse(name_or_path, &text)
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

fn auth(recipe: &Recipe, credential: &Credential, platform: &Platform) -> Result<Auth, RecipeError> {
    let name = &recipe.features.name;
    let kind = match credential {
        Credential::None => CredentialKind::None,
        Credential::Bearer(_) => CredentialKind::Bearer,
        Credential::Basic { .. } => CredentialKind::Basic,
        Credential::Header { .. } => CredentialKind::Header,
        Credential::ClientCredentials { .. } => CredentialKind::ClientCredentials,
        Credential::Login { .. } => CredentialKind::Login,
    };
    let word = |kind: CredentialKind| {
        CREDENTIALS.iter().find(|(_, known)| *known == kind).map_or("none", |(word, _)| *word)
    };
    if !recipe.credentials.contains(&kind) {
        return Err(RecipeError::CredentialKind {
            connector: name.clone(),
            kind: word(kind),
            known: recipe.credentials.iter().map(|kind| word(*kind)).collect::<Vec<_>>().join(", "),
        });
    }
    let unsendable = || RecipeError::CredentialUnsendable { connector: name.clone() };
    let mut known = Vec::new();
    let way = match credential {
        Credential::None => Way::None,
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
    fn an_unknown_connector_is_refused_with_the_nearest_name() {
        let Err(RecipeError::UnknownConnector { nearest, .. }) = features("gittea") else { panic!() };
        assert_eq!(nearest.as_deref(), Some("gitea"));
        assert!(matches!(features("./nowhere.toml"), Err(RecipeError::Unreadable { .. })));
        assert!(matches!(features("/"), Err(RecipeError::Unreadable { .. })));
    }
}
