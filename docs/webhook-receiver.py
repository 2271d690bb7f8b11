#!/usr/bin/env python3
"""A receiver for narthex's webhook connector (docs/webhook.md), for an application that keeps its users in a file.

    WEBHOOK_SECRET=whsec_… python3 webhook-receiver.py USERS.json 127.0.0.1:7000

A whole one, to copy: put what your application does in place of `users` and `save`. The tests run it as it is.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

SECRETS = [base64.b64decode(s.removeprefix("whsec_")) for s in os.environ["WEBHOOK_SECRET"].split()]
TOLERANCE = 300  # seconds
ROLES = [{"name": "user"}, {"name": "admin", "privileged": True}]
TEAMS = ["readers", "writers"]

path = sys.argv[1]
users = json.load(open(path)) if os.path.exists(path) else {}  # id -> account
seen = {}  # webhook-id -> when


def save():
    with open(path + ".new", "w") as file:
        json.dump(users, file)
    os.replace(path + ".new", path)


class Refused(Exception):
    def __init__(self, status, text):
        self.status, self.text = status, text


def verify(headers, body):
    """Whoever cannot sign, or repeats what was sent before, changes nothing."""
    id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(time.time() - int(at)) > TOLERANCE:
        raise Refused(401, "the timestamp is too old, or of the future")
    signed = f"{id}.{at}.".encode() + body
    right = [b"v1," + base64.b64encode(hmac.new(s, signed, hashlib.sha256).digest()) for s in SECRETS]
    given = headers.get("webhook-signature", "").encode().split()
    if not any(hmac.compare_digest(one, other) for one in given for other in right):
        raise Refused(401, "the signature is wrong")
    for old in [old for old, when in seen.items() if time.time() - when > 2 * TOLERANCE]:
        del seen[old]
    if id in seen:
        raise Refused(401, "this event was received before")
    seen[id] = time.time()


def one(data):
    if data["id"] not in users:
        raise Refused(404, "no such account")
    return users[data["id"]]


def find(data):
    (how, value), found = next(iter(data["by"].items())), list(users.values())
    if how == "privileged":
        return {"accounts": [u for u in found if u["active"] and u["role"] == "admin"]}
    return {"accounts": [u for u in found if str(u.get(how)).lower() == str(value).lower()]}


def create(data):
    new = data["account"]
    if any(u["username"].lower() == new["username"].lower() or u.get("email") == new.get("email", "") for u in users.values()):
        raise Refused(409, "this username or e-mail address is taken")
    id = str(max(map(int, users), default=0) + 1)
    users[id] = {"id": id, "active": True, "role": data["role"] or "user", "teams": {}, **new}
    return {"account": users[id]}


def update(data):
    one(data).update(data["account"])


def set_entitlements(data):
    user, role = one(data), data["role"]
    if role is not None and role not in [r["name"] for r in ROLES]:
        raise Refused(422, "no such role")
    user["role"] = role or user["role"]
    user["teams"].update(data["add"].get("teams", {}))
    for team in data["remove"].get("teams", {}):
        user["teams"].pop(team, None)


def names(data):
    if data["kind"] == "roles":
        return {"names": ROLES}
    if data["kind"] == "teams":
        return {"names": [{"name": team} for team in TEAMS]}
    raise Refused(501, "there are none of these")


EVENTS = {
    "check": lambda data: {"version": "example receiver 1"},
    "names.list": names,
    "account.find": find,
    "account.create": create,
    "account.update": update,
    "account.set_entitlements": set_entitlements,
    "account.deactivate": lambda data: one(data).update(active=False),
    "account.reactivate": lambda data: one(data).update(active=True),
    "account.delete": lambda data: users.pop(data["id"], None) and None,
    "team.create": lambda data: TEAMS.append(data["team"]),
}


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            verify(self.headers, body)
            event = json.loads(body)
            if event["type"] not in EVENTS:
                raise Refused(501, "not done here")
            status, answer = 200, EVENTS[event["type"]](event["data"]) or {}
            save()
        except Refused as refused:
            status, answer = refused.status, {"error": refused.text}
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):  # for whoever looks whether it lives
        self.send_response(204)
        self.end_headers()


host, port = sys.argv[2].rsplit(":", 1)
http.server.HTTPServer((host, int(port)), Receiver).serve_forever()
