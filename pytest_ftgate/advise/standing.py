"""The rows of the ladder: what each variant gets right, how long it takes, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np

from pytest_ftgate.advise.compare import Compared
from pytest_ftgate.advise.evidence import Evidence
from pytest_ftgate.advise.money import Cost
from pytest_ftgate.advise.parts import UNJUDGED, Standing
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.gate.floor import floor
from pytest_ftgate.gate.latency import quantile
from pytest_ftgate.gate.side import side
from pytest_ftgate.plan.estimate import tokens_in
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.ladder import laddered
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.providers import UNASKED

__all__ = ["frontier", "frontier_key", "in_order", "standings"]

_HALF, _MOST = 0.5, 0.95


def in_order(evidence: Evidence) -> list[tuple[str, Variant]]:
    """Return the rungs that were measured, least effort first."""
    suite = evidence.suite
    rungs = laddered(suite.variants, suite.baseline)
    return [(rung, one) for rung, one in rungs if one.name in evidence.columns]


def standings(
    evidence: Evidence, found: Compared, costs: Mapping[str, Cost]
) -> tuple[Standing, ...]:
    """Return a row for each rung that was measured, least effort first.

    Args:
        evidence: what is known.
        found: the rungs held against each other.
        costs: by variant, as far as they are known.
    """
    rows: list[Standing] = []
    for rung, variant in in_order(evidence):
        below = rows[-1].variant if rows else None
        made = _standing(evidence, rung, variant, costs.get(variant.name))
        known = below is not None and (below, variant.name) in found.gains
        rows.append(replace(made, gain=found.of(variant.name, below) if known and below else None))
    return frontier(rows)


def _standing(evidence: Evidence, rung: str, variant: Variant, cost: Cost | None) -> Standing:
    column, name = evidence.columns[variant.name], variant.name
    replies = [reply for row in column.rows.values() for reply in row.replies]
    known = evidence.facts.get(name, {})
    economics = evidence.suite.economics
    return Standing(
        variant=name,
        rung=rung,
        n=sum(bool(row.scores) for row in column.rows.values()),
        **_rates(column),
        **_times(replies, timed=variant.provider != "classical"),
        **_tokens(variant, column, replies),
        usd_per_1k=cost.per_1k.mean if cost else None,
        usd_low=cost.per_1k.low if cost else None,
        usd_high=cost.per_1k.high if cost else None,
        unknown="" if cost else variant.tariff.unknown,
        usd_per_month=cost.a_month(economics.calls_per_day).mean if cost and economics else None,
        outcomes=_outcomes(evidence, variant),
        training_rows=evidence.training_rows.get(name),
        provider=variant.provider,
        model=known.get("model", variant.model),
    )


def _outcomes(evidence: Evidence, variant: Variant) -> dict[str, str]:
    """Return how the gates of a variant ended; what could not be asked has no verdict."""
    gates = evidence.suite.gates_of(variant) if variant.gated else ()
    mine = (v for v in evidence.verdicts if v.variant == variant.name and v.gated)
    return dict.fromkeys((gate.kind for gate in gates), UNJUDGED) | {
        verdict.gate: str(verdict.outcome) for verdict in mine
    }


def _rates(column: Column) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for kind, name in (("accuracy", "accuracy"), ("format", "form")):
        own = side(column, kind)
        if own.known.any():
            check = floor(own, least=0.0)
            told |= {name: check.after, f"{name}_low": check.low, f"{name}_high": check.high}
    return told


def _times(replies: Iterable[Reply], *, timed: bool) -> dict[str, Any]:
    """Return how long replies took; what answers at once and is not timed took no time."""
    values = np.array([1000 * reply.seconds for reply in replies if reply.seconds or not timed])
    if not values.size:
        return {}
    ends = (quantile(values, share, values.size)[0] for share in (_HALF, _MOST))
    return dict(zip(("p50_ms", "p95_ms"), ends, strict=True))


def _tokens(variant: Variant, column: Column, replies: Sequence[Reply]) -> dict[str, Any]:
    used = [sum(reply.usage.get(key, 0) for key in _USED) for reply in replies]
    told = [number for number in used if number]
    shown = [text for _, text in variant.shots]
    if variant.pool:
        each = mean(sum(tokens_in(text) for _, text in shot.turns) for shot in variant.pool)
        own = round(each * variant.similar)
    else:
        own = sum(map(tokens_in, shown))
    prompt = tokens_in(variant.system or "") + own
    read = variant.provider not in UNASKED and bool(variant.system or shown or variant.pool)
    return {
        "tokens": mean(told) if told else None,
        "prompt_tokens": prompt if read else None,
        "tokens_per_word": _per_word(variant, column),
    }


_USED = ("input", "cache_read", "cache_write", "output")


def _per_word(variant: Variant, column: Column) -> float | None:
    """Return about how many tokens the model takes for a word of what it reads, case by case.

    Measured by how the tokens grow with the words of the cases: what all calls share, such as the
    prompt and the chat template, is the same in each and falls out.
    """
    rows = [row for row in column.rows.values() if row.replies]
    read = np.array([sum(row.replies[0].usage.get(k, 0) for k in _USED[:3]) for row in rows], float)
    words = np.array([len(row.case.shown.split()) for row in rows], float)
    shared = not (variant.pool or variant.retrieve or variant.tools)
    if not shared or len(rows) < _FEWEST_ROWS or not read.all() or np.ptp(words) == 0.0:
        return None
    return float(np.polyfit(words, read, 1)[0])


_FEWEST_ROWS = 20


def frontier(rows: Sequence[Standing]) -> tuple[Standing, ...]:
    """Mark the rows that no other one beats: right at least as often, at a lower price or time."""
    key = frontier_key(rows)
    if not key:
        return tuple(rows)
    priced = [row for row in rows if row.accuracy is not None and getattr(row, key) is not None]
    best = {row.variant for row in priced if not any(_beats(o, row, key) for o in priced)}
    return tuple(replace(row, frontier=row.variant in best) for row in rows)


def frontier_key(rows: Iterable[Standing]) -> str:
    """Return what accuracy is held against: money where any is known, else time."""
    rows = list(rows)
    for key in ("usd_per_month", "usd_per_1k", "p50_ms"):
        if sum(getattr(row, key) is not None for row in rows) > 1:
            return key
    return ""


def _beats(one: Standing, other: Standing, key: str) -> bool:
    mine, its = ((row.accuracy or 0.0, -float(getattr(row, key))) for row in (one, other))
    return mine != its and mine[0] >= its[0] and mine[1] >= its[1]
