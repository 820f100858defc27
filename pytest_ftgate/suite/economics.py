"""From the declared money, thresholds and names to what the advice on a suite rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.declared import DeclaredSuite
from pytest_ftgate.suite.ladder import Economics, Spend, Thresholds, rung_of
from pytest_ftgate.suite.ladder_keys import DeclaredEconomics, DeclaredSpend
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document

__all__ = ["resolve_ladder"]

#: What a fine-tune takes and no other rung does, unless it is named under ``variants``.
_OF_TUNED = ("training_usd", "hosting_usd_per_month", "adapters_on_server", "retrainings_per_year")


def resolve_ladder(
    source: Source,
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


def _check_names(source: Source, document: Document, declared: DeclaredSuite) -> None:
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
