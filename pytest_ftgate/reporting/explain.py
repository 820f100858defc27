"""Explain a verdict in plain sentences with its own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.units import amount, percent, points, signed_percent, unsigned_points
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.stats.power import pass_probability, point_rule_miss_probability
from pytest_ftgate.stats.proportions import binomial_sf

_ROUNDING_SLACK = 1e-9
_CONCLUSIONS = {
    Outcome.PASSED: "so this check passed.",
    Outcome.FAILED: "so it failed.",
    Outcome.INCONCLUSIVE: "so neither can be said, and it is inconclusive.",
}


def frequency_phrase(p: float) -> str:
    """Return how often an event of probability *p* happens, as ``about once in 40 runs``."""
    if p < 1e-6:  # noqa: PLR2004 - more zeros are hard to read
        return "less than once in a million runs"
    if p > 0.1:  # noqa: PLR2004 - a share is easier to grasp than "once in 3"
        return f"in {percent(p)} of runs"
    return f"about once in {round(1 / p):,} runs"


def explain(verdict: Verdict) -> Iterator[str]:
    """Yield the rule of the deciding check, in sentences with the numbers of this gate."""
    check = verdict.check
    if check is None and verdict.statement.kind is not StatementKind.NOTHING_TO_COMPARE:
        yield f"No limit was checked: {headline(verdict)}."
    elif check is None:
        yield "There was nothing to compare with, and no minimum was declared."
    elif check.kind is CheckKind.MUST_PASS:
        yield "A case marked must_pass fails the gate when most of its replies are wrong."
    elif check.unit != "share":
        yield from _usage_sentences(check)
    elif check.method == "point":
        yield f"The measured values decide, without an allowance for chance: {check.note}."
    elif check.method == "bootstrap":
        yield from _bootstrap_sentences(check)
    elif check.method == "labels":
        yield from _labelled_sentences(check)
    elif check.p_pass is None or check.p_fail is None:
        yield from _minimum_sentences(check)
    else:
        yield (
            f"Both sides answered the same {check.n} cases: {verdict.regressed} regressed and "
            f"{verdict.fixed} were fixed, a change of "
            f"{points(check.after - (check.before or 0))} points."
        )
        yield from _drop_sentences(check, check.p_pass, check.p_fail)
    yield from _regressed_slice_sentences(verdict)


def _labelled_sentences(check: Check) -> Iterator[str]:
    """Yield how a judge's grades were corrected by people's labels of the same replies."""
    yield (
        f"A judge graded all {check.n} cases, and people a part of them: {check.note}. Its mean is "
        "taken less its mean error on that part (two-phase estimate, Student's t)."
    )
    low, high = (
        (points if check.before is not None else percent)(bound or 0)
        for bound in (check.low, check.high)
    )
    what = "change" if check.before is not None else "rate"
    yield f"With 95 % confidence the true {what} is {low} to {high}; {_conclusion(check)}"


def _regressed_slice_sentences(verdict: Verdict) -> Iterator[str]:
    if verdict.breaks:
        yield (
            f"But {', '.join(verdict.breaks)} must be kept, and the base has it right and "
            f"{verdict.variant} wrong."
        )
    gated = [part for part in verdict.slices if part.gated]
    regressed = [f"{part.kind} {part.name}" for part in gated if part.state == "regressed"]
    check = verdict.check
    if regressed and check and check.outcome is not Outcome.FAILED:
        yield (
            f"But {', '.join(regressed)} really dropped (Holm over {len(gated)} parts), and a "
            "regressed part fails the gate whatever the average says."
        )


def _drop_sentences(check: Check, p_pass: float, p_fail: float) -> Iterator[str]:
    yield (
        f"It passes if a true drop of {unsigned_points(check.limit)} points would look this good "
        f"or better at most {frequency_phrase(check.miss)}; it would {frequency_phrase(p_pass)}."
    )
    yield (
        f"It fails if an unchanged variant would look this bad or worse at most "
        f"{frequency_phrase(check.alarm)}{_shared_alarm(check)}; it would "
        f"{frequency_phrase(p_fail)}, {_conclusion(check)}"
    )
    yield from _threshold_comparison(check)


def _shared_alarm(check: Check) -> str:
    """Return how many checks share the alarm level; "" if the check has it alone."""
    return f" (0.01 shared by the suite's {check.shared} drop checks)" if check.shared > 1 else ""


def _conclusion(check: Check) -> str:
    if not check.informative:
        return "but no drop from so low a rate can show, so this comparison shows nothing."
    if check.missing and check.outcome is Outcome.INCONCLUSIVE:
        return "but replies are missing that could turn it, so it is inconclusive."
    return _CONCLUSIONS[check.outcome]


def _threshold_comparison(check: Check) -> Iterator[str]:
    """Yield how often a plain threshold would miss the same drop with as many cases."""
    n, discordance = check.effective, max(check.discordance or 0.0, check.limit)
    miss = point_rule_miss_probability(n, discordance, check.limit)
    unchanged = pass_probability(n, discordance, 0.0, check.limit, check.miss)
    yield (
        f"With {check.n} cases a plain threshold would miss a true drop of "
        f"{unsigned_points(check.limit)} points {percent(miss)} of the time; this gate does "
        f"at most {check.miss * 100:.2g} % of it, and passes an unchanged variant "
        f"{percent(unchanged)} of it."
    )


def _minimum_sentences(check: Check) -> Iterator[str]:
    n = round(check.effective)
    right, minimum = round(check.after * check.effective), percent(check.limit)
    worth = "" if n == check.n else f", worth {check.effective:.0f} of them"
    reached = float(binomial_sf(right - 1.0, n, check.limit))
    short = 1.0 - float(binomial_sf(right, n, check.limit))
    yield f"{percent(check.after)} of {check.n} cases are right{worth}."
    yield (
        f"It passes if a true rate just under {minimum} would reach this at most "
        f"{frequency_phrase(check.miss)}; it would {frequency_phrase(reached)}."
    )
    yield (
        f"It fails if a true rate of {minimum} would fall this low at most "
        f"{frequency_phrase(check.alarm)}; it would {frequency_phrase(short)}, {_conclusion(check)}"
    )
    slightly_below = check.limit - 0.02
    needed = ceil(check.limit * check.effective - _ROUNDING_SLACK)
    if slightly_below > 0:
        missed = float(binomial_sf(needed - 1.0, n, slightly_below))
        yield (
            f"With {check.n} cases a plain threshold would pass a variant that is truly at "
            f"{percent(slightly_below)} {percent(missed)} of the time; this gate does at most "
            f"{check.miss * 100:.2g} % of it."
        )


def interval_phrase(check: Check) -> str:
    """Return the 95 % interval of a cost or latency check in words."""
    if check.low is None and check.high is None:
        return "nothing bounds the true figure"
    compared = check.before is not None
    low, high = (
        None
        if bound is None
        else (signed_percent(bound) if compared else amount(bound, check.unit))
        for bound in (check.low, check.high)
    )
    what = "rise" if compared else ("price" if check.unit == "usd" else "figure")
    if low == high:
        return f"the {what} is {low}"
    span = f"{low} to {high}" if low and high else (f"{low} or more" if low else f"{high} or less")
    return f"with 95 % confidence the true {what} is {span}"


def _usage_sentences(check: Check) -> Iterator[str]:
    """Yield how a cost or latency check was decided."""
    phrase = interval_phrase(check)
    interval = phrase[:1].upper() + phrase[1:]
    limit = amount(check.limit, check.unit) if check.before is None else signed_percent(check.limit)
    if check.low is not None and check.low == check.high:
        yield f"{interval}, and {limit} is allowed; {_conclusion(check)}"
        return
    method = "order statistics" if check.method == "order" else "Student's t over the cases"
    if check.before is not None and check.method == "order":
        method += " of each case's own rise"
    yield f"{interval} ({method}, {check.effective:.0f} unrelated cases)."
    yield (
        f"It passes if all of that is within {limit}, and fails if none of it is; "
        f"{_conclusion(check)}"
    )


def _bootstrap_sentences(check: Check) -> Iterator[str]:
    compared = check.before is not None
    low, high = ((points if compared else percent)(bound or 0) for bound in (check.low, check.high))
    unit, what = (" points", "changes") if compared else ("", "rates")
    yield (
        f"The {check.n} cases were resampled 10,000 times (paired bootstrap): 95 % of the "
        f"{what} lie between {low} and {high}{unit}."
    )
    limit = f"{points(-check.limit)} points" if compared else percent(check.limit)
    zero = "0" if compared else limit
    yield (
        f"It passes if the lower bound at {1 - check.miss:.0%} is above {limit}, and fails if the "
        f"upper bound at {1 - check.alarm:.1%} is below {zero}; {_conclusion(check)}"
    )
