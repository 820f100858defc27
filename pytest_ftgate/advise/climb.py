"""Which rung is worth standing on, and which lower ones were never tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.advise.compare import Compared
from pytest_ftgate.advise.parts import UNJUDGED, Standing
from pytest_ftgate.gate.words import percent
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite

__all__ = ["best", "floor_of", "meets", "untried", "usable"]

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
