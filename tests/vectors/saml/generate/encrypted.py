"""Encrypted assertions. They need the private key of the service to be read, so they are made when tests run."""

import base64

import xmlsec
from lxml import etree

from documents import ADA, ADMIN, ASSERTION, HEAD, NAME_ID, RESPONSE, RESPONSE_ID, SAML, SUBJECT, replaced
from signing import sign_assertion, sign_response
from vectors import add, vector

XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
BLOCKS = {
    "aes128_cbc": (XENC + "aes128-cbc", 128),
    "aes256_cbc": (XENC + "aes256-cbc", 256),
    "aes128_gcm": (XENC11 + "aes128-gcm", 128),
    "aes256_gcm": (XENC11 + "aes256-gcm", 256),
    "aes192_gcm": (XENC11 + "aes192-gcm", 192),
    "aes192_cbc": (XENC + "aes192-cbc", 192),
    "3des": (XENC + "tripledes-cbc", 192),
}
SHA1, SHA256, SHA512 = DSIG + "sha1", XENC + "sha256", XENC + "sha512"


def digest(algorithm: str) -> str:
    return f'<ds:DigestMethod Algorithm="{algorithm}"/>'


def mgf(name: str) -> str:
    return f'<xenc11:MGF xmlns:xenc11="{XENC11}" Algorithm="{XENC11}{name}"/>'


TRANSPORTS = {
    "oaep_mgf1p": (XENC + "rsa-oaep-mgf1p", ""),
    "oaep_mgf1p_sha1": (XENC + "rsa-oaep-mgf1p", digest(SHA1)),
    "oaep_mgf1p_sha256": (XENC + "rsa-oaep-mgf1p", digest(SHA256)),
    "oaep11_sha1": (XENC11 + "rsa-oaep", digest(SHA1) + mgf("mgf1sha1")),
    "oaep11_sha256": (XENC11 + "rsa-oaep", digest(SHA256) + mgf("mgf1sha256")),
    "oaep11_sha512": (XENC11 + "rsa-oaep", digest(SHA512) + mgf("mgf1sha512")),
    "oaep11_sha256_mgf1sha1": (XENC11 + "rsa-oaep", digest(SHA256) + mgf("mgf1sha1")),
    "oaep11_default": (XENC11 + "rsa-oaep", ""),
    "rsa_1_5": (XENC + "rsa-1_5", ""),
}

REFUSED_TRANSPORTS = {
    "rsa_1_5": "key_transport_not_allowed",
    # What aws-lc-rs has no name for.
    "oaep_mgf1p_sha256": "oaep_not_offered",
    "oaep11_sha256_mgf1sha1": "oaep_not_offered",
}


def encrypted_key(transport: str, certificate: str = "") -> str:
    algorithm, inside = TRANSPORTS[transport]
    info = f"<ds:KeyInfo><ds:X509Data>{certificate}</ds:X509Data></ds:KeyInfo>" if certificate else ""
    return (
        f'<xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="{algorithm}">{inside}</xenc:EncryptionMethod>{info}'
        "<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedKey>"
    )


def template(block: str, keys: str, kind: str = "Element") -> str:
    return (
        f'<xenc:EncryptedData xmlns:xenc="{XENC}" xmlns:ds="{DSIG}" Type="{XENC}{kind}">'
        f'<xenc:EncryptionMethod Algorithm="{BLOCKS[block][0]}"/><ds:KeyInfo>{keys}</ds:KeyInfo>'
        "<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"
    )


def encrypt(plain: str, pair, block: str = "aes256_gcm", transport: str = "oaep_mgf1p", kind: str = "Element") -> str:
    """EncryptedData for this key, by libxmlsec1; `plain` need not be XML."""
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(pair.certificate_pem, xmlsec.KeyFormat.CERT_PEM))
    context = xmlsec.EncryptionContext(manager)
    data = xmlsec.KeyData.DES if block == "3des" else xmlsec.KeyData.AES
    context.key = xmlsec.Key.generate(data, BLOCKS[block][1], xmlsec.KeyDataType.SESSION)
    node = etree.fromstring(template(block, encrypted_key(transport), kind))
    context.encrypt_binary(node, plain.encode())
    return etree.tostring(node).decode()


def assertion_of(signed: str) -> str:
    return signed[len(HEAD) : -len("</samlp:Response>")]


def wrapped(data: str) -> str:
    return f"<saml:EncryptedAssertion>{data}</saml:EncryptedAssertion>"


def message(*inside: str) -> str:
    return HEAD + "".join(inside) + "</samlp:Response>"


for block in BLOCKS:
    if block == "3des":
        continue
    for transport in ("oaep_mgf1p", "oaep11_sha256"):
        add(
            f"{'' if block.startswith('aes192') else 'good_'}encrypted_{block}_{transport}",
            f"The signed Assertion encrypted with {block}, its key with {transport}.",
            lambda k, b=block, t=transport: message(wrapped(encrypt(assertion_of(k.assertion), k.sp, b, t))),
            "content_algorithm_not_allowed" if block.startswith("aes192") else None,
        )
for transport in TRANSPORTS:
    if transport in ("oaep_mgf1p", "oaep11_sha256"):
        continue
    add(
        f"encrypted_key_by_{transport}",
        f"The key is encrypted with {transport}.",
        lambda k, t=transport: message(wrapped(encrypt(assertion_of(k.assertion), k.sp, transport=t))),
        REFUSED_TRANSPORTS.get(transport),
    )


@vector()
def good_encrypted_response_signed(k):
    """The Assertion is not signed; the Response is, over the encrypted one."""
    return sign_response(message(wrapped(encrypt(ASSERTION, k.sp))), k.idp)


@vector(require_signed="both")
def good_encrypted_both_signed(k):
    """The Assertion is signed, encrypted, and the Response signed."""
    return sign_response(message(wrapped(encrypt(assertion_of(k.assertion), k.sp))), k.idp)


@vector(want_encrypted=True)
def good_encrypted_where_wanted(k):
    """Encryption where it is asked for."""
    return message(wrapped(encrypt(assertion_of(k.assertion), k.sp)))


@vector(decryption_keys=["second_sp", "sp"])
def good_encrypted_for_the_second_key(k):
    """Two decryption keys, as during a rollover; the second is the one."""
    return message(wrapped(encrypt(assertion_of(k.assertion), k.sp)))


@vector()
def good_encrypted_key_beside(k):
    """The EncryptedKey stands beside the EncryptedData, which names it by RetrievalMethod (as Shibboleth sends it)."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    start, end = data.index("<xenc:EncryptedKey>"), data.index("</xenc:EncryptedKey>") + len("</xenc:EncryptedKey>")
    key = data[start:end]
    retrieval = f'<ds:RetrievalMethod Type="{XENC}EncryptedKey" URI="#_key"/>'
    data = data[:start] + retrieval + data[end:]
    key = key.replace("<xenc:EncryptedKey>", f'<xenc:EncryptedKey xmlns:xenc="{XENC}" xmlns:ds="{DSIG}" Id="_key">')
    return message(wrapped(data + key))


@vector()
def good_encrypted_for_two_recipients(k):
    """An EncryptedKey for somebody else before ours."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    other = encrypt(assertion_of(k.assertion), k.attacker)
    other = other[other.index("<xenc:EncryptedKey>") : other.index("</xenc:EncryptedKey>") + len("</xenc:EncryptedKey>")]
    return message(wrapped(replaced(data, "<xenc:EncryptedKey>", other + "<xenc:EncryptedKey>")))


@vector(error="not_encrypted", right=True, want_encrypted=True)
def encrypted_wanted_but_plain(k):
    """A plain Assertion where encryption is asked for."""
    return k.assertion


@vector(error="encrypted_assertion: not_signed")
def encrypted_unsigned(k):
    """An Assertion that nobody signed: encryption is no proof of who sent it."""
    return message(wrapped(encrypt(ASSERTION.replace(ADA, ADMIN), k.sp)))


@vector(error="encrypted_assertion: not_by_trusted_key")
def encrypted_signed_by_the_attacker(k):
    """An Assertion signed by somebody else within."""
    return message(wrapped(encrypt(assertion_of(sign_assertion(RESPONSE.replace(ADA, ADMIN), k.attacker)), k.sp)))


@vector(error="encrypted_assertion: digest_mismatch")
def encrypted_tampered_within(k):
    """An Assertion changed before it was encrypted, whose signature is broken so."""
    return message(wrapped(encrypt(assertion_of(k.assertion).replace(ADA, ADMIN), k.sp)))


def cipher_values(data: str, which: int, change) -> str:
    parts = data.split("<xenc:CipherValue>")
    value, rest = parts[which].split("</xenc:CipherValue>")
    raw = change(bytearray(base64.b64decode(value)))
    parts[which] = f"{base64.b64encode(raw).decode()}</xenc:CipherValue>{rest}"
    return "<xenc:CipherValue>".join(parts)


def flipped(at: int):
    def change(raw: bytearray) -> bytearray:
        raw[at] ^= 1
        return raw

    return change


# The first CipherValue is the key's, the second the data's.
FAILURES = {
    "key_tampered": ("aes256_gcm", 1, flipped(10), "One bit of the encrypted key is another."),
    "key_cut_short": ("aes256_gcm", 1, lambda raw: raw[:-1], "The encrypted key lacks its last byte."),
    "key_empty": ("aes256_gcm", 1, lambda raw: raw[:0], "The encrypted key is empty."),
    "gcm_tampered": ("aes256_gcm", 2, flipped(40), "One bit of the ciphertext is another (GCM)."),
    "gcm_tag_tampered": ("aes256_gcm", 2, flipped(-1), "One bit of the tag is another (GCM)."),
    "gcm_cut_short": ("aes256_gcm", 2, lambda raw: raw[:20], "The ciphertext is shorter than nonce and tag (GCM)."),
    "cbc_tampered": ("aes256_cbc", 2, flipped(40), "One bit of the ciphertext is another (CBC)."),
    "cbc_padding_tampered": ("aes256_cbc", 2, flipped(-17), "The padding is another (CBC)."),
    "cbc_cut_short": ("aes256_cbc", 2, lambda raw: raw[:-1], "No whole number of blocks (CBC)."),
    "cbc_without_blocks": ("aes256_cbc", 2, lambda raw: raw[:16], "The initialisation vector alone (CBC)."),
    "ciphertext_empty": ("aes256_cbc", 2, lambda raw: raw[:0], "No ciphertext at all."),
}
for name, (block, which, change, about) in FAILURES.items():
    add(
        f"encrypted_{name}",
        about,
        lambda k, b=block, w=which, c=change: message(
            wrapped(cipher_values(encrypt(assertion_of(k.assertion), k.sp, b), w, c))
        ),
        # How far it comes is chance, and nobody is told.
        "encryption_not_base64" if name.endswith("_empty") else "encrypted_assertion",
    )


@vector(error="encrypted_assertion: decrypted_other")
def encrypted_for_another(k):
    """Encrypted for a key that we do not have."""
    return message(wrapped(encrypt(assertion_of(k.assertion), k.attacker)))


@vector(error="no_decryption_key", decryption_keys=[])
def encrypted_without_a_key_of_ours(k):
    """Encrypted, and we have no key at all."""
    return message(wrapped(encrypt(assertion_of(k.assertion), k.sp)))


@vector(error="encrypted_assertion: decrypted_other")
def encrypted_no_xml(k):
    """What is encrypted is no XML."""
    return message(wrapped(encrypt("not XML", k.sp)))


@vector(error="encrypted_assertion: decrypted_other")
def encrypted_white_space(k):
    """What is encrypted is white space."""
    return message(wrapped(encrypt(" ", k.sp)))


@vector(error="encrypted_assertion: several_assertions")
def encrypted_two_assertions(k):
    """Two Assertions in one encrypted text."""
    return message(wrapped(encrypt(assertion_of(k.assertion) * 2, k.sp)))


@vector(error="encrypted_assertion: decrypted_other")
def encrypted_something_else(k):
    """What is encrypted is no Assertion."""
    return message(wrapped(encrypt(f'<saml:Subject xmlns:saml="{SAML}"/>', k.sp)))


@vector(error="encrypted_assertion: response_xml: document_type")
def encrypted_with_a_doctype(k):
    """What is encrypted has a document type declaration."""
    return message(wrapped(encrypt("<!DOCTYPE x>" + assertion_of(k.assertion), k.sp)))


@vector(error="encrypted_assertion: response_xml: comment")
def encrypted_with_a_comment(k):
    """CVE-2017-11427 within the encrypted text."""
    text = assertion_of(k.assertion)
    return message(wrapped(encrypt(replaced(text, f">{ADA}</saml:NameID>", ">ada<!-- -->@example.com</saml:NameID>"), k.sp)))


@vector(error="encrypted_assertion: decrypted_other")
def encrypted_twice(k):
    """What is encrypted is an EncryptedAssertion again."""
    inner = wrapped(encrypt(assertion_of(k.assertion), k.sp))
    inner = inner.replace("<saml:EncryptedAssertion>", f'<saml:EncryptedAssertion xmlns:saml="{SAML}">')
    return message(wrapped(encrypt(inner, k.sp)))


@vector(error="content_algorithm_not_allowed")
def encrypted_3des(k):
    """Triple DES."""
    return message(wrapped(encrypt(assertion_of(k.assertion), k.sp, "3des")))


@vector(error="content_algorithm_not_allowed")
def encrypted_by_an_unknown_algorithm(k):
    """An algorithm that nobody knows."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    return message(wrapped(replaced(data, XENC11 + "aes256-gcm", "urn:example:cipher")))


@vector(error="oaep_not_offered")
def encrypted_key_by_an_unknown_digest(k):
    """OAEP with MD5."""
    data = encrypt(assertion_of(k.assertion), k.sp, transport="oaep_mgf1p_sha1")
    return message(wrapped(replaced(data, SHA1, "http://www.w3.org/2001/04/xmldsig-more#md5")))


@vector(error="encryption_unexpected_content")
def encrypted_data_elsewhere(k):
    """A CipherReference in the place of the ciphertext: to be fetched from elsewhere."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    head, tail = data.rsplit("<xenc:CipherValue>", 1)
    tail = tail.split("</xenc:CipherValue>")[1]
    return message(wrapped(f'{head}<xenc:CipherReference URI="https://evil.example/data"/>{tail}'))


@vector(error="encryption_unexpected_content")
def encrypted_key_elsewhere(k):
    """A CipherReference in the place of the encrypted key."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    head, tail = data.split("<xenc:CipherValue>", 1)
    tail = tail.split("</xenc:CipherValue>", 1)[1]
    return message(wrapped(f'{head}<xenc:CipherReference URI="https://evil.example/key"/>{tail}'))


@vector(error="encrypted_key_missing")
def encrypted_without_encrypted_key(k):
    """No EncryptedKey, as if both sides shared a secret."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    start, end = data.index("<ds:KeyInfo>"), data.index("</ds:KeyInfo>") + len("</ds:KeyInfo>")
    return message(wrapped(data[:start] + data[end:]))


@vector(error="encryption_type_not_element")
def encrypted_content(k):
    """The Type says that the content of an element is encrypted, not an element."""
    data = encrypt(assertion_of(k.assertion), k.sp)
    return message(wrapped(replaced(data, XENC + "Element", XENC + "Content")))


@vector(error="several_assertions")
def encrypted_twice_over(k):
    """Two EncryptedAssertions."""
    return message(*(wrapped(encrypt(assertion_of(k.assertion), k.sp)) for _ in range(2)))


@vector(error="several_assertions")
def encrypted_beside_plain(k):
    """An EncryptedAssertion beside the signed Assertion, both genuine."""
    return message(assertion_of(k.assertion), wrapped(encrypt(assertion_of(k.assertion), k.sp)))


@vector(error="encryption_unexpected_content")
def encrypted_data_twice(k):
    """Two EncryptedData in one EncryptedAssertion."""
    return message(wrapped(encrypt(assertion_of(k.assertion), k.sp) + encrypt(assertion_of(k.assertion), k.sp)))


@vector(error="encrypted_name_id")
def encrypted_id(k):
    """The NameID is encrypted by itself, within a plain Assertion: that is not supported, and said so."""
    plain = NAME_ID.replace("<saml:NameID ", f'<saml:NameID xmlns:saml="{SAML}" ')
    return sign_assertion(
        replaced(RESPONSE, NAME_ID, f"<saml:EncryptedID>{encrypt(plain, k.sp)}</saml:EncryptedID>"), k.idp
    )
