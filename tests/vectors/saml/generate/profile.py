"""Faults of what is said, rightly signed: each message is one for another service, time, request or person."""

from documents import (
    ACS, ADA, ASSERTION, ASSERTION_ID, ASSERTION_TAG, AUDIENCE, AUTHN, BEARER, CONDITIONS, CONFIRMATION, CONFIRMATION_DATA, HEAD,
    IDP, ISSUER, NAME_ID, REQUEST, RESPONSE, RESPONSE_ID, SAML, SP, STATUS, SUBJECT, SUCCESS, replaced,
)  # fmt: skip
from signing import filled, place, reference, sign_assertion, sign_response, template
from vectors import changed, said, vector

# --- the Response

said(
    "wrong_destination", "destination_mismatch", f'Destination="{ACS}"', 'Destination="https://other.example.com/acs"',
    "The signed Response is for another address (Bindings 3.5.5.2).", by="response",
)  # fmt: skip
said(
    "missing_destination_of_signed_response", "destination_missing", f' Destination="{ACS}"', "",
    "A signed Response has to say its Destination (Bindings 3.5.5.2).", by="response",
)  # fmt: skip
said(
    "wrong_destination_of_unsigned_response", "destination_mismatch", f'Destination="{ACS}"',
    'Destination="https://other.example.com/acs"', "An unsigned Response may not grant, but it may refuse.",
)  # fmt: skip
said(
    "wrong_in_response_to", "in_response_to_differs", f'InResponseTo="{REQUEST}">', 'InResponseTo="_another">',
    "The signed Response answers another request.", by="response",
)  # fmt: skip
said(
    "wrong_in_response_to_of_unsigned_response", "in_response_to_differs", f'InResponseTo="{REQUEST}">', 'InResponseTo="_another">',
    "The unsigned Response answers another request.",
)  # fmt: skip
said(
    "missing_in_response_to", "in_response_to_differs", f' InResponseTo="{REQUEST}">', ">",
    "The Response answers no request, its Assertion does.", by="response",
)  # fmt: skip
said(
    "wrong_issuer_of_response", "response_issuer_mismatch", f"<saml:Issuer>{IDP}<", "<saml:Issuer>https://other.example.com/idp<",
    "The signed Response is another identity provider's, by its Issuer.", by="response", which=0, of=2,
)  # fmt: skip
said(
    "wrong_issuer_of_unsigned_response", "response_issuer_mismatch", f"<saml:Issuer>{IDP}<", "<saml:Issuer>https://other.example.com/idp<",
    "The unsigned Response is another identity provider's, by its Issuer.", which=0, of=2,
)  # fmt: skip
said(
    "wrong_issuer_format_of_response", "response_issuer_format", "<saml:Issuer>",
    '<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">',
    "The Response's Issuer is no entity, by its format (Profiles 4.1.4.2).", by="both", which=0, of=2,
)  # fmt: skip
said("response_version_1_1", "response_version", 'Version="2.0"', 'Version="1.1"', "The Response is of SAML 1.1.", by="response", which=0, of=2)
said("response_without_version", "attribute_missing", ' Version="2.0"', "", "The Response says no version.", by="response", which=0, of=2)
said("response_without_id", "attribute_missing", f' ID="{RESPONSE_ID}"', "", "The Response has no ID (Core 3.2.2).")
said(
    "response_issued_long_ago", "response_too_old", 'IssueInstant="2030-01-01T00:00:00Z"', 'IssueInstant="2029-12-01T00:00:00Z"',
    "The Response was issued a month ago.", by="response", which=0, of=2,
)  # fmt: skip
said(
    "response_issued_in_the_future", "response_issued_in_future", 'IssueInstant="2030-01-01T00:00:00Z"',
    'IssueInstant="2030-01-01T01:00:00Z"', "The Response will be issued in an hour.", by="response", which=0, of=2,
)  # fmt: skip
said("missing_status", "xml: missing", STATUS, "", "The Response has no Status (Core 3.2.2).", by="response")
said("two_statuses", "xml: several", STATUS, STATUS + STATUS, "Two Status elements.", by="response")
said(
    "status_responder", "status_not_success", SUCCESS, SUCCESS.replace("Success", "Responder"),
    "The identity provider failed, and sends an Assertion all the same.", by="response",
)  # fmt: skip
said(
    "status_of_unsigned_response", "status_not_success", SUCCESS, SUCCESS.replace("Success", "Requester"),
    "An unsigned Response says that it failed.",
)  # fmt: skip
said(
    "status_nested", "status_not_success", STATUS,
    '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><samlp:StatusCode'
    ' Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/></samlp:StatusCode>'
    "<samlp:StatusMessage>wrong password</samlp:StatusMessage></samlp:Status>",
    "The identity provider says in a second code and in words why it failed.", by="response",
)  # fmt: skip
said(
    "status_success_within_a_failure", "status_not_success", STATUS,
    '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><samlp:StatusCode'
    f' Value="{SUCCESS}"/></samlp:StatusCode></samlp:Status>',
    "Only the first code counts (Core 3.2.2.2): a success within a failure is a failure.", by="response",
)  # fmt: skip


@vector(error="status_not_success", right=True)
def status_alone(k):
    """A failure as identity providers send it: signed, without an Assertion."""
    return sign_response(replaced(RESPONSE.replace(ASSERTION, ""), "Success", "Responder"), k.idp)


@vector(error="no_assertion", right=True)
def success_without_assertion(k):
    """A success that carries no Assertion."""
    return sign_response(RESPONSE.replace(ASSERTION, ""), k.idp)


# --- the Assertion

said(
    "wrong_issuer_of_assertion", "issuer_mismatch", f"<saml:Issuer>{IDP}<", "<saml:Issuer>https://other.example.com/idp<",
    "The Assertion is another identity provider's, by its Issuer.", which=1, of=2,
)  # fmt: skip
said(
    "issuer_with_another_case", "issuer_mismatch", f"<saml:Issuer>{IDP}<", f"<saml:Issuer>{IDP.upper()}<",
    "Entity IDs are compared as they are, letter for letter.", which=1, of=2,
)  # fmt: skip


@vector(error="xml: missing", right=True)
def missing_issuer_of_assertion(k):
    """The Assertion in a signed Response has no Issuer (Core 2.3.3)."""
    return sign_response(replaced(RESPONSE, ASSERTION_TAG + ISSUER, ASSERTION_TAG), k.idp)


said("assertion_version_1_1", "assertion_version", 'Version="2.0"', 'Version="1.1"', "The Assertion is of SAML 1.1.", which=1, of=2)
said(
    "assertion_issued_long_ago", "too_old", 'IssueInstant="2030-01-01T00:00:00Z"', 'IssueInstant="2029-12-01T00:00:00Z"',
    "The Assertion was issued a month ago.", which=1, of=2,
)  # fmt: skip
said(
    "assertion_issued_in_the_future", "issued_in_future", 'IssueInstant="2030-01-01T00:00:00Z"',
    'IssueInstant="2030-01-01T01:00:00Z"', "The Assertion will be issued in an hour.", which=1, of=2,
)  # fmt: skip


@vector(error="attribute_missing", right=True)
def missing_id_of_assertion(k):
    """The Assertion in a signed Response has no ID, by which a replay would be noticed."""
    return sign_response(replaced(RESPONSE, f' ID="{ASSERTION_ID}"', ""), k.idp)


# --- whom it is about

said("missing_subject", "subject_missing", SUBJECT, "", "No Subject (Profiles 4.1.4.2).")
said("two_subjects", "xml: several", SUBJECT, SUBJECT + SUBJECT, "Two Subjects.")
said(
    "good_without_name_id", None, NAME_ID, "", "A Subject without NameID (Core 2.4.1): who it is has to be in the attributes.",
    name_id="",
)  # fmt: skip
said("two_name_ids", "xml: several", NAME_ID, NAME_ID + NAME_ID.replace(ADA, "bob@example.com"), "Two NameIDs.")
said("empty_name_id", "empty", f">{ADA}</saml:NameID>", "></saml:NameID>", "An empty NameID.")
said("name_id_of_white_space", "empty", f">{ADA}</saml:NameID>", "> \n</saml:NameID>", "A NameID of white space.")
said(
    "element_in_name_id", "unexpected", f">{ADA}</saml:NameID>", f">{ADA}<saml:x/>.evil.example</saml:NameID>",
    "An element in the NameID, which cuts its text.",
)  # fmt: skip
said(
    "base_id", "base_id", NAME_ID, '<saml:BaseID NameQualifier="x"/>',
    "A BaseID, an abstract type that says nobody, in the place of the NameID.",
)  # fmt: skip
said("missing_subject_confirmation", "bearer_missing", CONFIRMATION, "", "No SubjectConfirmation (Profiles 4.1.4.2).")
said(
    "wrong_confirmation_method", "bearer_missing", BEARER, BEARER.replace("bearer", "sender-vouches"),
    "Confirmed by another method than bearer (Profiles 4.1.4.2).",
)  # fmt: skip
said("missing_confirmation_data", "confirmation_data_missing", CONFIRMATION_DATA, "", "A bearer confirmation without its data.")
said(
    "wrong_recipient", "recipient_mismatch", f'Recipient="{ACS}"', 'Recipient="https://other.example.com/acs"',
    "Delivered to another address than it was made for (Profiles 4.1.4.3).",
)  # fmt: skip
said(
    "recipient_with_a_longer_path", "recipient_mismatch", f'Recipient="{ACS}"', f'Recipient="{ACS}/"',
    "The Recipient has one character more.",
)  # fmt: skip
said("missing_recipient", "recipient_missing", f' Recipient="{ACS}"', "", "No Recipient (Profiles 4.1.4.2).")
said(
    "confirmation_expired", "confirmation_expired", 'NotOnOrAfter="2030-01-01T00:05:00Z" Recipient',
    'NotOnOrAfter="2029-12-31T23:50:00Z" Recipient', "The confirmation ended ten minutes ago.",
)  # fmt: skip
said(
    "missing_not_on_or_after_of_confirmation", "confirmation_end_missing", ' NotOnOrAfter="2030-01-01T00:05:00Z" Recipient',
    " Recipient", "A bearer confirmation without an end (Profiles 4.1.4.2).",
)  # fmt: skip
said(
    "not_before_of_confirmation", "confirmation_not_before", "<saml:SubjectConfirmationData ",
    '<saml:SubjectConfirmationData NotBefore="2029-12-31T23:59:00Z" ',
    "A bearer confirmation may have no NotBefore (Profiles 4.1.4.2).",
)  # fmt: skip
said(
    "wrong_in_response_to_of_confirmation", "in_response_to_differs", f'InResponseTo="{REQUEST}" NotOnOrAfter',
    'InResponseTo="_another" NotOnOrAfter', "The confirmation answers another request (Profiles 4.1.4.3).",
)  # fmt: skip
said(
    "missing_in_response_to_of_confirmation", "in_response_to_differs", f' InResponseTo="{REQUEST}" NotOnOrAfter', " NotOnOrAfter",
    "The confirmation answers no request, the Response does (Profiles 4.1.4.3).",
)  # fmt: skip


@vector(error="unsolicited", right=True)
def unsolicited(k):
    """No request came before, and that is not allowed."""
    return sign_assertion(RESPONSE.replace(f' InResponseTo="{REQUEST}"', ""), k.idp)


OTHER = CONFIRMATION.replace(ACS, "https://other.example.com/acs")
said(
    "two_confirmations_none_fits", "recipient_mismatch", CONFIRMATION, OTHER + OTHER,
    "Two bearer confirmations, both for another service.",
)  # fmt: skip
said(
    "two_confirmations_half_right_each", "confirmation_expired", CONFIRMATION,
    OTHER + CONFIRMATION.replace("2030-01-01T00:05:00Z", "2029-12-31T23:50:00Z"),
    "One confirmation is for another service, the other has ended: none is right as a whole.",
)  # fmt: skip

# --- the conditions

said("missing_conditions", "conditions_missing", CONDITIONS, "", "No Conditions, so no audience either (Profiles 4.1.4.2).")
said("two_conditions", "xml: several", CONDITIONS, CONDITIONS + CONDITIONS, "Two Conditions elements.")
said("missing_audience", "audience_missing", AUDIENCE, "", "Conditions without AudienceRestriction (Profiles 4.1.4.2).")
said(
    "empty_audience_restriction", "audience_mismatch", f"<saml:Audience>{SP}</saml:Audience>", "",
    "An AudienceRestriction without Audience.",
)  # fmt: skip
said(
    "wrong_audience", "audience_mismatch", f">{SP}<", ">https://other.example.com/saml/metadata<",
    "Made for another service (Core 2.5.1.4).",
)  # fmt: skip
said(
    "audience_that_begins_alike", "audience_mismatch", f">{SP}<", f">{SP}.evil.example<",
    "An audience of which ours is the beginning.",
)  # fmt: skip
said(
    "two_audience_restrictions_one_not_met", "audience_mismatch", AUDIENCE,
    AUDIENCE + AUDIENCE.replace("app.example.com", "other.example.com"),
    "Every restriction has to be met, and the second is not (Core 2.5.1.4).",
)  # fmt: skip
said(
    "expired", "expired", 'NotOnOrAfter="2030-01-01T00:05:00Z">', 'NotOnOrAfter="2029-12-31T23:59:30Z">',
    "The Conditions ended half a minute ago.", now="2030-01-01T00:02:00Z",
)  # fmt: skip
said(
    "expired_to_the_second", "expired", 'NotOnOrAfter="2030-01-01T00:05:00Z">', 'NotOnOrAfter="2030-01-01T00:00:00Z">',
    "NotOnOrAfter is the first moment at which it is not valid any more.", now="2030-01-01T00:04:00Z",
)  # fmt: skip
said(
    "not_yet_valid", "not_yet_valid", 'NotBefore="2029-12-31T23:59:00Z"', 'NotBefore="2030-01-01T00:04:00Z"',
    "The Conditions begin in four minutes.",
)  # fmt: skip
said(
    "times_the_wrong_way_round", "conditions_contradict", CONDITIONS,
    CONDITIONS.replace("2029-12-31T23:59:00Z", "2030-01-01T00:00:50Z").replace("2030-01-01T00:05:00Z", "2030-01-01T00:00:40Z"),
    "It ends before it begins (Core 2.5.1.2).",
)  # fmt: skip
said("malformed_time", "instant", 'NotBefore="2029-12-31T23:59:00Z"', 'NotBefore="yesterday"', "A time that is none.")
said(
    "time_without_zone", "instant", 'NotBefore="2029-12-31T23:59:00Z"', 'NotBefore="2029-12-31T23:59:00"',
    "A time that does not say that it is UTC (Core 1.3.3).",
)  # fmt: skip
said(
    "time_with_an_offset", "instant", 'NotOnOrAfter="2030-01-01T00:05:00Z">', 'NotOnOrAfter="2030-01-01T00:05:00+14:00">',
    "Times are UTC (Core 1.3.3); by its offset this one ended long ago.",
)  # fmt: skip
said(
    "time_of_a_day_that_is_none", "instant", 'NotOnOrAfter="2030-01-01T00:05:00Z">', 'NotOnOrAfter="2030-02-30T00:05:00Z">',
    "The 30th of February.",
)  # fmt: skip
said(
    "unknown_condition", "unknown_condition", AUDIENCE,
    AUDIENCE + '<saml:Condition xmlns:e="urn:example:e" xsi:type="e:OnlyOnSundays"/>',
    "A condition that nobody here can judge makes the Assertion indeterminate (Core 2.5.1).",
)  # fmt: skip
said(
    "unknown_condition_of_another_namespace", "unknown_condition", AUDIENCE, AUDIENCE + '<e:OnlyOnSundays xmlns:e="urn:example:e"/>',
    "An element in the Conditions that is not SAML's.",
)  # fmt: skip

# --- the statement

said("missing_authn_statement", "authn_statement_missing", AUTHN, "", "No AuthnStatement (Profiles 4.1.4.2).")
said(
    "session_ended", "session_over", 'SessionNotOnOrAfter="2030-01-01T08:00:00Z"', 'SessionNotOnOrAfter="2029-12-31T20:00:00Z"',
    "The session at the identity provider ended hours ago.",
)  # fmt: skip
said(
    "authenticated_in_the_future", "authenticated_in_future", 'AuthnInstant="2029-12-31T23:59:50Z"', 'AuthnInstant="2030-01-01T03:00:00Z"',
    "Signed in three hours from now.",
)  # fmt: skip


# --- the request that it answers


@vector(error="in_response_to_mismatch", right=True)
def answers_another_request(k):
    """Response and confirmation answer one request, which is not this browser's."""
    return sign_assertion(RESPONSE.replace(REQUEST, "_another"), k.idp)


@vector(error="answer_to_nobody", right=True, requested=False)
def answers_a_browser_that_did_not_ask(k):
    """The browser that brings it has no request in flight (login CSRF)."""
    return k.assertion


@vector(error="answers_no_request", right=True, unsolicited=True)
def unsolicited_to_a_browser_that_asked(k):
    """Unsolicited, which is allowed, but this browser waits for an answer."""
    return sign_assertion(RESPONSE.replace(f' InResponseTo="{REQUEST}"', ""), k.idp)


said(
    "issued_before_the_request", "issued_before_request", 'IssueInstant="2030-01-01T00:00:00Z"',
    'IssueInstant="2029-12-31T23:58:00Z"', "Older than the request whose ID it says.", which=1, of=2,
)  # fmt: skip


@vector(error="authn_context_mismatch", right=True, context_classes=["urn:oasis:names:tc:SAML:2.0:ac:classes:X509"])
def another_authn_context_than_asked_for(k):
    """A password where a certificate was asked for."""
    return k.assertion


said(
    "not_authenticated_anew", "not_authenticated_anew", 'AuthnInstant="2029-12-31T23:59:50Z"',
    'AuthnInstant="2029-12-31T20:00:00Z"', "Signed in hours ago, where a fresh sign-in was asked for.", force_authn=True,
)  # fmt: skip
