"""Redaction of keys: servers and proxies repeat what they received, in errors and in replies."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import SHORTEST_SECRET, Request, without_path
from pytest_ftgate.suite.providers import provider_spec

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
#: A token after the name of its scheme; a plain word after it is not a token.
_SCHEME_TOKEN = re.compile(r"(?i)\b(bearer|basic|x-api-key:?)\s+(?=\S*\d|\S{16})[^\s\"',}]+")


def redact(error: FtgateError, environ: Mapping[str, str], request: Request) -> None:
    """Remove secrets from the message of *error* about *request*, in place."""
    message = redact_message(str(error), environ, request)
    if message != str(error):
        error.args = (message, *error.args[1:])


def redact_message(text: str, environ: Mapping[str, str], request: Request) -> str:
    """Return *text* about *request* without secrets, its own key and the path of its address."""
    return redact_text(without_path(text, request), environ, *request.key_names)


def redact_text(text: str, environ: Mapping[str, str], *key_names: str | None) -> str:
    """Return *text* without secrets: values in *environ* whose names suggest it, and tokens.

    *key_names* name more variables whose values are secret.
    """
    names = [name for name in environ if name in key_names or _SECRET_NAME.search(name)]
    return _SCHEME_TOKEN.sub(r"\1 [hidden]", _without_values(text, names, environ))


def redact_reply(reply: Reply, request: Request, environ: Mapping[str, str]) -> Reply:
    """Return *reply* without the keys that *request* was sent with.

    Other secrets of *environ* were not sent, so a server cannot repeat them.
    """
    prefixes = provider_spec(request.provider).sdk_variables
    names = [
        name
        for name in environ
        if name in request.key_names or (name.startswith(prefixes) and _SECRET_NAME.search(name))
    ]
    values = [environ[name] for name in names if len(environ[name]) >= SHORTEST_SECRET]
    if not values:
        return reply
    text = reply.to_json()
    clean = _without_values(text, names, environ)
    return reply if clean == text else Reply.from_json(clean)


def _without_values(text: str, names: Iterable[str], environ: Mapping[str, str]) -> str:
    """Return *text* with the name of each variable in place of its value, however encoded."""
    # The longest first, since one value may be part of another.
    for name in sorted(names, key=lambda name: -len(environ[name])):
        for form in _forms(environ[name]):
            if form in text:
                text = text.replace(form, f"[{name}]")
    return text


@lru_cache(maxsize=256)
def _forms(value: str) -> tuple[str, ...]:
    """Return how *value* may stand in a text: as it is, reversed, or in a usual encoding."""
    if len(value) < SHORTEST_SECRET:
        return ()
    raw = value.encode("utf-8", "surrogateescape")
    encoded = [raw.hex(), raw.hex().upper(), quote(value, safe="", errors="replace")]
    for padding in range(3):
        # Within a longer text, a value may begin at each of three places of a group. The characters
        # that it shares with its neighbours are left out.
        middle = b64encode(bytes(padding) + raw).decode().rstrip("=")
        middle = middle[(padding * 4 + 2) // 3 : len(raw + bytes(padding)) * 4 // 3]
        encoded += [middle, middle.translate(_URL_SAFE)]
    forms = [value, value[::-1], json.dumps(value)[1:-1], json.dumps(value[::-1])[1:-1], *encoded]
    return tuple(sorted({form for form in forms if len(form) >= SHORTEST_SECRET}, key=len)[::-1])


_URL_SAFE = str.maketrans("+/", "-_")
