"""Faults of the Signature: what it covers, by which algorithms, with whose key, and what else is in it."""

import base64

import xmlsec

from documents import (
    ADA, ADMIN, ASSERTION, ASSERTION_ID, AUDIENCE, CONDITIONS, HEAD, ISSUER, RESPONSE, RESPONSE_ID, STATUS, SUBJECT, replaced,
)  # fmt: skip
from signing import (
    C14N, DSIG, ENVELOPED, ENVELOPED_THEN_EXC, EXC, EXC_COMMENTS, HMAC_SHA256, MORE, RSA_SHA1, SHA1, SIGNATURE, digest_of,
    filled, forged_digest, parse, place, reference, resigned, sign_assertion, sign_response, signed, template, transform,
)  # fmt: skip
from vectors import add, changed, vector

# --- what is signed at all


@vector(error="not_signed")
def unsigned(k):
    """Nothing is signed."""
    return RESPONSE


@vector(error="response_not_signed", right=True, require_signed="response")
def response_not_signed_where_wanted(k):
    """The Assertion alone is signed where the Response has to be."""
    return k.assertion


@vector(error="assertion_not_signed", right=True, require_signed="assertion")
def assertion_not_signed_where_wanted(k):
    """The Response alone is signed where the Assertion has to be."""
    return k.response


@vector(error="response_not_signed", right=True, require_signed="both")
def response_not_signed_where_both_are_wanted(k):
    """The Assertion alone is signed where both have to be."""
    return k.assertion


@vector(error="assertion_not_signed", right=True, require_signed="both")
def assertion_not_signed_where_both_are_wanted(k):
    """The Response alone is signed where both have to be."""
    return k.response


changed("tampered_name_id", "digest_mismatch", f">{ADA}</saml:NameID>", f">{ADMIN}</saml:NameID>", "Another NameID in a signed Assertion.")
changed(
    "tampered_name_id_in_signed_response", "digest_mismatch", f">{ADA}</saml:NameID>", f">{ADMIN}</saml:NameID>",
    "Another NameID in a signed Response.", by="response",
)  # fmt: skip
changed("tampered_attribute", "digest_mismatch", ">staff<", ">admin<", "Another role in a signed Assertion.")
changed("tampered_white_space", "digest_mismatch", SUBJECT, SUBJECT + "\n", "A line end in a signed Assertion.")
changed(
    "tampered_status_of_signed_response", "digest_mismatch", STATUS, STATUS.replace("Success", "Responder"),
    "Another Status in a signed Response.", by="response",
)  # fmt: skip
changed(
    "tampered_outer_of_two", "digest_mismatch", STATUS, STATUS.replace("Success", "Responder"),
    "Both are signed; the Response's own signature is broken, the Assertion's is right.", by="both",
)  # fmt: skip


@vector(error="digest_mismatch")
def tampered_inner_of_two(k):
    """Both are signed; the Assertion's own signature was broken before the Response was signed."""
    return sign_response(k.assertion.replace(">staff<", ">admin<"), k.idp)


# --- references


@vector(error="reference_elsewhere", right=True)
def signature_over_another_element(k):
    """The Assertion's Signature is over the Response's Status, which has an ID."""
    text = replaced(RESPONSE, "<samlp:Status>", '<samlp:Status ID="_status">')
    return signed(text, k.idp, ASSERTION_ID, reference=reference("#_status"))


@vector(error="reference_elsewhere", right=True)
def signature_over_the_subject(k):
    """The Assertion's Signature is over its own Subject alone."""
    text = replaced(RESPONSE, "<saml:Subject>", '<saml:Subject ID="_subject">')
    return signed(text, k.idp, ASSERTION_ID, reference=reference("#_subject"))


@vector(error="reference_elsewhere", right=True)
def signature_of_response_over_the_assertion(k):
    """A Signature that is a child of the Response covers the Assertion only."""
    return signed(RESPONSE, k.idp, RESPONSE_ID, reference=reference(f"#{ASSERTION_ID}"))


@vector(error="reference_elsewhere", right=True)
def signature_of_assertion_over_the_response(k):
    """A Signature that is a child of the Assertion covers the Response around it."""
    return signed(RESPONSE, k.idp, ASSERTION_ID, reference=reference(f"#{RESPONSE_ID}"))


@vector(error="signature_unexpected_content", right=True)
def several_references(k):
    """Two References: the Assertion, and the Response's Status."""
    text = replaced(RESPONSE, "<samlp:Status>", '<samlp:Status ID="_status">')
    both = reference(f"#{ASSERTION_ID}") + reference("#_status", transform(EXC))
    return signed(text, k.idp, ASSERTION_ID, reference=both)


@vector(error="signature_unexpected_content", right=True)
def the_same_reference_twice(k):
    """The same Reference twice."""
    return signed(RESPONSE, k.idp, ASSERTION_ID, reference=reference(f"#{ASSERTION_ID}") * 2)


@vector(error="signature_incomplete")
def no_reference(k):
    """A SignedInfo without Reference, rightly signed."""
    return resigned(place(RESPONSE, ASSERTION_ID, template("", key_info=k.idp.key_info())), k.idp)


@vector(error="reference_elsewhere", right=True)
def empty_reference_uri(k):
    """URI="", the whole document, is no element's ID (Core 5.4.2)."""
    return signed(RESPONSE, k.idp, RESPONSE_ID, reference=reference(""))


@vector(error="reference_elsewhere")
def missing_reference_uri(k):
    """A Reference without URI, whose meaning is up to the application."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=reference(None, value=canonical_digest()))


@vector(error="reference_elsewhere")
def reference_uri_without_hash(k):
    """The ID without its hash, which is the name of a file."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=reference(ASSERTION_ID, value=canonical_digest()))


@vector(error="reference_elsewhere")
def external_reference_uri(k):
    """A Reference that is to be fetched from elsewhere."""
    what = reference(f"https://evil.example/#{ASSERTION_ID}", value=canonical_digest())
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


@vector(error="reference_elsewhere", right=True)
def xpointer_reference_uri(k):
    """An XPointer to the right element."""
    return signed(RESPONSE, k.idp, ASSERTION_ID, reference=reference(f"#xpointer(id('{ASSERTION_ID}'))"))


@vector(error="reference_elsewhere", right=True)
def xpointer_reference_to_the_root(k):
    """An XPointer to the whole document."""
    return signed(RESPONSE, k.idp, RESPONSE_ID, reference=reference("#xpointer(/)"))


@vector(error="reference_elsewhere")
def reference_to_nothing(k):
    """A Reference to an ID that no element has."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=reference("#_nobody", value=canonical_digest()))


@vector(error="id_missing")
def reference_to_an_empty_id(k):
    """The hash alone, and an Assertion whose ID is empty."""
    text = replaced(RESPONSE, f'ID="{ASSERTION_ID}"', 'ID=""')
    value = canonical_digest(text)
    text = place(text, "", template(reference("#", value=value), key_info=k.idp.key_info()))
    return resigned(text, k.idp)


def canonical_digest(text: str = RESPONSE) -> str:
    """Of the Assertion, as it is right."""
    from lxml import etree

    assertion = parse(text)[-1]
    return digest_of(etree.tostring(assertion, method="c14n", exclusive=True, with_comments=False, with_tail=False))


# --- transforms and canonicalisation


XPATH = transform(
    "http://www.w3.org/TR/1999/REC-xpath-19991116",
    "<ds:XPath>ancestor-or-self::*[local-name()='Conditions']</ds:XPath>",
)
XPATH_FILTER = transform(
    "http://www.w3.org/2002/06/xmldsig-filter2",
    '<f:XPath xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="intersect">//*[local-name()=\'Conditions\']</f:XPath>',
)
XSLT = transform(
    "http://www.w3.org/TR/1999/REC-xslt-19991116",
    '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0">'
    '<xsl:template match="/">nothing</xsl:template></xsl:stylesheet>',
)
BASE64 = transform(DSIG + "base64")
TRANSFORMS = {
    "xpath": (XPATH + transform(EXC), "An XPath that leaves the Conditions alone to be digested."),
    "xpath_filter": (transform(ENVELOPED) + XPATH_FILTER + transform(EXC), "An XPath filter that leaves the Conditions."),
    "xslt": (transform(ENVELOPED) + XSLT, "A stylesheet that makes one word of everything."),
    "xslt_before": (XSLT, "A stylesheet alone."),
    "base64": (transform(ENVELOPED) + BASE64, "Base64: the texts without their elements, decoded."),
    "inclusive_c14n": (transform(ENVELOPED) + transform(C14N), "Inclusive canonicalisation (Core 5.4.3: exclusive)."),
    "c14n_1_1": (transform(ENVELOPED) + transform("http://www.w3.org/2006/12/xml-c14n11"), "Inclusive canonicalisation 1.1."),
    "exclusive_c14n_with_comments": (transform(ENVELOPED) + transform(EXC_COMMENTS), "Exclusive canonicalisation that keeps comments."),
    "enveloped_alone": (transform(ENVELOPED), "No canonicalisation named: the inclusive one is meant then (XML Signature 4.4.3.2)."),
    "c14n_twice": (ENVELOPED_THEN_EXC + transform(EXC), "Three transforms."),
    "enveloped_twice": (transform(ENVELOPED) * 2 + transform(EXC), "The enveloped-signature transform twice."),
    "unknown": (transform(ENVELOPED) + transform("urn:example:transform"), "A transform that nobody knows."),
}  # fmt: skip


def with_transforms(k, transforms):
    try:
        return sign_assertion(RESPONSE, k.idp, transforms=transforms)
    except xmlsec.Error:
        # What libxmlsec1 does not do either.
        what = reference(f"#{ASSERTION_ID}", transforms, value=canonical_digest())
        return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


for name, (transforms, about) in TRANSFORMS.items():
    add(f"transform_{name}", about, lambda k, t=transforms: with_transforms(k, t), "transforms_not_allowed")


@vector(error="signature_incomplete")
def transform_none(k):
    """No Transforms at all."""
    what = reference(f"#{ASSERTION_ID}", "", value=canonical_digest())
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


@vector(error="transforms_not_allowed")
def transform_not_enveloped(k):
    """Exclusive canonicalisation alone; the Signature stands in what it would cover."""
    what = reference(f"#{ASSERTION_ID}", transform(EXC), value=canonical_digest())
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


@vector(error="transforms_not_allowed")
def transform_order(k):
    """Canonicalisation before the enveloped-signature transform."""
    what = reference(f"#{ASSERTION_ID}", transform(EXC) + transform(ENVELOPED), value=canonical_digest())
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


@vector(error="signature_incomplete")
def transforms_twice(k):
    """Two Transforms elements, of which the schema knows one."""
    what = reference(f"#{ASSERTION_ID}")
    evil = f"<ds:Transforms>{XSLT}</ds:Transforms>"
    what = replaced(what, "<ds:DigestMethod", evil + "<ds:DigestMethod")
    what = what.replace("<ds:DigestValue>", f"<ds:DigestValue>{canonical_digest()}")
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


@vector(error="signature_unexpected_content")
def prefix_list_elsewhere(k):
    """A child of the transform that is no InclusiveNamespaces."""
    return with_transforms(k, transform(ENVELOPED, '<e:x xmlns:e="urn:evil"/>') + transform(EXC))


@vector(error="canonicalization_method_not_allowed", right=True)
def inclusive_c14n_of_signed_info(k):
    """The SignedInfo is canonicalised inclusively."""
    return sign_assertion(RESPONSE, k.idp, c14n=C14N)


@vector(error="canonicalization_method_not_allowed")
def unknown_c14n_of_signed_info(k):
    """The SignedInfo is canonicalised in a way that nobody knows."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, canonical_digest(), c14n="urn:example:c14n")


# --- algorithms and keys


@vector(error="sha1_not_allowed", right=True)
def sha1_signature(k):
    """RSA with SHA-1."""
    return sign_assertion(RESPONSE, k.idp, method=RSA_SHA1)


@vector(error="sha1_not_allowed", right=True)
def sha1_digest(k):
    """The digest is SHA-1."""
    return sign_assertion(RESPONSE, k.idp, digest=SHA1)


@vector(error="digest_method_not_allowed")
def md5_digest(k):
    """The digest is MD5."""
    what = reference(f"#{ASSERTION_ID}", digest=MORE + "md5", value=md5_of_assertion())
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


def md5_of_assertion() -> str:
    import hashlib

    from lxml import etree

    canonical = etree.tostring(parse(RESPONSE)[-1], method="c14n", exclusive=True, with_comments=False)
    return base64.b64encode(hashlib.md5(canonical, usedforsecurity=False).digest()).decode()


@vector(error="signature_method_not_allowed")
def unknown_signature_algorithm(k):
    """An algorithm that nobody knows."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, canonical_digest(), method="urn:example:rsa")


@vector(error="signature_incomplete")
def missing_signature_algorithm(k):
    """A SignatureMethod without Algorithm."""
    text = place(RESPONSE, ASSERTION_ID, template(reference(f"#{ASSERTION_ID}", value=canonical_digest())))
    text = text.replace(f' Algorithm="{MORE}rsa-sha256"', "")
    return resigned(text, k.idp)


@vector(error="signature_method_not_allowed")
def hmac_with_the_public_key(k):
    """HMAC, with the identity provider's public key as the secret."""
    return hmac(k, k.idp.public_der)


@vector(error="signature_method_not_allowed")
def hmac_with_the_certificate(k):
    """HMAC, with the identity provider's certificate (PEM) as the secret."""
    return hmac(k, k.idp.certificate_pem)


@vector(error="signature_unexpected_content")
def hmac_with_an_empty_secret(k):
    """HMAC with nothing as the secret, cut to eight bits (CVE-2009-0217)."""
    return hmac(k, b"\0", "<ds:HMACOutputLength>8</ds:HMACOutputLength>")


def hmac(k, secret: bytes, inside: str = "") -> str:
    import hashlib
    import hmac as mac

    from lxml import etree

    what = reference(f"#{ASSERTION_ID}", value=canonical_digest())
    text = template(what, method=HMAC_SHA256, method_inside=inside, key_info=k.idp.key_info())
    text = place(RESPONSE, ASSERTION_ID, text)
    info = next(parse(text).iter(f"{{{DSIG}}}SignedInfo"))
    canonical = etree.tostring(info, method="c14n", exclusive=True, with_comments=False)
    value = mac.new(secret, canonical, hashlib.sha256).digest()[: 1 if inside else None]
    return replaced(text, "<ds:SignatureValue>", f"<ds:SignatureValue>{base64.b64encode(value).decode()}")


@vector(error="no_key_fits")
def algorithm_of_another_kind_of_key(k):
    """The method says ECDSA, the value is RSA's, and so is the trusted key."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, canonical_digest(), method=MORE + "ecdsa-sha256")


@vector(error="not_by_trusted_key", keys=["ec256"])
def ecdsa_zero(k):
    """An ECDSA signature of zeros (CVE-2022-21449)."""
    text = forged_digest(RESPONSE, k.idp, ASSERTION_ID, canonical_digest(), method=MORE + "ecdsa-sha256")
    return with_value(text, base64.b64encode(bytes(64)).decode())


@vector(error="rsa_length", right=True, keys=["weak"])
def rsa_1024(k):
    """The trusted key is RSA of 1024 bits, and the signature is right."""
    return sign_assertion(RESPONSE, k.weak)


@vector(error="not_by_trusted_key")
def key_of_another(k):
    """Signed by a key that nobody trusts; the KeyInfo is the trusted one's."""
    return sign_assertion(RESPONSE, k.attacker, key_info=k.idp.key_info())


@vector(error="not_by_trusted_key")
def key_info_of_the_attacker(k):
    """Signed by the attacker, whose certificate, of the right name, stands in the KeyInfo."""
    return sign_assertion(RESPONSE.replace(ADA, ADMIN), k.attacker)


@vector(error="not_by_trusted_key")
def key_value_of_the_attacker(k):
    """Signed by the attacker, whose bare key stands in the KeyInfo."""
    numbers = k.attacker.private.public_key().public_numbers()
    modulus = base64.b64encode(numbers.n.to_bytes(256, "big")).decode()
    info = (
        f"<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{modulus}</ds:Modulus><ds:Exponent>AQAB</ds:Exponent>"
        "</ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>"
    )
    return sign_assertion(RESPONSE.replace(ADA, ADMIN), k.attacker, key_info=info)


@vector(error="not_by_trusted_key", keys=["second"])
def key_that_is_not_trusted_any_more(k):
    """Signed by the key of before the rollover."""
    return k.assertion


# --- values


def with_value(text: str, value: str) -> str:
    before, rest = text.split("<ds:SignatureValue>")
    return f"{before}<ds:SignatureValue>{value}</ds:SignatureValue>{rest.split('</ds:SignatureValue>')[1]}"


def with_digest(text: str, change) -> str:
    before, rest = text.split("<ds:DigestValue>")
    value, after = rest.split("</ds:DigestValue>")
    return f"{before}<ds:DigestValue>{change(value)}</ds:DigestValue>{after}"


@vector(error="signature_not_base64")
def empty_signature_value(k):
    """An empty SignatureValue."""
    return with_value(k.assertion, "")


@vector(error="signature_not_base64")
def signature_value_is_no_base64(k):
    """A SignatureValue that is no base64."""
    return with_value(k.assertion, "!")


@vector(error="not_by_trusted_key")
def signature_value_of_one_byte(k):
    """A SignatureValue of a single byte."""
    return with_value(k.assertion, "AQ==")


@vector(error="not_by_trusted_key")
def signature_value_changed(k):
    """One bit of the SignatureValue is another."""
    value = k.assertion.split("<ds:SignatureValue>")[1].split("<")[0]
    raw = bytearray(base64.b64decode(value))
    raw[100] ^= 1
    return with_value(k.assertion, base64.b64encode(raw).decode())


@vector(error="signature_incomplete")
def missing_signature_value(k):
    """No SignatureValue."""
    return with_value(k.assertion, "").replace("<ds:SignatureValue></ds:SignatureValue>", "")


@vector(error="not_by_trusted_key")
def signed_info_changed(k):
    """The digest of a changed Assertion in the SignedInfo, which the old SignatureValue is not over."""
    evil = RESPONSE.replace(ADA, ADMIN)
    return with_digest(k.assertion.replace(ADA, ADMIN), lambda _: canonical_digest(evil))


@vector(error="signature_not_base64")
def empty_digest_value(k):
    """An empty DigestValue, rightly signed."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "")


@vector(error="digest_mismatch")
def digest_value_cut_short(k):
    """The first half of the right digest, rightly signed."""
    half = base64.b64encode(base64.b64decode(canonical_digest())[:16]).decode()
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, half)


@vector(error="response_xml: comment")
def commented_digest_value(k):
    """CVE-2025-29775: a comment in the DigestValue carries the digest of a changed Assertion.

    The comment is no part of the canonical SignedInfo, so the SignatureValue stays right; who reads the first text
    only takes the attacker's digest.
    """
    evil = canonical_digest(RESPONSE.replace(ADA, ADMIN))
    return with_digest(k.assertion.replace(ADA, ADMIN), lambda value: f"<!--{evil}-->{value}")


@vector(error="signature_not_base64")
def commented_digest_value_in_cdata(k):
    """The same with CDATA in the place of the comment: it is text, so SignedInfo is changed."""
    evil = canonical_digest(RESPONSE.replace(ADA, ADMIN))
    return with_digest(k.assertion.replace(ADA, ADMIN), lambda value: f"<![CDATA[{evil}]]>{value}")


@vector(error="signature_unexpected_content")
def two_digest_values(k):
    """Two DigestValues in one Reference, the first of a changed Assertion, all rightly signed."""
    evil = RESPONSE.replace(ADA, ADMIN)
    what = reference(f"#{ASSERTION_ID}", value=canonical_digest(evil))
    what = replaced(what, "</ds:Reference>", f"<ds:DigestValue>{canonical_digest()}</ds:DigestValue></ds:Reference>")
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, "", reference=what)


# --- what stands in the Signature, and where it stands


@vector(error="signature_unexpected_content", right=True)
def object_in_signature(k):
    """A ds:Object in the Signature, which SAML has no use for (Core 5.4.5), and where wrapped copies hide."""
    return sign_assertion(RESPONSE, k.idp, inside="<ds:Object>x</ds:Object>")


@vector(error="signature_incomplete")
def two_signed_infos(k):
    """CVE-2025-29774: a second SignedInfo, with the digest of the changed Assertion, before the genuine one."""
    evil = with_digest(k.assertion, lambda _: canonical_digest(RESPONSE.replace(ADA, ADMIN)))
    evil = evil[evil.index("<ds:SignedInfo>") : evil.index("</ds:SignedInfo>") + len("</ds:SignedInfo>")]
    return replaced(k.assertion.replace(ADA, ADMIN), "<ds:SignedInfo>", evil + "<ds:SignedInfo>")


@vector(error="signature_incomplete")
def two_signed_infos_the_second_evil(k):
    """The same behind the genuine one."""
    evil = with_digest(k.assertion, lambda _: canonical_digest(RESPONSE.replace(ADA, ADMIN)))
    evil = evil[evil.index("<ds:SignedInfo>") : evil.index("</ds:SignedInfo>") + len("</ds:SignedInfo>")]
    return replaced(k.assertion.replace(ADA, ADMIN), "</ds:SignedInfo>", "</ds:SignedInfo>" + evil)


@vector(error="signature_incomplete")
def missing_signed_info(k):
    """A Signature without SignedInfo."""
    start = k.assertion.index("<ds:SignedInfo>")
    return k.assertion[:start] + k.assertion[k.assertion.index("<ds:SignatureValue>") :]


@vector(error="signature_unexpected_content")
def stranger_in_signature(k):
    """An element of another namespace in the Signature."""
    return forged_digest(RESPONSE, k.idp, ASSERTION_ID, canonical_digest(), inside='<e:x xmlns:e="urn:evil"/>')


@vector(error="several_signatures")
def two_signatures(k):
    """Two Signatures in the Assertion, both by the trusted key."""
    # Each leaves out itself only, so the second covers the first; to be right, the first would have to know it.
    return signed(k.assertion, k.idp, ASSERTION_ID)


@vector(error="several_signatures")
def two_signatures_the_first_evil(k):
    """A Signature of the attacker's before the genuine one."""
    return signed(k.assertion, k.attacker, ASSERTION_ID)


def moved(text: str, before: str) -> str:
    signature = SIGNATURE.search(text).group(0)
    return replaced(replaced(text, signature, ""), before, signature + before)


@vector(error="signature_misplaced", right=True)
def signature_not_a_direct_child(k):
    """The Assertion's Signature stands in its Subject; what it covers is the same."""
    return moved(k.assertion, "</saml:Subject>")


@vector(error="reference_elsewhere", right=True)
def signature_beside_the_assertion(k):
    """The Assertion's Signature stands behind the Assertion, in the Response."""
    what = template(reference(f"#{ASSERTION_ID}"), key_info=k.idp.key_info())
    return filled(replaced(RESPONSE, "</samlp:Response>", what + "</samlp:Response>"), k.idp.key())


@vector(error="signature_misplaced", right=True)
def signature_in_extensions(k):
    """The Response's Signature stands in its Extensions."""
    text = replaced(RESPONSE, "<samlp:Status>", "<samlp:Extensions></samlp:Extensions><samlp:Status>")
    what = template(reference(f"#{RESPONSE_ID}"), key_info=k.idp.key_info())
    return filled(replaced(text, "</samlp:Extensions>", what + "</samlp:Extensions>"), k.idp.key())


@vector(right=True)
def good_signature_at_the_end(k):
    """The Assertion's Signature is its last child, not behind the Issuer: the schema's sequence is no defence."""
    return moved(k.assertion, "</saml:Assertion>")


@vector(right=True)
def good_signature_before_the_issuer(k):
    """The Assertion's Signature is its first child, before the Issuer."""
    signature = SIGNATURE.search(k.assertion).group(0)
    head, rest = replaced(k.assertion, signature, "").split("<saml:Assertion ", 1)
    return f"{head}<saml:Assertion {rest.replace(ISSUER, signature + ISSUER, 1)}"


@vector(error="signature_misplaced", right=True)
def signature_within_what_is_signed(k):
    """A right Signature over the Conditions stands in them, within a signed Assertion."""
    text = replaced(RESPONSE, "<saml:Conditions ", '<saml:Conditions ID="_conditions" ')
    inner = template(reference("#_conditions"), key_info=k.idp.key_info())
    text = filled(replaced(text, AUDIENCE, inner + AUDIENCE), k.idp.key())
    return sign_assertion(text, k.idp)
