"""The price of a request: declared by the author, or from a public list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

__all__ = ["INSTALL", "Tariff", "listed_models", "price", "priced"]

#: How the list is had: it is an extra, and reads no network.
INSTALL = 'pip install "pytest-ftgate[prices]"'

_MILLION, _THOUSAND = Decimal(1_000_000), Decimal(1_000)
#: What a call in a batch costs, of what it costs by itself.
_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What the calls of a variant cost. Rates are in USD.

    Attributes:
        per_1m_input, per_1m_output: declared for a million tokens, read and written.
        per_1m_cached: declared for a million tokens from a cache, or None for as much as others.
        per_1k: declared for a thousand calls, whatever they read and write.
        model: what to look for in the public list; "" where it would say nothing.
        seller: whose prices: a provider of the list, an address, or "" for whoever sells it.
        local: the model runs on this machine, so that nobody sends a bill.
    """

    per_1m_input: float | None = None
    per_1m_output: float | None = None
    per_1m_cached: float | None = None
    per_1k: float | None = None
    model: str = ""
    seller: str = ""
    local: bool = False

    @property
    def unknown(self) -> str:
        """The word for a price that nobody knows."""
        return "local" if self.local else "unpriced"


def price(tariff: Tariff, usage: Mapping[str, int], *, batch: bool = False) -> Decimal | None:
    """Return what one call cost in USD, or None where nobody knows.

    Args:
        tariff: of its variant.
        usage: its tokens, as a reply tells them; what was read from or put into a cache counts as
            read, and by a declared rate in full unless one is declared for what a cache held.
        batch: it was sent in a batch, at half the price; the public list prices that by itself.
    """
    share = _HALF if batch else Decimal(1)
    if tariff.per_1k is not None:
        return share * _exact(tariff.per_1k) / _THOUSAND
    read = sum(usage.get(key, 0) for key in ("input", "cache_read", "cache_write"))
    written = usage.get("output", 0)
    if not read and not written:
        return None
    if tariff.per_1m_input is None or tariff.per_1m_output is None:
        return _listed(tariff, usage, read, batch=batch) if tariff.model else None
    cached = usage.get("cache_read", 0) if tariff.per_1m_cached is not None else 0
    cost = _exact(tariff.per_1m_input) * (read - cached) + _exact(tariff.per_1m_output) * written
    return share * (cost + _exact(tariff.per_1m_cached or 0.0) * cached) / _MILLION


def priced(tariff: Tariff) -> bool:
    """Tell whether calls of *tariff* have a price, as far as their tokens are told."""
    return price(tariff, {"input": 1, "output": 1}) is not None


def listed_models() -> tuple[str, ...] | None:
    """Return the names of the public list, or None where it is not installed."""
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    return tuple(model.id for seller in get_snapshot().providers for model in seller.models)


def _exact(rate: float) -> Decimal:
    # By way of text, so that 0.1 is a tenth.
    return Decimal(str(rate))


def _listed(tariff: Tariff, usage: Mapping[str, int], read: int, *, batch: bool) -> Decimal | None:
    counted = {
        "input_tokens": read,
        "cache_read_tokens": usage.get("cache_read", 0),
        "cache_write_tokens": usage.get("cache_write", 0),
        "output_tokens": usage.get("output", 0),
    }
    try:
        import genai_prices  # noqa: F401
    except ImportError:
        return None
    if _is_unlisted(tariff.model, tariff.seller):
        return None
    return _looked_up(tariff.model, tariff.seller, tuple(counted.items()), batch=batch)


# The list is long, and is asked for each reply.
@cache
def _is_unlisted(model: str, seller: str) -> bool:
    return _looked_up(model, seller, (("input_tokens", 1),), batch=False) is None


@lru_cache(maxsize=10_000)
def _looked_up(
    model: str, seller: str, counted: tuple[tuple[str, int], ...], *, batch: bool
) -> Decimal | None:
    from genai_prices import Usage, calc_price

    key = "provider_api_url" if "://" in seller else "provider_id"
    more: dict[str, Any] = {key: seller} if seller else {}
    more |= {"price_context": {"processing": "batch"}} if batch else {}
    try:
        return calc_price(Usage(**dict(counted)), model, **more).total_price
    except LookupError:
        return None
