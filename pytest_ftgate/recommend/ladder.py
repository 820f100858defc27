"""The measured ladder: rows, pairwise comparisons, and the choice of a rung."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from statistics import mean
from typing import Any

import numpy as np

from pytest_ftgate.gates.checks import floor, paired
from pytest_ftgate.gates.levels import CONFIDENCE, FEWEST_GROUPS, MISS
from pytest_ftgate.gates.samples import Side, aligned, side, unchanged
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.usage import quantile
from pytest_ftgate.recommend.advice import (
    UNJUDGED,
    BreakEven,
    Challenge,
    Gain,
    Money,
    Retirement,
    Standing,
)
from pytest_ftgate.recommend.cost_model import Cost, cost_of, money
from pytest_ftgate.recommend.evidence import Evidence
from pytest_ftgate.requests.estimate import tokens_in
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.stats.paired import Pairs, holm, p_drop, p_noninferior, tango_interval
from pytest_ftgate.suite.ladder import laddered
from pytest_ftgate.suite.model import RateGate, Spend, Suite, Variant
from pytest_ftgate.suite.providers import UNASKED

__all__ = [
    "Compared",
    "Ladder",
    "best",
    "challenges",
    "compared",
    "floor_of",
    "frontier",
    "frontier_key",
    "in_order",
    "ladder_of",
    "meets",
    "standings",
    "untried",
    "usable",
]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Every pair of rungs: how much more the higher one gets right, and how sure that is.

    Attributes:
        gains: by (over, variant); of either order.
        p_worse: by the same, how easily this is seen though the variant is worse by *margin*;
            corrected as the gains are, upwards and downwards each by itself.
    """

    gains: Mapping[tuple[str, str], Gain]
    margin: float
    p_worse: Mapping[tuple[str, str], float]

    def of(self, variant: str, over: str) -> Gain:
        """Return the gain of *variant* over another."""
        return self.gains[over, variant]

    def as_good(self, variant: str, than: str) -> bool:
        """Tell whether it is ruled out that *variant* is worse by the margin."""
        return self.p_worse[than, variant] <= MISS


def compared(sides: Mapping[str, Side], margin: float) -> Compared:
    """Compare every two of *sides*, given in the order of the ladder.

    Args:
        sides: by variant.
        margin: how much less is still as good, as a share.
    """
    up = list(combinations(sides, 2))
    gains, p_worse = dict[tuple[str, str], Gain](), dict[tuple[str, str], float]()
    # Upwards it is asked whether more effort brings more, downwards whether less will do.
    for order in (up, [(high, low) for low, high in up]):
        pairs = {key: _paired(sides[key[0]], sides[key[1]]) for key in order}
        better = _corrected([_p_better(pairs[key]) for key in order])
        worse = _corrected([_p_worse(pairs[key], margin) for key in order])
        gains |= {k: _gain(k[0], pairs[k], p) for k, p in zip(order, better, strict=True)}
        p_worse |= dict(zip(order, worse, strict=True))
    return Compared(gains, margin, p_worse)


def _corrected(p_values: list[float]) -> list[float]:
    return [float(p) for p in holm(p_values)] if p_values else []


def _paired(before: Side, after: Side) -> tuple[Side, Side, Pairs | None]:
    before, after = aligned(before, after)
    known = before.known & after.known
    before, after = before.where(known), after.where(known)
    return before, after, paired(before, after) if len(after) > 1 else None


def _p_better(found: tuple[Side, Side, Pairs | None]) -> float:
    before, after, pairs = found
    if pairs is None or _few(pairs) or unchanged(before, after):
        return 1.0
    # A rung is better where the other one, taken as its successor, has dropped.
    return float(p_drop(paired(after, before)))


def _p_worse(found: tuple[Side, Side, Pairs | None], margin: float) -> float:
    before, after, pairs = found
    if pairs is None or _few(pairs) or not 0.0 < margin < 1.0:
        return 1.0
    return 0.0 if unchanged(before, after) else float(p_noninferior(pairs, margin))


def _few(pairs: Pairs) -> bool:
    return pairs.groups is not None and pairs.groups < FEWEST_GROUPS


def _gain(over: str, found: tuple[Side, Side, Pairs | None], p: float) -> Gain:
    _, after, pairs = found
    if pairs is None:
        return Gain(over=over, change=0.0, low=-1.0, high=1.0, n=len(after), p=1.0, certain=False)
    low, high = tango_interval(pairs, CONFIDENCE)
    change = pairs.after - pairs.before
    return Gain(over=over, change=change, low=low, high=high, n=len(after), p=p, certain=p <= MISS)


def challenges(
    found: Compared, challengers: Iterable[str], tuned: str | None
) -> tuple[Challenge, ...]:
    """Return whether *challengers* have become as good as the fine-tune *tuned*."""
    names: Sequence[str] = [one for one in challengers if tuned and one != tuned]
    known = [one for one in names if (tuned, one) in found.gains]
    if not known or tuned is None:
        return ()
    return tuple(_challenge(found, one, tuned) for one in known)


def _challenge(found: Compared, challenger: str, tuned: str) -> Challenge:
    gain, p = found.of(challenger, tuned), found.p_worse[tuned, challenger]
    worse = found.of(tuned, challenger).certain
    outcome = "as good" if p <= MISS else "worse" if worse else "open"
    return Challenge(
        challenger=challenger,
        tuned=tuned,
        gain=gain,
        margin=found.margin,
        p=p,
        outcome=outcome,
    )


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ladder:
    """What was measured of the rungs.

    Attributes:
        rows: least effort first.
        found: every two of them, held against each other.
        money: by volume, where a volume is declared.
        retiring: models in use that will be gone.
    """

    rows: tuple[Standing, ...]
    found: Compared
    money: Money | None
    retiring: tuple[Retirement, ...]

    def row(self, variant: str) -> Standing | None:
        """Return the row of *variant*, or None where it was not measured."""
        return next((row for row in self.rows if row.variant == variant), None)

    def break_even(self, variant: str, against: str) -> BreakEven | None:
        """Return from which volume on a fine-tune is cheaper than another rung, if known."""
        pairs = self.money.break_even if self.money else ()
        return next((p for p in pairs if (p.variant, p.against) == (variant, against)), None)


def ladder_of(evidence: Evidence) -> Ladder:
    """Return the ladder of a suite."""
    suite = evidence.suite
    rungs = in_order(evidence)
    sides = {one.name: side(evidence.columns[one.name], "accuracy") for _, one in rungs}
    marked = {name: own for name, own in sides.items() if own.known.any()}
    found = compared(marked, suite.ladder.worth)
    costs = _costs(evidence)
    rows = standings(evidence, found, costs)
    tuned = [row.variant for row in rows if row.rung == "fine-tuned"]
    unpriced = {row.variant: row.unknown for row in rows if row.unknown}
    priced = {row.variant: costs[row.variant] for row in rows if row.variant in costs}
    told = money(suite.economics, priced, tuned, unpriced) if suite.economics else None
    return Ladder(rows=rows, found=found, money=told, retiring=tuple(_retiring(evidence)))


def _costs(evidence: Evidence) -> Mapping[str, Cost]:
    suite = evidence.suite
    spends = suite.economics.spend if suite.economics else {}
    found = {
        name: cost_of(
            suite.variants[name], column, spends.get(name, Spend()), _bill(evidence, name)
        )
        for name, column in evidence.columns.items()
    }
    return {name: cost for name, cost in found.items() if cost is not None}


def _bill(evidence: Evidence, name: str) -> float:
    return evidence.bill.get(name, 0.0)


def _retiring(evidence: Evidence) -> Sequence[Retirement]:
    """Return the models that will be gone within as many days as the suite looks ahead."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, facts in evidence.facts.items():
        if facts.get("retires"):
            users.setdefault((facts.get("model", name), facts["retires"]), []).append(name)
    found = []
    for (model, when), variants in users.items():
        try:
            days = (date.fromisoformat(when[:10]) - evidence.today).days
        except ValueError:
            continue
        if days <= evidence.suite.ladder.retirement_days:
            told = tuple(variants)
            found.append(Retirement(model=model, date=when[:10], days=days, variants=told))
    return sorted(found, key=lambda one: one.days)


#: Providers whose models never run on a machine of the team's own.
_HOSTED = ("anthropic", "bedrock")


def floor_of(suite: Suite, kind: str) -> float | None:
    """Return the floor of the accuracy or the format gate, or None where there is none."""
    gate = suite.gates.get(kind)
    return gate.min if isinstance(gate, RateGate) else None


def usable(suite: Suite, row: Standing) -> bool:
    """Tell whether a rung could serve: no gate refuses it, and its form is not below the floor."""
    least = floor_of(suite, "format")
    broken = least is not None and row.form_high is not None and row.form_high < least
    away = suite.ladder.local_only and row.provider in _HOSTED
    return row.accuracy is not None and not (row.refused or broken or away)


def meets(suite: Suite, row: Standing) -> bool:
    """Tell whether a rung is shown to be right as often as the suite asks; True without a floor."""
    least = floor_of(suite, "accuracy")
    if least is None:
        return True
    end = row.outcomes.get("accuracy", UNJUDGED)
    return (row.accuracy_low or 0.0) >= least if end == UNJUDGED else end == "passed"


def best(suite: Suite, rows: Sequence[Standing], found: Compared) -> Standing | None:
    """Return the rung that climbing ends on: each step up must be worth its effort or its price."""
    standing: Standing | None = None
    for row in rows:
        if usable(suite, row) and (standing is None or _climbs(suite, row, standing, found)):
            standing = row
    return standing


def _climbs(suite: Suite, row: Standing, below: Standing, found: Compared) -> bool:
    gain = found.of(row.variant, below.variant)
    dearer = _dearer(row, below)
    if not gain.certain:
        return found.as_good(row.variant, below.variant) and dearer is not None and dearer < 0.0
    if dearer is not None and dearer <= 0.0:
        return True
    if dearer is None and row.rung == below.rung:
        return True
    return gain.change >= _worth(suite, dearer)


def _dearer(row: Standing, below: Standing) -> float | None:
    """Return how much more a rung costs, a month or else a thousand calls; None if unknown."""
    for key in ("usd_per_month", "usd_per_1k"):
        mine, its = getattr(row, key), getattr(below, key)
        if mine is not None and its is not None:
            return float(mine) - float(its)
    return None


def _worth(suite: Suite, dearer: float | None) -> float:
    money = suite.economics
    if money is None or not money.wrong_usd or dearer is None:
        return suite.ladder.worth
    return dearer / (money.wrong_usd * money.calls_per_month)


def untried(suite: Suite, rows: Sequence[Standing], at: Standing) -> Iterator[tuple[str, str]]:
    """Yield the rungs below fine-tuning that were not measured and may help, and why."""
    tried = {row.rung for row in rows}
    # A rung that has more than one thing is the highest of them: what it shows is tried as well.
    shown = any(v.shots or v.pool for v in suite.variants.values())
    if "few-shot" not in tried and not shown:
        yield "few-shot", "no variant shows examples"
    if "stronger-model" not in tried and not suite.ladder.local_only:
        yield "stronger-model", "no variant asks a stronger model"
    held = any(one.constrained or one.schema is not None for one in suite.variants.values())
    broken = 1.0 - (1.0 if at.form is None else at.form)
    if not held and broken >= suite.ladder.form_faults:
        yield (
            "structured-output",
            f"{percent(broken)} of the replies of {at.variant} break the form",
        )
    labelled = any(rule.kind == "choice" for rule in suite.reply.format)
    looked = any(one.retrieve is not None for one in suite.variants.values())
    if not (looked or labelled or suite.reply.score.kind == "tool_call"):
        yield "rag", "answers are free text, and no variant retrieves anything"
    if suite.reply.score.kind == "tool_call" and "tools" not in tried:
        yield "tools", "the suite scores calls of tools, and no variant has any"
