"""The charts of the page, with their captions and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gates.units import milliseconds, percent, quantity, usd
from pytest_ftgate.gates.verdict import CheckKind, Slice, Verdict
from pytest_ftgate.reporting.headlines import headline, is_half_gone
from pytest_ftgate.reporting.html import plots
from pytest_ftgate.reporting.html.plots import Chart, Dot
from pytest_ftgate.reporting.skills import (
    SkillResults,
    part_names,
    skill_results_by_prompt,
    skill_table,
)
from pytest_ftgate.reporting.tables import rate_interval
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.results.run import CaseRun, Rate, Report, SuiteRun, VariantRun

_TITLES = {"accuracy": "Accuracy", "format": "Replies in the right format"}
#: The colours of variants that are gated, and of the others.
_GATED = {True: "blue", False: "muted"}
_STATE_COLOURS = {"regressed": "red", "kept": "green"}


def variant_charts(report: Report) -> Iterator[Chart]:
    """Yield the rates of all variants with the limits of the gate, a chart for each kind."""
    for number, suite in enumerate(report.suites):
        for kind in _TITLES:
            rates = [(v, rate) for v in suite.variants if (rate := getattr(v, kind))]
            if rates:
                yield _rate_chart(report, suite, kind, rates, f"rates-{number}-{kind}")


def _rate_chart(
    report: Report,
    suite: SuiteRun,
    kind: str,
    rates: Sequence[tuple[VariantRun, Rate]],
    name: str,
) -> Chart:
    minimum, drop = _limits(report, suite, kind)
    before = next((rate.value for variant, rate in rates if variant.name == suite.baseline), None)
    margin = None if drop is None or not before else before - drop
    description = f"{_TITLES[kind]} of {quantity(len(rates), 'variant')} with 95 % intervals"
    dots = [
        Dot(escape_controls(v.name), rate.value, rate.low, rate.high, colour=_GATED[v.gated])
        for v, rate in rates
    ]
    return Chart(
        title=_TITLES[kind],
        caption="Dots are rates, lines their 95 % intervals; grey is not gated. " + suite.name,
        svg=plots.draw_dots(name, description, dots, minimum=minimum, margin=margin),
        headers=["variant", "rate", "95 % interval", "cases"],
        rows=[
            [variant.name, percent(rate.value), rate_interval(rate.low, rate.high), f"{rate.n:,}"]
            for variant, rate in rates
        ],
    )


def _limits(report: Report, suite: SuiteRun, kind: str) -> tuple[float | None, float | None]:
    """Return the minimum of a gate, and its allowed drop."""
    checks = [
        check
        for verdict in report.gated_verdicts
        if verdict.suite == suite.name and verdict.gate == kind
        for check in verdict.checks
        if check.unit == "share" and not check.measure
    ]
    minimums = (check.limit for check in checks if check.kind is CheckKind.MINIMUM)
    drops = (check.limit for check in checks if check.kind is CheckKind.BASELINE)
    return next(minimums, None), next(drops, None)


def forgetting_charts(report: Report) -> Iterator[Chart]:
    """Yield the families and skills of each fine-tuned variant, a chart for each prompt."""
    for number, verdict in enumerate(report.gated_verdicts):
        for results in skill_results_by_prompt(verdict):
            yield _skill_chart(f"skills-{number}{results.under}", verdict, results)


def _skill_chart(name: str, verdict: Verdict, results: SkillResults) -> Chart:
    rows = [
        Dot(escape_controls(label), part.after, before=part.before, colour=_part_colour(part))
        for part, label in zip(results.parts, part_names(results), strict=True)
    ]
    table = skill_table(results)
    under = f" under its {results.under}" if results.under else ""
    variant = f"{escape_controls(verdict.variant)}{under}"
    colours = "Orange has regressed, or lost half and four right answers; green is kept."
    return Chart(
        title=f"General skills of {variant}",
        caption=f"{escape_controls(headline(verdict))}. {colours}",
        svg=plots.draw_pairs(
            name,
            f"Families and skills of {variant} before and after fine-tuning",
            rows,
            "○ base   ● fine-tuned",
        ),
        headers=table.headers,
        rows=table.rows,
    )


def _part_colour(part: Slice) -> str:
    return "red" if is_half_gone(part) else _STATE_COLOURS.get(part.state, "muted")


def format_error_charts(report: Report) -> Iterator[Chart]:
    """Yield the share of each format error before and now, a chart for each format gate."""
    for number, verdict in enumerate(report.gated_verdicts):
        if any(share.after or share.before for share in verdict.format_errors):
            yield _format_error_chart(f"format-errors-{number}", verdict)


def _format_error_chart(name: str, verdict: Verdict) -> Chart:
    rows = [
        Dot(
            share.kind, share.after, share.low, share.high, before=share.before,
            colour="red" if share.after > (share.before or 0.0) else "green",
        )
        for share in verdict.format_errors
    ]  # fmt: skip
    suite = escape_controls(verdict.suite)
    return Chart(
        title=f"Format errors of {escape_controls(verdict.variant)}",
        caption=f"Share of the replies with each kind of format error. {suite}",
        svg=plots.draw_pairs(name, f"Format errors of {verdict.variant}", rows),
        headers=["format error", "before", "now", "95 % interval", "replies"],
        rows=[
            [
                share.kind,
                "" if share.before is None else percent(share.before),
                percent(share.after),
                rate_interval(share.low, share.high),
                f"{share.replies:,}",
            ]
            for share in verdict.format_errors
        ],
    )


def cost_charts(report: Report) -> Iterator[Chart]:
    """Yield accuracy over cost: in USD if all prices are known, else in tokens."""
    for number, suite in enumerate(report.suites):
        rated = [variant for variant in suite.variants if variant.accuracy]
        priced = all(variant.usd_per_1k is not None for variant in rated)
        costs = [(v, v.usd_per_1k if priced else v.tokens, v.accuracy) for v in rated]
        points = [(v, cost, rate) for v, cost, rate in costs if cost is not None and rate]
        if len(points) > 1:  # one point is no comparison
            yield _cost_chart(f"cost-{number}", points, priced=priced)


def _cost_chart(
    name: str, points: Sequence[tuple[VariantRun, float, Rate]], *, priced: bool
) -> Chart:
    dots = [
        Dot(escape_controls(variant.name), rate.value, rate.low, rate.high, before=cost)
        for variant, cost, rate in points
    ]
    frontier = [dot.name for dot in dots if not any(_beats(other, dot) for other in dots)]
    label = "USD for a thousand requests" if priced else "tokens of a request, in and out"
    note = "" if priced else " Not every price is known, so tokens are shown in place of money."
    return Chart(
        title="Accuracy against cost",
        caption=f"Nothing is both cheaper and better than what lies on the dashed line.{note}",
        svg=plots.draw_points(name, f"Accuracy against {label}", dots, label, frontier),
        headers=["variant", label, "accuracy", "on the frontier"],
        rows=[
            [
                variant.name,
                usd(cost) if priced else f"{cost:,.0f}",
                percent(rate.value),
                "yes" if escape_controls(variant.name) in frontier else "no",
            ]
            for variant, cost, rate in points
        ],
    )


def _beats(first: Dot, second: Dot) -> bool:
    """Return True if *first* is as cheap and as accurate as *second*, and better in one of both."""
    first_cost, second_cost = first.before or 0.0, second.before or 0.0
    as_good = first_cost <= second_cost and first.value >= second.value
    return as_good and (first_cost, first.value) != (second_cost, second.value)


def latency_charts(report: Report) -> Iterator[Chart]:
    """Yield the latency of the replies of each variant."""
    for number, suite in enumerate(report.suites):
        latencies = [(v, _latencies(suite.cases, v.name)) for v in suite.variants]
        measured = [(variant, times) for variant, times in latencies if times]
        if not measured:
            continue
        rows = [(escape_controls(variant.name), times) for variant, times in measured]
        description = "Milliseconds that replies took, by variant"
        yield Chart(
            title="How long replies took",
            caption="The line runs from 5 to 95 in 100 replies, the bar is the middle half, "
            "the mark is the median. Cached replies count with the time that they took.",
            svg=plots.draw_spreads(f"latency-{number}", description, rows, "milliseconds"),
            headers=["variant", "half within", "95 in 100 within", "replies"],
            rows=[
                [
                    variant.name,
                    milliseconds(variant.p50_ms or 0),
                    milliseconds(variant.p95_ms or 0),
                    f"{len(times):,}",
                ]
                for variant, times in measured
            ],
        )


def _latencies(cases: Sequence[CaseRun], variant: str) -> list[float]:
    """Return the latencies of a variant's replies in milliseconds, without unknown ones."""
    answers = (case.answers[variant] for case in cases if variant in case.answers)
    return [1000 * answer.seconds for answer in answers if answer.seconds]


def history_charts(report: Report) -> Iterator[Chart]:
    """Yield the accuracy in the accepted records, over time."""
    for number, suite in enumerate(report.suites):
        history = suite.history
        names = list(dict.fromkeys(name for point in history for name in point.accuracy))
        if len(history) < 2 or not names:  # noqa: PLR2004 - one record has no history
            continue
        series = [
            (escape_controls(name), [point.accuracy.get(name) for point in history])
            for name in names
        ]
        dates = [point.at[:10] for point in history]
        yield Chart(
            title="Accepted accuracy over time",
            caption=f"{quantity(len(history), 'accepted record')} from git. {suite.name}",
            svg=plots.draw_lines(f"history-{number}", "Accepted accuracy by commit", series, dates),
            headers=["date", "commit", "subject", *names],
            rows=[
                [
                    *(point.at[:10], point.commit, point.subject),
                    *(percent(point.accuracy[n]) if n in point.accuracy else "" for n in names),
                ]
                for point in reversed(history)
            ],
        )
