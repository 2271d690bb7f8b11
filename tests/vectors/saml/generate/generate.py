#!/usr/bin/env python3
"""Writes the vectors and their manifest, with keys that end with this process. See README.md beside this file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import vectors
from documents import ACS, ADA, IDP, NOW, REQUEST, SP
from signing import verifies

HEADER = f"""\
# The vectors: written by generate/generate.py, not by hand. Each case differs in one thing from a good one.
# name_id is what each case without `error` has to give.
# Defaults: keys = ["idp"], require_signed = "either", allow_sha1 = false, unsolicited = false, want_encrypted = false,
# decryption_keys = ["sp"], requested = true (the browser has the request in flight), force_authn = false,
# context_classes = [] (asked for).
# `right`: whether xmlsec1 takes every signature in it for right (so that it is not refused for a wrong one).

now = "{NOW}"
idp = "{IDP}"
sp = "{SP}"
acs = "{ACS}"
request = "{REQUEST}"
name_id = "{ADA}"
"""


def text(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def manifest(right: dict[str, bool]) -> str:
    out = [HEADER]
    for vector in vectors.ALL:
        lines = {"file": f"{vector.name}.xml", "about": vector.about}
        if vector.error is not None:
            lines["error"] = vector.error
        lines |= vector.settings
        lines["right"] = right[vector.name]
        out.append("\n[[case]]\n" + "".join(f"{key} = {text(value)}\n" for key, value in lines.items()))
    return "".join(out)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parent.parent)
    arguments.add_argument("--encrypted", action="store_true", help="the encrypted ones, with the keys to read them")
    arguments.add_argument("--manifest", action="store_true", help="cases.toml only, for the vectors that are there")
    arguments = arguments.parse_args()
    folder: Path = arguments.folder
    kept = ("good", "wrapping", "structure", "signatures", "profile")
    for module in ("encrypted",) if arguments.encrypted else kept:
        __import__(module)
    keys = vectors.Keys()
    trusted = {name: getattr(keys, name) for name in ("idp", "second", "ec256", "ec384", "weak")}
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.manifest:
        for old in [*folder.glob("*.xml"), *folder.glob("*.pem")]:
            old.unlink()
        for name, pair in trusted.items():
            (folder / f"{name}.pem").write_bytes(pair.certificate_pem)
        if arguments.encrypted:
            for name in ("sp", "second_sp"):
                (folder / f"{name}.pem").write_bytes(getattr(keys, name).certificate_pem)
                (folder / f"{name}.key").write_bytes(getattr(keys, name).private_pem)
        for vector in vectors.ALL:
            made = vector.make(keys)
            (folder / f"{vector.name}.xml").write_bytes(made if isinstance(made, bytes) else made.encode())
    right, wrong = {}, []
    for vector in vectors.ALL:
        data = (folder / f"{vector.name}.xml").read_bytes()
        certificates = [(folder / f"{name}.pem").read_bytes() for name in vector.settings.get("keys", ["idp"])]
        right[vector.name] = verifies(data, certificates)
        if vector.right is not None and vector.right != right[vector.name]:
            wrong.append(f"{vector.name}: xmlsec1 says {right[vector.name]}, {vector.right} is meant")
    (folder / "cases.toml").write_text(manifest(right))
    print(f"{len(vectors.ALL)} vectors, {sum(right.values())} of them rightly signed, say xmlsec1")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
