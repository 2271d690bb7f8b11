"""Messages that have to be taken, each a way in which real identity providers differ."""

import re

from documents import (
    ADA, ASSERTION, ASSERTION_ID, ATTRIBUTES, AUDIENCE, AUTHN, CONDITIONS, CONFIRMATION, CONFIRMATION_DATA, HEAD, NAME_ID,
    REQUEST, RESPONSE, RESPONSE_ID, SAML, SAMLP, SP, replaced,
)  # fmt: skip
from signing import (
    ECDSA_SHA256, ECDSA_SHA384, ENVELOPED, EXC, RSA_PSS_SHA256, RSA_SHA1, RSA_SHA384, RSA_SHA512, SHA1, SHA384, SHA512, SIGNATURE, filled,
    place, reference, resigned, sign_assertion, sign_response, signed, template, transform,
)  # fmt: skip
from vectors import changed, said, vector


@vector(right=True)
def good_response_signed(k):
    """The Response is signed, and the Assertion in it by that."""
    return k.response


@vector(right=True)
def good_assertion_signed(k):
    """The Assertion is signed, the Response around it is not."""
    return k.assertion


@vector(right=True)
def good_both_signed(k):
    """The Assertion is signed, and then the Response around it."""
    return k.both


@vector(right=True, require_signed="both")
def good_both_signed_and_both_wanted(k):
    """Both are signed where both have to be."""
    return k.both


@vector(right=True, require_signed="response")
def good_response_signed_and_wanted(k):
    """The Response is signed where it has to be."""
    return k.response


@vector(right=True, require_signed="assertion")
def good_assertion_signed_and_wanted(k):
    """The Assertion is signed where it has to be."""
    return k.assertion


@vector(right=True)
def good_rsa_sha384(k):
    """RSA with SHA-384."""
    return sign_assertion(RESPONSE, k.idp, method=RSA_SHA384, digest=SHA384)


@vector(right=True)
def good_rsa_sha512(k):
    """RSA with SHA-512."""
    return sign_assertion(RESPONSE, k.idp, method=RSA_SHA512, digest=SHA512)


@vector()
def good_rsa_pss(k):
    """RSA-PSS with SHA-256, which the xmlsec1 program of Debian 12 does not know yet."""
    return sign_assertion(RESPONSE, k.idp, method=RSA_PSS_SHA256)


@vector(right=True, keys=["ec256"])
def good_ecdsa_p256(k):
    """ECDSA on P-256."""
    return sign_assertion(RESPONSE, k.ec256, method=ECDSA_SHA256)


@vector(right=True, keys=["ec384"])
def good_ecdsa_p384(k):
    """ECDSA on P-384."""
    return sign_response(RESPONSE, k.ec384, method=ECDSA_SHA384, digest=SHA384)


@vector(right=True, keys=["idp", "second"])
def good_second_key(k):
    """Signed by the second of two trusted keys, as during a rollover."""
    return sign_assertion(RESPONSE, k.second)


PREFIXES = f'<ec:InclusiveNamespaces xmlns:ec="{EXC}" PrefixList="%s"/>'


@vector(right=True)
def good_prefix_list(k):
    """An InclusiveNamespaces PrefixList, as many IdPs send it: it counts for what is digested."""
    listed = transform(ENVELOPED) + transform(EXC, PREFIXES % "xs xsi")
    return sign_assertion(RESPONSE, k.idp, transforms=listed)


@vector(right=True)
def good_prefix_list_default(k):
    """A PrefixList that names the default namespace, and one of the SignedInfo too."""
    text = replaced(RESPONSE, "<samlp:Response ", '<samlp:Response xmlns="urn:example:unused" ')
    listed = transform(ENVELOPED) + transform(EXC, PREFIXES % "#default xs")
    return sign_assertion(text, k.idp, transforms=listed, c14n_inside=PREFIXES % "#default samlp")


@vector(right=True)
def good_without_key_info(k):
    """No KeyInfo at all: the keys are known from the metadata."""
    return sign_assertion(RESPONSE, k.idp, key_info="")


@vector(right=True)
def good_key_info_of_another(k):
    """The KeyInfo names somebody else's certificate; it is no part of what is signed, and nobody reads it."""
    return replaced(k.assertion, k.idp.certificate_base64, k.attacker.certificate_base64)


@vector(right=True)
def good_indented(k):
    """White space and line ends between the elements."""
    text = RESPONSE.replace("><", ">\n  <").replace("  </", "</")
    return sign_response(text, k.idp)


@vector(right=True)
def good_carriage_returns(k):
    """Windows' line ends, which every parser reads as line feeds."""
    return sign_response(RESPONSE.replace("><", ">\n<"), k.idp).replace("\n", "\r\n")


@vector(right=True)
def good_wrapped_base64(k):
    """Signature and digest in lines of 64 characters, with white space around them."""

    value = "<ds:DigestValue></ds:DigestValue>"
    text = place(RESPONSE, ASSERTION_ID, template(reference(f"#{ASSERTION_ID}"), key_info=k.idp.key_info()))
    # The digest's white space is part of what is signed.
    digest = SIGNATURE.search(filled(text, k.idp.key())).group(0).split("DigestValue>")[1].split("<")[0]
    text = replaced(text, value, f"<ds:DigestValue>\n{digest[:20]}\n {digest[20:]}\n</ds:DigestValue>")
    before, signature, after = re.split("(?<=<ds:SignatureValue>)([^<]+)", resigned(text, k.idp))
    lines = "\n".join(signature[at : at + 64] for at in range(0, len(signature), 64))
    return f"{before}\n{lines}\n{after}"


@vector(right=True)
def good_default_namespaces(k):
    """No prefixes: each element declares its namespace as the default one."""
    text = RESPONSE.replace("samlp:", "").replace("xmlns:samlp=", "xmlns=").replace(f' xmlns:saml="{SAML}"', "")
    text = text.replace("<saml:Assertion ", f'<Assertion xmlns="{SAML}" ')
    text = text.replace("<saml:Issuer>", f'<saml:Issuer xmlns:saml="{SAML}">', 1)
    head, tail = text.split("<Assertion ", 1)
    text = head + "<Assertion " + tail.replace("saml:", "")
    # The place of the signature is found by the prefix.
    text = text.replace("</Issuer>", "</saml:Issuer>", 1)
    text = place(text, ASSERTION_ID, template(reference(f"#{ASSERTION_ID}"), key_info=k.idp.key_info()))
    text = replaced(text, "</saml:Issuer>", "</Issuer>", 1, 2)
    return filled(text, k.idp.key())


@vector(right=True)
def good_other_prefixes(k):
    """The prefixes of other products (saml2p, saml2)."""
    text = RESPONSE.replace("xmlns:samlp=", "xmlns:saml2p=").replace("xmlns:saml=", "xmlns:saml2=")
    text = text.replace("samlp:", "saml2p:").replace("<saml:", "<saml2:").replace("</saml:", "</saml2:")
    text = text.replace("</saml2:Issuer>", "</saml:Issuer>")
    text = place(text, RESPONSE_ID, template(reference(f"#{RESPONSE_ID}"), key_info=k.idp.key_info()))
    return filled(text.replace("</saml:Issuer>", "</saml2:Issuer>"), k.idp.key())


@vector(right=True)
def good_xml_declaration(k):
    """An XML declaration that says UTF-8."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + k.assertion


@vector(right=True)
def good_other_letters(k):
    """A name that is not ASCII, in UTF-8."""
    return sign_assertion(replaced(RESPONSE, ">staff<", ">Größe 東京 𝔸<"), k.idp)


@vector(right=True)
def good_attribute_references(k):
    """Quotes, and references to characters, in attributes, which canonicalisation writes in one way."""
    new = "FriendlyName='a \"b\" &lt;c&gt; &amp; &#9;d&#xA;e&#13;'"
    return sign_assertion(replaced(RESPONSE, 'FriendlyName="mail"', new), k.idp)


@vector(right=True)
def good_attribute_white_space(k):
    """Tabs and line ends in an attribute are spaces to every reader (XML 1.0, 3.3.3)."""
    return sign_assertion(replaced(RESPONSE, 'FriendlyName="mail"', 'FriendlyName="a\tb\nc"'), k.idp)


@vector(right=True)
def good_signed_by_signxml(k):
    """Signed by signxml, which shares no code with libxmlsec1."""
    import signxml
    from lxml import etree

    from signing import parse

    signer = signxml.XMLSigner(
        signature_algorithm="rsa-sha256", digest_algorithm="sha256", c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"
    )
    hole = '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="placeholder"/>'
    assertion = parse(place(RESPONSE, ASSERTION_ID, hole))[-1]
    out = signer.sign(assertion, key=k.idp.private_pem, cert=k.idp.certificate_pem.decode(), reference_uri=ASSERTION_ID)
    return HEAD + etree.tostring(out).decode() + "</samlp:Response>"


@vector(right=True, allow_sha1=True)
def good_sha1_where_allowed(k):
    """SHA-1 in signature and digest, where the settings of this identity provider allow it."""
    return sign_assertion(RESPONSE, k.idp, method=RSA_SHA1, digest=SHA1)


changed(
    "good_character_reference_in_name_id", None, f">{ADA}</saml:NameID>", ">&#97;da@ex&#x61;mple.com</saml:NameID>",
    "Character references, added on the way: the canonical text is the same one.", right=True,
)  # fmt: skip
changed(
    "good_cdata_in_name_id", None, f">{ADA}</saml:NameID>", "><![CDATA[ada]]>@<![CDATA[example.com]]></saml:NameID>",
    "CDATA sections, added on the way: the canonical text is the same one, and all of it is read.", right=True,
)  # fmt: skip

OTHER_CONFIRMATION = CONFIRMATION.replace("https://app.example.com/saml/acs", "https://other.example.com/acs")
said(
    "good_two_subject_confirmations", None, CONFIRMATION, OTHER_CONFIRMATION + CONFIRMATION,
    "One bearer confirmation is for another service, one for this: one that fits is enough (Profiles 4.1.4.3).",
)  # fmt: skip
said(
    "good_second_confirmation_method", None, CONFIRMATION,
    '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"/>' + CONFIRMATION,
    "A confirmation by a method that is not used here stands beside the bearer one.",
)  # fmt: skip
said(
    "good_several_audiences", None, AUDIENCE,
    AUDIENCE.replace("<saml:Audience>", "<saml:Audience>https://other.example.com</saml:Audience><saml:Audience>"),
    "Several audiences in one restriction: any of them is enough (Core 2.5.1.4).",
)  # fmt: skip
said(
    "good_two_audience_restrictions", None, AUDIENCE, AUDIENCE + AUDIENCE,
    "Two restrictions, each met (Core 2.5.1.4).",
)  # fmt: skip
said(
    "good_one_time_use", None, AUDIENCE, AUDIENCE + "<saml:OneTimeUse/>",
    "OneTimeUse, which a single sign-in honours by itself (Core 2.5.1.5).",
)  # fmt: skip
said(
    "good_proxy_restriction", None, AUDIENCE, AUDIENCE + '<saml:ProxyRestriction Count="0"/>',
    "ProxyRestriction binds who issues further assertions, which narthex does not (Core 2.5.1.6).",
)  # fmt: skip
said(
    "good_fractions_of_seconds", None, 'NotOnOrAfter="2030-01-01T00:05:00Z" Recipient',
    'NotOnOrAfter="2030-01-01T00:05:00.1234567Z" Recipient', "Times with fractions of seconds.",
)  # fmt: skip
said(
    "good_without_optional_times", None, CONDITIONS, f"<saml:Conditions>{AUDIENCE}</saml:Conditions>",
    "Conditions without times of their own: those of the confirmation count.",
)  # fmt: skip
said(
    "good_without_attributes", None, ATTRIBUTES, "", "No attributes at all.",
)  # fmt: skip
said(
    "good_without_session_index", None, ' SessionIndex="_session-51d8" SessionNotOnOrAfter="2030-01-01T08:00:00Z"', "",
    "An AuthnStatement that says nothing of the session.",
)  # fmt: skip
said(
    "good_clock_within_skew", None, 'NotBefore="2029-12-31T23:59:00Z"', 'NotBefore="2030-01-01T00:00:20Z"',
    "The identity provider's clock is 20 s ahead.",
)  # fmt: skip
said(
    "good_entity_issuer_format", None, "<saml:Issuer>",
    '<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">',
    "The Issuer says its format, which is the default one (Core 2.2.5).", which=1, of=2,
)  # fmt: skip


@vector(right=True, unsolicited=True, requested=False)
def good_unsolicited_where_allowed(k):
    """No request came before, and that is allowed."""
    return sign_assertion(RESPONSE.replace(f' InResponseTo="{REQUEST}"', ""), k.idp)


said(
    "good_response_without_destination", None, ' Destination="https://app.example.com/saml/acs"', "",
    "A Response that is not signed itself says no Destination (Bindings 3.5.5.2 asks for it where it is signed).",
)  # fmt: skip
