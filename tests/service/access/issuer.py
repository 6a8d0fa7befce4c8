"""A little OIDC issuer: a real HTTP server with real keys, whose answers a test may change."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "seedbed"


class Issuer:
    """Signs tokens, and publishes its keys while it is served."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.discovery: dict[str, Any] | None = None
        self._rsa: dict[str, rsa.RSAPrivateKey] = {}
        self._ec = ec.generate_private_key(ec.SECP256R1())
        self.rotate("one")

    def rotate(self, kid: str) -> None:
        """A new RSA key; tokens signed by the ones before are not good any more."""
        self._rsa = {kid: rsa.generate_private_key(65537, 2048)}

    def public(self) -> rsa.RSAPublicKey:
        """The RSA key that is published."""
        return next(iter(self._rsa.values())).public_key()

    def answer(self, path: str) -> dict[str, Any] | None:
        """What is said at a path."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return self.discovery or {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path != "/keys":
            return None
        keys = [
            {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, key in self._rsa.items()
        ]
        curve = ECAlgorithm.to_jwk(self._ec.public_key(), as_dict=True)
        return {"keys": [*keys, {**curve, "kid": "curve", "use": "sig"}]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims but for the changes; None takes one away."""
        now = int(time.time())
        found = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": now,
            "exp": now + 300,
            "scope": "openid seedbed:submit",
        } | changes
        return {name: value for name, value in found.items() if value is not None}

    def token(self, alg: str = "RS256", kid: str | None = None, **changes: Any) -> str:
        """A token that this issuer signed."""
        [name] = self._rsa
        key: Any = self._rsa[name] if alg == "RS256" else self._ec
        headers = {"kid": kid or (name if alg == "RS256" else "curve")}
        return jwt.encode(self.claims(**changes), key, algorithm=alg, headers=headers)


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that answers until the block ends."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.answer(self.path)
            body = json.dumps(found).encode()
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
