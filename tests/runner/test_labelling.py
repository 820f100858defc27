"""The file of labels, which several people write at a time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from ftgate_testing.labelling import read_lines

from pytest_ftgate.gates.disagreements import Disagreement, Disagreements
from pytest_ftgate.runner.labelling import labelling_of
from pytest_ftgate.suite.model import Case, Inputs
from pytest_ftgate.suite.pair_labels import PairAnswer
from pytest_ftgate.suite.rule import Rule


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
