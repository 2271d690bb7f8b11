"""Keys, and signatures by libxmlsec1 (python-xmlsec), put into the text without touching the rest of it."""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from documents import ASSERTION_ID, DSIG, RESPONSE_ID, SAML, SAMLP

EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
EXC_COMMENTS = EXC + "WithComments"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = DSIG + "enveloped-signature"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
SHA1, SHA256, SHA384, SHA512 = (
    DSIG + "sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    MORE + "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
)
RSA_SHA1, RSA_SHA256, RSA_SHA384, RSA_SHA512 = (
    DSIG + "rsa-sha1",
    MORE + "rsa-sha256",
    MORE + "rsa-sha384",
    MORE + "rsa-sha512",
)
ECDSA_SHA256, ECDSA_SHA384 = MORE + "ecdsa-sha256", MORE + "ecdsa-sha384"
RSA_PSS_SHA256 = "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"
HMAC_SHA256 = MORE + "hmac-sha256"


class Pair:
    """A key that lives as long as the generator, and its self-signed certificate."""

    def __init__(self, private, name: str = "idp.example.com"):
        self.private = private
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        builder = builder.public_key(private.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(datetime.datetime(2026, 1, 1))
        builder = builder.not_valid_after(datetime.datetime(2046, 1, 1))
        certificate = builder.sign(private, hashes.SHA256())
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.certificate_base64 = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self.private_pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.public_der = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def rsa(cls, bits: int = 2048, **more) -> Pair:
        return cls(rsa.generate_private_key(65537, bits), **more)

    @classmethod
    def ec(cls, curve=None) -> Pair:
        return cls(ec.generate_private_key(curve or ec.SECP256R1()))

    def key(self) -> xmlsec.Key:
        return xmlsec.Key.from_memory(self.private_pem, xmlsec.KeyFormat.PEM)

    def key_info(self) -> str:
        return (
            "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>"
            f"{self.certificate_base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        )


def transform(algorithm: str, inside: str = "") -> str:
    return f'<ds:Transform Algorithm="{algorithm}">{inside}</ds:Transform>'


ENVELOPED_THEN_EXC = transform(ENVELOPED) + transform(EXC)


def reference(uri: str | None, transforms: str = ENVELOPED_THEN_EXC, digest: str = SHA256, value: str = "") -> str:
    at = "" if uri is None else f' URI="{uri}"'
    inside = f"<ds:Transforms>{transforms}</ds:Transforms>" if transforms else ""
    return (
        f'<ds:Reference{at}>{inside}<ds:DigestMethod Algorithm="{digest}"/>'
        f"<ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
    )


def template(
    references: str,
    *,
    method: str = RSA_SHA256,
    method_inside: str = "",
    c14n: str = EXC,
    c14n_inside: str = "",
    key_info: str = "",
    inside: str = "",
) -> str:
    """A Signature whose values are still to be filled in."""
    return (
        f'<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{c14n}">{c14n_inside}</ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{method}">{method_inside}</ds:SignatureMethod>{references}</ds:SignedInfo>'
        f"<ds:SignatureValue></ds:SignatureValue>{key_info}{inside}</ds:Signature>"
    )


def place(text: str, identifier: str, what: str) -> str:
    """`what` behind the Issuer of the element with this ID, which is where SAML Core puts a signature."""
    at = text.index(f'ID="{identifier}"')
    end = text.index("</saml:Issuer>", at) + len("</saml:Issuer>")
    return text[:end] + what + text[end:]


def parse(text: str):
    parser = etree.XMLParser(strip_cdata=False, resolve_entities=False, no_network=True, huge_tree=True)
    return etree.fromstring(text.encode(), parser)


def filled(text: str, key: xmlsec.Key) -> str:
    """The text with the one Signature that has no values yet computed by libxmlsec1."""
    root = parse(text)
    node = next(n for n in root.iter(f"{{{DSIG}}}Signature") if not n.findtext(f"{{{DSIG}}}SignatureValue"))
    context = xmlsec.SignatureContext()
    context.key = key
    for element in root.iter(etree.Element):
        if element.get("ID"):
            context.register_id(element, "ID")
    context.sign(node)
    for name in ("DigestValue", "SignatureValue"):
        for value in node.iter(f"{{{DSIG}}}{name}"):
            # libxmlsec1 breaks long lines; in a DigestValue that is part of what is signed.
            computed = value.text or ""
            computed = computed if name == "DigestValue" else "".join(computed.split())
            text = text.replace(f"<ds:{name}></ds:{name}>", f"<ds:{name}>{computed}</ds:{name}>", 1)
    return text


def signed(text: str, pair: Pair, identifier: str, **options) -> str:
    """The element with this ID signed as an identity provider signs it."""
    what = options.pop("reference", None) or reference(
        f"#{identifier}", options.pop("transforms", ENVELOPED_THEN_EXC), options.pop("digest", SHA256)
    )
    options.setdefault("key_info", pair.key_info())
    return filled(place(text, identifier, template(what, **options)), pair.key())


def sign_assertion(text: str, pair: Pair, **options) -> str:
    return signed(text, pair, ASSERTION_ID, **options)


def sign_response(text: str, pair: Pair, **options) -> str:
    return signed(text, pair, RESPONSE_ID, **options)


def forged_digest(text: str, pair: Pair, identifier: str, value: str, **options) -> str:
    """A signature that is right over a SignedInfo whose DigestValue is whatever is wanted."""
    what = options.pop("reference", None) or reference(f"#{identifier}", value=value)
    text = place(text, identifier, template(what, key_info=pair.key_info(), **options))
    return resigned(text, pair)


def resigned(text: str, pair: Pair) -> str:
    """The SignatureValue computed over the (first) SignedInfo as it stands, without looking at any digest."""
    root = parse(text)
    node = next(n for n in root.iter(f"{{{DSIG}}}Signature") if not n.findtext(f"{{{DSIG}}}SignatureValue"))
    # A copy in a document of its own would lose what namespaces are in scope, so exclusive, in place.
    info = etree.tostring(node.find(f"{{{DSIG}}}SignedInfo"), method="c14n", exclusive=True, with_comments=False)
    value = pair.private.sign(info, padding.PKCS1v15(), hashes.SHA256())
    full = f"<ds:SignatureValue>{base64.b64encode(value).decode()}</ds:SignatureValue>"
    return text.replace("<ds:SignatureValue></ds:SignatureValue>", full, 1)


def signed_by_hand(text: str, pair: Pair, identifier: str) -> str:
    """As `signed`, where libxmlsec1 refuses because of the ID: the first element with it is digested."""
    element = next(e for e in parse(text).iter(etree.Element) if e.get("ID") == identifier)
    canonical = etree.tostring(element, method="c14n", exclusive=True, with_comments=False, with_tail=False)
    return forged_digest(text, pair, identifier, digest_of(canonical))


def digest_of(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


SIGNATURE = re.compile(r"<ds:Signature .*?</ds:Signature>", re.DOTALL)


def verifies(data: bytes, certificates: list[bytes]) -> bool:
    """Whether the xmlsec1 program takes every signature of a message for right, with one of these keys."""
    with tempfile.TemporaryDirectory() as folder:
        message = Path(folder, "message.xml")
        message.write_bytes(data)
        count = len(re.findall(rb"<(?:\w+:)?Signature[\s>]", data))

        def right(number: int) -> bool:
            for certificate in certificates:
                trusted = Path(folder, "trusted.pem")
                trusted.write_bytes(certificate)
                command = ["xmlsec1", "--verify", "--enabled-key-data", "key-name", "--pubkey-cert-pem", str(trusted)]
                for name in (f"{SAMLP}:Response", f"{SAML}:Assertion", f"{SAMLP}:Status", f"{SAML}:Subject", f"{SAML}:Conditions"):
                    command += ["--id-attr:ID", name]
                command += ["--node-xpath", f"(//*[local-name()='Signature'])[{number}]", str(message)]
                if subprocess.run(command, capture_output=True, timeout=20).returncode == 0:
                    return True
            return False

        return count > 0 and all(right(number) for number in range(1, count + 1))
