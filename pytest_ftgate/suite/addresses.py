"""The addresses of variants: one server, or several servers of one model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.suite.draft import SuiteDraft
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.providers import provider_spec

#: A variable of a shell within an address.
_VARIABLE = re.compile(r"\$\{(\w+)\}|^\$(\w+)")
#: What stands between addresses in one text.
_SEPARATED = re.compile(r"[,;\s]+(?=https?://)")
NO_SCHEME = "the address does not begin with http:// or https://"
#: The further servers of a model beside the first one.
MORE_URLS = "more_urls"


def address_fields(written: str | Sequence[str] | None) -> dict[str, Any]:
    """Return the addresses in a ``base_url``, one or several, as fields of `Variant`."""
    urls = [written] if isinstance(written, str) else [*(written or ())]
    return {"base_url": urls[0] if urls else None, MORE_URLS: tuple(urls[1:])}


def address_errors(written: str | Sequence[str] | None, provider: str) -> Iterator[str]:
    """Yield why a ``base_url`` of *provider* cannot be used, and what to write instead."""
    if written is None or isinstance(written, str):
        urls = [written] if written else []
    else:
        urls = [*written]
        if not urls:
            yield "base_url is an empty list; name an address, or remove the key"
        elif len(urls) > 1 and not provider_spec(provider).any_server:
            yield f"provider {provider} has one address; several are for openai-compatible"
    yield from filter(None, map(_address_error, urls))
    urls = [url.rstrip("/") for url in urls]
    if twice := next((url for url in urls if urls.count(url) > 1), ""):
        yield f"base_url names {twice} twice; name each server once"


def _address_error(url: str) -> str:
    """Return why *url* is no address, and what to write instead; "" if it is one."""
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
        return "one text is one address; write several as base_url: [ADDRESS, ADDRESS]"
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        return f"no address: {error}; write it as http://localhost:8080/v1"
    return ""


def check_shared_servers(suite: SuiteDraft, variants: Sequence[Variant]) -> None:
    """Add an error where two variants share some of their servers.

    Servers get the requests to one model at a time, all servers of a variant together.
    """
    for one, other in permutations(variants, 2):
        shared = {*one.more_urls} & {other.base_url or "", *other.more_urls}
        if shared and one.base_url != other.base_url:
            suite.source.add_error_at(
                ("variants", one.name, "base_url"),
                f'variant "{one.name}": base_url: variant {other.name} has {min(shared)} too; let '
                "both lists begin with the same address, or have none in common",
            )


def resolve_base_urls(variant: Variant, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the base URLs of the variant, of one model; () for the provider's default.

    The URLs are part of fingerprints and reports, so credentials, query and fragment are removed.

    Raises:
        ConfigurationError: the variable of ``base_url_env`` is not set, or the URL is not valid.
    """
    name = variant.base_url_env
    if name is not None and not environ.get(name):
        raise ConfigurationError(f"{name} is not set; set it to the address of the server")
    url = environ[name] if name else variant.base_url
    # The SDKs read their own variable too, so it must be part of the fingerprint.
    url = url or environ.get(provider_spec(variant.provider).base_url_variable)
    more = () if name else variant.more_urls
    return tuple(_usable_url(variant, one) for one in (url, *more)) if url else ()


def _usable_url(variant: Variant, url: str) -> str:
    name = variant.base_url_env
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
