"""Signature wrapping: what is signed is moved aside, what is believed is put in its place.

The eight of Somorovsky and others, "On Breaking SAML" (2012), as SAML Raider applies them; each once with another
ID for the evil copy, once with the same.
"""

from documents import ADA, ADMIN, ASSERTION, ASSERTION_ID, HEAD, RESPONSE, RESPONSE_ID, replaced
from signing import SIGNATURE, place, reference, sign_assertion, sign_response, template
from vectors import add, vector


def evil(text: str, identifier: str, same: bool) -> str:
    text = text.replace(ADA, ADMIN)
    if same:
        return text
    # In an evil Response, its Assertion's too: an ID that stands twice is another vector.
    return text.replace(f'ID="{identifier}"', 'ID="_evil-0d5b"').replace(f'ID="{ASSERTION_ID}"', 'ID="_evil-51aa"')


def parts(signed: str) -> tuple[str, str, str]:
    """The signed Assertion of a message, the same without its signature, and the signature."""
    assertion = signed[len(HEAD) : -len("</samlp:Response>")]
    signature = SIGNATURE.search(assertion).group(0)
    return assertion, replaced(assertion, signature, ""), signature


def message(*inside: str) -> str:
    return HEAD + "".join(inside) + "</samlp:Response>"


def xsw1(k, same):
    """An evil Response around the genuine one, which stands in the Signature."""
    signature = SIGNATURE.search(k.response).group(0)
    genuine = replaced(k.response, signature, "")
    wrapped = replaced(signature, "</ds:Signature>", f"{genuine}</ds:Signature>")
    return place(evil(genuine, RESPONSE_ID, same), "_evil-0d5b" if not same else RESPONSE_ID, wrapped)


def xsw2(k, same):
    """An evil Response that holds the genuine one before the Signature."""
    signature = SIGNATURE.search(k.response).group(0)
    genuine = replaced(k.response, signature, "")
    return place(evil(genuine, RESPONSE_ID, same), "_evil-0d5b" if not same else RESPONSE_ID, genuine + signature)


def xsw3(k, same):
    """An evil Assertion without signature before the genuine one."""
    assertion, bare, _ = parts(k.assertion)
    return message(evil(bare, ASSERTION_ID, same), assertion)


def xsw4(k, same):
    """An evil Assertion that holds the genuine one."""
    assertion, bare, _ = parts(k.assertion)
    return message(replaced(evil(bare, ASSERTION_ID, same), "</saml:Assertion>", f"{assertion}</saml:Assertion>"))


def xsw5(k, same):
    """The genuine signature in an evil Assertion; the genuine one follows without it."""
    assertion, bare, _ = parts(k.assertion)
    return message(evil(assertion, ASSERTION_ID, same), bare)


def xsw6(k, same):
    """The genuine signature in an evil Assertion, and the genuine one in that signature."""
    assertion, bare, signature = parts(k.assertion)
    wrapped = replaced(signature, "</ds:Signature>", f"{bare}</ds:Signature>")
    return message(replaced(evil(assertion, ASSERTION_ID, same), signature, wrapped))


def xsw7(k, same):
    """An evil Assertion without signature in Extensions, before the genuine one."""
    assertion, bare, _ = parts(k.assertion)
    return message(f"<samlp:Extensions>{evil(bare, ASSERTION_ID, same)}</samlp:Extensions>", assertion)


def xsw8(k, same):
    """The genuine signature in an evil Assertion, and the genuine one in an Object of that signature."""
    assertion, bare, signature = parts(k.assertion)
    wrapped = replaced(signature, "</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>")
    return message(replaced(evil(assertion, ASSERTION_ID, same), signature, wrapped))


# A copy beside the genuine one is one too many; anywhere else it is out of place.
BESIDE = ("xsw3", "xsw5")
for wrapping in (xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8):
    for same in (False, True):
        number = wrapping.__name__
        error = "several_assertions" if number in BESIDE else "assertion_misplaced"
        name = f"wrapped_{number}" + ("_same_id" if same else "")
        about = f"{number.upper()}: {wrapping.__doc__}" + (" The evil one has the same ID." if same else "")
        add(name, about, lambda k, wrapping=wrapping, same=same: wrapping(k, same), error)


@vector(error="several_assertions", right=True)
def two_assertions(k):
    """Two Assertions in one signed Response, the second for somebody else."""
    second = ASSERTION.replace(ADA, ADMIN).replace(ASSERTION_ID, "_assertion-2")
    return sign_response(message(ASSERTION, second), k.idp)


@vector(error="several_assertions", right=True)
def two_signed_assertions(k):
    """Two Assertions, each rightly signed."""
    first, _, _ = parts(k.assertion)
    second = ASSERTION.replace(ADA, "bob@example.com").replace(ASSERTION_ID, "_assertion-2")
    second = place(second, "_assertion-2", template(reference("#_assertion-2"), key_info=k.idp.key_info()))
    from signing import filled

    return filled(message(first, second), k.idp.key())


@vector(error="several_assertions", right=True)
def unsigned_beside_signed(k):
    """An evil Assertion without signature behind the genuine one."""
    assertion, bare, _ = parts(k.assertion)
    return message(assertion, evil(bare, ASSERTION_ID, False))


@vector(error="several_assertions")
def the_same_assertion_twice(k):
    """The genuine Assertion twice."""
    assertion, _, _ = parts(k.assertion)
    return message(assertion, assertion)


@vector(error="assertion_misplaced", right=True)
def assertion_in_advice(k):
    """The signed Assertion carries another one as Advice (Core 2.6.1), which a search by name would find too."""
    advice = f"<saml:Advice>{ASSERTION.replace(ADA, ADMIN).replace(ASSERTION_ID, '_advice')}</saml:Advice>"
    return sign_assertion(replaced(RESPONSE, "<saml:AuthnStatement ", advice + "<saml:AuthnStatement "), k.idp)


@vector(error="assertion_misplaced", right=True)
def extensions_with_an_assertion(k):
    """The signed Response carries an Assertion in its Extensions beside the real one."""
    extra = f"<samlp:Extensions>{ASSERTION.replace(ADA, ADMIN).replace(ASSERTION_ID, '_extra')}</samlp:Extensions>"
    return sign_response(replaced(RESPONSE, "<samlp:Status>", extra + "<samlp:Status>"), k.idp)


@vector(error="assertion_misplaced", right=True)
def assertion_in_extensions_alone(k):
    """The one signed Assertion is no child of the Response but of its Extensions."""
    assertion, _, _ = parts(k.assertion)
    return message(f"<samlp:Extensions>{assertion}</samlp:Extensions>")


@vector(error="assertion_misplaced", right=True)
def assertion_in_status_detail(k):
    """An evil Assertion in the StatusDetail of an unsigned Response, before the genuine one."""
    _, bare, _ = parts(k.assertion)
    detail = f"<samlp:StatusDetail>{evil(bare, ASSERTION_ID, False)}</samlp:StatusDetail></samlp:Status>"
    return replaced(k.assertion, "</samlp:Status>", detail)


@vector(error="assertion_misplaced", right=True)
def response_in_a_response(k):
    """The genuine signed Response within another Response."""
    outer = HEAD.replace(RESPONSE_ID, "_outer")
    return f"{outer}{k.response}</samlp:Response>"


@vector(error="several_assertions", right=True)
def encrypted_assertion_beside_assertion(k):
    """An EncryptedAssertion beside the signed Assertion: which of them counts is anybody's guess."""
    assertion, _, _ = parts(k.assertion)
    encrypted = (
        '<saml:EncryptedAssertion><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"'
        ' Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod'
        ' Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/><xenc:CipherData><xenc:CipherValue>AAAA'
        "</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>"
    )
    return message(assertion, encrypted)
