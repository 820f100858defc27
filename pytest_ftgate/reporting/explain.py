"""A verdict explained in plain sentences with its own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pytest_ftgate.gates.units import amount, percent, points, rise, size
from pytest_ftgate.gates.verdict import Check, Outcome, Verdict
from pytest_ftgate.stats.power import pass_probability, point_rule_miss
from pytest_ftgate.stats.proportions import binomial_sf

__all__ = ["explain", "likely", "odds"]

_SLACK = 1e-9
_END = {
    Outcome.PASSED: "so this check passed.",
    Outcome.FAILED: "so it failed.",
    Outcome.INCONCLUSIVE: "so neither can be said, and it is inconclusive.",
}


def odds(p: float) -> str:
    """Say how often something with the chance *p* happens."""
    if p < 1e-6:  # noqa: PLR2004 - beyond this nobody reads the zeros
        return "less than once in a million runs"
    if p > 0.1:  # noqa: PLR2004 - a share is easier to grasp than "once in 3"
        return f"in {percent(p)} of runs"
    return f"about once in {round(1 / p):,} runs"


def explain(verdict: Verdict) -> Iterator[str]:
    """Yield the rule of the check that decided, in sentences with this gate's numbers."""
    check = verdict.check
    if check is None and verdict.gate in ("cost", "latency"):
        yield f"No limit was held: {verdict.headline}."
    elif check is None:
        yield "There was nothing to compare with, and no floor was declared."
    elif check.against == "must_pass":
        yield "A case marked must_pass fails the gate when most of its replies are wrong."
    elif check.unit != "share":
        yield from _spent(check)
    elif check.method == "point":
        yield f"It is held to what was seen, without a margin for chance: {check.note}."
    elif check.method == "bootstrap":
        yield from _bounds(check)
    elif check.method == "labels":
        yield from _labelled(check)
    elif check.p_pass is None or check.p_fail is None:
        yield from _floor(check)
    else:
        yield (
            f"The same {check.n} cases were put to both sides: {verdict.lost} were lost and "
            f"{verdict.gained} gained, a change of "
            f"{points(check.after - (check.before or 0))} points."
        )
        yield from _drop(check, check.p_pass, check.p_fail)
    yield from _lost(verdict)


def _labelled(check: Check) -> Iterator[str]:
    """Say how grades were corrected by what people said of the same replies."""
    yield (
        f"A judge graded all {check.n} cases, and people a part of them: {check.note}. Its mean is "
        "taken less its mean error on that part (two-phase estimate, Student's t)."
    )
    low, high = (
        (points if check.before is not None else percent)(one or 0)
        for one in (check.low, check.high)
    )
    what = "change" if check.before is not None else "rate"
    yield f"With 95 % confidence the true {what} is {low} to {high}; {_ending(check)}"


def _lost(verdict: Verdict) -> Iterator[str]:
    if verdict.breaks:
        yield (
            f"But {', '.join(verdict.breaks)} must be kept, and the base has it right and "
            f"{verdict.variant} wrong."
        )
    lost = [f"{s.kind} {s.name}" for s in verdict.slices if s.judged and s.state == "lost"]
    check = verdict.check
    if lost and check and check.outcome is not Outcome.FAILED:
        yield (
            f"But {', '.join(lost)} really dropped (Holm over {_tested(verdict)} parts), and a "
            "lost part fails the gate whatever the average says."
        )


def _tested(verdict: Verdict) -> int:
    return sum(one.judged for one in verdict.slices)


def _drop(check: Check, p_pass: float, p_fail: float) -> Iterator[str]:
    yield (
        f"It passes if a true drop of {size(check.limit)} points would look this good or better "
        f"at most {odds(check.miss)}; it would {odds(p_pass)}."
    )
    yield (
        f"It fails if an unchanged variant would look this bad or worse at most "
        f"{odds(check.alarm)}{_corrected(check)}; it would {odds(p_fail)}, {_ending(check)}"
    )
    yield from _plain(check)


def _corrected(check: Check) -> str:
    """Say over how many checks the alarm level was corrected."""
    return f" (0.01 shared by the suite's {check.shared} drop checks)" if check.shared > 1 else ""


def _ending(check: Check) -> str:
    if not check.informative:
        return "but a drop from so low a rate could not be seen, so this comparison says nothing."
    if check.missing and check.outcome is Outcome.INCONCLUSIVE:
        return "but replies are missing that could turn it, so it is inconclusive."
    return _END[check.outcome]


def _plain(check: Check) -> Iterator[str]:
    """Compare with what a plain threshold would have missed, at this very size."""
    n, discordance = check.effective, max(check.discordance or 0.0, check.limit)
    miss = point_rule_miss(n, discordance, check.limit)
    unchanged = pass_probability(n, discordance, 0.0, check.limit, check.miss)
    yield (
        f"With {check.n} cases a plain threshold would miss a true drop of "
        f"{size(check.limit)} points {percent(miss)} of the time; this gate does "
        f"at most {check.miss * 100:.2g} % of it, and passes an unchanged variant "
        f"{percent(unchanged)} of it."
    )


def _floor(check: Check) -> Iterator[str]:
    right, floor = round(check.after * check.effective), percent(check.limit)
    worth = "" if round(check.effective) == check.n else f", worth {check.effective:.0f} of them"
    reached = float(binomial_sf(right - 1.0, round(check.effective), check.limit))
    short = 1.0 - float(binomial_sf(right, round(check.effective), check.limit))
    yield f"{percent(check.after)} of {check.n} cases are right{worth}."
    yield (
        f"It passes if a true rate just under {floor} would reach this at most "
        f"{odds(check.miss)}; it would {odds(reached)}."
    )
    yield (
        f"It fails if a true rate of {floor} would fall this low at most "
        f"{odds(check.alarm)}; it would {odds(short)}, {_ending(check)}"
    )
    under = check.limit - 0.02
    wanted = ceil(check.limit * check.effective - _SLACK)
    if under > 0:
        missed = float(binomial_sf(wanted - 1.0, round(check.effective), under))
        yield (
            f"With {check.n} cases a plain threshold would pass a variant that is truly at "
            f"{percent(under)} {percent(missed)} of the time; this gate does at most "
            f"{check.miss * 100:.2g} % of it."
        )


def likely(check: Check) -> str:
    """Say between which bounds the truth lies, as far as replies can tell."""
    if check.low is None and check.high is None:
        return "nothing bounds the true figure"
    compared = check.before is not None
    low, high = (
        None if one is None else (rise(one) if compared else amount(one, check.unit))
        for one in (check.low, check.high)
    )
    what = "rise" if compared else ("price" if check.unit == "usd" else "figure")
    if low == high:
        return f"the {what} is {low}"
    span = f"{low} to {high}" if low and high else (f"{low} or more" if low else f"{high} or less")
    return f"with 95 % confidence the true {what} is {span}"


def _sentence(told: str) -> str:
    return told[:1].upper() + told[1:]


def _spent(check: Check) -> Iterator[str]:
    limit = amount(check.limit, check.unit) if check.before is None else rise(check.limit)
    if check.low is not None and check.low == check.high:
        yield f"{_sentence(likely(check))}, and {limit} is allowed; {_ending(check)}"
        return
    by = "order statistics" if check.method == "order" else "Student's t over the cases"
    if check.before is not None and check.method == "order":
        by += " of each case's own rise"
    yield f"{_sentence(likely(check))} ({by}, {check.effective:.0f} unrelated cases)."
    yield (
        f"It passes if all of that is within {limit}, and fails if none of it is; {_ending(check)}"
    )


def _bounds(check: Check) -> Iterator[str]:
    compared = check.before is not None
    low, high = ((points if compared else percent)(one or 0) for one in (check.low, check.high))
    unit, what = (" points", "changes") if compared else ("", "rates")
    yield (
        f"The {check.n} cases were drawn anew 10,000 times (paired bootstrap): 95 % of the "
        f"{what} lie between {low} and {high}{unit}."
    )
    least = f"{points(-check.limit)} points" if compared else percent(check.limit)
    zero = "0" if compared else least
    yield (
        f"It passes if the lower bound at {1 - check.miss:.0%} is above {least}, and fails if the "
        f"upper bound at {1 - check.alarm:.1%} is below {zero}; {_ending(check)}"
    )
