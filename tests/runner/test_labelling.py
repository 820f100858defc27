"""Labels of what differs between two sides: two files, and people who label at a time."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ftgate_testing.inputs import Right, every, label_lines, pair_labels, replied
from ftgate_testing.labelling import read_lines

from pytest_ftgate import compare
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.disagreements import Disagreement, Disagreements
from pytest_ftgate.gates.labelled import InputReplies
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.next_steps import step_command
from pytest_ftgate.runner.labelling import file_disagreements, labelling_of
from pytest_ftgate.suite.model import Case, Inputs
from pytest_ftgate.suite.pair_labels import PairAnswer
from pytest_ftgate.suite.rule import Rule

LABELS = "shop.pairs.jsonl"


def rows(n: int, differ: int = 0, **more: object) -> list[dict[str, object]]:
    """Return replies to *n* inputs, of which the first so many *differ* from those of others."""
    texts = ("lost" if at < differ else "late" for at in range(n))
    return [
        {"id": f"p{at}", "input": f"Where is {at}?", "reply": text, **more}
        for at, text in enumerate(texts)
    ]


def label_all(base, new, count: int, right: Right) -> None:
    inputs, _ = file_disagreements(base, new, LABELS)
    sides = (
        replied(name, inputs.cases, lambda at, side=side: str(side[at]["reply"]))
        for name, side in (("old", base), ("new", new))
    )
    with Path(LABELS).open("a", encoding="utf-8") as file:
        file.write(label_lines(pair_labels(InputReplies(inputs, *sides), count, right)))


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_inputs_and_what_differs_are_those_of_the_rows_without_an_answer():
    base = [*rows(20), *rows(30, expected="late")[20:]]
    inputs, found = file_disagreements(base, [*rows(20, differ=4), *base[20:]], LABELS)

    assert [case.id for case in inputs.cases] == [f"p{at}" for at in range(20)]
    assert (len(found.tied), len(found.differing)) == (16, 4)
    assert inputs.labels_path == Path(LABELS)


@pytest.mark.parametrize(("right", "outcome"), [("both", Outcome.PASSED), ("old", Outcome.FAILED)])
def test_labels_decide_between_two_files_without_an_expected_answer(right, outcome):
    base, new = rows(600), rows(600, differ=60)
    opened = compare(base, new, labels=LABELS, max_drop=0.03)

    assert opened.outcome is Outcome.INCONCLUSIVE
    (step,) = opened.verdicts[0].next
    assert step.kind is StepKind.LABEL
    command = shlex.split(step_command(step))
    assert (command[:2], command[-2:]) == (["pytest-ftgate", "label"], ["--labels", LABELS])
    assert "0 of 60 differing inputs labelled, 540 of 600 equal" in str(opened)

    label_all(base, new, 60, every(right))
    decided = compare(base, new, labels=LABELS, max_drop=0.03)
    assert decided.outcome is outcome
    assert "600 inputs paired by id" in str(decided)


def test_rows_with_an_answer_count_beside_inputs():
    base = [*rows(300), *rows(400, expected="late")[300:]]
    new = [*rows(300), *rows(400, differ=345, expected="late")[300:]]
    result = compare(base, new, labels=LABELS, max_drop=0.03)

    check = result.verdicts[0].check
    assert (check.inputs.cases, check.inputs.inputs, check.n) == (100, 300, 400)
    assert result.outcome is Outcome.FAILED
    assert "100 cases, 300 inputs paired by id" in str(result)


def test_a_scorer_says_which_replies_are_equal():
    base = [{"id": f"p{n}", "input": f"{n}?", "reply": "It is 4."} for n in range(300)]
    new = [{**row, "reply": "4.0"} for row in base]

    assert compare(base, new, labels=LABELS, scorer="numeric").verdicts[0].check.is_unchanged
    found = compare(base, new, labels=LABELS)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "set a score that normalises replies" in " ".join(str(found).split())


def test_files_without_an_answer_are_told_of_labels():
    with pytest.raises(ConfigurationError, match=r"pytest-ftgate label .* --labels"):
        compare(rows(20), rows(20, differ=3))


def test_files_with_an_answer_in_every_row_have_nothing_to_label():
    answered = rows(20, expected="late")

    with pytest.raises(ConfigurationError, match="compare them without --labels"):
        file_disagreements(answered, rows(20, differ=2, expected="late"), LABELS)


def test_a_suite_of_inputs_is_written_by_hand():
    with pytest.raises(ConfigurationError, match="by hand"):
        compare(rows(100), rows(100, differ=2), labels=LABELS).write("shop.ftgate.yaml")


# The file of labels ------------------------------------------------------------------------------


def labelling(path, count=60):
    score = Rule("exact")
    cases = tuple(Case(id=f"p{n}", location="x:1", score=score) for n in range(count))
    shifts = {"ok": -1.0, "lost": 1.0, "x" * 9_000: 0.5}
    differing = tuple(Disagreement(key=case.id, cases=(case,), shifts=shifts) for case in cases)
    inputs = Inputs(line=1, cases=cases, score=score, labels=(), labels_path=path)
    found = Disagreements(tied=(), differing=differing)
    return labelling_of(inputs, found, (), "s.ftgate.yaml", "pytest --ftgate s.ftgate.yaml")


def test_people_who_label_at_a_time_tear_no_line_and_take_back_only_their_own(tmp_path):
    path = tmp_path / "s.pairs.jsonl"

    def work(by):
        given = labelling(path)
        for pair in given.pairs:
            given.add([pair.label(PairAnswer.FIRST, by)])
            given.add([pair.label(PairAnswer.BOTH, by)])
            assert given.take_back(by)

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(work, "abcd")] == [None] * 4

    rows = read_lines(path)
    assert {row["answer"] for row in rows} == {"first"}
    assert len(rows) == 4 * len(labelling(path).pairs)
    assert len({json.dumps(row) for row in rows}) == len(rows)
