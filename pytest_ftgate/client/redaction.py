"""Redaction: no key in an error message, since servers and proxies repeat what they were sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_ftgate.errors import FtgateError

__all__ = ["hide"]

_NAMED = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
#: A token after the name of its scheme; a plain word after it is no token.
_SENT = re.compile(r"(?i)\b(bearer|basic|x-api-key:?)\s+(?=\S*\d|\S{16})[^\s\"',}]+")
#: Shorter values stand in ordinary words.
_SHORTEST = 6


def hide(error: FtgateError, environ: Mapping[str, str], named: str | None = None) -> None:
    """Take secrets out of what *error* says.

    Args:
        error: changed in place.
        environ: whose values are secret where their names say so.
        named: a variable that holds a key, whatever its name.
    """
    said = str(error)
    names = [name for name in environ if name == named or _NAMED.search(name)]
    # The longest first, since one may be part of another.
    for name in sorted(names, key=lambda name: -len(environ[name])):
        if len(environ[name]) >= _SHORTEST:
            said = said.replace(environ[name], f"[{name}]")
    said = _SENT.sub(r"\1 [hidden]", said)
    if said != str(error):
        error.args = (said, *error.args[1:])
