//! The names under which identity providers send what narthex knows by a friendly name.

/// Claim, and the attributes (by `Name`) that it is taken from: the first of them that was sent. Where OpenID
/// Connect has a name for it (Core 5.1), that is the claim, so that one configuration serves both protocols.
///
/// OIDs: RFC 4519, RFC 4524, RFC 2798 (people), eduPerson and SCHAC (universities). URIs: WS-Federation 1.2
/// and Microsoft's own. `urn:mace:dir:attribute-def:` is how the SAML 1 profiles of the MACE directories wrote
/// the same attributes.
pub(super) const ALIASES: &[(&str, &[&str])] = &[
    // OpenID Connect's names
    (
        "email",
        &[
            "urn:oid:0.9.2342.19200300.100.1.3",
            "urn:oid:1.2.840.113549.1.9.1",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
            "http://schemas.xmlsoap.org/claims/EmailAddress",
            "mail",
            "urn:mace:dir:attribute-def:mail",
            "emailAddress",
            "EmailAddress",
            "emailaddress",
            "email_address",
            "Email",
            "User.email",
        ],
    ),
    (
        "given_name",
        &[
            "urn:oid:2.5.4.42",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
            "givenName",
            "urn:mace:dir:attribute-def:givenName",
            "givenname",
            "firstName",
            "FirstName",
            "firstname",
            "first_name",
            "User.FirstName",
        ],
    ),
    (
        "family_name",
        &[
            "urn:oid:2.5.4.4",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
            "sn",
            "urn:mace:dir:attribute-def:sn",
            "surname",
            "lastName",
            "LastName",
            "lastname",
            "last_name",
            "User.LastName",
        ],
    ),
    (
        "name",
        &[
            "urn:oid:2.16.840.1.113730.3.1.241",
            "http://schemas.microsoft.com/identity/claims/displayname",
            "displayName",
            "urn:mace:dir:attribute-def:displayName",
            "displayname",
            "display_name",
            "urn:oid:2.5.4.3",
            "http://schemas.xmlsoap.org/claims/CommonName",
            "cn",
            "urn:mace:dir:attribute-def:cn",
        ],
    ),
    (
        "preferred_username",
        &[
            "urn:oid:0.9.2342.19200300.100.1.1",
            "uid",
            "urn:mace:dir:attribute-def:uid",
            "username",
            "userName",
            "urn:oid:1.2.840.113556.1.4.221",
            "sAMAccountName",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
            "http://schemas.xmlsoap.org/claims/UPN",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
            "urn:oid:1.3.6.1.4.1.5923.1.1.1.6",
            "eduPersonPrincipalName",
            "urn:mace:dir:attribute-def:eduPersonPrincipalName",
        ],
    ),
    ("nickname", &["urn:oid:1.3.6.1.4.1.5923.1.1.1.2", "eduPersonNickname"]),
    (
        "phone_number",
        &[
            "urn:oid:2.5.4.20",
            "telephoneNumber",
            "urn:mace:dir:attribute-def:telephoneNumber",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/otherphone",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/mobilephone",
            "urn:oid:0.9.2342.19200300.100.1.41",
            "mobile",
        ],
    ),
    (
        "locale",
        &[
            "urn:oid:2.16.840.1.113730.3.1.39",
            "preferredLanguage",
            "urn:mace:dir:attribute-def:preferredLanguage",
        ],
    ),
    // SECURITY: what idp_mfa_satisfies may rest on; the provider's own list of how the person authenticated.
    ("amr", &["http://schemas.microsoft.com/claims/authnmethodsreferences"]),
    // What roles and groups go by
    (
        "groups",
        &[
            "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
            "http://schemas.xmlsoap.org/claims/Group",
            "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
            "isMemberOf",
            "urn:mace:dir:attribute-def:isMemberOf",
            "urn:oid:1.2.840.113556.1.2.102",
            "memberOf",
            "member",
            "Groups",
            "Group",
            "group",
        ],
    ),
    (
        "roles",
        &[
            "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
            "http://schemas.microsoft.com/ws/2008/06/identity/claims/roles",
            "Roles",
            "Role",
            "role",
        ],
    ),
    (
        "role",
        &[
            "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
            "http://schemas.microsoft.com/ws/2008/06/identity/claims/roles",
            "Role",
            "Roles",
            "roles",
        ],
    ),
    // The directories' names
    ("uid", &["urn:oid:0.9.2342.19200300.100.1.1", "urn:mace:dir:attribute-def:uid"]),
    ("mail", &["urn:oid:0.9.2342.19200300.100.1.3", "urn:mace:dir:attribute-def:mail"]),
    (
        "cn",
        &["urn:oid:2.5.4.3", "http://schemas.xmlsoap.org/claims/CommonName", "urn:mace:dir:attribute-def:cn"],
    ),
    ("sn", &["urn:oid:2.5.4.4", "urn:mace:dir:attribute-def:sn"]),
    ("givenName", &["urn:oid:2.5.4.42", "urn:mace:dir:attribute-def:givenName"]),
    ("displayName", &["urn:oid:2.16.840.1.113730.3.1.241", "urn:mace:dir:attribute-def:displayName"]),
    ("title", &["urn:oid:2.5.4.12", "urn:mace:dir:attribute-def:title"]),
    ("o", &["urn:oid:2.5.4.10", "urn:mace:dir:attribute-def:o"]),
    ("ou", &["urn:oid:2.5.4.11", "urn:mace:dir:attribute-def:ou"]),
    ("employeeNumber", &["urn:oid:2.16.840.1.113730.3.1.3", "urn:mace:dir:attribute-def:employeeNumber"]),
    ("employeeType", &["urn:oid:2.16.840.1.113730.3.1.4", "urn:mace:dir:attribute-def:employeeType"]),
    ("isMemberOf", &["urn:oid:1.3.6.1.4.1.5923.1.5.1.1", "urn:mace:dir:attribute-def:isMemberOf"]),
    ("memberOf", &["urn:oid:1.2.840.113556.1.2.102"]),
    ("sAMAccountName", &["urn:oid:1.2.840.113556.1.4.221"]),
    (
        "eduPersonPrincipalName",
        &["urn:oid:1.3.6.1.4.1.5923.1.1.1.6", "urn:mace:dir:attribute-def:eduPersonPrincipalName"],
    ),
    (
        "eduPersonAffiliation",
        &["urn:oid:1.3.6.1.4.1.5923.1.1.1.1", "urn:mace:dir:attribute-def:eduPersonAffiliation"],
    ),
    (
        "eduPersonPrimaryAffiliation",
        &["urn:oid:1.3.6.1.4.1.5923.1.1.1.5", "urn:mace:dir:attribute-def:eduPersonPrimaryAffiliation"],
    ),
    (
        "eduPersonScopedAffiliation",
        &["urn:oid:1.3.6.1.4.1.5923.1.1.1.9", "urn:mace:dir:attribute-def:eduPersonScopedAffiliation"],
    ),
    (
        "eduPersonEntitlement",
        &["urn:oid:1.3.6.1.4.1.5923.1.1.1.7", "urn:mace:dir:attribute-def:eduPersonEntitlement"],
    ),
    (
        "eduPersonTargetedID",
        &["urn:oid:1.3.6.1.4.1.5923.1.1.1.10", "urn:mace:dir:attribute-def:eduPersonTargetedID"],
    ),
    ("eduPersonAssurance", &["urn:oid:1.3.6.1.4.1.5923.1.1.1.11"]),
    ("eduPersonUniqueId", &["urn:oid:1.3.6.1.4.1.5923.1.1.1.13"]),
    ("eduPersonOrcid", &["urn:oid:1.3.6.1.4.1.5923.1.1.1.16"]),
    (
        "schacHomeOrganization",
        &["urn:oid:1.3.6.1.4.1.25178.1.2.9", "urn:mace:terena.org:attribute-def:schacHomeOrganization"],
    ),
    // SAML V2.0 Subject Identifier Attributes Profile 1.0
    ("subject_id", &["urn:oasis:names:tc:SAML:attribute:subject-id"]),
    ("pairwise_id", &["urn:oasis:names:tc:SAML:attribute:pairwise-id"]),
    // Microsoft's names, as its tokens have them
    (
        "upn",
        &[
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
            "http://schemas.xmlsoap.org/claims/UPN",
        ],
    ),
    ("unique_name", &["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"]),
    ("oid", &["http://schemas.microsoft.com/identity/claims/objectidentifier"]),
    ("tid", &["http://schemas.microsoft.com/identity/claims/tenantid"]),
    ("winaccountname", &["http://schemas.microsoft.com/ws/2008/06/identity/claims/windowsaccountname"]),
    ("nameidentifier", &["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"]),
    ("primarysid", &["http://schemas.microsoft.com/ws/2008/06/identity/claims/primarysid"]),
];

/// Claims that narthex makes of the assertion itself, and what they say. An attribute of such a name is left out
/// altogether.
///
/// SECURITY: rules and headers rest on them, and who may fill an attribute at the identity provider is not who
/// signs the assertion.
pub(super) const RESERVED: &[(&str, &str)] = &[
    ("sub", "the subject: who the person is to narthex"),
    ("iss", "the identity provider's entity ID"),
    ("acr", "how the person authenticated: AuthnContextClassRef, else AuthnContextDeclRef"),
    ("authenticating_authority", "who authenticated the person on behalf of the identity provider"),
    ("session_index", "the session at the identity provider"),
    ("name_id", "the NameID's value"),
    ("name_id_format", "its Format"),
    ("name_id_qualifier", "its NameQualifier"),
    ("name_id_sp_qualifier", "its SPNameQualifier"),
    ("name_id_sp_provided", "its SPProvidedID"),
    ("auth_time", "never there; OpenID Connect's"),
    ("sid", "never there; OpenID Connect's"),
];

/// Whether narthex alone says this claim.
pub(super) fn is_reserved(claim: &str) -> bool {
    RESERVED.iter().any(|(reserved, _)| *reserved == claim)
}

/// Whether an attribute's FriendlyName may not become this claim.
pub(super) fn is_known(claim: &str) -> bool {
    is_reserved(claim) || ALIASES.iter().any(|(known, _)| *known == claim)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_claim_has_one_row_and_no_row_feeds_on_itself_or_on_narthex() {
        let mut seen = BTreeSet::new();
        for (claim, names) in ALIASES {
            assert!(seen.insert(claim), "{claim} has two rows");
            assert!(!is_reserved(claim), "{claim} is narthex's own");
            assert!(!names.contains(claim), "{claim} stands before its row anyway");
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{claim} names an attribute twice");
            assert!(!names.iter().any(|name| is_reserved(name)), "{claim}");
        }
        assert!(is_known("sub") && is_known("email") && !is_known("emailAddress"));
    }
}
