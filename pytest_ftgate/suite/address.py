"""Where a variant is asked."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.suite.model import Variant

__all__ = ["address"]

#: Where each SDK looks for an address of its own accord.
_USUAL = {
    "anthropic": "ANTHROPIC_BASE_URL",
    "bedrock": "ANTHROPIC_BEDROCK_BASE_URL",
    "openai-compatible": "OPENAI_BASE_URL",
}


def address(variant: Variant, environ: Mapping[str, str]) -> str | None:
    """Return where the variant is asked, or None for the provider's own place.

    Credentials inside the address are cut off: it goes into fingerprints and reports.

    Raises:
        Unavailable: it is not set, or is no address.
    """
    name = variant.base_url_env
    if name is not None and not environ.get(name):
        raise Unavailable(
            f'variant "{variant.name}": {name} is not set; it holds the address to ask'
        )
    written = environ[name] if name else variant.base_url
    # The SDKs would read it too; a reply from there must not pass for one from elsewhere.
    written = written or environ.get(_USUAL.get(variant.provider, ""))
    if not written:
        return None
    try:
        parts = urlsplit(written)
    except ValueError as error:
        raise Unavailable(f'variant "{variant.name}": no address: {error}') from error
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    _check(variant, clean)
    return urlunsplit(clean)


def _check(variant: Variant, parts: SplitResult) -> None:
    if parts.scheme not in ("http", "https"):
        told = "the address does not begin with http:// or https://"
        raise Unavailable(f'variant "{variant.name}": {told}')
    if variant.provider == "anthropic" and parts.path.rstrip("/").endswith("/v1"):
        told = f"{urlunsplit(parts)}: the Messages API adds /v1 itself; remove it"
        raise Unavailable(f'variant "{variant.name}": {told}')
