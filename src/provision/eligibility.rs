//! Whether an identity may come in at all (F1): its one e-mail address, who may vouch for it, and the
//! domains that are let in.

use serde::{Deserialize, Serialize};

use crate::config::settings::{AttributeSource, Idp, Provisioning};
use crate::model::{EmailAddress, Identity};

use super::ProvisionError;

/// Claims that are e-mail addresses by their name, where the configuration does not say which one counts.
/// `upn` and `preferred_username` are not among them: they look like addresses and are login names.
const EMAIL_CLAIMS: [&str; 2] = ["email", "mail"];

/// What one identity provider may say about e-mails (F1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// Lower-case ASCII domains, or `*` alone. Empty: it may speak for none.
    pub domains: Vec<String>,
    pub trust_email: bool,
}

impl Authority {
    #[must_use]
    pub fn of(idp: &Idp) -> Self {
        Self { domains: idp.email_domains().to_vec(), trust_email: idp.trust_email() }
    }

    fn covers(&self, domain: &str) -> bool {
        self.domains.iter().any(|own| own == "*" || domain_matches(own, domain))
    }
}

/// The identity's one e-mail address and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityEmail {
    pub address: EmailAddress,
    /// The claim that it came from.
    pub claim: String,
    /// Within the provider's authority, and verified by it (F1): good enough to adopt by.
    pub verified: bool,
}

/// F1, checked at every login: the e-mail, if there is one, and whether its domain is let in.
///
/// # Errors
/// The variants of F1.
pub fn admit(
    identity: &Identity,
    settings: &Provisioning,
    authority: &Authority,
) -> Result<Option<IdentityEmail>, ProvisionError> {
    admit_guest(identity, settings, authority, false)
}

/// As [`admit`]; an `external` guest (F6) may be of any domain, but the address must be vouched for all the same.
///
/// # Errors
/// The variants of F1.
pub fn admit_guest(
    identity: &Identity,
    settings: &Provisioning,
    authority: &Authority,
    external: bool,
) -> Result<Option<IdentityEmail>, ProvisionError> {
    let looked_at = email_claims(settings);
    let Some((claim, address)) = one_address(identity, &looked_at)? else {
        return if settings.allowed_email_domains.is_empty() {
            Ok(None)
        } else {
            Err(ProvisionError::EmailMissing { looked_at })
        };
    };
    let domain = address.domain();
    let covered = authority.covers(domain);
    inside(identity, authority, domain)?;
    let verified = covered && (authority.trust_email || said_to_be_verified(identity, &address));
    if !settings.allowed_email_domains.is_empty() {
        if !external && !is_allowed(settings, domain) {
            return Err(ProvisionError::EmailDomainNotAllowed { domain: domain.to_owned() });
        }
        if !verified {
            return Err(ProvisionError::EmailUnverified { idp: identity.idp.clone() });
        }
    }
    Ok(Some(IdentityEmail { address, claim, verified }))
}

/// Whether people of this domain (lower-case ASCII) may come in.
#[must_use]
pub fn is_allowed(settings: &Provisioning, domain: &str) -> bool {
    let allowed = &settings.allowed_email_domains;
    allowed.is_empty() || allowed.iter().any(|allowed| domain_matches(allowed, domain))
}

/// Whether an e-mail that the account is to get is one that the provider may speak for.
///
/// # Errors
/// [`ProvisionError::EmailInvalid`], [`ProvisionError::EmailOutsideAuthority`].
pub fn within_authority(
    identity: &Identity,
    authority: &Authority,
    email: &str,
) -> Result<(), ProvisionError> {
    let address = EmailAddress::parse(email)
        .map_err(|_| ProvisionError::EmailInvalid { claim: "email".to_owned(), value: email.to_owned() })?;
    inside(identity, authority, address.domain())
}

/// SECURITY: an application may know people by their e-mail alone, so an address that the provider may not
/// speak for is refused, not merely left unverified: otherwise one provider's administrator could send in
/// another organisation's address.
fn inside(identity: &Identity, authority: &Authority, domain: &str) -> Result<(), ProvisionError> {
    if authority.domains.is_empty() || authority.covers(domain) {
        return Ok(());
    }
    let domain = domain.to_owned();
    Err(ProvisionError::EmailOutsideAuthority { idp: identity.idp.clone(), domain })
}

/// The claims that `attributes.email` names, and no others; else those that are e-mails by name.
fn email_claims(settings: &Provisioning) -> Vec<String> {
    match settings.attributes.get("email").map(|attribute| &attribute.source) {
        Some(AttributeSource::Claims(claims)) => claims.clone(),
        Some(AttributeSource::Connector | AttributeSource::Constant(_) | AttributeSource::Template(_))
        | None => EMAIL_CLAIMS.map(str::to_owned).to_vec(),
    }
}

fn one_address(
    identity: &Identity,
    claims: &[String],
) -> Result<Option<(String, EmailAddress)>, ProvisionError> {
    let mut found: Option<(String, EmailAddress)> = None;
    for claim in claims {
        let Some(mut values) = identity.claims.values(claim) else { continue };
        values.dedup();
        let value = match values.as_slice() {
            [] => continue,
            [one] if one.is_empty() => continue,
            [one] => one,
            several => {
                let value = several.join(" ");
                return Err(ProvisionError::EmailInvalid { claim: claim.clone(), value });
            }
        };
        let address = EmailAddress::parse(value)
            .map_err(|_| ProvisionError::EmailInvalid { claim: claim.clone(), value: value.clone() })?;
        match &found {
            None => found = Some((claim.clone(), address)),
            Some((_, first)) if same_mailbox(first, &address) => {}
            Some((first, _)) => {
                return Err(ProvisionError::EmailsDiffer { claims: vec![first.clone(), claim.clone()] });
            }
        }
    }
    Ok(found)
}

/// OIDC Core 5.1: `email_verified` speaks about `email`. SECURITY: so it says nothing about an address that
/// came from another claim, unless that is the same one.
fn said_to_be_verified(identity: &Identity, address: &EmailAddress) -> bool {
    let about_this = identity
        .claims
        .first("email")
        .and_then(|text| EmailAddress::parse(&text).ok())
        .is_some_and(|email| same_mailbox(&email, address));
    // Some providers send the boolean as a text.
    about_this && identity.claims.first("email_verified").is_some_and(|value| value == "true")
}

/// Two spellings of one address as an identity provider may send them: ASCII case only.
fn same_mailbox(a: &EmailAddress, b: &EmailAddress) -> bool {
    a.domain() == b.domain() && a.local().eq_ignore_ascii_case(b.local())
}

/// The whole domain, or with `*.` any number of labels before it; both sides lower-case ASCII.
fn domain_matches(allowed: &str, domain: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(parent) => domain
            .strip_suffix(parent)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|labels| !labels.is_empty()),
        None => allowed == domain,
    }
}
