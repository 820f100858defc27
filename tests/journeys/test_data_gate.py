"""A team gates its training data: defects block with their lines, and leaked cases do not count."""

from __future__ import annotations

import pytest

from pytest_ftgate.cli import main

GATES = "{accuracy: {min: 0.5}, data: {min_rows: 50}}"
VARIANTS = {
    "current": "{provider: recorded, replies: current.jsonl}",
    "tuned": "{like: current, replies: tuned.jsonl, rung: fine-tuned, training_data: train.jsonl}",
}


def rows(count):
    labels = ("billing", "refund")
    asked = [f"Customer {n} writes {n * 7919 % 9973}" for n in range(count)]
    return [{"input": text, "expected": labels[n % 2]} for n, text in enumerate(asked)]


@pytest.fixture
def tuned(desk):
    """Write a suite with a tuned variant, which learned from *rows*."""

    def written(training, gates=GATES):
        for name in VARIANTS:
            desk.replies(name)
        desk.write_rows("train.jsonl", training)
        desk.suite_of(VARIANTS, gates)

    return written


def test_leaked_cases_fail_the_data_leave_the_verdict_and_are_listed(desk, tuned):
    leaked = [{"input": f"ticket {n}: HELP!", "expected": "billing"} for n in (7, 8, 9)]
    tuned(rows(100) + leaked)

    result = desk.run()

    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        [
            "train.jsonl: 1 error in 103 rows",
            "  ERROR    leak: 3 of 100 cases appear in the training data; the first is t007,*",
            "           lines 101?103",
        ]
    )
    verdict = desk.verdicts()["accuracy[tuned]"]
    assert verdict["checks"][0]["n"] == 97
    assert any("3 of 100 cases do not count" in note for note in verdict["notes"])
    (finding,) = desk.verdicts()["data[tuned]"]["findings"]
    assert finding["cases"] == ["t007", "t008", "t009"]


def test_a_gate_on_data_needs_data_and_knows_the_kinds_of_findings(desk, tuned):
    tuned(rows(100), "{accuracy: {min: 0.5}, data: {ignore: [persnal]}}")
    desk.path("tickets.ftgate.yaml").rename(desk.path("wrong.ftgate.yaml"))
    desk.suite(gates="{data: {}}", current=0)

    result = desk.run()

    told = [
        "*tickets.*data: no gated variant has training_data; name the file it was tuned on*",
        '*wrong.*data: no finding is called "persnal"; did you mean "personal"?*',
    ]
    result.stdout.fnmatch_lines(told)


def test_the_verb_examines_a_file_and_ends_by_what_it_found(desk, tuned, monkeypatch, capsys):
    tuned([*rows(100), *rows(2)])
    monkeypatch.chdir(desk.path(""))
    desk.write_rows("bad.jsonl", [{"input": "a"}, {"inptu": "b", "expected": "c"}])
    desk.write_rows("test.jsonl", [{"input": "customer 5 writes 9676!", "expected": "refund"}])

    suite = main.main(["data", "train.jsonl", "--suite", "tickets.ftgate.yaml"])
    warned = capsys.readouterr().out
    leaked = main.main(["data", "train.jsonl", "--against", "test.jsonl", "-v"])
    found = capsys.readouterr().out
    missing = main.main(["data", "trian.jsonl"])

    assert (suite, leaked, missing) == (0, 1, 1)
    assert "duplicate: 2 rows repeat another" in warned
    assert "lines 101–102" in warned
    assert "the first is test.jsonl:1, in line 6" in " ".join(found.split())
    assert 'did you mean "train.jsonl"?' in capsys.readouterr().err
    assert main.main(["data", "bad.jsonl"]) == 1
    assert "broken: " in capsys.readouterr().out
