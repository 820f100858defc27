"""Redaction of keys in error messages: servers and proxies repeat what they received."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_ftgate.errors import FtgateError

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
#: A token after the name of its scheme; a plain word after it is not a token.
_SCHEME_TOKEN = re.compile(r"(?i)\b(bearer|basic|x-api-key:?)\s+(?=\S*\d|\S{16})[^\s\"',}]+")
#: Shorter values may be part of ordinary words.
_MIN_LENGTH = 6


def redact(error: FtgateError, environ: Mapping[str, str], key_name: str | None = None) -> None:
    """Remove secrets from the message of *error*, in place.

    Values in *environ* are secret if their names suggest it; *key_name* names one more.
    """
    message = str(error)
    names = [name for name in environ if name == key_name or _SECRET_NAME.search(name)]
    # The longest first, since one value may be part of another.
    for name in sorted(names, key=lambda name: -len(environ[name])):
        if len(environ[name]) >= _MIN_LENGTH:
            message = message.replace(environ[name], f"[{name}]")
    message = _SCHEME_TOKEN.sub(r"\1 [hidden]", message)
    if message != str(error):
        error.args = (message, *error.args[1:])
