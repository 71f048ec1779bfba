"""A token issuer: OpenID Connect discovery, and tokens for clients that know their secret."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator

DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class Issuer:
    """`clients`: their secrets. `asked`: the forms of token requests, without secrets. `claims`: win over the usual."""

    clients: Mapping[str, str]
    lifetime: float = 3600
    basic: bool = True  # False: the client's secret is wanted in the form
    claims: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(DISCOVERY, self.describe)
        app.router.add_post("/token", self.token)
        return app

    async def describe(self, request: web.Request) -> web.Response:
        base = f"https://{request.host}"
        method = "client_secret_basic" if self.basic else "client_secret_post"
        usual = {"issuer": base, "token_endpoint": f"{base}/token", "token_endpoint_auth_methods_supported": [method]}
        return web.json_response(usual | self.described)

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        client, secret = _client(request) if self.basic else (form.get("client_id", ""), form.pop("client_secret", ""))
        self.asked.append(form)
        if not client or self.clients.get(client) != secret:
            return web.json_response({"error": "invalid_client", "error_description": "Bad client"}, status=401)
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        now = int(time.time())
        claims = {"iss": f"https://{request.host}", "sub": client, "iat": now, "exp": now + int(self.lifetime)}
        claims |= {name: form[key] for name, key in (("scope", "scope"), ("aud", "audience")) if key in form}
        text = unsigned(claims | self.claims)
        return web.json_response({"access_token": text, "token_type": "Bearer", "expires_in": int(self.lifetime)})


def unsigned(claims: Mapping[str, Any]) -> str:
    """A JSON web token whose signature is of nobody."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)] + [b"nobody"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _client(request: web.Request) -> tuple[str, str]:
    scheme, _, words = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return "", ""
    client, _, secret = base64.b64decode(words).decode().partition(":")
    return unquote(client), unquote(secret)


def serve_issuer(issuer: Issuer, pki: Path, port: int = 0) -> Simulator:
    """Not started yet; `https://localhost` with the host certificate of the test CA."""
    made = TestPki(pki)
    return Simulator(issuer.app(), tls=server_context(made.host, made.ca_dir), port=port)
