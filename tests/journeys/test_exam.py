"""A team accepts a run; after that, what decides cannot shrink without a word."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest
from ftgate_testing.tables import heavy

from pytest_ftgate.cli.main import main

ACCEPTED = "tickets.accepted.json"
GATES = "{accuracy: {min: 0.6, max_drop: 0.1}, format: {max_drop: 0.1}}"
#: The closing section of a run that nothing else blocks.
SHRUNK = ["INCONCLUSIVE *less is tested than was accepted; blocks the build*"]

#: What the ways of shrinking edit.
EDITED = ("tickets.cases.jsonl", "tickets.ftgate.yaml")


@pytest.fixture
def accepted(desk):
    """A desk that was accepted with 20 of 100 replies wrong, those to the first cases."""
    desk.suite(GATES, current=20, new=20)
    edit_cases(desk, lambda row: row | {"must_pass": True} if row["id"] == "t099" else row)
    desk.run("--ftgate-accept")
    return desk


def edit_cases(desk, change):
    """Write the cases again as *change* returns them; None deletes a case."""
    rows = map(json.loads, desk.path("tickets.cases.jsonl").read_text("utf-8").splitlines())
    desk.write_rows("tickets.cases.jsonl", [row for row in map(change, rows) if row])


def edit_failing(change):
    """Return an edit of the 20 cases that fail."""
    return lambda desk: edit_cases(desk, lambda row: change(row) if row["id"] < "t020" else row)


def edit_suite(before, after):
    """Return an edit of the suite."""
    return lambda desk: desk.edit(before, after)


#: One of each source; tests/results/test_exam.py has every kind of loss, and
#: test_no_false_green.py has more of what a change may take out.
WAYS = {
    "failing cases deleted": (
        edit_failing(lambda row: None),
        "20 of 100 accepted cases are gone; 0 of them were right: t000, t001, *",
    ),
    "a case need not pass": (
        lambda desk: edit_cases(
            desk, lambda row: {k: v for k, v in row.items() if k != "must_pass"}
        ),
        "*the case t099 need not pass any more",
    ),
    "a variant is not compared": (
        edit_suite("replies: new.jsonl}", "replies: new.jsonl, compared: false}"),
        "new is not compared with the baseline any more",
    ),
    "the point alone decides": (
        edit_suite("{min: 0.6, max_drop: 0.1}", "{min: 0.6, max_drop: 0.1, evidence: point}"),
        "*evidence: statistics is now point, which lets more pass than what was accepted",
    ),
}


def test_an_exam_that_has_shrunk_blocks_the_build_and_says_what_it_has_lost(accepted):
    written = {path: path.read_bytes() for path in map(accepted.path, EDITED)}

    for name, (shrink, sentence) in WAYS.items():
        shrink(accepted)
        result = accepted.run("--ftgate-inconclusive=warn")
        for path, content in written.items():
            path.write_bytes(content)

        assert result.ret == 1, name
        said = " ".join(" ".join(result.outlines).split())
        result.stdout.fnmatch_lines(SHRUNK)
        assert any(v["outcome"] == "inconclusive" for v in accepted.verdicts().values()), name
        assert fnmatchcase(said, f"*{sentence.replace('; ', '*')}*"), (name, said)


def test_nothing_is_asked_for_again_once_a_run_is_accepted_in_the_same_change(accepted):
    edit_failing(lambda row: None)(accepted)
    edit_suite("min: 0.6", "min: 0.5")(accepted)

    result = accepted.run("--ftgate-accept")

    result.stdout.fnmatch_lines(
        [
            "accepted current, new in tickets.accepted.json; commit it with the change",
            "accepted accuracy[[]current]: 20 of 100 accepted cases are gone; 0 of them*",
            "accepted accuracy[[]current]: min: 0.6 is now 0.5, which lets more pass than*",
            "accepted format[[]current]: 20 of 100 accepted cases are gone; 20 of them*",
        ]
    )
    changes = json.loads(accepted.path(ACCEPTED).read_text("utf-8"))["changes"]
    assert [lost["count"] for lost in changes["accuracy[current]"]["lost"]] == [20]
    accepted.run().assert_outcomes(passed=4)
    assert not any(verdict["notes"] for verdict in accepted.verdicts().values())


def test_what_is_left_decides_first_and_a_failure_stays_one(accepted, capsys, monkeypatch):
    edit_failing(lambda row: None)(accepted)
    accepted.replies("new", wrong=80)

    result = accepted.run()

    verdict = accepted.verdicts()["accuracy[new]"]
    assert verdict["outcome"] == "failed"
    assert "20 of 100 accepted cases are gone; 0 of them were right: " in verdict["notes"][0]
    result.stdout.fnmatch_lines(["BLOCKED  1 failed, 3 inconclusive of 4 gates *"])
    monkeypatch.chdir(accepted.pytester.path)
    capsys.readouterr()
    main(["explain", "tickets.ftgate.yaml::accuracy[current]"])
    said = " ".join(capsys.readouterr().out.split())
    assert "so a pass on what is left is inconclusive, until a run is accepted." in said
    assert said.index("What is left: ") < said.index("So this check passed.")


def test_a_record_of_the_older_form_is_accepted_once(accepted):
    record = accepted.path(ACCEPTED)
    values = json.loads(record.read_text("utf-8"))
    record.write_text(json.dumps(values | {"format": 4, "exam": None, "changes": {}}))

    result = accepted.run("--ftgate-inconclusive=warn")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  4 of 4 gates: record of an older format; blocks the build",
            "[?] accuracy[[]current]",
            "    the accepted record is older: it lists no cases and no limits",
            "    accept  pytest --ftgate --ftgate-accept tickets.ftgate.yaml",
        ]
    )
    accepted.run("--ftgate-accept").assert_outcomes(passed=4)
    accepted.run().assert_outcomes(passed=4)
    # A selection of gates misses no other.
    accepted.run("--ftgate-variant=new").assert_outcomes(passed=2)
    accepted.run("tickets.ftgate.yaml::accuracy[current]").assert_outcomes(passed=1)


def test_accepting_says_if_no_gate_compares_with_what_is_accepted(desk):
    desk.suite("{accuracy: {min: 0.6, max_drop: none}}", current=20)

    result = desk.run("--ftgate-accept")

    result.stdout.fnmatch_lines(
        [f"no gate compares with the results in {ACCEPTED}: max_drop: none,*"]
    )


@pytest.mark.parametrize("workers", [(), heavy(("-n2",))], ids=["alone", "xdist"])
def test_the_exam_of_marked_functions_is_accepted_with_them(accepted, workers):
    accepted.marked("def test_it(case, reply):\n    assert reply.text == case.expected\n")
    accepted.run("--ftgate-accept", *workers)
    edit_failing(lambda row: None)(accepted)

    accepted.run("test_marked.py")

    verdict = accepted.verdicts()["test_it[new]"]
    assert (verdict["outcome"], verdict["exam"]["lost"][0]["count"]) == ("inconclusive", 20)


@pytest.fixture
def limited(desk):
    """A desk that was accepted with the default limits of 100 and of 60 cases."""
    desk.suite("{accuracy: {min: 0.3}, format: {}}", current=20, new=20)
    edit_cases(desk, lambda row: row if row["id"] < "t060" else row | {"expected": None})
    desk.run("--ftgate-accept")
    return desk


def limits_of(desk):
    """Return the limits of the variant that is compared, by gate, in whole points."""
    desk.run("--ftgate-json=run.json")
    run = json.loads(desk.path("run.json").read_text("utf-8"))
    return {
        one["gate"]: {round(100 * check["limit"]) for check in one["checks"] if check["before"]}
        for one in run["verdicts"]
        if one["variant"] == "new"
    }


def test_an_accepted_default_limit_stays_when_cases_leave(limited):
    record = json.loads(limited.path(ACCEPTED).read_text("utf-8"))
    assert record["limits"] == {"accuracy": 0.18, "format": 0.14}

    edit_cases(limited, lambda row: row if "t010" <= row["id"] < "t070" else None)

    assert limits_of(limited) == {"accuracy": {18}, "format": {14}}


@pytest.mark.parametrize(
    ("gate", "limit", "shown"), [("accuracy", "0.18", 19), ("format", "0.14", 14)]
)
def test_an_accepted_limit_is_held_to_what_the_accepted_cases_show(limited, gate, limit, shown):
    """Fewer cases would have so wide a limit of their own."""
    edit_cases(limited, lambda row: row if "t010" <= row["id"] < "t035" else None)
    limited.edit(f'"{gate}": {limit}', f'"{gate}": 0.3', ACCEPTED)

    result = limited.run()

    line = f"*{ACCEPTED}:*: limits: {gate}: 0.3 lets 30 points go, and the accepted cases can show"
    result.stdout.fnmatch_lines([f"{line} {shown};*"])
