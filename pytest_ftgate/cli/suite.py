"""The verbs that need a suite: plan, power, selftest, explain, labels and others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pytest_ftgate.errors import Unavailable, did_you_mean
from pytest_ftgate.gates.feasibility import refuse_impossible, repeats_for, runnable
from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.power import SelfTest, skills_selftest
from pytest_ftgate.gates.power import selftest as drawn
from pytest_ftgate.gates.rates import shared_levels
from pytest_ftgate.gates.skills import worths
from pytest_ftgate.reporting.plan import power_lines, selftest_lines
from pytest_ftgate.reporting.verdict import facts_of, section
from pytest_ftgate.requests.workload import base_of, varies
from pytest_ftgate.results.verdicts import last_verdicts, node_id
from pytest_ftgate.runner.preview import kept_replies, powers
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import Case, ForgettingGate, Judge, RateGate, Suite, Variant
from pytest_ftgate.suite.plugins import PluginContributions

__all__ = ["explain", "labels", "opened", "power", "selftest"]


def explain(node: str, folder: Path) -> str:
    """Return how the gate *node* was judged in the last run.

    Raises:
        Unavailable: no verdict of it was kept in *folder*.
    """
    found = {node_id(verdict): verdict for verdict in last_verdicts(folder)}
    near = [known for known in found if known == node or known.endswith(f"/{node}")]
    if len(near) != 1:
        listed = "".join(f"\n  {one}" for one in found) or " none"
        known = did_you_mean(node, found) or f"; it has{listed}"
        raise Unavailable(f"{folder} has no verdict of {node}{known}")
    verdict = found[near[0]]
    return "\n".join([section(verdict, verbosity=1), *facts_of(verdict)])


def power(path: Path, ledger: Path) -> Iterator[str]:
    """Yield what the gates of the suite *path* could show; asks nothing."""
    suite, session = opened(path, ledger)
    gates = [
        Judged(suite, gate, variant)
        for variant in suite.variants.values()
        for gate in suite.gates_of(variant)
    ]
    yield from power_lines(powers(session, gates))
    yield from dict.fromkeys(session.told)


def selftest(path: Path, ledger: Path, *, repeats: int, pairs: int, seed: int) -> Iterator[str]:
    """Yield how often the gates of the suite *path* would fail its own baseline.

    Args:
        path: the suite.
        ledger: where replies are kept.
        repeats: how many live replies to each case are drawn from.
        pairs: how many pairs of runs are drawn.
        seed: of the draws.

    Raises:
        Unavailable: replies of the baseline do not vary, or no gate allows a drop.
    """
    suite, session = opened(path, ledger)
    suite, drawing = replace(suite, repeats=repeats), _Drawing(repeats, pairs, seed)
    gates = [g for g in suite.gates.values() if isinstance(g, RateGate) and g.max_drop is not None]
    forgetting = suite.gates.get("forgetting")
    if not gates and not isinstance(forgetting, ForgettingGate):
        raise Unavailable("no gate of the suite allows a drop; add max_drop: to one")
    try:
        if gates:
            yield from _rates(session, suite, gates, drawing)
        if isinstance(forgetting, ForgettingGate):
            yield from _skills(session, suite, forgetting, drawing)
    finally:
        session.close()
    yield from dict.fromkeys(session.told)


class _Drawing(NamedTuple):
    """How many replies to each case are drawn from, how many pairs of runs, and from which seed."""

    repeats: int
    pairs: int
    seed: int


def _must_vary(variant: Variant) -> None:
    if not varies(variant):
        raise Unavailable(
            f'the replies of "{variant.name}" do not vary: two runs of it are the same, and no '
            "gate can fail it; give it a temperature above 0"
        )


def _rates(
    session: Session, suite: Suite, gates: Sequence[RateGate], drawing: _Drawing
) -> Iterator[str]:
    baseline, look = suite.variants[suite.baseline], Look(repeats=drawing.repeats)
    _must_vary(baseline)
    session.answers([session.asks.task(suite, baseline, look)], None)
    column, levels = session.columns.task(suite, baseline, look), shared_levels(suite)
    tested = [_selftest_of(column, gate, levels, *drawing) for gate in gates]
    yield from selftest_lines(tested, baseline.name, drawing.repeats, levels)


def _skills(
    session: Session, suite: Suite, gate: ForgettingGate, drawing: _Drawing
) -> Iterator[str]:
    """Hold the base of the first tuned variant against itself on the skills cases."""
    tuned = next(one for one in suite.variants.values() if one.tuned and one.gated)
    base, levels = base_of(tuned), shared_levels(suite)
    _must_vary(base)
    asks = session.asks.skills(suite, base, gate, repeats=drawing.repeats)
    session.answers([asks], None)
    column = session.columns.of(suite, base, "skills repeated", asks)
    marks: dict[str, list[list[float]]] = {}
    for row in column.rows.values():
        if len(row.scores) == drawing.repeats:
            marks.setdefault(str(row.case.skill), []).append(worths(row))
    if not marks:
        raise Unavailable(_NOT_ALL.format(repeats=drawing.repeats))
    arrays = {skill: np.array(own, dtype=np.float64) for skill, own in marks.items()}
    told = skills_selftest(arrays, gate, levels, pairs=drawing.pairs, seed=drawing.seed)
    yield from ("", *selftest_lines([told], base.name, drawing.repeats, levels))


_NOT_ALL = "no case brought all {repeats} replies; run it again for those that are missing"


def _selftest_of(
    column: Column, gate: RateGate, levels: Levels, repeats: int, pairs: int, seed: int
) -> SelfTest:
    correct = gate.kind == "accuracy"
    marks = [
        [score.correct if correct else score.valid for score in row.scores]
        for row in column.rows.values()
        if len(row.scores) == repeats and (row.case.marked if correct else row.case.format)
    ]
    if not marks:
        raise Unavailable(_NOT_ALL.format(repeats=repeats))
    margin = gate.max_drop or 0.0
    array = np.array(marks, dtype=np.float64)
    return drawn(array, gate=gate.kind, margin=margin, levels=levels, pairs=pairs, seed=seed)


def opened(path: Path, ledger: Path) -> tuple[Suite, Session]:
    """Load the suite *path* as pytest started in this folder would, with a session to ask it in.

    Raises:
        SuiteFaults: it cannot be used.
    """
    root = Path.cwd()
    # Plugins are pytest's: their providers are not known without it.
    suite = runnable(load(path, root, PluginContributions(providers=None)))
    refuse_impossible(suite)
    settings = Settings(
        enabled=True,
        files=(),
        replies="auto",
        variants=(),
        inconclusive="fail",
        plan=False,
        accept=False,
        concurrency=None,
        ledger=ledger,
        root=root,
    )
    session = Session(settings, "pytest-ftgate")
    session.take_in(suite)
    return replace(suite, repeats=repeats_for(suite)), session


def labels(suite: Path, ledger: Path, out: Path, *, count: int, seed: int) -> Iterator[str]:
    """Write replies to be graded to *out*, and say what to do with them.

    Args:
        suite: the suite file.
        ledger: where replies are kept.
        out: the file to write.
        count: of how many replies at the least, if there are so many.
        seed: of the draw.

    Raises:
        SuiteFaults: the suite cannot be used.
        Unavailable: it has no judge, nothing is kept, or the file is there.
    """
    loaded, session = opened(suite, ledger)
    if not loaded.judges:
        raise Unavailable(f"{suite} has no judge; labels are what one is examined by")
    if out.exists():
        raise Unavailable(f"{out} is there already; name another file with -o")
    judge = loaded.judges[0]
    found = _sampled_rows(_rows(session, loaded, judge), count, random.Random(seed))  # noqa: S311 - a draw
    if not found:
        raise Unavailable(f"{ledger} has no reply left to label; run pytest --ftgate {suite} first")
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found)
    out.write_text(text, "utf-8")
    yield f"{len(found):,} {'pairs' if judge.compares else 'replies'} written to {out}"
    yield f'for each write "grade": {_either(judge)}, by this rubric and without asking the judge:'
    yield from (f"  {line}" for line in judge.rubric.strip().split("\n"))
    yield f"then name the file in the suite: judge: {{human: {out.name}}}"


def _either(judge: Judge) -> str:
    return " or ".join(f'"{grade}"' for grade in judge.grades)


def _rows(session: Session, suite: Suite, judge: Judge) -> dict[str, list[dict[str, Any]]]:
    """Return by case the rows that can be labelled, less those that are."""
    known = {(one.case.id, one.reply.strip(), (one.other or "").strip()) for one in judge.labels}
    by_case: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    kept = {one.name: kept_replies(session, suite, one) for one in suite.variants.values()}
    for name, replies in kept.items():
        for case, text in replies:
            pair = _pair(judge, kept[suite.baseline], case, text)
            if pair is None or (name == suite.baseline and judge.compares):
                continue
            if (case.id, *pair) not in known:
                by_case.setdefault(case.id, {})[pair] = _row(judge, case, pair)
    return {case: [*own.values()] for case, own in by_case.items()}


def _pair(
    judge: Judge, baseline: list[tuple[Case, str]], case: Case, text: str
) -> tuple[str, str] | None:
    """Return the texts that are graded together, or None where there is nothing to compare."""
    if not judge.compares:
        return text.strip(), ""
    other = next((said for one, said in baseline if one.id == case.id), None)
    if other is None or other.strip() == text.strip():
        return None
    return text.strip(), other.strip()


def _row(judge: Judge, case: Case, pair: tuple[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"case": case.id, "input": case.shown}
    shown |= {} if case.expected is None else {"expected": case.expected}
    replies = {"first": pair[0], "second": pair[1]} if judge.compares else {"reply": pair[0]}
    return {**shown, **replies, "grade": ""}


def _sampled_rows(
    by_case: Mapping[str, list[dict[str, Any]]], count: int, draw: random.Random
) -> list[dict[str, Any]]:
    """Return the rows of cases drawn one by one, until there are *count*; shuffled."""
    found: list[dict[str, Any]] = []
    for case in draw.sample(sorted(by_case), len(by_case)):
        if len(found) >= count:
            break
        found += by_case[case]
    draw.shuffle(found)
    return found
