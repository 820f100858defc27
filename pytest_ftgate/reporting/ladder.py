"""The ladder as text: rungs, recommendation, reasons, and costs."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftgate.recommend.advice import (
    Advice,
    BreakEven,
    Confirmation,
    CostByVolume,
    CoverageGaps,
    Gain,
)
from pytest_ftgate.reporting.headlines import advice_detail, advice_headline
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import (
    change_text,
    first_names,
    percent,
    points,
    quantity,
    usd,
    with_more,
)
from pytest_ftgate.reporting.tables import (
    TextTable,
    change_cell,
    rate_cell,
    shown_file,
    table_lines,
)
from pytest_ftgate.reporting.text import escape_controls, wrap_after, wrap_lines

_HOLDS_LABELS = {True: "for", False: "against", None: "not known"}


def quality_table(advice: Advice) -> TextTable:
    """Return the accuracy of each rung, its gain over the rung above, and its format rate."""
    rows = [
        [
            row.variant,
            "*" * row.frontier,
            rate_cell(row.accuracy, row.accuracy_low, row.accuracy_high),
            _gain_text(row.gain),
            rate_cell(row.format, row.format_low, row.format_high),
        ]
        for row in advice.rungs
    ]
    return TextTable(["variant", "", "right", "over the row above", "format"], rows, (2, 4))


def frontier_legend(advice: Advice) -> str:
    """Return the meaning of the star; "" if no rung has one."""
    price = "time" if advice.frontier_by == "time" else "cost"
    starred = any(row.frontier for row in advice.rungs)
    return f"* Pareto-optimal in accuracy and {price}" if starred else ""


def usage_table(advice: Advice) -> TextTable:
    """Return latency, tokens and costs of each rung, without columns that were not measured."""
    rungs = advice.rungs
    columns = {
        "variant": [row.variant for row in rungs],
        "rung": [row.rung for row in rungs],
        "p50 ms": [_number(row.p50_ms) for row in rungs],
        "p95 ms": [_number(row.p95_ms) for row in rungs],
        "tokens": [_number(row.tokens) for row in rungs],
        "USD/1k": [row.unknown or _usd(row.usd_per_1k) for row in rungs],
        "USD/1k served": [_usd(row.usd_served) for row in rungs],
        "USD/month": [_usd(row.usd_per_month) for row in rungs],
    }
    names = ("variant", "rung")
    shown = {header: cells for header, cells in columns.items() if header in names or any(cells)}
    return TextTable([*shown], [*zip(*shown.values(), strict=True)], range(2, len(shown)))


def ladder_table(advice: Advice) -> TextTable:
    """Return *quality_table* and *usage_table* as one, for reports that have the width."""
    quality, usage = quality_table(advice), usage_table(advice)
    rows = [
        [f"{left[0]} {left[1]}".rstrip(), right[1], *left[2:], *right[2:]]
        for left, right in zip(quality.rows, usage.rows, strict=True)
    ]
    headers = ["variant", "rung", *quality.headers[2:], *usage.headers[2:]]
    return TextTable(headers, rows, (2, *range(4, len(headers))))


def condition_rows(advice: Advice) -> list[tuple[str, str, str]]:
    """Return the name of each condition, whether it speaks for fine-tuning, and why."""
    return [
        (
            f"{'*' if condition.needed else ' '} {condition.name}",
            _HOLDS_LABELS[condition.holds],
            note_text(condition.note),
        )
        for condition in advice.conditions
    ]


def monthly_cost_table(costs: CostByVolume, max_volumes: int) -> TextTable:
    """Return the cost of each rung a month, at no more than *max_volumes* volumes."""
    declared = costs.volumes.index(costs.calls_per_day)
    round_volumes = [
        index
        for index, volume in enumerate(costs.volumes)
        if volume in (100, 1_000, 10_000, 100_000)
    ]
    shown = sorted({declared, *round_volumes})[:max_volumes]
    headers = ["USD a month at", *(f"{costs.volumes[index]:,.0f}" for index in shown)]
    rows = [
        [series.variant, *(_usd_without_cents(series.usd[index]) for index in shown)]
        for series in costs.series
    ]
    return TextTable(headers, rows, range(1, len(headers)))


def break_even_table(costs: CostByVolume) -> TextTable:
    """Return the volume from which each fine-tune is cheaper than each other rung."""
    rows = [
        [
            pair.variant,
            pair.compared_with,
            _volume_text(pair),
            _usd(pair.saves_per_month) if pair.days is not None else "nothing",
            "" if pair.days is None else _days_text(pair),
        ]
        for pair in costs.break_even
    ]
    headers = ["cheaper", "than", "from requests a day", "saves/month", "days to pay back"]
    return TextTable(headers, rows, range(2, 5))


def break_even_sentences(advice: Advice, costs: CostByVolume, *, full: bool) -> Iterator[str]:
    """Yield the break-even with the best untuned rung, then the variants without a price.

    *full* leaves out the break-even, which *break_even_table* has for every rung.
    """
    for pair in costs.break_even:
        if pair.compared_with == advice.below and not full:
            yield _break_even_sentence(pair)
    if costs.unpriced:
        names = ", ".join(f"{name} ({label})" for name, label in costs.unpriced.items())
        yield f"without a price: {names}"


def monitoring_sentences(advice: Advice) -> Iterator[str]:
    """Yield a sentence on each challenger, each retiring model, and the rollback."""
    for challenge in advice.challenges:
        gain = challenge.gain
        change = change_text(gain.change, gain.low, gain.high)
        result = f"{challenge.outcome}; {change} against {challenge.tuned}"
        yield f"challenger {challenge.challenger}: {result}"
    for model in advice.retiring:
        when = f"in {quantity(model.days, 'day')}" if model.days >= 0 else "already"
        yield f"{model.model} ({', '.join(model.variants)}) retires {when}, on {model.date}"
    rollback = advice.rollback
    if rollback is None:
        return
    if not rollback.variant:
        gates = ", ".join(rollback.gates)
        yield f"{rollback.failing} fails {gates}, and nothing accepted before passes"
    elif not rollback.in_suite:
        when = f"{rollback.variant} was accepted {rollback.at} by {rollback.by}"
        command = f"git show {rollback.commit}:./{advice.suite}"
        yield f"{when} and has left the suite: {command}"


def closing_sentences(advice: Advice) -> Iterator[str]:
    """Yield the sentences of *monitoring_sentences*, and one on the gaps of the evaluation."""
    yield from monitoring_sentences(advice)
    yield from filter(None, [coverage_gap_sentence(advice.coverage_gaps)])


def confirmation_sentence(found: Confirmation) -> str:
    """Return whether held-out cases confirm the choice, and with which rate."""
    rate = f"right in {percent(found.accuracy)} of {found.n} held-out cases"
    before = percent(found.before)
    return f"held-out cases: {found.outcome}: {found.variant} is {rate}, and in {before} before"


def coverage_gap_sentence(gaps: CoverageGaps) -> str:
    """Return the gaps of the evaluation in a sentence; "" if there are none."""
    parts = []
    if gaps.thin:
        count = f"{quantity(len(gaps.thin), 'label')} with fewer than 10 cases"
        parts.append(f"{count} ({first_names([f'{k} {n}' for k, n in gaps.thin.items()])})")
    if gaps.blunt:
        gates = [f"{gate} {_detectable_text(drop)}" for gate, drop in gaps.blunt.items()]
        count = quantity(len(gates), "gate")
        parts.append(f"{count} without power for a drop of 10 points ({first_names(gates)})")
    if gaps.unclaimed:
        count = quantity(len(gaps.unclaimed), "prompt file")
        parts.append(f"{count} that no suite names ({first_names(gaps.unclaimed)})")
    return f"coverage gaps: {'; '.join(parts)}" if parts else ""


def _gain_text(gain: Gain | None) -> str:
    if gain is None:
        return ""
    text = change_cell(gain)
    return text if gain.certain or gain.change < 0 else f"{text} inconclusive"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1 else f"{value:.1f}"


def _usd(value: float | None) -> str:
    return "" if value is None else usd(value).removesuffix(" USD")


def _usd_without_cents(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"  # noqa: PLR2004 - 15.00, 1,560


def _break_even_sentence(pair: BreakEven) -> str:
    start = f"{pair.variant} is cheaper than {pair.compared_with}"
    if pair.calls_per_day is None:
        return f"{start} at no volume"
    volume = "at any volume"
    if pair.calls_per_day:
        volume = f"from {_volume_text(pair)} requests a day on"
    if pair.days is None:
        return f"{start} {volume}; at the declared volume it saves nothing"
    saves = f"it saves {usd(pair.saves_per_month or 0.0)} a month"
    return f"{start} {volume}; {saves} and is paid back in {_days_text(pair)} days"


def _volume_text(pair: BreakEven) -> str:
    if not pair.calls_per_day:
        return "never" if pair.calls_per_day is None else "any"
    interval = "" if pair.low is None else f"{pair.low:,.0f} to {_upper_bound(pair.high)}"
    return with_more(f"{pair.calls_per_day:,.0f}", interval)


def _days_text(pair: BreakEven) -> str:
    days = pair.days or 0.0
    text = f"{days:,.1f}" if days < 10 else f"{days:,.0f}"  # noqa: PLR2004
    low, high = pair.days_low, _upper_bound(pair.days_high)
    return with_more(text, "" if low is None else f"{low:,.1f} to {high}")


def _upper_bound(value: float | None) -> str:
    return "…" if value is None else f"{value:,.0f}"


def _detectable_text(drop: float | None) -> str:
    return "rules out no drop" if drop is None else f"rules out drops from {points(drop)[1:]} on"


#: Volumes in a terminal; the chart of the page shows all.
_MAX_VOLUMES = 5


def ladder_lines(advice: Advice, *, full: bool = False) -> Iterator[str]:
    """Yield the lines of one ladder; *full* includes the conditions and the costs by volume."""
    yield f"  {shown_file(advice.suite)}: the ladder, least effort first"
    yield ""
    yield from table_lines(quality_table(advice))
    yield from wrap_lines(frontier_legend(advice))
    yield ""
    yield from table_lines(usage_table(advice))
    yield ""
    yield from _recommendation_lines(advice)
    if full:
        yield from _condition_lines(advice)
    if advice.money is not None:
        yield from _cost_lines(advice, advice.money, full=full)
    for sentence in closing_sentences(advice):
        yield from wrap_lines(escape_controls(sentence))


def ladder_sentence(advice: Advice) -> str:
    """Return the recommendation in a sentence, if most variants were measured."""
    missing, total = len(advice.unmeasured), len(advice.unmeasured) + len(advice.rungs)
    if missing > len(advice.rungs):
        return f"no recommendation, since {missing} of {total} variants were not measured"
    among = f", of the {len(advice.rungs)} of {total} variants that were measured" * bool(missing)
    return escape_controls(advice_headline(advice)) + among


def coverage_gap_lines(gaps: CoverageGaps) -> Iterator[str]:
    """Yield the lines on the gaps of the evaluation; none if there are no gaps."""
    yield from wrap_lines(escape_controls(coverage_gap_sentence(gaps)))


def _recommendation_lines(advice: Advice) -> Iterator[str]:
    if len(advice.unmeasured) > len(advice.rungs):
        yield from wrap_lines(ladder_sentence(advice))
        return
    yield from wrap_lines(
        f"{advice.recommendation.upper()}{escape_controls(advice_detail(advice))}"
    )
    for reason in advice.reasons:
        yield from wrap_lines(f"- {escape_controls(note_text(reason.note))}", 4)
    if advice.confirmation is not None:
        yield from wrap_lines(f"- {escape_controls(confirmation_sentence(advice.confirmation))}", 4)
    for note in advice.notes:
        yield from wrap_lines(f"note: {escape_controls(note_text(note))}")


def _condition_lines(advice: Advice) -> Iterator[str]:
    if advice.conditions:
        yield ""
        yield "  for and against fine-tuning (* needed)"
    for name, holds, message in condition_rows(advice):
        yield from wrap_after(f"  {name:<13}{holds:<10}", escape_controls(message))


def _cost_lines(advice: Advice, costs: CostByVolume, *, full: bool) -> Iterator[str]:
    yield ""
    if costs.series:
        yield from table_lines(monthly_cost_table(costs, _MAX_VOLUMES))
        yield f"  requests a day; {costs.calls_per_day:,.0f} are declared"
    if full and costs.break_even:
        yield ""
        yield from table_lines(break_even_table(costs))
    for sentence in break_even_sentences(advice, costs, full=full):
        yield from wrap_lines(sentence)
