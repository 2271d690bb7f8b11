"""A small OpenID provider on loopback that signs in whoever comes, so that sessions are begun by a real login.

Only for the benchmark: it asks nobody who they are. RS256 by the `openssl` program, nothing else beside Python.
"""

import base64
import json
import secrets
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT = "bench"
PERSON = {
    "sub": "7c2f0a4e-bench",
    "preferred_username": "ada",
    "name": "Ada Lovelace",
    "email": "ada@example.test",
    "email_verified": True,
    "groups": ["engineers", "platform"],
}


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Provider:
    """Listens from the moment it is made."""

    def __init__(self, port: int, folder: Path):
        self.issuer = f"http://127.0.0.1:{port}"
        self.secret = secrets.token_hex(32)
        self._key = folder / "idp.pem"
        self._nonces: dict[str, str | None] = {}
        subprocess.run(
            ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self._key],
            check=True,
        )
        modulus = subprocess.run(
            ["openssl", "rsa", "-in", self._key, "-noout", "-modulus"], check=True, capture_output=True, text=True
        ).stdout
        number = bytes.fromhex(modulus.strip().removeprefix("Modulus="))
        self._jwks = {
            "keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": base64url(number), "e": "AQAB"}]
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        # A contender that is ended in the middle of a call is no news.
        self._server.handle_error = lambda *_: None
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _discovery(self) -> dict:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    def _id_token(self, nonce: str | None) -> str:
        now = int(time.time())
        claims = PERSON | {"iss": self.issuer, "aud": CLIENT, "iat": now, "auth_time": now, "exp": now + 3600}
        if nonce is not None:
            claims["nonce"] = nonce
        head = base64url(json.dumps({"alg": "RS256", "kid": "1", "typ": "JWT"}).encode())
        signed = f"{head}.{base64url(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key], check=True, capture_output=True, input=signed.encode()
        ).stdout
        return f"{signed}.{base64url(signature)}"

    def _handler(provider):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _send(self, status: int, body: dict, **headers: str) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                url = urlsplit(self.path)
                match url.path:
                    case "/.well-known/openid-configuration":
                        self._send(200, provider._discovery())
                    case "/jwks":
                        self._send(200, provider._jwks)
                    case "/userinfo":
                        self._send(200, PERSON)
                    case "/authorize":
                        query = {name: values[0] for name, values in parse_qs(url.query).items()}
                        code = secrets.token_urlsafe(24)
                        provider._nonces[code] = query.get("nonce")
                        answer = urlencode({"code": code, "state": query["state"]})
                        self._send(302, {}, Location=f"{query['redirect_uri']}?{answer}")
                    case _:
                        self._send(404, {})

            def do_POST(self):
                form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                code = parse_qs(form).get("code", [""])[0]
                if urlsplit(self.path).path != "/token" or code not in provider._nonces:
                    return self._send(400, {"error": "invalid_grant"})
                self._send(
                    200,
                    {
                        "access_token": secrets.token_urlsafe(24),
                        "token_type": "Bearer",
                        "expires_in": 3600,
                        "id_token": provider._id_token(provider._nonces.pop(code)),
                    },
                    **{"Cache-Control": "no-store"},
                )

        return Handler
