"""The page: one HTML file that loads nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.recommend.advice import Advice, CostByVolume, Recommendation
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import advice_subject, headline
from pytest_ftgate.reporting.html import charts, plots
from pytest_ftgate.reporting.html.case_data import pack_cases
from pytest_ftgate.reporting.html.plots import Band, Chart
from pytest_ftgate.reporting.ladder import (
    break_even_sentences,
    break_even_table,
    condition_rows,
    coverage_gap_sentence,
    frontier_legend,
    ladder_table,
    monitoring_sentences,
    monthly_cost_table,
)
from pytest_ftgate.reporting.next_steps import step_command, step_text
from pytest_ftgate.reporting.skills import skill_results_by_prompt, skill_table
from pytest_ftgate.reporting.tables import (
    drift_rows,
    format_error_table,
    gates_line,
    label_rows,
    not_evaluated_groups,
    outcome_label,
    rank_verdicts,
    slice_rows,
    usage_line,
    verdict_rows,
)
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.reporting.verdict import (
    certainty_lines,
    judge_tables,
    line_ranges,
    other_check_lines,
)
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.verdicts import node_id

#: The outcome whose colours a recommendation has; all others are neutral.
_RECOMMENDATION_OUTCOMES = {
    Recommendation.ROLL_BACK: "failed",
    Recommendation.FINE_TUNE: "passed",
    Recommendation.KEEP: "passed",
}
#: Volumes in the table of monthly costs.
_MAX_VOLUMES = 7


def _ladder_values(report: Report) -> Mapping[str, Any] | None:
    """Return the values of the section on ladders; None if nothing is recommended."""
    ladders = [_ladder(advice, number) for number, advice in enumerate(report.advice)]
    return {"ladders": ladders} if ladders else None


def _ladder(advice: Advice, number: int) -> Mapping[str, Any]:
    gaps, costs = coverage_gap_sentence(advice.coverage_gaps), advice.money
    notes = [*advice.notes, *monitoring_sentences(advice), gaps]
    held_out = advice.confirmation
    confirmation = [f"held-out cases: {held_out.message}"] if held_out else []
    return {
        "suite": advice.suite,
        "outcome": _RECOMMENDATION_OUTCOMES.get(advice.recommendation, "inconclusive"),
        "recommendation": str(advice.recommendation),
        "detail": advice_subject(advice),
        "reasons": [*(reason.message for reason in advice.reasons), *confirmation],
        "table": ladder_table(advice),
        "legend": frontier_legend(advice),
        "conditions": condition_rows(advice),
        "notes": [note for note in notes if note],
        "charts": [*_cost_charts(costs, f"money-{number}")] if costs else [],
        "break_even": break_even_table(costs) if costs else None,
        "break_even_sentences": [*break_even_sentences(advice, costs, full=False)] if costs else [],
    }


def _cost_charts(costs: CostByVolume, name: str) -> Iterator[Chart]:
    if not costs.series:
        return
    description = f"USD a month by requests a day, of {len(costs.series)} variants"
    table = monthly_cost_table(costs, _MAX_VOLUMES)
    has_intervals = any((line.low, line.high) != (line.usd, line.usd) for line in costs.series)
    note = " Bands are 95 % intervals of the measured tokens." if has_intervals else ""
    bands = [*_cost_bands(costs)]
    yield Chart(
        title="Cost by volume",
        caption=f"USD a month, by requests a day; {costs.calls_per_day:,.0f} are declared.{note}",
        svg=plots.draw_bands(name, description, bands, costs.volumes, costs.calls_per_day),
        headers=table.headers,
        rows=table.rows,
    )


def _cost_bands(costs: CostByVolume) -> Iterator[Band]:
    """Yield the lines of the chart; variants with the same costs share one."""
    names_by_usd: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for line in costs.series:
        names_by_usd[line.usd].append(escape_controls(line.variant))
    for line in costs.series:
        names = names_by_usd.pop(line.usd, None)
        if names:
            yield Band(", ".join(names), line.usd, line.low, line.high)


_Values = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PageSection:
    """A section of the page.

    Attributes:
        values: returns the values of the template, or None to leave the section out.
    """

    anchor: str
    title: str
    template: str
    values: Callable[[Report], _Values]


def html_page(report: Report) -> str:
    """Return *report* as a page.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        remedy = 'pip install "pytest-ftgate[html]"'
        raise ConfigurationError(
            f"charts need matplotlib, which is not installed: {remedy}"
        ) from error
    values = [(section, section.values(report)) for section in PAGE_SECTIONS]
    shown = [(section, _body(section.template, v)) for section, v in values if v is not None]
    style, script = _read_template("page.css"), _read_template("page.js")
    return _templates().get_template("page.html").render(
        report=report,
        gates=gates_line(report),
        usage=usage_line(report),
        suites=list(dict.fromkeys(verdict.suite for verdict in report.verdicts)),
        sections=shown,
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704 - the same
        policy=_content_security_policy(style, script),
    ) + "\n"  # fmt: skip


def _content_security_policy(style: str, script: str) -> str:
    """Return a policy that allows *style* and *script* by their hashes, and no request."""
    parts = [
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        f"style-src '{_hash(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _read_template(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text("utf-8")


def _body(template: str, values: Mapping[str, Any]) -> Markup:
    return Markup(_templates().get_template(template).render(values))  # noqa: S704 - autoescaped


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read_template), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["escape_controls"] = escape_controls
    environment.filters["markup"] = Markup
    environment.filters["percent"] = percent
    return environment


# The values of each section -------------------------------------------------------------------


def _verdicts(report: Report) -> _Values:
    ranked = rank_verdicts(report.gated_verdicts)
    rows = verdict_rows(ranked)
    return {
        "rows": [(row, v, _anchor(v)) for row, v in zip(rows, ranked, strict=True)],
        "not_evaluated": not_evaluated_groups(report),
        "details": [_verdict_values(verdict) for verdict in ranked],
        "notes": report.notes,
        "several_suites": len({verdict.suite for verdict in ranked}) > 1,
    }


def _anchor(verdict: Verdict) -> str:
    return f"v{sha256(node_id(verdict).encode()).hexdigest()[:10]}"


def _verdict_values(verdict: Verdict) -> Mapping[str, Any]:
    format_errors = (("format error", verdict.format_errors), ("rule broken", verdict.broken_rules))
    return {
        "verdict": verdict,
        "headline": headline(verdict),
        "next": [(step_text(step), step_command(step)) for step in verdict.next],
        "anchor": _anchor(verdict),
        "node": node_id(verdict),
        "outcome": outcome_label(verdict),
        "certainty": " ".join(certainty_lines(verdict)),
        "other_checks": list(other_check_lines(verdict)) if len(verdict.checks) > 1 else [],
        "explanation": list(explain(verdict)),
        "judges": list(judge_tables(verdict)),
        "slices": [] if verdict.tests_skills else slice_rows(verdict.slices),
        "skills": [(one, skill_table(one)) for one in skill_results_by_prompt(verdict)],
        "labels": label_rows(verdict.labels, 3),
        "format_errors": [
            format_error_table(title, shares) for title, shares in format_errors if shares
        ],
        "drifts": drift_rows(verdict.drifts),
        "line_ranges": line_ranges,
        "in_cases": verdict.rates_cases,
    }


def _chart_values(draw: Callable[[Report], Iterable[Chart]]) -> Callable[[Report], _Values]:
    def values(report: Report) -> _Values:
        drawn = list(draw(report))
        return {"charts": drawn} if drawn else None

    return values


def _cases(report: Report) -> _Values:
    data = pack_cases(report)
    return {"data": data} if data.cases else None


def _confusions(report: Report) -> _Values:
    tables = [
        {
            "suite": suite.name,
            "variant": matrix.variant,
            "labels": matrix.labels,
            "columns": _confusion_columns(matrix.labels, matrix.counts),
            "counts": matrix.counts,
            "totals": [max(1, sum(row)) for row in matrix.counts],
        }
        for suite in report.suites
        for matrix in suite.confusions
    ]
    return {"tables": tables} if tables else None


def _confusion_columns(
    labels: Sequence[str], counts: Sequence[Sequence[int]]
) -> list[tuple[int, str]]:
    """Return index and label of each column; "no label" only if a reply has none."""
    columns = list(enumerate(labels))
    return [*columns, (len(labels), "no label")] if any(row[-1] for row in counts) else columns


def _facts(report: Report) -> _Values:
    by_variant = {verdict.variant: verdict.facts for verdict in report.verdicts if verdict.facts}
    return {"report": report, "facts_by_variant": by_variant}


#: The sections of the page, in their order.
PAGE_SECTIONS = (
    PageSection("verdicts", "Verdicts", "verdicts.html", _verdicts),
    PageSection("ladder", "Ladder", "ladder.html", _ladder_values),
    PageSection("variants", "Variants", "pictures.html", _chart_values(charts.variant_charts)),
    PageSection("cases", "Cases", "cases.html", _cases),
    PageSection("forgetting", "Skills", "pictures.html", _chart_values(charts.forgetting_charts)),
    PageSection(
        "format-errors",
        "Format errors",
        "pictures.html",
        _chart_values(charts.format_error_charts),
    ),
    PageSection("confusions", "Confusions", "confusions.html", _confusions),
    PageSection("cost", "Cost", "pictures.html", _chart_values(charts.cost_charts)),
    PageSection("latency", "Latency", "pictures.html", _chart_values(charts.latency_charts)),
    PageSection("history", "History", "pictures.html", _chart_values(charts.history_charts)),
    PageSection("facts", "Facts", "facts.html", _facts),
)
