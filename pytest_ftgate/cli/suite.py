"""The verbs about a suite and its files: explain, power, selftest, labels and data."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.cli import VerbOutput, existing_file
from pytest_ftgate.errors import ConfigurationError, SuiteError, did_you_mean
from pytest_ftgate.gates.design import Look, plan_looks
from pytest_ftgate.gates.needs import ScoreRequest
from pytest_ftgate.gates.notes import Severity
from pytest_ftgate.gates.selftest import PAIRS, DrawnRuns, SelfTest, rate_selftest, skills_selftest
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.training_data import (
    check_training_data,
    read_training_data,
    training_data_rules,
)
from pytest_ftgate.gates.training_data_checks import TrainingDataRules
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.paths import is_file
from pytest_ftgate.plugin.suites import settings_of_run, with_suite
from pytest_ftgate.readers.source import Source
from pytest_ftgate.reporting.gate_summary import action_lines, step_head
from pytest_ftgate.reporting.headlines import severity_counts
from pytest_ftgate.reporting.next_steps import gate_command
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.plan import power_lines, selftest_lines
from pytest_ftgate.reporting.text import wrap_after
from pytest_ftgate.reporting.verdict import fact_lines, finding_lines, verdict_section
from pytest_ftgate.requests.request_groups import base_variant, replies_vary
from pytest_ftgate.results.run import VERDICTS, as_typed, load_verdicts, node_id
from pytest_ftgate.runner.file_suite import json_lines
from pytest_ftgate.runner.labelling import label_plan_lines
from pytest_ftgate.runner.plan import cached_replies, limit_lines, power_estimates
from pytest_ftgate.runner.planner import gate_runs_of
from pytest_ftgate.runner.provenance import require_untracked
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.settings import short_path
from pytest_ftgate.suite.gate_kinds import (
    DataGate,
    ForgettingGate,
    RateGate,
    data_gate,
    is_rate,
    skills_gate,
)
from pytest_ftgate.suite.model import Case, Judge, Suite, Variant
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import read_training_rows


def explain_gate(node: str, cache: Path | None, verbosity: int = 0) -> str:
    """Return how a gate was evaluated in the last run.

    *node* is its id, from this folder or from the root directory. *cache* is by default the file of
    a run. *verbosity* 2 shows every case that the verdict carries.

    Raises:
        ConfigurationError: the folder of the cache has no result for the gate.
        CacheError: git tracks the verdicts.
    """
    name, _, gate = node.partition("::")
    path = Path(name) if is_file(Path(name)) else None
    settings = settings_of_run(path, cache)
    if path is not None:
        # A path from this folder may differ from the one in verdicts, which starts at the root.
        name = Path(os.path.relpath(path.resolve(), settings.root.resolve())).as_posix()
        node = f"{name}::{gate}".removesuffix("::")
    folder = settings.cache.parent
    require_untracked(folder / VERDICTS, settings.start)
    verdicts = {node_id(verdict): verdict for verdict in load_verdicts(folder)}
    matches = [name for name in verdicts if name.endswith(f"/{node}")]
    matches = [node] if node in verdicts else matches
    if len(matches) != 1:
        own = [one for one in verdicts if path is None or one.startswith(f"{name}::")]
        remedy = "" if own else f"; run pytest --ftgate {path or ''} first".replace("  ", " ")
        known = "".join(f"\n  {one}" for one in own or verdicts)
        hint = (gate and did_you_mean(node, verdicts)) or (known and f", only of{known}")
        raise ConfigurationError(f"no result for {node} in {folder}{remedy}{hint}")
    verdict = as_typed(verdicts[matches[0]], settings.typed)
    others = (step for step in verdict.next if step.kind is not StepKind.EXPLAIN)
    steps = [line for step in others for line in action_lines(step, step.role)]
    section = verdict_section(verdict, verbosity=max(1, verbosity))
    steps += _unseen_variant(verdict, verdicts.values(), settings.typed)
    gap = [""] * bool(steps)
    return "\n".join([section, *gap, *steps, *gap, *fact_lines(verdict)])


def _unseen_variant(
    verdict: Verdict, known: Iterable[Verdict], typed: Callable[[str], str]
) -> list[str]:
    """Return how to see whether another variant passes, if the run evaluated none of its gates."""
    others = [one for one in known if one.suite == verdict.suite and one.variant != verdict.variant]
    blocked = {one.variant for one in others if one.gated and one.outcome is not Outcome.PASSED}
    passed = sorted({one.variant for one in others if one.gated} - blocked)
    has_other = any(step.kind is StepKind.SHIP_OTHER for step in verdict.next)
    if verdict.outcome is not Outcome.FAILED or has_other or not passed:
        return []
    command = gate_command(typed(verdict.suite))
    return wrap_after(step_head("or"), f"run the whole suite to see what else passes: {command}")


def power_report(suite: Suite, session: Session) -> Iterator[str]:
    """Yield what the gates of *suite* can detect, without sending requests."""
    gates = gate_runs_of(suite)
    notes = [*limit_lines(gates), *label_plan_lines(session, gates)]
    yield from power_lines(power_estimates(session, gates), notes)
    yield from dict.fromkeys(session.replies.user_messages)


def run_selftest(suite: Suite, session: Session, *, repeats: int) -> Iterator[str]:
    """Yield how often the gates of *suite* would fail its own baseline.

    *repeats* is the number of live replies to each case, from which pairs of runs are drawn.

    Raises:
        ConfigurationError: the replies of the baseline do not vary, no gate compares replies, or
            *repeats* makes no pair.
    """
    if repeats < 2:  # noqa: PLR2004 - a pair has two runs
        raise ConfigurationError("selftest needs --repeats of 2 or more")
    gates = [gate for gate in suite.gates.values() if is_rate(gate)]
    gate_of_skills = skills_gate(suite)
    if not gates and not gate_of_skills:
        raise ConfigurationError("no gate of the suite compares replies; add accuracy: to gates")
    try:
        if gates:
            yield from _selftest_rates(session, suite, gates, repeats)
        if gate_of_skills:
            yield from _selftest_skills(session, suite, gate_of_skills, repeats)
    finally:
        session.close()
    yield from filter(None, [session.replies.budget.stopped])
    yield from dict.fromkeys(session.replies.user_messages)


def _drawn_runs(session: Session, scores: VariantScores, replies: int, repeats: int) -> DrawnRuns:
    """Return pairs of runs with *repeats* replies to each case that brought all *replies*."""
    results = scores.results.items()
    whole = {case_id: result for case_id, result in results if len(result.scores) == replies}
    if not whole:
        remedy = f"no case brought all {replies} replies; run it again for those that are missing"
        raise ConfigurationError("; ".join(filter(None, [session.replies.budget.stopped, remedy])))
    return DrawnRuns(VariantScores(scores.variant, whole), repeats, PAIRS)


def _require_varying(variant: Variant) -> None:
    if not replies_vary(variant):
        raise ConfigurationError(
            f'the replies of "{variant.name}" do not vary: two runs of it are the same, and no '
            "gate can fail it; give it a temperature above 0"
        )


def _selftest_rates(
    session: Session, suite: Suite, gates: Sequence[RateGate], repeats: int
) -> Iterator[str]:
    baseline, look = suite.variants[suite.baseline], Look(repeats=repeats)
    _require_varying(baseline)
    repeated = replace(suite, repeats=repeats)
    session.replies.checked_results([session.built.task(repeated, baseline, look)], suite.name)
    graded = any(gate.reads_grades for gate in gates)
    scores = session.scores.task_scores(repeated, baseline, look, graded=graded)
    levels, tested = session.records.levels(suite), list[SelfTest]()
    for gate in gates:
        looks = plan_looks(suite, gate, replies_vary=True)
        runs = _drawn_runs(session, scores, repeats, max(look.repeats for look in looks))
        tested.append(rate_selftest(suite, gate, runs, looks, levels))
    yield from selftest_lines(tested, baseline.name, repeats, levels)


def _selftest_skills(
    session: Session, suite: Suite, gate: ForgettingGate, repeats: int
) -> Iterator[str]:
    """Compare the base of the first tuned variant with itself on the skill cases."""
    variants = suite.variants.values()
    tuned = next(variant for variant in variants if variant.tuned and variant.gated)
    base, levels = base_variant(tuned), session.records.levels(suite)
    _require_varying(base)
    plan = session.probe.plan(suite, tuned)
    request = ScoreRequest(variant=base.name, of_gate=gate.kind, repeats=repeats)
    session.replies.checked_results([plan.requests(request)], suite.name)
    scores = session.scores.scores(plan, request)
    runs = _drawn_runs(session, scores, repeats, 1)
    result = skills_selftest(suite, gate, tuned, runs, levels)
    yield from ("", *selftest_lines([result], base.name, repeats, levels))


def write_labels(
    suite: Suite, session: Session, *, out: Path | None, count: int, seed: int
) -> Iterator[str]:
    """Write cached replies for people to grade to *out*, and yield the instructions.

    *out* is by default ``NAME.labels.jsonl`` beside the suite. *count* is the minimum number of
    replies, if the cache has as many.

    Raises:
        ConfigurationError: the suite has no judge, the cache has no reply, or the file exists.
    """
    typed = session.settings.typed(suite.name)
    if not suite.judges:
        raise ConfigurationError(f"{typed} has no judge; labels are what one is examined by")
    if out is None:
        name = suite.path.name.removesuffix(".ftgate.yaml")
        out = short_path(suite.path.with_name(f"{name}.labels.jsonl"), session.settings.start)
    if out.exists():
        raise ConfigurationError(f"{out} is there already; name another file with -o")
    judge = suite.judges[0]
    draw = random.Random(seed)  # noqa: S311 - a draw
    rows = _sampled_rows(_unlabelled_rows(session, suite, judge), count, draw)
    if not rows:
        raise ConfigurationError(
            f"{session.settings.cache} has no reply left to label; "
            f"run pytest --ftgate {typed} first"
        )
    out.write_text(json_lines(rows), "utf-8")
    yield f"{len(rows):,} {'pairs' if judge.is_pairwise else 'replies'} written to {out}"
    grades = " or ".join(f'"{grade}"' for grade in judge.grades)
    yield f'for each write "grade": {grades}, by this rubric and without asking the judge:'
    yield from (f"  {line}" for line in judge.rubric.strip().split("\n"))
    yield f"then name the file in the suite: judge: {{human: {out.name}}}"


def _unlabelled_rows(
    session: Session, suite: Suite, judge: Judge
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows without a label, by case; a pairwise judge compares with the baseline."""
    labelled = {
        (label.case.id, label.reply.strip(), (label.second_reply or "").strip())
        for label in judge.labels
    }
    cached = {
        name: cached_replies(session, suite, variant) for name, variant in suite.variants.items()
    }
    second: dict[str, str] = {}
    for case, text in cached.pop(suite.baseline) if judge.is_pairwise else ():
        second.setdefault(case.id, text.strip())
    rows: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for case, text in (reply for replies in cached.values() for reply in replies):
        pair = (text.strip(), second.get(case.id, ""))
        has_second = case.id in second and pair[0] != pair[1]
        if (has_second or not judge.is_pairwise) and (case.id, *pair) not in labelled:
            rows.setdefault(case.id, {})[pair] = _label_row(judge, case, pair)
    return {case: [*found.values()] for case, found in rows.items()}


def _label_row(judge: Judge, case: Case, pair: tuple[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case.id, "input": case.input_text}
    row |= {} if case.expected is None else {"expected": case.expected}
    replies = {"first": pair[0], "second": pair[1]} if judge.is_pairwise else {"reply": pair[0]}
    return {**row, **replies, "grade": ""}


def _sampled_rows(
    by_case: Mapping[str, list[dict[str, Any]]], count: int, draw: random.Random
) -> list[dict[str, Any]]:
    """Return the rows of randomly drawn cases, at least *count* if there are so many, shuffled."""
    rows: list[dict[str, Any]] = []
    for case in draw.sample(sorted(by_case), len(by_case)):
        if len(rows) >= count:
            break
        rows += by_case[case]
    draw.shuffle(rows)
    return rows


# Training data ------------------------------------------------------------------------------------


def examine_data(
    file: Path, suite: Path | None, against: Path | None, context: int | None, verbosity: int
) -> VerbOutput:
    """Return the findings in a training file; the exit code is 1 if one of them is an error.

    *suite* has the cases, labels and format to check the rows with. *against* has test rows for a
    model that is trained on *file*. *context* is the context size of the model, in tokens.
    *verbosity* is the number of lines for each finding; 0 shows the fewest.

    Raises:
        SuiteError: the suite or a row of *against* is invalid.
        ConfigurationError: a file does not exist.
    """
    rules = with_suite(suite, None, _suite_rules) if suite else TrainingDataRules()
    if against:
        rules = replace(rules, cases=(*rules.cases, *_test_cases(against)))
    if context:
        rules = replace(rules, context=context)
    data = read_training_data(existing_file(file))
    findings = check_training_data(data, rules)
    head = f"{file}: {severity_counts(findings)} in {quantity(data.row_count, 'row')}"
    has_error = any(finding.severity is Severity.ERROR for finding in findings)
    return VerbOutput((head, *finding_lines(findings, verbosity)), int(has_error))


def _suite_rules(suite: Suite, _session: Session) -> TrainingDataRules:
    trained = [variant for variant in suite.variants.values() if variant.training_data]
    variant = next(iter(trained or suite.variants.values()))
    return training_data_rules(suite, data_gate(suite) or DataGate(), variant)


def _test_cases(path: Path) -> list[Case]:
    source = Source(root=Path.cwd(), path=existing_file(path).resolve())
    rows = read_training_rows(source, source.path)
    if source.errors:
        raise SuiteError(str(path), source.errors)
    score = Rule("exact")
    return [
        Case(
            id=f"{path.name}:{row.line}",
            location=f"{path}:{row.line}",
            input=row.input_text,
            score=score,
        )
        for row in rows
    ]
