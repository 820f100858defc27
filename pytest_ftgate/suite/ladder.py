"""The ladder of approaches: each variant's rung and prices, and the economics behind the advice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, get_args
from urllib.parse import urlsplit

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.readers.yaml import KeyPath
from pytest_ftgate.suite.declaration import DeclaredVariant, Economics, Rung, Spend
from pytest_ftgate.suite.draft import SuiteDraft, VariantLocation
from pytest_ftgate.suite.gate_kinds import CostGate
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.prices import (
    INSTALL_PRICES,
    Tariff,
    has_price,
    listed_models,
    request_price,
)
from pytest_ftgate.suite.providers import provider_spec, states_cost

#: The rungs from least to most effort, least first.
RUNGS: tuple[str, ...] = get_args(Rung)
#: The token counts of a typical request, for the comparison of two prices.
_TYPICAL_USAGE = {"input": 500, "output": 50}


def rung_of(variant: Variant, baseline: Variant) -> str:
    """Return the rung of *variant*: the declared one, or else the highest one that it uses."""
    uses_rung = {
        "fine-tuned": variant.tuned,
        "tools": bool(variant.tools),
        "rag": variant.retrieve is not None,
        "structured-output": variant.constrained or variant.schema is not None,
        "no-model": provider_spec(variant.provider).classifier,
    }
    highest = next((rung for rung, used in uses_rung.items() if used), "")
    return variant.rung or highest or _model_or_prompt_rung(variant, baseline)


def _model_or_prompt_rung(variant: Variant, baseline: Variant) -> str:
    if variant.model != baseline.model:
        price = request_price(variant.tariff, _TYPICAL_USAGE)
        baseline_price = request_price(baseline.tariff, _TYPICAL_USAGE)
        is_cheaper = price is not None and baseline_price is not None and price < baseline_price
        return "smaller-model" if is_cheaper else "stronger-model"
    return "few-shot" if variant.shots or variant.shot_pool else "prompt"


def variants_by_rung(variants: Mapping[str, Variant], baseline: str) -> list[tuple[str, Variant]]:
    """Return (rung, variant) pairs in the order of effort, then of the suite file."""
    pairs = [(rung_of(variant, variants[baseline]), variant) for variant in variants.values()]
    return sorted(pairs, key=lambda pair: RUNGS.index(pair[0]))


#: Costs that only a fine-tuned variant has, unless declared for a variant by its name.
_FINE_TUNED_ONLY = {
    *("training_usd", "hosting_usd_per_month", "adapters_on_server", "retrainings_per_year")
}


def resolve_ladder(
    suite: SuiteDraft, variants: Mapping[str, Variant], baseline: str
) -> dict[str, Any]:
    """Return the fields of `Suite` that belong to the ladder; *baseline* is a variant's name."""
    _check_variant_names(suite)
    declared, economics = suite.declared, suite.declared.economics
    current = variants.get(baseline)
    spend = {
        name: _resolve_spend(economics, variant.declared_name, rung_of(variant, current))
        for name, variant in variants.items()
        if economics and current
    }
    return {
        "serves": _representative(variants, declared.serves or ""),
        "challengers": tuple(
            dict.fromkeys(_representative(variants, name) for name in declared.challengers)
        ),
        "economics": economics and economics.model_copy(update={"variants": spend}),
        "local_only": declared.ladder.local_only,
    }


def _representative(variants: Mapping[str, Variant], name: str) -> str:
    """Return the variant that stands for *name*: the last checkpoint, where it is several."""
    found = [one.name for one in variants.values() if one.declared_name == name and one.decides]
    return found[-1] if found and name not in variants else name


def _resolve_spend(declared: Economics, name: str, rung: str) -> Spend:
    """Return the costs of one variant. Its own keys override those declared for all variants."""
    keys = Spend.model_fields.keys() - (() if rung == "fine-tuned" else _FINE_TUNED_ONLY)
    for_all = declared.model_dump(include=keys, exclude_unset=True)
    for_variant = declared.variants.get(name, Spend())
    return Spend(**for_all | for_variant.model_dump(exclude_unset=True, exclude_none=True))


def _check_variant_names(suite: SuiteDraft) -> None:
    """Add an error for each unknown variant in ``serves``, ``challengers`` and ``economics``."""
    declared = suite.declared
    spend = declared.economics.variants if declared.economics else {}
    references: list[tuple[KeyPath, str]] = [
        *((("challengers", index), name) for index, name in enumerate(declared.challengers)),
        *((("economics", "variants", name), name) for name in spend),
    ]
    if declared.serves is not None:
        references.append((("serves",), declared.serves))
    written = suite.source.written("variants")
    for key_path, name in references if written else ():
        if name not in written:
            hint = did_you_mean(name, declared.variants)
            suite.source.add_error_at(key_path, f'{key_path[0]}: "{name}" is no variant{hint}')


_TOKEN_PRICES = ("usd_per_1m_input", "usd_per_1m_output")
#: Valid only together with the token prices.
_CACHED_PRICE = "usd_per_1m_cached"
_PRICES = (*_TOKEN_PRICES, "usd_per_1k", "price_model")
#: All keys of prices.
PRICE_KEYS = (*_PRICES, _CACHED_PRICE)


def resolve_tariff(location: VariantLocation, merged: DeclaredVariant) -> Tariff:
    """Return the prices of a variant's requests. Contradicting prices are added as errors.

    *merged* has the keys of the variant, with the inherited ones.
    """
    for key, message in _price_errors(merged):
        # An inherited key is reported at the variant that declares it.
        if key in location.declared.model_fields_set:
            location.add_error(key, message)
    input_price, output_price = _token_prices(location, merged)
    return Tariff(
        per_1m_input=input_price,
        per_1m_output=output_price,
        per_1m_cached=merged.usd_per_1m_cached,
        per_1k=merged.usd_per_1k,
        local=provider_spec(merged.provider).local,
        **_listing(merged),
    )


def _token_prices(
    location: VariantLocation, merged: DeclaredVariant
) -> tuple[float | None, float | None]:
    """Return the prices of a million input and output tokens: as declared, or from a plugin."""
    declared = (merged.usd_per_1m_input, merged.usd_per_1m_output)
    plugin_price = location.source.plugins.price
    if plugin_price is None or any(getattr(merged, key) is not None for key in _PRICES):
        return declared
    return plugin_price(merged.provider or "", merged.model or "") or declared


def _listing(merged: DeclaredVariant) -> dict[str, str]:
    """Return the model and the seller to look up in the public list, as fields of `Tariff`."""
    if merged.price_model:
        return {"model": merged.price_model}
    spec = provider_spec(merged.provider)
    seller = spec.seller
    if spec.any_server and (merged.base_url or merged.base_url_env):
        # Many servers offer models of the same name. Only a known URL identifies the seller.
        url = merged.base_url or ""
        seller = "" if _is_own(url) else url
    return {"model": merged.model or "", "seller": seller} if seller else {}


def _is_own(url: str) -> bool:
    """Return True for an address of this machine or of a private network, which no list has."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_private
    except ValueError:
        return False


def _price_errors(merged: DeclaredVariant) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each error in the prices of a variant."""
    written = [key for key in _PRICES if getattr(merged, key) is not None]
    token_keys = [key for key in written if key in _TOKEN_PRICES]
    rival_keys = [*token_keys[:1], *(key for key in written if key not in _TOKEN_PRICES)]
    if len(rival_keys) > 1:
        yield rival_keys[1], f"{' and '.join(rival_keys)} each set the price of a request; keep one"
    elif len(token_keys) == 1:
        (key,) = token_keys
        (missing_key,) = set(_TOKEN_PRICES) - {key}
        yield key, f"{key} needs {missing_key} beside it; write 0 for what is free"
    if merged.usd_per_1m_cached is not None and not token_keys:
        needed = " and ".join(_TOKEN_PRICES)
        yield _CACHED_PRICE, f"{_CACHED_PRICE} goes with {needed}; add them or remove it"
    known = listed_models() if merged.price_model else None
    if known and not has_price(Tariff(model=merged.price_model or "")):
        hint = did_you_mean(merged.price_model or "", known)
        yield "price_model", f'price_model: no price of "{merged.price_model}" is known{hint}'


def unpriced_error(gate: CostGate, variants: Mapping[str, Variant], baseline: str) -> str:
    """Return an error that names the variants without the price that *gate* needs, or ""."""
    if not gate.reads_prices:
        # Replies may state what they cost.
        return ""
    needed = {name: variant for name, variant in variants.items() if variant.gated}
    if gate.max_rise is not None and baseline in variants:
        needed[baseline] = variants[baseline]
    unpriced = [
        variant
        for variant in needed.values()
        if not (has_price(variant.tariff) or states_cost(variant.provider))
    ]
    if not unpriced:
        return ""
    names = ", ".join(f'"{variant.name}" ({variant.provider})' for variant in unpriced)
    remedy = "declare usd_per_1k, or usd_per_1m_input and usd_per_1m_output, or price_model"
    may_be_listed = any(variant.tariff.model for variant in unpriced) and listed_models() is None
    install = f"; for what is hosted: {INSTALL_PRICES}" if may_be_listed else ""
    return f"no price is known of {names}; {remedy} there{install}"
