"""The base of a fine-tuned variant: a model at the same address, elsewhere, or another variant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_ftgate.suite.addresses import address_error
from pytest_ftgate.suite.declaration import DeclaredBase, DeclaredVariant
from pytest_ftgate.suite.draft import SuiteDraft
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.providers import extra_errors, misplaced_keys, provider_spec

_ADDRESS = ("base_url", "base_url_env")
#: Fields that say which model answers, and where.
_WEIGHTS = ("model", *_ADDRESS, "extra", "adapter", "scale")
#: What a variant lends to those that name it as their base.
_LENT = (*_WEIGHTS, "api_key_env", "api_version", "served_model", "runtime", "options", "tariff")


def base_errors(
    merged: DeclaredVariant, name: str, variant_names: Collection[str]
) -> Iterator[str]:
    """Yield the errors in the ``base`` of the variant *name*, whose keys are *merged*.

    *variant_names* are those of the suite. `with_named_bases` checks a base that is a variant.
    """
    base, is_served = merged.base, provider_spec(merged.provider).adapter == "served"
    if isinstance(base, DeclaredBase):
        yield from _mapping_errors(merged, base)
    elif base is not None and (base == name or base not in variant_names):
        if base == merged.model and (merged.adapter is None or is_served):
            yield f'base "{base}" is the model itself; name the tuned model'
        if merged.adapter is not None and base != merged.model and not is_served:
            yield "base: with an adapter the base is the model without it; remove base"


def _mapping_errors(merged: DeclaredVariant, base: DeclaredBase) -> Iterator[str]:
    written = _written(base)
    provider = merged.provider or ""
    for _, message in misplaced_keys(provider, written):
        yield f"base: {message}"
    for message in extra_errors(written.get("extra", {}), provider):
        yield f"base: {message}"
    if error := address_error(base.base_url):
        yield f"base: {error}"
    is_other = written.keys() & {*_ADDRESS, "extra"} or base.model not in (None, merged.model)
    if not is_other and merged.adapter is None:
        yield "base: it is the model itself; give it a model, an address or extra of its own"


def _written(base: DeclaredBase) -> dict[str, Any]:
    return base.model_dump(exclude_unset=True, exclude_none=True)


def resolve_base(merged: DeclaredVariant) -> dict[str, Any]:
    """Return the base as fields of `Variant`; one that is a variant is resolved with all others."""
    base = merged.base
    if not isinstance(base, DeclaredBase):
        return {"base": base}
    fields = _written(base)
    model = fields.pop("model", merged.model or "")
    if fields.keys() & {*_ADDRESS}:
        # The key of the variant's server must not go to another address.
        fields = dict.fromkeys((*_ADDRESS, "api_key_env")) | fields
    return {"base": model, "base_fields": fields}


def with_named_bases(suite: SuiteDraft, variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Return *variants*; where a base is the name of a variant, it is that variant's model."""
    return {name: _with_named_base(suite, variant, variants) for name, variant in variants.items()}


def _with_named_base(
    suite: SuiteDraft, variant: Variant, variants: Mapping[str, Variant]
) -> Variant:
    name = variant.base
    if any(name == one.declared_name != one.name for one in variants.values()):
        _add_base_error(suite, variant, f"variant {name} is several checkpoints; name one model")
    named = variants.get(name or "")
    if named is None or named is variant or variant.base_fields:
        return variant
    message = ""
    if named.provider != variant.provider:
        message = (
            f"variant {name} has provider {named.provider}; a base has the provider of its "
            f"variant: {variant.provider}"
        )
    elif all(getattr(named, field) == getattr(variant, field) for field in _WEIGHTS):
        message = f"variant {name} has the same model at the same address; name the untuned one"
    if message:
        _add_base_error(suite, variant, message)
    fields = {field: getattr(named, field) for field in _LENT}
    return replace(variant, base=named.model, base_fields=fields)


def _add_base_error(suite: SuiteDraft, variant: Variant, message: str) -> None:
    name = variant.declared_name
    suite.source.add_error_at(("variants", name, "base"), f'variant "{name}": base: {message}')
