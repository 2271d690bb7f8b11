"""Synapse's first administrator, who can be made only while it runs; `start synapse` runs this beside it.

Waits for the server at URL, registers ADMIN with the password PASSWORD by the shared secret SECRET (all from the
environment), and prints the access token.
"""
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request

url = os.environ["URL"] + "/_synapse/admin/v1/register"
admin, password = os.environ["ADMIN"], os.environ["PASSWORD"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
deadline = time.monotonic() + 120
while True:
    try:
        with opener.open(url, timeout=10) as answer:
            nonce = json.load(answer)["nonce"]
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit("Synapse did not answer within 120 s")
        time.sleep(0.1)
mac = hmac.new(os.environ["SECRET"].encode(), digestmod=hashlib.sha1)
mac.update(b"\0".join([nonce.encode(), admin.encode(), password.encode(), b"admin"]))
body = {"nonce": nonce, "username": admin, "password": password, "admin": True, "mac": mac.hexdigest()}
request = urllib.request.Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
with opener.open(request, timeout=30) as answer:
    print(json.load(answer)["access_token"])
