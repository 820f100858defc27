"""The plan as text: requests, costs, and power; and the results of a self-test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import ceil

from pytest_ftgate.gates.design import Levels, round_up_to_point
from pytest_ftgate.gates.power import PowerEstimate
from pytest_ftgate.gates.selftest import SelfTest
from pytest_ftgate.reporting.number_text import (
    builds_passed,
    least_to_most,
    percent,
    quantity,
    unsigned_points,
    usd,
)
from pytest_ftgate.reporting.tables import TextTable, table_lines
from pytest_ftgate.reporting.text import escape_controls, wrap_after, wrap_lines
from pytest_ftgate.requests.estimate import EstimateRange, RequestEstimate
from pytest_ftgate.requests.preflight import Contamination
from pytest_ftgate.results.builder import duration
from pytest_ftgate.suite.prices import INSTALL_PRICES, listed_models


def plan_lines(
    estimates: Sequence[EstimateRange], problems: Sequence[str], max_usd: float | None = None
) -> Iterator[str]:
    """Yield the lines on the requests of a run that sends none.

    *problems* say why variants cannot be requested at all. *max_usd* is the budget of the run.
    """
    rows = [[one.most.variant, *_cells([one])] for one in estimates]
    rows += [["total", *_cells(estimates)]] if len(estimates) > 1 else []
    headers = ["variant", "in cache", "to send", "tokens", "USD", "time"]
    yield from table_lines(TextTable(headers, rows, range(1, 6)))
    yield from (f"  {escape_controls(problem)}" for problem in problems)
    yield from _key_lines([one.most for one in estimates])
    yield "  Requests that variants share are counted once."
    least, most = (sum(one.to_send for one in side) for side in _sides(estimates))
    if least != most:
        yield from wrap_lines(f"{least_to_most(f'{least:,}', f'{most:,}')} requests: {_RANGE}")
    yield from _assumption_lines([one.most for one in estimates])
    yield from _budget_lines(estimates, max_usd)
    yield "  No request was sent."


#: Where a run may send more than it surely sends.
_RANGE = (
    "the least if the first replies decide everything, the most if they decide nothing "
    "(stop_early, settle, must-pass cases, identity)."
)


def blocked_lines(blocked: Mapping[str, Sequence[str]], total: int) -> Iterator[str]:
    """Yield which of *total* gates a run could not evaluate, by name; *blocked* is by reason."""
    count = sum(map(len, blocked.values()))
    yield from ["", f"BLOCKED  {count} of {quantity(total, 'gate')} would not be evaluated"]
    for reason, names in blocked.items():
        yield from wrap_lines(escape_controls(f"✗ {', '.join(names)}"), 2)
        for line in reason.split("\n"):
            yield from wrap_lines(escape_controls(line.strip()), 4, keep_long_words=True)


def _key_lines(estimates: Sequence[RequestEstimate]) -> Iterator[str]:
    """Yield which variants send which key to which host."""
    variants: dict[tuple[str, str], list[str]] = defaultdict(list)
    for estimate in estimates:
        for key in estimate.keys:
            variants[key].append(estimate.variant)
    for (name, host), names in variants.items():
        yield escape_controls(f"  key: {name} goes to {host} ({', '.join(names)})")


def _cells(estimates: Sequence[EstimateRange]) -> list[str]:
    """Return the sums of *estimates*, as ranges where the replies decide."""
    sides = _sides(estimates)
    cells = [
        least_to_most(*(f"{sum(one.cached for one in side):,}" for side in sides)),
        least_to_most(*(f"{sum(one.to_send for one in side):,}" for side in sides)),
        least_to_most(*(f"{sum(one.tokens for one in side) / 1000:,.0f}" for side in sides)) + " k",
    ]
    return [*cells, _cost_cell(*sides), _time_cell(*map(_seconds, sides))]


def _sides(estimates: Sequence[EstimateRange]) -> tuple[list[RequestEstimate], ...]:
    return [one.least for one in estimates], [one.most for one in estimates]


def _seconds(estimates: Sequence[RequestEstimate]) -> float | None:
    """Return the time of all requests; those to different backends are sent at the same time."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for estimate in estimates:
        if estimate.seconds is None:
            return None
        seconds[estimate.backend] += estimate.seconds
    return max(seconds.values(), default=0.0)


def _time_cell(least: float | None, most: float | None) -> str:
    if least is None or most is None:
        return "unknown"
    return f"{'~' if most else ''}{least_to_most(duration(least), duration(most))}"


def _cost_cell(least: Sequence[RequestEstimate], most: Sequence[RequestEstimate]) -> str:
    reasons = dict.fromkeys(one.unpriced_reason for one in most if one.unpriced_reason)
    has_price = any(one.usd is not None for one in most) or not reasons
    amounts = [usd(_total_usd(side)).removesuffix(" USD") for side in (least, most)]
    return " + ".join([*([least_to_most(*amounts)] if has_price else []), *reasons])


def _total_usd(estimates: Iterable[RequestEstimate]) -> Decimal:
    return sum((one.usd for one in estimates if one.usd is not None), Decimal(0))


def _assumption_lines(estimates: Sequence[RequestEstimate]) -> Iterator[str]:
    if any(estimate.tokens for estimate in estimates):
        yield "  tokens: replies count as long as earlier ones of the model, or max_tokens."
    if any(estimate.seconds is None for estimate in estimates):
        yield "  time: unknown until the first replies."
    if any(estimate.has_list_price for estimate in estimates) and listed_models() is None:
        yield f"  for prices of hosted models: {INSTALL_PRICES}"


def _budget_lines(estimates: Sequence[EstimateRange], max_usd: float | None) -> Iterator[str]:
    """Yield whether the budget may, or is sure to, stop the run."""
    least, most = (_total_usd(side) for side in _sides(estimates))
    if max_usd is not None and most > Decimal(str(max_usd)):
        stops = "stops" if least > Decimal(str(max_usd)) else "may stop"
        cost = least_to_most(usd(least).removesuffix(" USD"), usd(most))
        yield f"  --ftgate-max-usd={max_usd:g} {stops} the run: its requests cost {cost}"


def contamination_lines(contaminations: Iterable[Contamination]) -> Iterator[str]:
    """Yield a line for each variant that was trained on cases of its suite."""
    for contamination in contaminations:
        leaked, file = contamination.leaked, contamination.file
        cases = quantity(contamination.cases, contamination.case_kind)
        count = f"{leaked:,} of {cases} {'is' if leaked == 1 else 'are'} in {file}"
        first = f"{contamination.first_case} (line {contamination.line})"
        where = f"{count}, {'' if leaked == 1 else 'as '}{first}"
        yield f"  {contamination.variant}: {where}: the model may repeat them from memory"
        if contamination.has_canary:
            canary = f"{file} contains the canary of the bundled skills: remove those rows"
            yield f"  {contamination.variant}: {canary}"


def power_lines(estimates: Sequence[PowerEstimate], notes: Iterable[str] = ()) -> Iterator[str]:
    """Yield the lines on the drops that each gate can detect, and the cases that it lacks.

    *notes* are sentences on the limits of gates.
    """
    for note in notes:
        yield from wrap_lines(escape_controls(note))
    yield from _power_table(estimates) if estimates else ()


def _power_table(estimates: Sequence[PowerEstimate]) -> Iterator[str]:
    rows = [
        [
            f"{estimate.gate}[{estimate.variant}]",
            _cases_cell(estimate),
            _limit_cell(estimate),
            *_power_cells(estimate),
            _needed_cell(estimate),
        ]
        for estimate in estimates
    ]
    headers = ["gate", "cases", "limit", "for 90 %", "assumed", "passes", "add"]
    yield from table_lines(TextTable(headers, rows, range(1, 7)))
    for label, text in _power_legend(estimates):
        yield from wrap_after(f"  {f'{label}:':<12}", text)


def _count_legend(estimates: Sequence[PowerEstimate]) -> Iterator[tuple[str, str]]:
    """Yield what counts as a case, and what a default limit is."""
    if any(estimate.units < estimate.cases for estimate in estimates):
        yield "cases", "in brackets the unrelated ones: cases of one group count as one"
    if any(estimate.tasks for estimate in estimates):
        yield "cases", "of a gate with claim: these_tasks its tasks × the runs of each"
    if any(estimate.has_default_limit for estimate in estimates):
        yield "limit", "~ is a default, the smallest drop that the cases can show"


def _power_legend(estimates: Sequence[PowerEstimate]) -> Iterator[tuple[str, str]]:
    """Yield what the columns of the table mean, as far as it shows it."""
    drops = [estimate for estimate in estimates if estimate.margin is not None]
    minimums = [estimate for estimate in estimates if estimate.minimum is not None]
    yield from _count_legend(estimates)
    texts = {
        "for 90 %": ("the smallest limit that 9 in 10 unchanged builds pass",
                     "the highest minimum that 9 in 10 runs pass"),
        "assumed": ("how many cases differ between two runs (* measured, else typical)",
                    "the rate of right replies (* measured, else 5 points above the minimum)"),
        "passes": ("how often an unchanged variant passes the limit",
                   "how often a run passes the minimum"),
    }  # fmt: skip
    for label, (of_drop, of_minimum) in texts.items():
        yield label, "; with min: ".join([of_drop] * bool(drops) + [of_minimum] * bool(minimums))
    builds: dict[str, list[str]] = {}
    for one in estimates:
        if one.build and one.variant not in builds.setdefault(builds_passed(*one.build), []):
            builds[builds_passed(*one.build)].append(one.variant)
    if builds:
        shown = "; ".join(f"{odds}: {', '.join(names)}" for odds, names in builds.items())
        yield "builds", f"an unchanged variant passes, accepted runs included, {shown}"
    if any(estimate.needed != 0 for estimate in estimates):
        yield "add", "cases, or repeats (×), for 9 in 10 builds to pass if nothing has changed"
    if any(estimate.needed is None for estimate in estimates):
        yield "never", "the rate is not above the minimum, or no better than guessing"


def _cases_cell(estimate: PowerEstimate) -> str:
    if estimate.tasks:
        return f"{estimate.tasks:,} × {estimate.cases // estimate.tasks:,}"
    units = f" ({estimate.units:,})" if estimate.units < estimate.cases else ""
    return f"{estimate.cases:,}{units}"


def _limit_cell(estimate: PowerEstimate) -> str:
    if estimate.margin is None:
        return f"min {percent(estimate.minimum or 0.0)}"
    mark = "~" if estimate.has_default_limit else ""
    return f"{mark}{unsigned_points(estimate.margin)}"


def _needed_cell(estimate: PowerEstimate) -> str:
    if estimate.needed is None:
        return "never"
    if not estimate.needed:
        return ""
    if estimate.tasks:
        return f"× {ceil((estimate.cases + estimate.needed) / estimate.tasks):,}"
    return f"+{estimate.needed:,}" + (f" or ×{estimate.repeats}" if estimate.repeats else "")


def _power_cells(estimate: PowerEstimate) -> list[str]:
    star = "*" if estimate.measured else ""
    passes = percent(estimate.pass_probability or 0.0)
    if estimate.margin is None:
        highest = "nothing" if estimate.certifiable is None else percent(estimate.certifiable)
        return [highest, f"{percent(estimate.rate or 0.0)} right{star}", passes]
    if estimate.discordance is None:
        return ["nothing", "", "at chance"]
    smallest = "nothing"
    if estimate.certifiable is not None:
        smallest = unsigned_points(round_up_to_point(estimate.certifiable))
    return [smallest, f"{percent(estimate.discordance)} differ{star}", passes]


def selftest_lines(
    results: Sequence[SelfTest], variant: str, repeats: int, levels: Levels
) -> Iterator[str]:
    """Yield the lines on a self-test, with a result for each gate.

    *variant* is the one whose replies were resampled, *repeats* the number of replies to each case,
    *levels* the error rates of one drop check.
    """
    first = results[0]
    yield f"  {first.pairs:,} pairs of runs, drawn from {repeats} live replies of {variant} to each"
    yield f"  of {first.cases:,} cases; one drop check may fail {levels.alarm:.2%} of them."
    yield ""
    rows = [
        [
            result.gate,
            "" if result.margin is None else unsigned_points(result.margin),
            "" if result.minimum is None else percent(result.minimum),
            *(f"{share:.1%}" for share in (result.discordance, result.passed)),
            *(f"{share:.1%}" for share in (result.inconclusive, result.failed, result.flips)),
        ]
        for result in results
    ]
    headers = ["gate", "limit", "min", "differ", "passed", "inconclusive", "failed", "flips"]
    yield from table_lines(TextTable(headers, rows, range(1, len(headers))))
    yield ""
    yield "  differ: the share of cases on which two runs of the same variant differ (flip rate)."
    yield "  flips: how often two pairs of runs have another verdict."
    for result in results:
        if result.regressed:
            parts = (f"{name} in {share:.1%}" for name, share in result.regressed.items())
            yield f"  {result.gate}: regressed in a share of the pairs: {', '.join(parts)}"
