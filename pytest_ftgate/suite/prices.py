"""The price of a request: declared by the author, or from a public list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

#: The command that installs the public price list. The list works offline.
INSTALL_PRICES = 'pip install "pytest-ftgate[prices]"'

#: The kinds of input tokens of a request, as in the usage of a reply.
INPUT_KINDS = ("input", "cache_read", "cache_write")
_MILLION, _THOUSAND = Decimal(1_000_000), Decimal(1_000)
#: The price of a request in a batch, as a share of its usual price.
_BATCH_SHARE = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """The prices of a variant's requests, in USD.

    Attributes:
        per_1m_input, per_1m_output: declared prices of a million input and output tokens.
        per_1m_cached: declared price of a million input tokens from a prompt cache. None means
            the price of other input tokens.
        per_1k: declared price of a thousand requests, whatever their tokens.
        model: the name of the model in the public price list, or "" to leave the list unused.
        seller: a provider of the list, a URL, or "" for any seller of the model.
        local: the model runs on this machine, so its requests cost nothing.
    """

    per_1m_input: float | None = None
    per_1m_output: float | None = None
    per_1m_cached: float | None = None
    per_1k: float | None = None
    model: str = ""
    seller: str = ""
    local: bool = False

    @property
    def no_price_label(self) -> str:
        """The label of a request without a price: ``local`` or ``unpriced``."""
        return "local" if self.local else "unpriced"


def request_price(
    tariff: Tariff, usage: Mapping[str, int], *, batch: bool = False
) -> Decimal | None:
    """Return the price of one request in USD, or None if it is unknown.

    Declared prices take precedence over the public price list. Tokens read from or written to a
    prompt cache count as input tokens. With a declared price, they cost the same as these, except
    tokens read from a cache if ``per_1m_cached`` is declared. *usage* has the token counts, as in
    a reply. In a *batch*, declared prices are halved; the list has batch prices.
    """
    share = _BATCH_SHARE if batch else Decimal(1)
    if tariff.per_1k is not None:
        return share * _to_decimal(tariff.per_1k) / _THOUSAND
    if not usage:  # as for most recorded replies
        return None
    input_tokens = sum(usage.get(key, 0) for key in INPUT_KINDS)
    output_tokens = usage.get("output", 0)
    if not input_tokens and not output_tokens:
        return None
    if tariff.per_1m_input is None or tariff.per_1m_output is None:
        return _listed_price(tariff, usage, input_tokens, batch=batch) if tariff.model else None
    cached_tokens = usage.get("cache_read", 0) if tariff.per_1m_cached is not None else 0
    uncached = _to_decimal(tariff.per_1m_input) * (input_tokens - cached_tokens)
    output = _to_decimal(tariff.per_1m_output) * output_tokens
    cached = _to_decimal(tariff.per_1m_cached or 0.0) * cached_tokens
    return share * (uncached + output + cached) / _MILLION


def has_price(tariff: Tariff) -> bool:
    """Return True if a request with known tokens has a price under *tariff*."""
    return request_price(tariff, {"input": 1, "output": 1}) is not None


def listed_models() -> tuple[str, ...] | None:
    """Return the model names of the public price list, or None if it is not installed."""
    if not has_list():
        return None
    from genai_prices.data_snapshot import get_snapshot

    return tuple(model.id for seller in get_snapshot().providers for model in seller.models)


def is_deprecated(tariff: Tariff) -> bool:
    """Return True if the public price list says that its maker withdraws the model of *tariff*."""
    if not tariff.model or not has_list():
        return False
    from genai_prices.data_snapshot import get_snapshot

    seller = tariff.seller or None
    by_url = bool(seller) and "://" in tariff.seller
    try:
        found = get_snapshot().find_provider_model(
            tariff.model, None, None if by_url else seller, seller if by_url else None
        )
    except LookupError:
        return False
    return bool(found[1].deprecated)


def _to_decimal(rate: float) -> Decimal:
    # Through text, so that 0.1 becomes exactly a tenth.
    return Decimal(str(rate))


def _listed_price(
    tariff: Tariff, usage: Mapping[str, int], input_tokens: int, *, batch: bool
) -> Decimal | None:
    if not has_list() or _is_unlisted(tariff.model, tariff.seller):
        return None
    token_counts = {
        "input_tokens": input_tokens,
        "cache_read_tokens": usage.get("cache_read", 0),
        "cache_write_tokens": usage.get("cache_write", 0),
        "output_tokens": usage.get("output", 0),
    }
    return _look_up_price(tariff.model, tariff.seller, tuple(token_counts.items()), batch=batch)


# Cached: for each reply, Python would search all its folders again for a package that is missing.
@cache
def has_list() -> bool:
    """Return True if the public price list is installed."""
    return find_spec("genai_prices") is not None


# Cached: the list is long, and a run looks up each reply.
@cache
def _is_unlisted(model: str, seller: str) -> bool:
    return _look_up_price(model, seller, (("input_tokens", 1),), batch=False) is None


@lru_cache(maxsize=10_000)
def _look_up_price(
    model: str, seller: str, token_counts: tuple[tuple[str, int], ...], *, batch: bool
) -> Decimal | None:
    from genai_prices import Usage, calc_price

    key = "provider_api_url" if "://" in seller else "provider_id"
    options: dict[str, Any] = {key: seller} if seller else {}
    options |= {"price_context": {"processing": "batch"}} if batch else {}
    try:
        return calc_price(Usage(**dict(token_counts)), model, **options).total_price
    except LookupError:
        return None
