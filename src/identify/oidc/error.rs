//! What was wrong with a provider or its answer: one variant per rule.

use crate::identify::shown::in_brackets;
pub use crate::identify::shown::shown;
use crate::model::Fault;
use crate::model::claims::TooManyClaims;

/// Texts of others in it are bounded and printable ([`shown`]); secrets never are in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    // Discovery
    #[error("the discovery document could not be fetched and there is no earlier copy: {0}")]
    DiscoveryUnavailable(String),
    #[error("the discovery document's address answered {status}, expected 200 (redirects are not followed)")]
    DiscoveryStatus { status: u16 },
    #[error("the discovery document is not a JSON object; does `issuer` name an OpenID provider?")]
    DiscoveryNotJson,
    #[error("the discovery document has no usable `{member}`")]
    DiscoveryIncomplete { member: &'static str },
    #[error(
        "the discovery document says issuer {found:?}, configured is {expected:?}; write `issuer` exactly as \
         the provider does, trailing slash included"
    )]
    DiscoveryIssuerMismatch { expected: String, found: String },
    #[error("the discovery document's `{member}` is {url:?}; it must be an https URL without fragment")]
    EndpointNotSecure { member: &'static str, url: String },

    // Keys
    #[error("the provider's keys could not be fetched and there is no earlier copy: {0}")]
    KeysUnavailable(String),
    #[error("the provider's key address answered {status}, expected 200")]
    KeysStatus { status: u16 },
    #[error("the provider's key set is not a JSON object with a list `keys`")]
    KeysMalformed,
    #[error("the provider's key set has no key that can verify an allowed algorithm")]
    NoUsableKey,
    #[error("the token is signed by key {kid:?} for {algorithm}, which is not in the provider's key set")]
    KeyUnknown { kid: String, algorithm: String },
    #[error("the token names no key (`kid`) and {count} keys of the provider would fit {algorithm}")]
    KeyAmbiguous { count: usize, algorithm: String },

    // The answer at the redirect URI
    /// `code`: see `identify::shown::leading_code`.
    #[error("the provider refused the sign-in: {error}{}; its log says why", in_brackets(.code.as_deref()))]
    ProviderRefused { error: String, code: Option<String> },
    #[error("the answer carries neither `code` nor `error`")]
    CodeMissing,
    #[error("the answer lacks `iss`, which this provider announces to send (RFC 9207)")]
    IssParameterMissing,
    #[error("the answer's `iss` is {found:?}, expected {expected:?} (RFC 9207)")]
    IssParameterMismatch { expected: String, found: String },

    // Token endpoint
    #[error("the token endpoint could not be reached: {0}")]
    TokenEndpointUnreachable(String),
    #[error("the token endpoint answered {status} without an OAuth error")]
    TokenEndpointStatus { status: u16 },
    #[error(
        "the provider does not take the code ({0}): used twice, expired, or the redirect URI differs from \
         the one that the login began with"
    )]
    CodeRefused(String),
    #[error(
        "the provider does not take our client id and secret ({0}); check client_id, client_secret, client_auth"
    )]
    ClientRefused(String),
    #[error("the token endpoint refused the request: {0}")]
    TokenRequestRefused(String),
    #[error("the token endpoint's answer is not what RFC 6749, 5.1 says: {0}")]
    TokenAnswerMalformed(&'static str),
    #[error("the token endpoint gave a token of type {0:?}, expected Bearer")]
    TokenTypeUnsupported(String),
    #[error(
        "the token endpoint's answer has no id_token; is `openid` among the scopes that the client may ask for?"
    )]
    IdTokenMissing,

    // The token as such
    #[error("the token is longer than {limit} bytes")]
    TokenTooLong { limit: usize },
    #[error("the token is no JWS in compact form: {0}")]
    TokenMalformed(&'static str),
    #[error("the token is encrypted; have the provider send signed, unencrypted ID tokens to this client")]
    TokenEncrypted,
    #[error("the token's `typ` is {0:?}, expected JWT or none")]
    TokenTypeUnexpected(String),
    #[error("the token's header lists critical extensions, and none is understood here")]
    TokenCritical,
    #[error(
        "the token's algorithm is {0:?}, which id_token_algorithms does not allow; change the algorithm for \
         this client at the provider, or the setting"
    )]
    AlgorithmNotAllowed(String),
    #[error("{algorithm} needs a client secret of at least {needed} bytes (RFC 7518, 3.2)")]
    ClientSecretTooShort { algorithm: String, needed: usize },
    #[error("the token's signature is wrong")]
    SignatureInvalid,

    // The ID token's claims
    #[error("the ID token lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    #[error("the ID token's claim `{0}` has a form that OpenID Connect does not know")]
    ClaimMalformed(&'static str),
    #[error("the ID token is from issuer {found:?}, expected {expected:?}")]
    IssuerMismatch { expected: String, found: String },
    #[error("the ID token is for {found:?}, not for client {expected:?}")]
    AudienceMismatch { expected: String, found: String },
    #[error("the ID token has several audiences and no `azp`")]
    AuthorizedPartyMissing,
    #[error("the ID token was issued to {found:?} (`azp`), not to client {expected:?}")]
    AuthorizedPartyMismatch { expected: String, found: String },
    #[error("the ID token expired {by} s ago by our clock (clock_skew is {skew} s); compare the clocks")]
    Expired { by: i64, skew: i64 },
    #[error("the ID token was issued {by} s ahead of our clock (clock_skew is {skew} s); compare the clocks")]
    IssuedInFuture { by: i64, skew: i64 },
    #[error(
        "the ID token was issued {by} s before this login began (clock_skew is {skew} s); compare the clocks"
    )]
    IssuedBeforeLogin { by: i64, skew: i64 },
    #[error("the ID token is valid only in {by} s by our clock (clock_skew is {skew} s); compare the clocks")]
    NotYetValid { by: i64, skew: i64 },
    #[error("the ID token carries no `nonce`, but one was sent")]
    NonceMissing,
    #[error("the ID token's `nonce` is not that of this login")]
    NonceMismatch,
    #[error("the ID token's `acr` is {found:?}, asked for was one of {expected:?}")]
    AcrMismatch { expected: String, found: String },
    #[error("max_age was asked for, but the ID token has no `auth_time`")]
    AuthTimeMissing,
    #[error("the person authenticated {by} s longer ago than max_age allows")]
    AuthTimeTooOld { by: i64 },
    #[error("the ID token's `auth_time` lies {by} s ahead of our clock; compare the clocks")]
    AuthTimeInFuture { by: i64 },
    #[error("the access token is not the one that the ID token was issued with (`at_hash`)")]
    AccessTokenHashMismatch,
    #[error("the ID token's `sub` is not 1 to 255 characters without controls")]
    SubjectMalformed,
    #[error("the claim `{claim}`, which is configured as the subject, is absent or no single text")]
    SubjectClaimMissing { claim: String },
    #[error(transparent)]
    TooManyClaims(#[from] TooManyClaims),

    // Userinfo
    #[error("the userinfo endpoint could not be reached: {0}")]
    UserinfoUnreachable(String),
    #[error("the userinfo endpoint answered {status}, expected 200")]
    UserinfoStatus { status: u16 },
    #[error("the userinfo answer is neither a JSON object nor a JWT that says so (`application/jwt`)")]
    UserinfoMalformed,
    #[error("the userinfo answer is a JWT that does not hold: {0}")]
    UserinfoToken(Box<OidcError>),
    #[error("the userinfo answer is about another person (`sub`) than the ID token")]
    UserinfoSubjectMismatch,
}

impl OidcError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DiscoveryUnavailable(_) => "discovery_unavailable",
            Self::DiscoveryStatus { .. } => "discovery_status",
            Self::DiscoveryNotJson => "discovery_not_json",
            Self::DiscoveryIncomplete { .. } => "discovery_incomplete",
            Self::DiscoveryIssuerMismatch { .. } => "discovery_issuer_mismatch",
            Self::EndpointNotSecure { .. } => "endpoint_not_secure",
            Self::KeysUnavailable(_) => "keys_unavailable",
            Self::KeysStatus { .. } => "keys_status",
            Self::KeysMalformed => "keys_malformed",
            Self::NoUsableKey => "no_usable_key",
            Self::KeyUnknown { .. } => "key_unknown",
            Self::KeyAmbiguous { .. } => "key_ambiguous",
            Self::ProviderRefused { .. } => "provider_refused",
            Self::CodeMissing => "code_missing",
            Self::IssParameterMissing => "iss_parameter_missing",
            Self::IssParameterMismatch { .. } => "iss_parameter_mismatch",
            Self::TokenEndpointUnreachable(_) => "token_endpoint_unreachable",
            Self::TokenEndpointStatus { .. } => "token_endpoint_status",
            Self::CodeRefused(_) => "code_refused",
            Self::ClientRefused(_) => "client_refused",
            Self::TokenRequestRefused(_) => "token_request_refused",
            Self::TokenAnswerMalformed(_) => "token_answer_malformed",
            Self::TokenTypeUnsupported(_) => "token_type_unsupported",
            Self::IdTokenMissing => "id_token_missing",
            Self::TokenTooLong { .. } => "token_too_long",
            Self::TokenMalformed(_) => "token_malformed",
            Self::TokenEncrypted => "token_encrypted",
            Self::TokenTypeUnexpected(_) => "token_type_unexpected",
            Self::TokenCritical => "token_critical",
            Self::AlgorithmNotAllowed(_) => "algorithm_not_allowed",
            Self::ClientSecretTooShort { .. } => "client_secret_too_short",
            Self::SignatureInvalid => "signature_invalid",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimMalformed(_) => "claim_malformed",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::AudienceMismatch { .. } => "audience_mismatch",
            Self::AuthorizedPartyMissing => "authorized_party_missing",
            Self::AuthorizedPartyMismatch { .. } => "authorized_party_mismatch",
            Self::Expired { .. } => "expired",
            Self::IssuedInFuture { .. } => "issued_in_future",
            Self::IssuedBeforeLogin { .. } => "issued_before_login",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::NonceMissing => "nonce_missing",
            Self::NonceMismatch => "nonce_mismatch",
            Self::AcrMismatch { .. } => "acr_mismatch",
            Self::AuthTimeMissing => "auth_time_missing",
            Self::AuthTimeTooOld { .. } => "auth_time_too_old",
            Self::AuthTimeInFuture { .. } => "auth_time_in_future",
            Self::AccessTokenHashMismatch => "access_token_hash_mismatch",
            Self::SubjectMalformed => "subject_malformed",
            Self::SubjectClaimMissing { .. } => "subject_claim_missing",
            Self::TooManyClaims(_) => "too_many_claims",
            Self::UserinfoUnreachable(_) => "userinfo_unreachable",
            Self::UserinfoStatus { .. } => "userinfo_status",
            Self::UserinfoMalformed => "userinfo_malformed",
            Self::UserinfoToken(_) => "userinfo_token",
            Self::UserinfoSubjectMismatch => "userinfo_subject_mismatch",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::ProviderRefused { .. }
            | Self::CodeMissing
            | Self::CodeRefused(_)
            | Self::IssParameterMissing
            | Self::IssParameterMismatch { .. }
            | Self::NonceMissing
            | Self::NonceMismatch
            | Self::AcrMismatch { .. }
            | Self::AuthTimeTooOld { .. } => Fault::Client,
            Self::DiscoveryNotJson
            | Self::DiscoveryIssuerMismatch { .. }
            | Self::ClientRefused(_)
            | Self::TokenRequestRefused(_)
            | Self::IdTokenMissing
            | Self::TokenEncrypted
            | Self::AlgorithmNotAllowed(_)
            | Self::ClientSecretTooShort { .. }
            | Self::SubjectClaimMissing { .. } => Fault::Operator,
            Self::DiscoveryUnavailable(_)
            | Self::DiscoveryStatus { .. }
            | Self::DiscoveryIncomplete { .. }
            | Self::EndpointNotSecure { .. }
            | Self::KeysUnavailable(_)
            | Self::KeysStatus { .. }
            | Self::KeysMalformed
            | Self::NoUsableKey
            | Self::KeyUnknown { .. }
            | Self::KeyAmbiguous { .. }
            | Self::TokenEndpointUnreachable(_)
            | Self::TokenEndpointStatus { .. }
            | Self::TokenAnswerMalformed(_)
            | Self::TokenTypeUnsupported(_)
            | Self::TokenTooLong { .. }
            | Self::TokenMalformed(_)
            | Self::TokenTypeUnexpected(_)
            | Self::TokenCritical
            | Self::SignatureInvalid
            | Self::ClaimMissing(_)
            | Self::ClaimMalformed(_)
            | Self::IssuerMismatch { .. }
            | Self::AudienceMismatch { .. }
            | Self::AuthorizedPartyMissing
            | Self::AuthorizedPartyMismatch { .. }
            | Self::Expired { .. }
            | Self::IssuedInFuture { .. }
            | Self::IssuedBeforeLogin { .. }
            | Self::NotYetValid { .. }
            | Self::AuthTimeMissing
            | Self::AuthTimeInFuture { .. }
            | Self::AccessTokenHashMismatch
            | Self::SubjectMalformed
            | Self::TooManyClaims(_)
            | Self::UserinfoUnreachable(_)
            | Self::UserinfoStatus { .. }
            | Self::UserinfoMalformed
            | Self::UserinfoToken(_)
            | Self::UserinfoSubjectMismatch => Fault::IdentityProvider,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variant's name as `Debug` writes it, in snake case.
    fn name(error: &OidcError) -> String {
        let debug = format!("{error:?}");
        let name: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
        let mut out = String::new();
        for (i, c) in name.chars().enumerate() {
            if c.is_ascii_uppercase() && i > 0 {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    }

    #[test]
    fn a_code_is_the_variants_name() {
        for error in [
            OidcError::NonceMismatch,
            OidcError::DiscoveryNotJson,
            OidcError::Expired { by: 1, skew: 2 },
            OidcError::AlgorithmNotAllowed("none".to_owned()),
            OidcError::UserinfoToken(Box::new(OidcError::SignatureInvalid)),
        ] {
            assert_eq!(error.code(), name(&error));
        }
    }

    #[test]
    fn who_has_to_act_is_told() {
        for (error, fault) in [
            (OidcError::NonceMismatch, Fault::Client),
            (OidcError::CodeRefused("invalid_grant".to_owned()), Fault::Client),
            (OidcError::ClientRefused("invalid_client".to_owned()), Fault::Operator),
            (OidcError::AlgorithmNotAllowed("none".to_owned()), Fault::Operator),
            (OidcError::SignatureInvalid, Fault::IdentityProvider),
            (OidcError::DiscoveryUnavailable("down".to_owned()), Fault::IdentityProvider),
        ] {
            assert_eq!(error.fault(), fault, "{error:?}");
        }
    }

    #[test]
    fn a_refusal_by_the_provider_is_told_with_its_code() {
        let with = |code: Option<&str>| OidcError::ProviderRefused {
            error: "access_denied".to_owned(),
            code: code.map(str::to_owned),
        };
        let told = "the provider refused the sign-in: access_denied; its log says why";
        assert_eq!(with(None).to_string(), told);
        let told = "the provider refused the sign-in: access_denied (AADSTS50105); its log says why";
        assert_eq!(with(Some("AADSTS50105")).to_string(), told);
    }
}
