"""The good response that all vectors come from, as text, and the names in it."""

from __future__ import annotations

NOW = "2030-01-01T00:00:00Z"
IDP = "https://idp.example.com/metadata"
SP = "https://app.example.com/saml/metadata"
ACS = "https://app.example.com/saml/acs"
REQUEST = "_request-2f1c8a50"
RESPONSE_ID = "_response-7c1be1f3"
ASSERTION_ID = "_assertion-9a44d0e2"
# Who signed in, and who an attacker would rather be.
ADA = "ada@example.com"
ADMIN = "admin@example.com"

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

ISSUER = f"<saml:Issuer>{IDP}</saml:Issuer>"
STATUS = f'<samlp:Status><samlp:StatusCode Value="{SUCCESS}"/></samlp:Status>'
NAME_ID = f'<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">{ADA}</saml:NameID>'
CONFIRMATION_DATA = (
    f'<saml:SubjectConfirmationData InResponseTo="{REQUEST}" NotOnOrAfter="2030-01-01T00:05:00Z" Recipient="{ACS}"/>'
)
CONFIRMATION = f'<saml:SubjectConfirmation Method="{BEARER}">{CONFIRMATION_DATA}</saml:SubjectConfirmation>'
SUBJECT = f"<saml:Subject>{NAME_ID}{CONFIRMATION}</saml:Subject>"
AUDIENCE = f"<saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction>"
CONDITIONS_TAG = '<saml:Conditions NotBefore="2029-12-31T23:59:00Z" NotOnOrAfter="2030-01-01T00:05:00Z">'
CONDITIONS = f"{CONDITIONS_TAG}{AUDIENCE}</saml:Conditions>"
AUTHN = (
    '<saml:AuthnStatement AuthnInstant="2029-12-31T23:59:50Z" SessionIndex="_session-51d8"'
    ' SessionNotOnOrAfter="2030-01-01T08:00:00Z"><saml:AuthnContext><saml:AuthnContextClassRef>'
    "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
)
ATTRIBUTES = (
    "<saml:AttributeStatement>"
    '<saml:Attribute Name="urn:oid:0.9.2342.19200300.100.1.3" FriendlyName="mail"'
    ' NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri">'
    f'<saml:AttributeValue xsi:type="xs:string">{ADA}</saml:AttributeValue></saml:Attribute>'
    '<saml:Attribute Name="Role"><saml:AttributeValue xsi:type="xs:string">staff</saml:AttributeValue>'
    "</saml:Attribute>"
    '<saml:Attribute Name="Role"><saml:AttributeValue xsi:type="xs:string">auditor</saml:AttributeValue>'
    "</saml:Attribute></saml:AttributeStatement>"
)
ASSERTION_TAG = (
    f'<saml:Assertion xmlns:saml="{SAML}" xmlns:xs="http://www.w3.org/2001/XMLSchema"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    f' ID="{ASSERTION_ID}" Version="2.0" IssueInstant="2030-01-01T00:00:00Z">'
)
ASSERTION = f"{ASSERTION_TAG}{ISSUER}{SUBJECT}{CONDITIONS}{AUTHN}{ATTRIBUTES}</saml:Assertion>"
RESPONSE_TAG = (
    f'<samlp:Response xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="{RESPONSE_ID}" Version="2.0"'
    f' IssueInstant="2030-01-01T00:00:00Z" Destination="{ACS}" InResponseTo="{REQUEST}">'
)
HEAD = f"{RESPONSE_TAG}{ISSUER}{STATUS}"
RESPONSE = f"{HEAD}{ASSERTION}</samlp:Response>"


def replaced(text: str, old: str, new: str, which: int = 0, of: int = 1) -> str:
    """`text` with `old` (which must be there `of` times) changed in one place."""
    parts = text.split(old)
    if len(parts) != of + 1:
        raise ValueError(f"{old!r} stands {len(parts) - 1} times, not {of}, in {text}")
    return old.join(parts[: which + 1]) + new + old.join(parts[which + 1 :])
