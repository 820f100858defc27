"""The addresses of variants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.removed import REMOVED_LISTS

#: A variable of a shell within an address.
_VARIABLE = re.compile(r"\$\{(\w+)\}|^\$(\w+)")
#: What stands between addresses in one text.
_SEPARATED = re.compile(r"[,;\s]+(?=https?://)")
NO_SCHEME = "the address does not begin with http:// or https://"


def address_error(url: str | None) -> str:
    """Return why a ``base_url`` cannot be used, and what to write instead; "" if it can."""
    if not url:
        return ""
    if variable := _VARIABLE.search(url):
        name = variable[1] or variable[2]
        return (
            f"variables are not read here; write base_url_env: {name}, with the address in {name}"
        )
    if not url.lower().startswith(("http://", "https://")):
        return f"{NO_SCHEME}; write http://{url}"
    return broken_address(url)


def broken_address(url: str) -> str:
    """Return why *url* cannot be read as an address; "" if it can."""
    if _SEPARATED.search(url):
        # It may stand in the environment, with a password in it, and is not shown.
        return f"one text is one address; {REMOVED_LISTS['base_url']}"
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        return f"no address: {error}; write it as http://localhost:8080/v1"
    return ""


def resolve_base_url(variant: Variant, environ: Mapping[str, str]) -> str | None:
    """Return the base URL of the variant; None for the provider's default.

    It is part of fingerprints and reports, so credentials, query and fragment are removed.

    Raises:
        ConfigurationError: the variable of ``base_url_env`` is not set, or the URL is not valid.
    """
    name = variant.base_url_env
    if name is not None and not environ.get(name):
        raise ConfigurationError(f"{name} is not set; set it to the address of the server")
    url = environ[name] if name else variant.base_url
    # The SDKs read their own variable too, so it must be part of the fingerprint.
    url = url or environ.get(provider_spec(variant.provider).base_url_variable)
    if not url:
        return None
    if broken := broken_address(url):
        raise ConfigurationError(f"{name}: {broken}" if name else broken)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(NO_SCHEME)
    parts = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    url = urlunsplit(parts)
    if provider_spec(variant.provider).adds_v1 and parts.path.rstrip("/").endswith("/v1"):
        own = None if variant.base_url else provider_spec(variant.provider).base_url_variable
        message = f"{name or own or url}: the Messages API adds /v1 itself; remove it"
        raise ConfigurationError(message)
    return url
