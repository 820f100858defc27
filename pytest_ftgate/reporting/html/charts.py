"""The charts of the page: their values, which the browser draws, with captions and tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.verdict import Check, CheckKind, FormatErrorShare, Outcome, Slice, Verdict
from pytest_ftgate.recommend.advice import CostByVolume
from pytest_ftgate.reporting.checkpoints import (
    CAUTION,
    RATES,
    CheckpointRow,
    Training,
    checkpoint_table,
    loss_sentences,
    rate_check,
    trainings,
)
from pytest_ftgate.reporting.html.case_data import cases_link, verdict_link
from pytest_ftgate.reporting.ladder import monthly_cost_table
from pytest_ftgate.reporting.number_text import (
    amount,
    milliseconds,
    percent,
    quantity,
    share_change,
    unsigned_points,
)
from pytest_ftgate.reporting.phrases import is_half_gone
from pytest_ftgate.reporting.skills import (
    SkillResults,
    part_names,
    skill_results_by_prompt,
    skill_table,
)
from pytest_ftgate.reporting.tables import (
    TextTable,
    format_error_table,
    rank_verdicts,
    rate_cell,
)
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.results.run import Report, SuiteRun, VariantRun

_TITLES = {"accuracy": "Accuracy", "format": "Replies in the right format"}
#: The colours of variants that are gated, and of the others.
_GATED = {True: "blue", False: "muted"}
_OUTCOME_COLOURS = {Outcome.FAILED: "red", Outcome.PASSED: "green"}
#: The quantiles of a spread: the ends of its line, the middle half, the median.
_QUANTILES = ("p05", "p25", "p50", "p75", "p95")
#: Volumes in the table of monthly costs.
_MAX_VOLUMES = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its numbers as a table.

    Attributes:
        legend: what each symbol stands for: ring, dot, bar, tick, or the colour of a dot.
        values: what the browser draws; *kind* names the form.
    """

    title: str
    caption: str
    kind: str
    values: Mapping[str, Any]
    table: TextTable
    legend: Sequence[tuple[str, str]] = ()

    @property
    def json(self) -> str:
        """The values, for an attribute of the page."""
        document = {"kind": self.kind, **self.values}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


# A bar for each gate -----------------------------------------------------------------------------

#: What is drawn, in limits from no change: the limit is at -1, in the middle of all bars.
_BAR_LEFT, _BAR_RIGHT = -4.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Places from 0, at the left, to 1; what lies beyond is drawn at the end.

    Attributes:
        low, value, high: of the interval; better is further right.
        limits: where a gate begins to fail; two if it limits both sides.
        origin: where nothing has changed; None if nothing is compared.
    """

    low: float
    value: float
    high: float
    limits: tuple[float, ...]
    origin: float | None


def verdict_bar(verdict: Verdict) -> Bar | None:
    """Return the bar of the check that decided; None if it is not held to a limit by size."""
    check = verdict.check
    if check is None or check.kind is CheckKind.MUST_PASS:
        return None
    is_compared, is_share = check.before is not None, check.unit == "share"
    now = (check.change if is_share else check.rise) if is_compared else check.after
    unit, origin = check.limit if is_share else -check.limit, 0.0
    if is_share and not is_compared:
        # A minimum: what is best lies at the right end.
        unit = (1.0 - check.limit) / (_BAR_RIGHT + 1.0)
        origin = check.limit + unit
    if now is None or check.has_drifted or not check.informative or not unit:
        return None
    bounds = (now, now) if check.low is check.high is None else (check.low, check.high)
    ends = (-inf if bounds[0] is None else bounds[0], inf if bounds[1] is None else bounds[1])
    low, high = sorted(_place((end - origin) / unit) for end in ends)
    return Bar(
        low=low,
        value=_place((now - origin) / unit),
        high=high,
        limits=(_place(-1.0),),
        origin=_place(0.0) if is_compared else None,
    )


def _place(limits: float) -> float:
    return min(1.0, max(0.0, (limits - _BAR_LEFT) / (_BAR_RIGHT - _BAR_LEFT)))


# Variants and skills -----------------------------------------------------------------------------


def variant_charts(report: Report) -> Iterator[Chart]:
    """Yield the rates of all variants with the limits of the gate, a chart for each kind."""
    for suite in report.suites:
        for kind in _TITLES:
            rates = [(v, v.figures[kind]) for v in suite.variants if kind in v.figures]
            if rates:
                yield _rate_chart(report, suite, kind, rates)


def _rate_chart(
    report: Report, suite: SuiteRun, kind: str, rates: Sequence[tuple[VariantRun, Figure]]
) -> Chart:
    rows = [
        {
            **_row(variant.name, rate.value, rate.low, rate.high, colour=_GATED[variant.gated]),
            "text": percent(rate.value),
            "href": cases_link(suite.name, kind, variant.name, "wrong"),
        }
        for variant, rate in rates
    ]
    return Chart(
        title=_TITLES[kind],
        caption=suite.name,
        legend=[("dot blue", "rate"), ("line blue", "95 % CI"), ("dot muted", "not gated")],
        kind="rows",
        values={"rows": rows, "limits": [*_limits(report, suite, kind, rates)]},
        table=TextTable(
            ["variant", "rate (95 % CI)", "cases"],
            [
                [v.name, rate_cell(rate.value, rate.low, rate.high), f"{rate.n:,}"]
                for v, rate in rates
            ],
            (1, 2),
        ),
    )


def _row(
    name: str, value: float, low: float | None, high: float | None, *,
    before: float | None = None, colour: str,
) -> dict[str, Any]:  # fmt: skip
    """Return a row of a chart of shares, each within 0 and 1."""
    bounds = {"low": low, "high": high, "before": before}
    known = {key: _share(bound) for key, bound in bounds.items() if bound is not None}
    return {"name": escape_controls(name), "value": _share(value), **known, "colour": colour}


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def _limits(
    report: Report, suite: SuiteRun, kind: str, rates: Sequence[tuple[VariantRun, Figure]]
) -> Iterator[Mapping[str, Any]]:
    """Yield the minimum of a gate, and the lowest rate within its allowed drop."""
    checks = [
        check
        for verdict in report.gated_verdicts
        if verdict.suite == suite.name and verdict.gate == kind
        for check in verdict.checks
        if check.unit == "share" and not check.measure
    ]
    minimum = next((c.limit for c in checks if c.kind is CheckKind.MINIMUM), None)
    if minimum is not None:
        yield {"at": _share(minimum), "label": f"minimum {percent(minimum)}"}
    drops = (check for check in checks if check.kind is CheckKind.BASELINE)
    drop = next((one.limit for one in drops), None)
    before = next((rate.value for variant, rate in rates if variant.name == suite.baseline), None)
    if drop is not None and before:
        yield {"at": _share(before - drop), "label": "allowed drop", "dashed": True}


def checkpoint_charts(report: Report) -> Iterator[Chart]:
    """Yield the rates of each training by checkpoint."""
    for training in trainings(report):
        if training.gates:
            yield _checkpoint_chart(training)


def _checkpoint_chart(training: Training) -> Chart:
    name, rows, kept = escape_controls(training.name), training.rows, training.before_loss
    mark = {} if kept is None else {"marked": {"at": kept, "label": "last before the loss"}}
    found = "; ".join(loss_sentences(training))
    return Chart(
        title=f"{name} by checkpoint",
        caption=escape_controls(
            f"{found}. Bands: 95 % intervals. Dashed: the least that a limit allows. {CAUTION}"
        ),
        kind="lines",
        values={
            "series": [_rate_series(training, gate) for gate in training.gates],
            "x": [f"{row.checkpoint.step}" for row in rows],
            "axis": "step of the training",
            **mark,
        },
        table=checkpoint_table(training),
    )


def _rate_series(training: Training, gate: str) -> Mapping[str, Any]:
    """Return the rates of *gate* by checkpoint, their intervals, and the least that it allows."""
    checks = [rate_check(row, gate) for row in training.rows]
    bounds = [_level_bounds(check) for check in checks]
    known = [bound for bound in bounds if bound]
    floor = max(map(_least, _share_checks(training.rows[-1], gate)), default=0.0)
    return {
        "name": RATES[gate],
        "values": [check and _share(check.after) for check in checks],
        **({"low": [one[0] for one in known], "high": [one[1] for one in known]}
           if len(known) == len(bounds) else {}),
        **({"floor": _share(floor)} if floor > 0.0 else {}),
    }  # fmt: skip


def _share_checks(row: CheckpointRow, gate: str) -> Sequence[Check]:
    verdict = row.verdicts.get(gate)
    kinds = (CheckKind.MINIMUM, CheckKind.BASELINE, CheckKind.BASE)
    return [one for one in verdict.checks if one.kind in kinds] if verdict else []


def _least(check: Check) -> float:
    """Return the least rate that the limit of *check* allows."""
    return check.limit if check.before is None else check.before - check.limit


def _level_bounds(check: Check | None) -> tuple[float, float] | None:
    """Return the 95 % interval of the rate of *check*, given the rate that it compares with."""
    if check is None or check.low is None or check.high is None:
        return None
    return _share((check.before or 0.0) + check.low), _share((check.before or 0.0) + check.high)


def forgetting_charts(report: Report) -> Iterator[Chart]:
    """Yield the families and skills of each fine-tuned variant, a chart for each prompt."""
    for verdict in rank_verdicts(report.gated_verdicts):
        for results in skill_results_by_prompt(verdict):
            yield _skill_chart(verdict, results)


def _skill_chart(verdict: Verdict, results: SkillResults) -> Chart:
    mean = next(check for check in verdict.checks if check.under == results.under)
    families = {part.name for part in results.parts if part.kind == "family"}
    rows = [
        {
            **_change_row(label, part, _part_colour(part)),
            "sub": part.family in families,
            "href": verdict_link(verdict, "regressed", tag=part.name),
        }
        for part, label in zip(results.parts, part_names(results), strict=True)
    ]
    under = f" under its {results.under}" if results.under else ""
    return Chart(
        title=f"General skills of {escape_controls(verdict.variant)}{under}",
        caption="",
        legend=[
            *(("ring", "the base"), ("dot", "the fine-tune"), ("bar", "95 % CI of the change")),
            *(("tick", "the limit"), ("dot red", "fell, or half lost"), ("dot green", "kept")),
            ("dot muted", "neither is shown"),
        ],
        kind="rows",
        values={"rows": [*_mean_rows(mean), *rows]},
        table=skill_table(results),
    )


def _mean_rows(mean: Check) -> Iterator[Mapping[str, Any]]:
    """Yield the row of the mean over all skills, which the gate decides on, with its limit."""
    if mean.before is not None:
        colour = _OUTCOME_COLOURS.get(mean.outcome, "amber")
        name = f"all skills, limit {unsigned_points(mean.limit)}"
        limit = _share(mean.before - mean.limit)
        yield {**_change_row(name, mean, colour), "bold": True, "limit": limit}


def _change_row(name: str, part: Slice | Check, colour: str) -> dict[str, Any]:
    before, low, high = part.before or 0.0, part.low, part.high
    bounds = (None if bound is None else before + bound for bound in (low, high))
    row = _row(name, part.after, *bounds, before=before, colour=colour)
    return {**row, "text": share_change(before, part.after), "cases": part.n}


def _part_colour(part: Slice) -> str:
    if part.state == "regressed" or is_half_gone(part) or part.high < 0.0:
        return "red"
    return "green" if part.state == "kept" else "muted"


def format_error_charts(report: Report) -> Iterator[Chart]:
    """Yield the share of each format error before and now, a chart for each format gate."""
    for verdict in rank_verdicts(report.gated_verdicts):
        shares = [share for share in verdict.format_errors if share.after or share.before]
        if shares:
            yield _format_error_chart(verdict, shares)


def _format_error_chart(verdict: Verdict, shares: Sequence[FormatErrorShare]) -> Chart:
    return Chart(
        title=f"Format errors of {escape_controls(verdict.variant)}",
        caption=escape_controls(verdict.suite),
        legend=[("ring", "before"), ("dot", "now"), ("bar", "95 % CI")],
        kind="rows",
        values={"rows": [*map(_format_error_row, shares)]},
        table=format_error_table("format error", shares),
    )


def _format_error_row(share: FormatErrorShare) -> Mapping[str, Any]:
    colour = "red" if share.after > (share.before or 0.0) else "green"
    row = _row(share.kind, share.after, share.low, share.high, before=share.before, colour=colour)
    if share.before is None:
        return {**row, "text": percent(share.after)}
    return {**row, "text": share_change(share.before, share.after)}


def cost_charts(report: Report) -> Iterator[Chart]:
    """Yield accuracy over the cost of variants with a price; tokens alone are no cost."""
    for suite in report.suites:
        rated = [variant for variant in suite.variants if "accuracy" in variant.figures]
        shown = [variant for variant in rated if "usd_per_1k" in variant.figures]
        if len(shown) > 1:  # one point is no comparison
            missing = [variant.name for variant in rated if variant not in shown]
            points = [(v.name, v.figures["usd_per_1k"], v.figures["accuracy"]) for v in shown]
            yield _cost_chart(points, missing)


def _cost_chart(points: Sequence[tuple[str, Figure, Figure]], missing: Sequence[str]) -> Chart:
    places = [(cost.value, rate.value) for _, cost, rate in points]
    frontier = [not any(_beats(other, place) for other in places) for place in places]
    label = "USD for a thousand requests"
    rows, cells = [], []
    for (name, cost, rate), best in zip(points, frontier, strict=True):
        text, share = amount(cost.value, cost.unit), percent(rate.value)
        row = _row(name, rate.value, rate.low, rate.high, colour="blue" if best else "muted")
        place = {"x": float(f"{cost.value:.5g}"), "text": f"{share}, {text}", "best": best}
        rows.append({**row, **place})
        cells.append([name, text, share, "yes" if best else "no"])
    best_places = {place for place, best in zip(places, frontier, strict=True) if best}
    joined = [("dashes", "what is best at each cost")] * (len(best_places) > 1)
    return Chart(
        title="Accuracy against cost",
        caption=_left_out_text(missing, "no price is known") if missing else "",
        legend=[("dot blue", "on the Pareto frontier"), ("dot muted", "not on it"),
                ("line blue", "95 % CI"), *joined],
        kind="points",
        values={"rows": rows, "axis": label},
        table=TextTable(["variant", label, "accuracy", "on the frontier"], cells, (1, 2)),
    )  # fmt: skip


def _left_out_text(names: Sequence[str], why: str) -> str:
    return f"Not drawn, as {why}: {escape_controls(', '.join(names))}."


def _beats(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Return True if *first* is as cheap and as accurate as *second*, and better in one of both."""
    as_good = first[0] <= second[0] and first[1] >= second[1]
    return as_good and first != second


def latency_charts(report: Report) -> Iterator[Chart]:
    """Yield the latency of the replies of each variant."""
    for suite in report.suites:
        measured = [variant for variant in suite.variants if "p50" in variant.figures]
        if measured:
            missing = [variant.name for variant in suite.variants if variant not in measured]
            yield _latency_chart(measured, missing)


def _latency_chart(measured: Sequence[VariantRun], missing: Sequence[str]) -> Chart:
    caption = "Cached replies count with the time that they took."
    left_out = [_left_out_text(missing, "no times are known")] if missing else []
    headers = ["variant", "half within", "95 in 100 within", "replies"]
    rows, cells = [], []
    for variant in measured:
        figures, median = variant.figures, milliseconds(variant.figures["p50"].value)
        quantiles = [round(figures[name].value, 1) for name in _QUANTILES]
        rows.append({"name": escape_controls(variant.name), "quantiles": quantiles, "text": median})
        late = milliseconds(figures["p95"].value)
        cells.append([variant.name, median, late, f"{figures['p50'].n:,}"])
    return Chart(
        title="How long replies took",
        caption=" ".join([caption, *left_out]),
        legend=[("line blue", "5 to 95 in 100 replies"), ("box", "the middle half"),
                ("tick", "the median")],
        kind="spreads",
        values={"rows": rows, "axis": "milliseconds"},
        table=TextTable(headers, cells, (1, 2, 3)),
    )  # fmt: skip


def history_charts(report: Report) -> Iterator[Chart]:
    """Yield the accuracy in the accepted records, over time."""
    for suite in report.suites:
        history = suite.history
        names = list(dict.fromkeys(name for point in history for name in point.accuracy))
        if len(history) < 2 or not names:  # noqa: PLR2004 - one record has no history
            continue
        rates = {name: [point.accuracy.get(name) for point in history] for name in names}
        series = [
            {"name": escape_controls(n), "values": [v if v is None else _share(v) for v in values]}
            for n, values in rates.items()
        ]
        yield Chart(
            title="Accepted accuracy over time",
            caption=f"{quantity(len(history), 'accepted record')} from git. {suite.name}",
            kind="lines",
            values={"series": series, "x": [point.at[:10] for point in history]},
            table=TextTable(
                ["date", "commit", "subject", *names],
                [
                    [
                        *(point.at[:10], point.commit, point.subject),
                        *(percent(point.accuracy[n]) if n in point.accuracy else "" for n in names),
                    ]
                    for point in reversed(history)
                ],
                range(3, 3 + len(names)),
            ),
        )


def volume_charts(costs: CostByVolume | None) -> Iterator[Chart]:
    """Yield the cost a month of each variant over the requests a day."""
    if costs is None or not costs.series:
        return
    has_intervals = any((line.low, line.high) != (line.usd, line.usd) for line in costs.series)
    note = " Bands are 95 % intervals of the measured tokens." if has_intervals else ""
    yield Chart(
        title="Cost by volume",
        caption=f"USD a month, by requests a day; {costs.calls_per_day:,.0f} are declared.{note}",
        kind="bands",
        values={
            "series": [*_volume_series(costs)],
            "x": [*costs.volumes],
            "declared": costs.calls_per_day,
            "axis": "requests a day",
        },
        table=monthly_cost_table(costs, _MAX_VOLUMES),
    )


def _volume_series(costs: CostByVolume) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of the chart; variants with the same costs share one."""
    names_by_usd: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for line in costs.series:
        names_by_usd[line.usd].append(escape_controls(line.variant))
    for line in costs.series:
        names = names_by_usd.pop(line.usd, None)
        if names:
            sides = (line.usd, line.low, line.high)
            values, low, high = ([round(usd, 2) for usd in side] for side in sides)
            yield {"name": ", ".join(names), "values": values, "low": low, "high": high}
