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

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.recommend.advice import Advice, Money, Recommendation
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.html import charts, plots
from pytest_ftgate.reporting.html.case_data import packed
from pytest_ftgate.reporting.html.plots import Band, Picture
from pytest_ftgate.reporting.ladder import (
    conditions,
    crossings,
    indebted,
    legend,
    months,
    paid,
    recommended,
    rungs,
    watched,
)
from pytest_ftgate.reporting.tables import (
    asked_line,
    gates_line,
    label_rows,
    share_rows,
    slice_rows,
    trait_rows,
    verdict_rows,
    word,
)
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.reporting.verdict import (
    JUDGE_HEADERS,
    SKILL_HEADERS,
    by_prompt,
    certainty,
    examinations,
    other_checks,
    ranges,
    skill_rows,
    stepped,
)
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.verdicts import node_id

__all__ = ["SECTIONS", "Section", "ladders", "page"]

#: How a recommendation is coloured; the others are neither good news nor bad.
_MARKS = {
    Recommendation.ROLL_BACK: "failed",
    Recommendation.FINE_TUNE: "passed",
    Recommendation.KEEP: "passed",
}
_VOLUMES = 7


def ladders(report: Report) -> Mapping[str, Any] | None:
    """Return what the section of ladders shows; None where nothing is advised."""
    told = [_ladder(advice, number) for number, advice in enumerate(report.advice)]
    return {"ladders": told} if told else None


def _ladder(advice: Advice, number: int) -> Mapping[str, Any]:
    head, name, rest = recommended(advice)
    asides = [*advice.notes, *watched(advice), indebted(advice.debt)]
    return {
        "suite": advice.suite,
        "mark": _MARKS.get(advice.recommendation, "inconclusive"),
        "head": head,
        "name": name,
        "rest": rest.removeprefix(":").strip(),
        "reasons": [*(one.told for one in advice.reasons), *_confirmed(advice)],
        "table": rungs(advice),
        "legend": legend(advice),
        "conditions": conditions(advice),
        "asides": [*filter(None, asides)],
        "pictures": [*_money(advice, f"money-{number}")],
        "crossings": crossings(advice.money) if advice.money else None,
        "paid": [*paid(advice, advice.money, full=False)] if advice.money else [],
    }


def _confirmed(advice: Advice) -> Iterator[str]:
    if advice.confirmation is not None:
        yield f"held-out cases: {advice.confirmation.told}"


def _money(advice: Advice, name: str) -> Iterator[Picture]:
    money = advice.money
    if money is None or not money.series:
        return
    told = f"USD a month by calls a day, of {len(money.series)} variants"
    table = months(money, _VOLUMES)
    banded = any((one.low, one.high) != (one.usd, one.usd) for one in money.series)
    why = " Bands are 95 % intervals of the measured tokens." if banded else ""
    yield Picture(
        title="Cost by volume",
        caption=f"USD a month, by calls a day; {money.calls_per_day:,.0f} are declared.{why}",
        svg=plots.bands(name, told, [*_bands(money)], money.volumes, money.calls_per_day),
        headers=table.headers,
        rows=table.rows,
    )


def _bands(money: Money) -> Iterator[Band]:
    """Yield the lines of the plot; variants that cost the same share one."""
    alike: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for one in money.series:
        alike[one.usd].append(visible(one.variant))
    for one in money.series:
        names = alike.pop(one.usd, None)
        if names:
            yield Band(", ".join(names), one.usd, one.low, one.high)


#: Columns of a table of faults that compares nothing.
_PLAIN = 3
#: Gates whose cases the explorer shows; the lost ones of any other stand beside its verdict.
_EXPLORED = ("accuracy", "format", "forgetting")
_Told = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its anchor, its title, its template, and what goes into that.

    Attributes:
        told: returns the values of the template, or None where there is nothing to show.
    """

    anchor: str
    title: str
    template: str
    told: Callable[[Report], _Told]


def page(report: Report) -> str:
    """Return *report* as a page.

    Raises:
        Unavailable: what draws is not here.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        remedy = 'pip install "pytest-ftgate[html]"'
        raise Unavailable(
            f"pictures are drawn with matplotlib, which is not here: {remedy}"
        ) from error
    shown = [(one, told) for one in SECTIONS if (told := one.told(report)) is not None]
    style, script = _data("page.css"), _data("page.js")
    return _templates().get_template("page.html").render(
        report=report,
        gates=gates_line(report),
        asked=asked_line(report),
        names=list(dict.fromkeys(one.suite for one in report.verdicts)),
        sections=[(one, _body(one.template, told)) for one, told in shown],
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704 - the same
        policy=_policy(style, script),
    ) + "\n"  # fmt: skip


def _policy(style: str, script: str) -> str:
    """Return the policy under which nothing runs but *script*, and nothing is fetched."""
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


def _data(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text("utf-8")


def _body(template: str, told: Mapping[str, Any]) -> Markup:
    return Markup(_templates().get_template(template).render(told))  # noqa: S704 - autoescaped


@cache
def _templates() -> Environment:
    loader = FunctionLoader(_data)
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["visible"] = visible
    made.filters["figure"] = Markup
    made.filters["percent"] = percent
    return made


# What the sections show ----------------------------------------------------------------------


def _verdicts(report: Report) -> _Told:
    order = (Outcome.FAILED, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.PASSED)
    ranked = sorted(report.judged, key=lambda one: order.index(one.outcome))
    rows = verdict_rows(ranked)
    return {
        "rows": [(row, one, _anchor(one)) for row, one in zip(rows, ranked, strict=True)],
        "unjudged": report.unjudged,
        "details": [_detail(one) for one in ranked],
        "told": report.told,
        "many": len({one.suite for one in ranked}) > 1,
        "skill_headers": SKILL_HEADERS,
        "judge_headers": JUDGE_HEADERS,
    }


def _anchor(verdict: Verdict) -> str:
    return f"v{sha256(node_id(verdict).encode()).hexdigest()[:10]}"


def _detail(verdict: Verdict) -> Mapping[str, Any]:
    return {
        "verdict": verdict,
        "anchor": _anchor(verdict),
        "node": node_id(verdict),
        "word": word(verdict),
        "certainty": " ".join(certainty(verdict)),
        "others": list(other_checks(verdict)) if len(verdict.checks) > 1 else [],
        "next": [stepped(step) for step in verdict.next],
        "why": list(explain(verdict)),
        "judges": list(examinations(verdict)),
        "slices": [] if verdict.gate == "forgetting" else slice_rows(verdict.slices),
        "forgotten": [(one, skill_rows(one.skills)) for one in by_prompt(verdict)],
        "labels": label_rows(verdict.labels, 3),
        "faults": [*_faults(verdict)],
        "traits": trait_rows(verdict.traits),
        "lines": ranges,
        "explored": verdict.gate in _EXPLORED,
    }


def _faults(verdict: Verdict) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of a format gate: how replies break their form, and which rules."""
    for title, shares in (("fault", verdict.faults), ("rule broken", verdict.broken_rules)):
        if shares and verdict.gate == "format":
            rows = share_rows(shares)
            before = ["before"] * (len(rows[0]) > _PLAIN)
            yield {"title": title, "headers": [title, *before, "now", "replies"], "rows": rows}


def _drawn(of: Callable[[Report], Iterable[Picture]]) -> Callable[[Report], _Told]:
    def told(report: Report) -> _Told:
        found = list(of(report))
        return {"pictures": found} if found else None

    return told


def _cases(report: Report) -> _Told:
    payload = packed(report)
    return {"payload": payload} if payload.cases else None


def _confusions(report: Report) -> _Told:
    tables = [
        {
            "suite": suite.name,
            "variant": one.variant,
            "labels": one.labels,
            "columns": _said(one.labels, one.counts),
            "counts": one.counts,
            "most": [max(1, sum(row)) for row in one.counts],
        }
        for suite in report.suites
        for one in suite.confusions
    ]
    return {"tables": tables} if tables else None


def _said(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> list[tuple[int, str]]:
    """Return the columns of a table of confusions; that of no label only where it is needed."""
    columns = list(enumerate(labels))
    return [*columns, (len(labels), "no label")] if any(row[-1] for row in counts) else columns


def _facts(report: Report) -> _Told:
    known = {one.variant: one.facts for one in report.verdicts if one.facts}
    return {"report": report, "known": known}


#: The parts of the page, in their order.
SECTIONS = (
    Section("verdicts", "Verdicts", "verdicts.html", _verdicts),
    Section("ladder", "Ladder", "ladder.html", ladders),
    Section("variants", "Variants", "pictures.html", _drawn(charts.variants)),
    Section("cases", "Cases", "cases.html", _cases),
    Section("forgetting", "Skills", "pictures.html", _drawn(charts.forgetting)),
    Section("faults", "Form faults", "pictures.html", _drawn(charts.faults)),
    Section("confusions", "Confusions", "confusions.html", _confusions),
    Section("cost", "Cost", "pictures.html", _drawn(charts.cost)),
    Section("latency", "Latency", "pictures.html", _drawn(charts.latency)),
    Section("history", "History", "pictures.html", _drawn(charts.history)),
    Section("facts", "Facts", "facts.html", _facts),
)
