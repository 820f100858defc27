"""The page: one HTML file that loads nothing else."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.recommend.advice import Advice, Recommendation
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import (
    advice_headline,
    advice_subject,
    exam_phrase,
    headline,
    verdict_words,
)
from pytest_ftgate.reporting.html import charts
from pytest_ftgate.reporting.html.case_data import cases_link, confusion_values, pack_cases
from pytest_ftgate.reporting.html.charts import Chart
from pytest_ftgate.reporting.ladder import (
    break_even_sentences,
    break_even_table,
    condition_rows,
    confirmation_sentence,
    coverage_gap_sentence,
    frontier_legend,
    ladder_table,
    monitoring_sentences,
)
from pytest_ftgate.reporting.next_steps import step_command, step_text
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import percent
from pytest_ftgate.reporting.skills import skill_results_by_prompt, skill_table
from pytest_ftgate.reporting.suite_errors import error_count, first_error, unread_files
from pytest_ftgate.reporting.summary import shown_advice
from pytest_ftgate.reporting.tables import (
    VERDICT_COLUMNS,
    changes_line,
    comparison_line,
    drift_rows,
    error_groups,
    format_error_table,
    gates_line,
    label_rows,
    outcome_label,
    published_facts,
    rank_verdicts,
    slice_rows,
    source_link,
    usage_line,
)
from pytest_ftgate.reporting.text import escape_controls, line_ranges
from pytest_ftgate.reporting.ungated import unfailing_gates, unselected_line
from pytest_ftgate.reporting.verdict import judge_tables, other_check_lines, verdict_facts
from pytest_ftgate.results.run import Report, node_id, node_name
from pytest_ftgate.settings import DOCS_URL

#: The outcome whose colours a recommendation has; all others are neutral.
_RECOMMENDATION_OUTCOMES = {
    Recommendation.ROLL_BACK: "failed",
    Recommendation.FINE_TUNE: "passed",
    Recommendation.KEEP: "passed",
}
#: The heading of a run by the worst outcome of its gates.
_HEADINGS = {
    Outcome.PASSED: ("passed", "✓", "Passed"),
    Outcome.INCONCLUSIVE: ("inconclusive", "?", "Not enough evidence"),
    Outcome.FAILED: ("failed", "✕", "Blocked"),
}
#: The most passed gates, and other gates that did not pass, that the top of the page names.
_MAX_NAMED = 6
#: An address of a page of the documentation.
_DOCS_LINK = re.compile(re.escape(DOCS_URL) + r"[\w/#-]*")
#: The files of the script, in their order.
_SCRIPTS = ("page.js", "charts.js", "cases.js")


def _top_values(report: Report) -> Mapping[str, Any]:
    """Return the values at the top of the page: outcome, the worst gate, and what to do first."""
    ranked = rank_verdicts(report.gated_verdicts)
    blocking = [verdict for verdict in ranked if verdict.outcome is not Outcome.PASSED]
    outcome = Outcome.FAILED
    if report.verdict == "passed":
        outcome = Outcome.PASSED
    elif blocking and not report.errors and blocking[0].outcome is Outcome.INCONCLUSIVE:
        outcome = Outcome.INCONCLUSIVE
    kind, sign, heading = _HEADINGS[outcome]
    worst = None if outcome is Outcome.PASSED or not blocking else blocking[0]
    if worst and worst.exam and worst.statement.kind is StatementKind.EXAM_HAS_SHRUNK:
        heading = exam_phrase(worst.exam).capitalize()
    return {
        "outcome": kind,
        "sign": sign,
        "heading": heading,
        "worst": None if worst is None else _verdict_values(report, worst),
        "explored": _explored_suites(report),
        "others": [(v, node_name(v), _anchor(v)) for v in blocking if v is not worst][:_MAX_NAMED],
        "errors": error_groups(report),
        "unread": [(file, error_count(file), first_error(file)) for file in unread_files(report)],
        "passed": [
            (v, node_name(v), headline(v), _anchor(v)) for v in ranked[:_MAX_NAMED] if not worst
        ],
        "unfailing": [*unfailing_gates(report)],
        "always_blocks": any(verdict.always_blocks for verdict in blocking),
        "advice": [advice_headline(advice) for advice in shown_advice(report)],
    }  # fmt: skip


def _ladder_values(report: Report) -> Mapping[str, Any] | None:
    """Return the values of the section on ladders; None if nothing is recommended."""
    ladders = [_ladder(advice) for advice in report.advice]
    return {"ladders": ladders} if ladders else None


def _ladder(advice: Advice) -> Mapping[str, Any]:
    gaps, costs = coverage_gap_sentence(advice.coverage_gaps), advice.money
    notes = [*map(note_text, advice.notes), *monitoring_sentences(advice), gaps]
    held_out = advice.confirmation
    confirmation = [confirmation_sentence(held_out)] if held_out else []
    return {
        "suite": advice.suite,
        "outcome": _RECOMMENDATION_OUTCOMES.get(advice.recommendation, "inconclusive"),
        "recommendation": str(advice.recommendation),
        "detail": advice_subject(advice),
        "reasons": [*(note_text(reason.note) for reason in advice.reasons), *confirmation],
        "table": ladder_table(advice),
        "legend": frontier_legend(advice),
        "conditions": condition_rows(advice),
        "notes": [note for note in notes if note],
        "charts": [*charts.volume_charts(costs)],
        "break_even": break_even_table(costs) if costs else None,
        "break_even_sentences": [*break_even_sentences(advice, costs, full=False)] if costs else [],
    }


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
    """Return *report* as a page."""
    values = [(section, section.values(report)) for section in PAGE_SECTIONS]
    shown = [(section, _body(section.template, v)) for section, v in values if v is not None]
    style, script = _read_template("page.css"), _script()
    return _templates().get_template("page.html").render(
        report=report,
        top=_top_values(report),
        gates=gates_line(report),
        usage=usage_line(report),
        lines=filter(None, (changes_line(report.file_changes), unselected_line(report))),
        suites=_suites(report),
        sections=shown,
        anchors={section.anchor for section, _ in shown},
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704 - the same
        policy=_content_security_policy(style, script),
    ) + "\n"  # fmt: skip


def _suites(report: Report) -> list[str]:
    """Return the suites of a run, and the files whose gates could not be read."""
    found = [*(v.suite for v in report.verdicts), *(file.node for file in unread_files(report))]
    return list(dict.fromkeys(found))


def _script() -> str:
    """Return the script of the page, whose names are its own."""
    return "(() => {\n" + "".join(map(_read_template, _SCRIPTS)) + "})();\n"


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


def _keep_rates_together(text: str) -> str:
    """Return *text* so that no line ends within ``48 → 0 %`` or ``95 % CI``."""
    return re.sub(r" (?=[→%])|(?<=→) |(?<=%) (?=CI)", "\N{NO-BREAK SPACE}", text)


def _link_docs(text: str) -> Markup:
    """Return *text*, escaped, with links to the documentation; other addresses stay text."""
    escaped = str(escape(escape_controls(text)))
    return Markup(_DOCS_LINK.sub(r'<a href="\g<0>">\g<0></a>', escaped))  # noqa: S704 - escaped


def _body(template: str, values: Mapping[str, Any]) -> Markup:
    return Markup(_templates().get_template(template).render(values))  # noqa: S704 - autoescaped


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read_template), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["escape_controls"] = escape_controls
    environment.filters["note_text"] = note_text
    environment.filters["percent"] = percent
    environment.filters["note_text"] = note_text
    environment.filters["unbroken"] = _keep_rates_together
    environment.filters["linked"] = _link_docs
    return environment


# The values of each section -------------------------------------------------------------------


#: The columns of the table of verdicts on the page: what blocks is seen first.
_PAGE_COLUMNS = (
    *(column for column in VERDICT_COLUMNS if column.key == "verdict"),
    *(column for column in VERDICT_COLUMNS if column.key != "verdict"),
)


def _verdicts(report: Report) -> _Values:
    ranked = rank_verdicts(report.gated_verdicts)
    is_measured = {verdict.outcome for verdict in ranked} != {Outcome.INVALID}
    rows = [({c.key: c.cell(v) for c in VERDICT_COLUMNS}, v, _anchor(v)) for v in ranked]
    return {
        "columns": _PAGE_COLUMNS,
        "rows": rows if is_measured else [],
        "errors": error_groups(report),
        "unread": [(file, error_count(file)) for file in unread_files(report)],
        "details": [_verdict_values(report, verdict) for verdict in ranked],
        "explored": _explored_suites(report),
        "notes": report.notes,
        "several_suites": len({verdict.suite for verdict in ranked}) > 1,
    }


def _explored_suites(report: Report) -> set[str]:
    """Return the suites whose cases are on the page."""
    return {suite.name for suite in report.suites if suite.cases}


def _anchor(verdict: Verdict) -> str:
    return f"v{sha256(node_id(verdict).encode()).hexdigest()[:10]}"


def _verdict_values(report: Report, verdict: Verdict) -> Mapping[str, Any]:
    format_errors = (("format error", verdict.format_errors), ("rule broken", verdict.broken_rules))
    return {
        "verdict": verdict,
        "words": verdict_words(verdict),
        "next": [(step.role, step_text(step), step_command(step)) for step in verdict.next],
        "anchor": _anchor(verdict),
        "node": node_id(verdict),
        "source": source_link(report, verdict),
        "name": node_name(verdict),
        "cases": _verdict_link(verdict, "regressed"),
        "outcome": outcome_label(verdict),
        "other_checks": list(other_check_lines(verdict)),
        "explanation": list(explain(verdict)),
        "judges": list(judge_tables(verdict)),
        "slices": [] if verdict.tests_skills else slice_rows(verdict.slices),
        "skills": [
            (one, skill_table(one), [_verdict_link(verdict, tag=part.name) for part in one.parts])
            for one in skill_results_by_prompt(verdict)
        ],
        "labels": label_rows(verdict.labels, 3),
        "label_links": [_verdict_link(verdict, expected=one.label) for one in verdict.labels],
        "format_errors": [
            format_error_table(title, shares) for title, shares in format_errors if shares
        ],
        "drifts": drift_rows(verdict.drifts),
        "line_ranges": line_ranges,
    }


def _verdict_link(verdict: Verdict, kind: str = "", **more: str) -> str:
    """Return the address of the cases of a gate within the page."""
    return cases_link(verdict.suite, verdict.gate, verdict.variant, kind, **more)


def _chart_values(draw: Callable[[Report], Iterable[Chart]]) -> Callable[[Report], _Values]:
    def values(report: Report) -> _Values:
        drawn = list(draw(report))
        return {"charts": drawn} if drawn else None

    return values


def _cases(report: Report) -> _Values:
    data = pack_cases(report)
    return {"data": data} if data.cases else None


def _confusions(report: Report) -> _Values:
    tables = confusion_values(report, cases_link)
    return {"tables": tables} if tables else None


def _facts(report: Report) -> _Values:
    facts = ((verdict.variant, verdict_facts(verdict)) for verdict in report.verdicts)
    by_variant = {variant: known for variant, known in facts if known}
    return {
        "report": report,
        "facts": published_facts(report),
        "usage": usage_line(report),
        "comparison": comparison_line(report.file_changes),
        "facts_by_variant": by_variant,
    }


#: The sections of the page, in their order.
PAGE_SECTIONS = (
    PageSection("verdicts", "Verdicts", "verdicts.html", _verdicts),
    PageSection("cases", "Cases", "cases.html", _cases),
    PageSection("forgetting", "Skills", "pictures.html", _chart_values(charts.forgetting_charts)),
    PageSection(
        "format-errors",
        "Format errors",
        "pictures.html",
        _chart_values(charts.format_error_charts),
    ),
    PageSection("confusions", "Confusions", "confusions.html", _confusions),
    PageSection("variants", "Variants", "pictures.html", _chart_values(charts.variant_charts)),
    PageSection("ladder", "Ladder", "ladder.html", _ladder_values),
    PageSection("cost", "Cost", "pictures.html", _chart_values(charts.cost_charts)),
    PageSection("latency", "Latency", "pictures.html", _chart_values(charts.latency_charts)),
    PageSection("history", "History", "pictures.html", _chart_values(charts.history_charts)),
    PageSection("facts", "Facts", "facts.html", _facts),
)
