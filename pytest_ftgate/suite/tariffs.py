"""Which prices hold for a variant, and whether those that a cost gate needs are known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.declared import DeclaredVariant
from pytest_ftgate.suite.margins import CostGate
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.place import Place
from pytest_ftgate.suite.prices import INSTALL, Tariff, listed_models, priced
from pytest_ftgate.suite.providers import LOCAL

__all__ = ["inherited", "tariff_of", "unpriced"]

_BY_TOKENS = ("usd_per_1m_input", "usd_per_1m_output")
#: Goes with these, and with nothing else.
_CACHED = "usd_per_1m_cached"
_PRICES = (*_BY_TOKENS, "usd_per_1k", "price_model")
#: Whose prices the public list is asked for; a provider that is not here sells nothing listed.
_SELLERS = {"anthropic": "anthropic", "bedrock": "aws", "openai-compatible": "openai"}


def inherited(keys: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Return *keys* less the prices, where a variant with the keys *own* cannot take them over.

    A price belongs to a model at a place, and its keys belong together.
    """
    moved = {"provider", "model", "base_url", "base_url_env", *_PRICES, _CACHED} & set(own)
    return {key: value for key, value in keys.items() if not (moved and key in (*_PRICES, _CACHED))}


def tariff_of(place: Place, merged: DeclaredVariant) -> Tariff:
    """Return what calls of a variant cost; prices that contradict each other are noted."""
    for key, wrong in _problems(merged):
        # Those of a variant that this one is like are said there.
        if key in place.own.model_fields_set:
            place.say(key, wrong)
    by_tokens = _by_tokens(place, merged)
    return Tariff(
        per_1m_input=by_tokens[0],
        per_1m_output=by_tokens[1],
        per_1m_cached=merged.usd_per_1m_cached,
        per_1k=merged.usd_per_1k,
        local=merged.provider in LOCAL,
        **_listing(merged),
    )


def _by_tokens(place: Place, merged: DeclaredVariant) -> tuple[float | None, float | None]:
    """Return what a million tokens cost, read and written: as declared, or as a plugin knows."""
    declared = (merged.usd_per_1m_input, merged.usd_per_1m_output)
    asked = place.source.offers.price
    if asked is None or any(getattr(merged, key) is not None for key in _PRICES):
        return declared
    return asked(merged.provider or "", merged.model or "") or declared


def _listing(merged: DeclaredVariant) -> dict[str, str]:
    if merged.price_model:
        return {"model": merged.price_model}
    seller = _SELLERS.get(merged.provider or "", "")
    if merged.provider == "openai-compatible" and (merged.base_url or merged.base_url_env):
        # Many sell, and serve, models under the same names: only a known address tells the price.
        seller = merged.base_url or ""
    return {"model": merged.model or "", "seller": seller} if seller else {}


def _problems(merged: DeclaredVariant) -> Iterator[tuple[str, str]]:
    written = [key for key in _PRICES if getattr(merged, key) is not None]
    by_tokens = [key for key in written if key in _BY_TOKENS]
    ways = [*by_tokens[:1], *(key for key in written if key not in _BY_TOKENS)]
    if len(ways) > 1:
        yield ways[1], f"{' and '.join(ways)} each set the price of a call; keep one"
    elif len(by_tokens) == 1:
        (other,) = set(_BY_TOKENS) - set(by_tokens)
        yield by_tokens[0], f"{by_tokens[0]} needs {other} beside it; write 0 for what is free"
    if merged.usd_per_1m_cached is not None and not by_tokens:
        yield _CACHED, f"{_CACHED} goes with {' and '.join(_BY_TOKENS)}; add them or remove it"
    known = listed_models() if merged.price_model else None
    if known and not priced(Tariff(model=merged.price_model or "")):
        near = did_you_mean(merged.price_model or "", known)
        yield "price_model", f'price_model: no price of "{merged.price_model}" is known{near}'


def unpriced(gate: CostGate, variants: Mapping[str, Variant], baseline: str) -> str:
    """Say which variants have no price though *gate* judges by it; "" where all have one."""
    judged = {name: one for name, one in variants.items() if one.gated}
    if gate.compares and baseline in variants:
        judged[baseline] = variants[baseline]
    told = [f'"{name}" ({one.provider})' for name, one in judged.items() if not priced(one.tariff)]
    if not told:
        return ""
    rates = "declare usd_per_1k, or usd_per_1m_input and usd_per_1m_output, or price_model"
    hosted = any(one.tariff.model for one in judged.values() if not priced(one.tariff))
    install = f"; for what is hosted: {INSTALL}" if hosted and listed_models() is None else ""
    return f"no price is known of {', '.join(told)}; {rates} there{install}"
