"""Every place that shows a figure shows the same one, whatever the run was like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from ftgate_testing.judge_evidence import evidence, validation
from ftgate_testing.ladder_suites import QUIET, TODAY
from ftgate_testing.properties import examples
from ftgate_testing.reports import report
from ftgate_testing.score_columns import case, suite
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.gates.figure import Figure, Population
from pytest_ftgate.gates.figures import ReplyTimes, known_times, latency_figure
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.measures import variant_figures
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.usage import evaluate_cost, evaluate_latency
from pytest_ftgate.gates.verdict import Check, CheckKind, Verdict
from pytest_ftgate.recommend.advice import Evidence, LadderRow
from pytest_ftgate.recommend.recommend import advise
from pytest_ftgate.reporting.html.charts import Chart, cost_charts, latency_charts, variant_charts
from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.reporting.ladder import ladder_lines
from pytest_ftgate.reporting.markdown import markdown_report
from pytest_ftgate.reporting.number_text import amount, usd
from pytest_ftgate.reporting.summary import detail_lines
from pytest_ftgate.reporting.trackers import tracked_figures, write_metrics
from pytest_ftgate.reporting.writers import write_run
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.collect import collect_suite_run
from pytest_ftgate.results.run import Report, VariantRun, read_run
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import CostGate, LatencyGate, RateGate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.prices import Tariff

ACCURACY = RateGate(kind="accuracy", line=1, min=0.5)
FORMAT = RateGate(kind="format", line=2, min=0.5)
COST = CostGate(line=3, max_usd_per_1k=1.0)
LATENCY = LatencyGate(line=4, max_p50_ms=900.0, max_p95_ms=5000.0)
TARIFFS = (
    Tariff(per_1k=2.5),
    Tariff(per_1m_input=3.0, per_1m_output=15.0),
    Tariff(per_1m_input=3.0, per_1m_output=15.0, per_1m_cached=0.3),
)
LABELS = ("refund", "late_delivery")

#: The figure that each kind of check copies.
NAMES = {CheckKind.MEAN: "usd_per_1k", CheckKind.P50: "p50", CheckKind.P95: "p95"}

USAGES = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "input": st.sampled_from([12, 900, 100_000]),
            "output": st.sampled_from([1, 30]),
            "cache_read": st.sampled_from([0, 700]),
            "cache_write": st.sampled_from([0, 90]),
        }
    ),
)
REPLIES = st.builds(
    Reply,
    text=st.sampled_from(["refund", "late_delivery", "no"]),
    usage=USAGES,
    seconds=st.sampled_from([0.2, 1.0, 2.0, 9.0]),
)
#: One case: its weight, its group, what it expects, and its replies; None for a missing one.
CASES = st.tuples(
    st.sampled_from([0.0, 1.0, 3.0, 9.0]),
    st.integers(0, 40),
    st.sampled_from(LABELS),
    st.lists(st.one_of(REPLIES, REPLIES, REPLIES, st.none()), min_size=1, max_size=3),
)


def case_result(number: int, drawn, *, grouped: bool) -> CaseResult:
    weight, group, expected, replies = drawn
    name = f"c{number}"
    own = {"weight": weight, "group": f"g{group}" if grouped else None, "expected": expected}
    there = tuple(reply for reply in replies if reply is not None)
    error = FormatError("not in enumeration")
    scores = (
        Score(float(reply.text == expected), None if reply.text in LABELS else error)
        for reply in there
    )
    return CaseResult(
        case=replace(case(name), **own), replies=there, scores=tuple(scores),
        fingerprints=tuple(f"{name} {repeat}" for repeat in range(len(replies))),
        missing_reasons=("gone",) * (len(replies) - len(there)),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Run:
    """A suite and the scores of its variants; *cached* replies are not of this run."""

    suite: Suite
    scores: Mapping[str, VariantScores]
    cached: bool = False
    judges: Mapping[VariantScores, JudgeEvidence] | None = None

    def _repr_pretty_(self, printer, cycle) -> None:
        """Print the drawn cases: Hypothesis would print everything, which is too long."""
        cases = [
            (row.case.weight, row.case.group, [(r.text, *r.usage.values()) for r in row.replies])
            for row in self.scores["current"].case_results
        ]
        printer.text(f"Run({cases}, cached={self.cached})")

    def times(self, variant: str) -> ReplyTimes:
        results = self.scores[variant].results
        fresh = {
            key: [reply.seconds for reply in row.replies]
            for number, (key, row) in enumerate(results.items())
            if row.replies and not (self.cached and number % 2)
        }
        known = known_times(self.scores[variant], timed=True)
        return replace(known, seconds=fresh, population=Population.THIS_RUN)

    def verdicts(self) -> Iterator[Verdict]:
        for name, scores in self.scores.items():
            known = (self.judges or {}).get(scores, JudgeEvidence())
            comparison = Comparison(scores, scores, judge_evidence=known)
            for gate in self.suite.gates.values():
                if isinstance(gate, RateGate):
                    plain = replace(comparison, judge_evidence=JudgeEvidence())
                    own = comparison if gate.kind == "accuracy" else plain
                    yield evaluate_rate(self.suite, gate, own)
                elif gate.kind == "cost":
                    yield evaluate_cost(self.suite, gate, scores, scores)
                else:
                    yield evaluate_latency(self.suite, gate, self.times(name), None, 4)

    def report(self) -> Report:
        """Return the run record, as it comes back from its file."""
        verdicts, judges = tuple(self.verdicts()), self.judges or {}
        run = collect_suite_run(self.suite, [("task", s) for s in self.scores.values()], judges)
        advice = advise(
            Evidence(
                suite=self.suite, scores=self.scores, verdicts=verdicts, today=TODAY, git=QUIET,
                judges=judges,
            )
        )  # fmt: skip
        made = report(*verdicts, suites=[run], advice=(advice,) if advice else ())
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run.json"
            write_run(path, made)
            return read_run(path)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Draw a run of two variants, whose prices and metrics differ."""
    grouped, cases = draw(st.booleans()), draw(st.lists(CASES, min_size=20, max_size=60))
    others = draw(st.permutations(cases))
    made = suite(ACCURACY, FORMAT, COST, LATENCY)
    variants = {
        name: replace(variant, tariff=draw(st.sampled_from(TARIFFS)))
        for name, variant in made.variants.items()
    }
    scores = {
        name: VariantScores(
            name, {f"c{n}": case_result(n, one, grouped=grouped) for n, one in enumerate(rows)}
        )
        for name, rows in zip(variants, (cases, others), strict=True)
    }
    return Run(suite=replace(made, variants=variants), scores=scores, cached=draw(st.booleans()))


def figure_name(verdict: Verdict, check: Check) -> str:
    return NAMES.get(check.kind, verdict.gate)


def told(figure: Figure | Check) -> Sequence[object]:
    value = figure.after if isinstance(figure, Check) else figure.value
    return (value, figure.low, figure.high, figure.n, figure.missing, figure.unit, figure.method)


def assert_checks_are_the_figures(run: Run, made: Report) -> None:
    variants = {variant.name: variant for variant in made.suites[0].variants}
    for verdict in made.verdicts:
        for check in verdict.checks:
            name = figure_name(verdict, check)
            figure = variants[verdict.variant].figures.get(name)
            if verdict.gate == "latency" and run.cached:
                share = {CheckKind.P50: 0.5, CheckKind.P95: 0.95}[check.kind]
                figure = latency_figure(run.times(verdict.variant), share)
                assert figure.population is Population.THIS_RUN
            if figure is None:
                assert check.n == 0
            else:
                assert told(check) == told(figure)


def assert_rungs_are_the_figures(row: LadderRow, figures: Mapping[str, Figure]) -> None:
    for kind in ("accuracy", "format"):
        rate = figures.get(kind)
        bounds = [getattr(row, f"{kind}{end}") for end in ("", "_low", "_high")]
        assert bounds == ([rate.value, rate.low, rate.high] if rate else [None] * 3)
    fields = {"usd_per_1k": "usd_per_1k", "p50": "p50_ms", "p95": "p95_ms", "tokens": "tokens"}
    for name, field in fields.items():
        assert getattr(row, field) == (figures[name].value if name in figures else None)


def assert_charts_are_the_figures(made: Report, variants: Mapping[str, VariantRun]) -> None:
    for chart in (*variant_charts(made), *cost_charts(made), *latency_charts(made)):
        for row in chart.values["rows"]:
            figures = variants[row["name"]].figures
            if chart.kind == "spreads":
                names = ("p05", "p25", "p50", "p75", "p95")
                assert row["quantiles"] == [round(figures[name].value, 1) for name in names]
                assert row["text"] == amount(row["quantiles"][2], "ms")
            elif chart.kind == "points":
                cost = figures[cost_name(chart)]
                assert row["x"] == pytest.approx(cost.value, rel=1e-4)
                assert row["text"].endswith(amount(cost.value, cost.unit))
            else:
                rate = figures["accuracy" if chart.title == "Accuracy" else "format"]
                assert row["value"] == round(rate.value, 4)
                assert row["text"] == amount(rate.value, "share")


def cost_name(chart: Chart) -> str:
    return "usd_per_1k" if "USD" in chart.values["axis"] else "tokens"


def assert_texts_have_the_figures(made: Report) -> None:
    lines = [*detail_lines(made), *(line for a in made.advice for line in ladder_lines(a))]
    page = unescape(html_page(made)).replace("\u00a0", " ")
    texts = ["\n".join(lines), unescape(markdown_report(made)), page]
    for verdict in made.verdicts:
        check = verdict.check
        if check and check.n and verdict.gate != "format":
            shown = amount(check.after, check.unit)
            assert [shown.partition(" ")[0] in text for text in texts] == [True] * 3
    prices = [variant.figures.get("usd_per_1k") for variant in made.suites[0].variants]
    known = {usd(price.value) for price in prices if price} | {usd(COST.max_usd_per_1k or 0.0)}
    bounds = [bound for price in prices if price for bound in (price.low, price.high)]
    known |= {usd(bound) for bound in bounds if bound is not None}
    costs = made.cost.variants.values()
    spent = {usd(cost) for cost in (made.cost.asked, sum(costs), *costs)}
    # A gate without any price says so beside this number.
    spent |= {usd(0.0)} if None in prices else set()
    assert {*re.findall(r"\d[\d,]*\.\d+ USD", page)} <= known | spent


def assert_metrics_are_the_figures(made: Report) -> None:
    with TemporaryDirectory() as folder:
        write_metrics(Path(folder) / "metrics.json", made)
        metrics = json.loads((Path(folder) / "metrics.json").read_text("utf-8"))
    logged = tracked_figures(made)
    for verdict in made.gate_verdicts:
        check = verdict.check
        if check:
            assert metrics[verdict.gate][verdict.variant]["after"] == check.after
            assert logged[f"ftgate/{verdict.gate}/{verdict.variant}/after"] == check.after


def assert_all_agree(run: Run) -> Report:
    made = run.report()
    variants = {variant.name: variant for variant in made.suites[0].variants}
    assert_checks_are_the_figures(run, made)
    for row in made.advice[0].rungs if made.advice else ():
        assert_rungs_are_the_figures(row, variants[row.variant].figures)
    assert_charts_are_the_figures(made, variants)
    assert_texts_have_the_figures(made)
    assert_metrics_are_the_figures(made)
    return made


@pytest.mark.slow
@given(runs())
@examples(0.1)
def test_record_verdict_ladder_and_page_show_the_same_figures(run):
    assert_all_agree(run)


def graded_run(judges: JudgeEvidence, *, cases: int = 200) -> Run:
    """Return a run whose one judge grades 7 in 10 replies as good."""
    rows = {
        f"c{n}": case_result(
            n, (1.0, n, "refund", [Reply(text="refund" if n % 10 < 7 else "no")]), grouped=False
        )
        for n in range(cases)
    }
    scores = {name: VariantScores(name, rows) for name in ("current", "new")}
    return Run(suite=suite(ACCURACY), scores=scores, judges=dict.fromkeys(scores.values(), judges))


def labels(count: int) -> dict[str, float]:
    """Return what people say of so many replies."""
    return {f"c{n}": float(n % 10 < 6) for n in range(count)}


@every_row(
    ("judges", "method"),
    [
        (evidence(), "judge"),
        (evidence(human_scores=labels(120)), "labels"),
        (evidence(human_scores=labels(99)), "judge"),
        (evidence(validation(errors=(text_note("too weak"),))), None),
    ],
    ids=["what the judge finds", "labels of these replies", "too few labels", "unqualified"],
)
def test_a_rate_that_labels_correct_is_corrected_everywhere(judges, method):
    figures = assert_all_agree(graded_run(judges)).suites[0].variants[0].figures

    if method is None:
        assert figures["accuracy"].value == pytest.approx(0.7)
        assert "accuracy.graded" not in figures
    else:
        assert figures["accuracy"].method == method
        assert figures["accuracy.graded"].value == pytest.approx(0.7)
        assert figures["accuracy"].value != pytest.approx(0.7)


def test_a_case_of_weight_9_counts_nine_times_in_the_price_and_in_the_tokens():
    rows = {}
    for n in range(40):
        weight, tokens = (9.0, 100_000) if n < 5 else (1.0, 1_000)
        reply = Reply(text="refund", usage={"input": tokens, "output": 100})
        rows[f"c{n}"] = case_result(n, (weight, n, "refund", [reply]), grouped=False)
    made = suite(ACCURACY)
    priced = replace(made.variants["new"], tariff=TARIFFS[1])

    figures = variant_figures(replace(made, variants={"new": priced}), VariantScores("new", rows))

    weighted = (45 * 100_000 + 35 * 1_000) / 80
    assert figures["usd_per_1k"].value == pytest.approx((3.0 * weighted + 15.0 * 100) / 1_000)
    assert figures["tokens"].value == pytest.approx(weighted + 100)
