"""The ladder: the rung of each variant, its prices, and the economics that the advice rests on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.readers.yaml import Document
from pytest_ftgate.suite.declaration import (
    DeclaredEconomics,
    DeclaredSpend,
    DeclaredSuite,
    DeclaredVariant,
)
from pytest_ftgate.suite.location import Place
from pytest_ftgate.suite.model import CostGate, Economics, Spend, Thresholds, Variant
from pytest_ftgate.suite.plugins import SuiteSource
from pytest_ftgate.suite.prices import INSTALL, Tariff, listed_models, price, priced
from pytest_ftgate.suite.providers import LOCAL

__all__ = ["RUNGS", "inherited", "laddered", "resolve_ladder", "rung_of", "tariff_of", "unpriced"]

#: The rungs in the order of their effort, least first.
RUNGS = (
    *("no-model", "smaller-model", "prompt", "few-shot", "stronger-model"),
    *("structured-output", "rag", "tools", "fine-tuned"),
)
#: Tokens that two prices are compared by.
_A_CALL = {"input": 500, "output": 50}


def rung_of(variant: Variant, baseline: Variant) -> str:
    """Return the rung that *variant* stands on: what it declares, or the highest that it uses."""
    signs = {
        "fine-tuned": variant.tuned,
        "tools": bool(variant.tools),
        "rag": variant.retrieve is not None,
        "structured-output": variant.constrained or variant.schema is not None,
        "no-model": variant.provider == "classical",
    }
    found = next((rung for rung, shows in signs.items() if shows), "")
    return variant.rung or found or _by_model(variant, baseline)


def _by_model(variant: Variant, baseline: Variant) -> str:
    if variant.model != baseline.model:
        mine, its = (price(one.tariff, _A_CALL) for one in (variant, baseline))
        cheaper = mine is not None and its is not None and mine < its
        return "smaller-model" if cheaper else "stronger-model"
    return "few-shot" if variant.shots or variant.pool else "prompt"


def laddered(variants: Mapping[str, Variant], baseline: str) -> list[tuple[str, Variant]]:
    """Return the variants with their rungs, by their effort, then in the order of the file."""
    found = [(rung_of(one, variants[baseline]), one) for one in variants.values()]
    return sorted(found, key=lambda one: RUNGS.index(one[0]))


#: What a fine-tune takes and no other rung does, unless it is named under ``variants``.
_OF_TUNED = ("training_usd", "hosting_usd_per_month", "adapters_on_server", "retrainings_per_year")


def resolve_ladder(
    source: SuiteSource,
    document: Document,
    declared: DeclaredSuite,
    variants: Mapping[str, Variant],
    baseline: str,
) -> dict[str, Any]:
    """Return the fields of the suite that its ladder rests on; what is wrong goes to *source*."""
    _check_names(source, document, declared)
    own = declared.economics
    rungs = {
        name: rung_of(one, variants[baseline])
        for name, one in variants.items()
        if baseline in variants
    }
    return {
        "serves": declared.serves or "",
        "challengers": tuple(dict.fromkeys(declared.challengers)),
        "economics": _economics(own, rungs) if own else None,
        "ladder": Thresholds(**declared.ladder.model_dump(exclude_none=True)),
    }


def _economics(own: DeclaredEconomics, rungs: Mapping[str, str]) -> Economics:
    return Economics(
        calls_per_day=own.calls_per_day,
        wrong_usd=own.wrong_usd,
        spend={name: _spend(own, name, rung) for name, rung in rungs.items()},
    )


def _spend(own: DeclaredEconomics, name: str, rung: str) -> Spend:
    """Lay what is declared for one variant over what is declared for all that it holds for."""
    known = {one.name for one in fields(Spend)} - set(() if rung == "fine-tuned" else _OF_TUNED)
    all_ = {key: getattr(own, key) for key in known}
    mine = own.variants.get(name, DeclaredSpend()).model_dump()
    told = {**all_, **{key: value for key, value in mine.items() if value is not None}}
    return Spend(**{key: value for key, value in told.items() if value is not None})


def _check_names(source: SuiteSource, document: Document, declared: DeclaredSuite) -> None:
    spent = declared.economics.variants if declared.economics else {}
    named = [
        *((("serves",), declared.serves) for _ in range(declared.serves is not None)),
        *((("challengers", i), one) for i, one in enumerate(declared.challengers)),
        *((("economics", "variants", one), one) for one in spent),
    ]
    for where, name in named:
        if name not in declared.variants:
            near = did_you_mean(str(name), declared.variants)
            key = ".".join(map(str, where[:1]))
            source.say(document.line(where), f'{key}: "{name}" is no variant{near}')


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
    asked = place.source.plugins.price
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
