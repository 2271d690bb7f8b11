"""What a vector is, and the keys of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from documents import RESPONSE, replaced
from signing import Pair, sign_assertion, sign_response


class Keys:
    """Made anew by every run; only the certificates are kept."""

    def __init__(self) -> None:
        self.idp = Pair.rsa()
        self.second = Pair.rsa()
        self.ec256 = Pair.ec()
        self.ec384 = Pair.ec(ec.SECP384R1())
        self.weak = Pair.rsa(1024)
        # The same name as the identity provider's.
        self.attacker = Pair.rsa()
        # The service's own, for what is encrypted to it.
        self.sp = Pair.rsa()
        self.second_sp = Pair.rsa()

    @cached_property
    def response(self) -> str:
        return sign_response(RESPONSE, self.idp)

    @cached_property
    def assertion(self) -> str:
        return sign_assertion(RESPONSE, self.idp)

    @cached_property
    def both(self) -> str:
        return sign_response(self.assertion, self.idp)


@dataclass
class Vector:
    name: str
    about: str
    make: Callable[[Keys], str | bytes]
    error: str | None
    settings: dict = field(default_factory=dict)
    # What xmlsec1 has to say of the signatures; None: whatever it says.
    right: bool | None = None


ALL: list[Vector] = []


def vector(error: str | None = None, right: bool | None = None, **settings):
    """Registers a function as the vector of its name. Without `error` it is a good one."""

    def register(make):
        add(make.__name__, make.__doc__, make, error, right, **settings)
        return make

    return register


def add(name, about, make, error=None, right=None, **settings) -> None:
    if any(known.name == name for known in ALL):
        raise ValueError(f"{name} twice")
    ALL.append(Vector(name, " ".join(about.split()), make, error, settings, right))


def said(name, error, old, new, about, *, by="assertion", which=0, of=1, **settings) -> None:
    """The identity provider itself says it, and signs it."""
    sign = {
        "assertion": sign_assertion,
        "response": sign_response,
        "both": lambda text, pair: sign_response(sign_assertion(text, pair), pair),
    }[by]
    add(name, about, lambda k: sign(replaced(RESPONSE, old, new, which, of), k.idp), error, True, **settings)


def changed(name, error, old, new, about, *, by="assertion", which=0, of=1, right=None, **settings) -> None:
    """Somebody on the way changes a signed message."""
    add(name, about, lambda k: replaced(getattr(k, by), old, new, which, of), error, right, **settings)
