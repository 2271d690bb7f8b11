//! `[[idp]]` as written: which keys there are depends on the `type`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

/// One identity provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Idp {
    /// An OpenID provider.
    Oidc(Box<OidcIdp>),
    /// A SAML 2.0 identity provider.
    Saml(Box<SamlIdp>),
}

impl Idp {
    pub fn id(&self) -> Option<&String> {
        match self {
            Self::Oidc(idp) => idp.id.as_ref(),
            Self::Saml(idp) => idp.id.as_ref(),
        }
    }

    pub fn email_domains(&self) -> Option<&Vec<String>> {
        match self {
            Self::Oidc(idp) => idp.email_domains.as_ref(),
            Self::Saml(idp) => idp.email_domains.as_ref(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    ClientSecretBasic,
    ClientSecretPost,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
    HS256,
    HS384,
    HS512,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcIdp {
    /// The provider's name here: 1 to 32 characters of a-z, 0-9 and -. It stands in the callback URL
    /// (public_url/.narthex/oidc/ID/callback), so that changing it needs a change at the provider.
    #[schemars(required)]
    pub id: Option<String>,
    /// What the chooser shows. Absent: the id.
    pub label: Option<String>,
    /// The issuer URL, exactly as the provider's discovery document has it.
    #[schemars(required)]
    pub issuer: Option<String>,
    /// narthex's client id at the provider.
    #[schemars(required)]
    pub client_id: Option<String>,
    /// narthex's client secret. Required unless client_auth is "none".
    pub client_secret: Option<SecretRef>,
    /// How narthex authenticates at the token endpoint. "none" is for public clients (PKCE, which is always used,
    /// alone).
    #[schemars(extend("default" = "client_secret_basic"))]
    pub client_auth: Option<ClientAuth>,
    /// Scopes to ask for; openid is always among them.
    #[schemars(extend("default" = ["openid", "profile", "email"]))]
    pub scopes: Option<Vec<String>>,
    /// The e-mail domains that this provider may speak for. Required as soon as e-mail addresses are used to adopt
    /// accounts or to restrict who comes in. "*" alone: any, only with a single provider. Also used by the chooser.
    #[schemars(extend("default" = []))]
    pub email_domains: Option<Vec<String>>,
    /// Count an e-mail address as verified although the provider does not say email_verified, or says that it is not.
    /// Refused for providers where anybody can register.
    #[schemars(extend("default" = false))]
    pub trust_email: Option<bool>,
    /// The claim that says who a person is, where it is not sub. Changing it makes everybody somebody new.
    pub subject: Option<SubjectClaim>,
    /// Signature algorithms that an ID token may have. Absent: RS256 to RS512, PS256 to PS512, ES256, ES384 and
    /// EdDSA. HS256 to HS512 only if named here; they need a client_secret of at least 32 bytes.
    pub id_token_algorithms: Option<Vec<Algorithm>>,
    /// Tolerated difference of clocks; at most 5 minutes.
    #[schemars(extend("default" = "60s"))]
    pub clock_skew: Option<String>,
    /// Authentication contexts to ask for, in order of preference.
    #[schemars(extend("default" = []))]
    pub acr_values: Option<Vec<String>>,
    /// The provider must have authenticated the person within this time. Absent: whenever.
    pub max_age: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlIdp {
    /// The provider's name here: 1 to 32 characters of a-z, 0-9 and -. It stands in the addresses that the provider
    /// is told (public_url/.narthex/saml/ID/metadata, /acs and /slo), so that changing it needs a change there.
    #[schemars(required)]
    pub id: Option<String>,
    /// What the chooser shows. Absent: the id.
    pub label: Option<String>,
    /// The provider's metadata. From a URL it is refreshed, and the last good copy is kept in the store.
    #[schemars(required)]
    pub metadata: Option<MetadataFrom>,
    /// The provider's entity ID. Required where the metadata names several entities; otherwise checked against it.
    pub idp_entity_id: Option<String>,
    /// PEM file with the certificate that the metadata must be signed by; needs idp_entity_id, since who signs metadata
    /// may sign that of others too. Absent: its address (https) is trusted.
    pub metadata_certificate: Option<String>,
    /// narthex's own entity ID at this provider. Absent: public_url/.narthex/saml/ID/metadata.
    pub entity_id: Option<String>,
    /// Keys that narthex signs its requests and logout messages with. The first signs; all are in the metadata, so
    /// that a new one is known before it is used.
    #[schemars(extend("default" = []))]
    pub signing_keys: Option<Vec<SamlKey>>,
    /// Keys (RSA) that assertions may be encrypted for; all are tried, all are in the metadata.
    #[schemars(extend("default" = []))]
    pub decryption_keys: Option<Vec<SamlKey>>,
    /// Sign authentication requests. Absent: where the provider's metadata asks for it.
    pub sign_requests: Option<bool>,
    /// Sign narthex's own metadata.
    #[schemars(extend("default" = false))]
    pub sign_metadata: Option<bool>,
    /// How the authentication request travels. Absent: redirect, where the provider offers it.
    pub request_binding: Option<SamlBinding>,
    /// The NameID format to ask for, and to insist on: persistent, transient, emailAddress, unspecified, or a URN.
    /// Absent: the provider's choice; then sign requests, or who signs in may choose.
    pub name_id_format: Option<String>,
    /// Ask the provider to authenticate the person anew.
    #[schemars(extend("default" = false))]
    pub force_authn: Option<bool>,
    /// Ask the provider not to show anything: who has no session there is refused.
    #[schemars(extend("default" = false))]
    pub is_passive: Option<bool>,
    /// Authentication context classes (URIs) to ask for. With the comparison "exact" the answer must be one of them.
    #[schemars(extend("default" = []))]
    pub requested_authn_context: Option<Vec<String>>,
    /// How the provider compares with requested_authn_context.
    #[schemars(extend("default" = "exact"))]
    pub authn_context_comparison: Option<Comparison>,
    /// Name the assertion consumer service by this index instead of its URL. narthex has one, with the index 0.
    #[schemars(range(min = 0, max = 65535))]
    pub assertion_consumer_service_index: Option<u16>,
    /// What must be signed: the response or the assertion ("either"), or one certain of them, or both.
    #[schemars(extend("default" = "either"))]
    pub require_signed: Option<RequireSigned>,
    /// Refuse assertions that are not encrypted. Needs decryption_keys.
    #[schemars(extend("default" = false))]
    pub want_encrypted: Option<bool>,
    /// Accept signatures and digests with SHA-1. Forgeable by whoever can pay for it; only for a provider that
    /// cannot do better, and for a time.
    #[schemars(extend("default" = false))]
    pub allow_sha1: Option<bool>,
    /// Accept a sign-in that began at the provider. Then anybody with an account there can sign a browser in as
    /// themselves without its user's doing.
    #[schemars(extend("default" = false))]
    pub allow_idp_initiated: Option<bool>,
    /// Where a sign-in that began at the provider lands. Absent: /.
    pub landing: Option<String>,
    /// The e-mail domains that this provider may speak for. Required as soon as e-mail addresses are used to adopt
    /// accounts or to restrict who comes in. "*" alone: any, only with a single provider. Also used by the chooser.
    #[schemars(extend("default" = []))]
    pub email_domains: Option<Vec<String>>,
    /// The claim that says who a person is, where it is not the NameID. Required where the NameID is transient.
    /// Changing it makes everybody somebody new.
    pub subject: Option<SubjectClaim>,
    /// Tolerated difference of clocks; at most 5 minutes.
    #[schemars(extend("default" = "60s"))]
    pub clock_skew: Option<String>,
}

/// `{ url = "https://…" }` or `{ file = "idp.xml" }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MetadataFrom {
    /// Fetched, and refreshed.
    Url(MetadataUrl),
    /// Read, and read again when it changes.
    File(MetadataFile),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataUrl {
    /// Where the provider publishes its metadata; https unless on loopback.
    pub url: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataFile {
    /// The file's path.
    pub file: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlKey {
    /// The private key, PEM.
    #[schemars(required)]
    pub key: Option<SecretRef>,
    /// PEM file with its certificate, which may be self-signed.
    #[schemars(required)]
    pub certificate: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamlBinding {
    Redirect,
    Post,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Exact,
    Minimum,
    Maximum,
    Better,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequireSigned {
    Either,
    Assertion,
    Response,
    Both,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectClaim {
    /// Name or path of the claim.
    #[schemars(required)]
    pub claim: Option<String>,
}
