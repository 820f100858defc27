"""A team accepts a run; after that, what decides cannot shrink without a word."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest

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

    def edit(desk):
        path = desk.path("tickets.ftgate.yaml")
        text = path.read_text("utf-8")
        assert before in text
        path.write_text(text.replace(before, after), "utf-8")

    return edit


def reply_as_expected(row):
    return row | {"expected": "refund" if row["expected"] == "billing" else "billing"}


#: One of each source; tests/results/test_exam.py has every kind of loss.
WAYS = {
    "failing cases deleted": (
        edit_failing(lambda row: None),
        "20 of 100 accepted cases are gone; 0 of them were right: t000, t001, *",
    ),
    "failing cases held out": (
        edit_failing(lambda row: row | {"holdout": True}),
        "20 of 100 accepted cases are gone; 0 of them were right: t000, t001, *",
    ),
    "failing cases without weight": (
        edit_failing(lambda row: row | {"weight": 0}),
        "20 of 100 accepted cases have no weight any more; 0 of them were right: *",
    ),
    "wrong replies expected": (
        edit_failing(reply_as_expected),
        "20 of 100 accepted cases have changed; 0 of them were right: *",
    ),
    "a case need not pass": (
        lambda desk: edit_cases(
            desk, lambda row: {k: v for k, v in row.items() if k != "must_pass"}
        ),
        "*the case t099 need not pass any more",
    ),
    "a gate is gone": (
        edit_suite(", format: {max_drop: 0.1}", ""),
        "*the accepted gate format is gone",
    ),
    "a variant is gone": (
        edit_suite("  new: {provider: recorded, replies: new.jsonl}\n", ""),
        "accuracy[[]new] was accepted, and is not gated any more",
    ),
    "a variant is measured only": (
        edit_suite("replies: new.jsonl}", "replies: new.jsonl, gated: false}"),
        "accuracy[[]new] was accepted, and is not gated any more",
    ),
    "a smaller minimum": (
        edit_suite("min: 0.6", "min: 0.5"),
        "min: 0.6 is now 0.5, which lets more pass than what was accepted",
    ),
    "a variant is not compared": (
        edit_suite("replies: new.jsonl}", "replies: new.jsonl, compared: false}"),
        "new is not compared with the baseline any more",
    ),
    "the point alone decides": (
        edit_suite("{min: 0.6, max_drop: 0.1}", "{min: 0.6, max_drop: 0.1, evidence: point}"),
        "*evidence: statistics is now point, which lets more pass than what was accepted",
    ),
    "another baseline": (
        edit_suite("gates:", "baseline: new\ngates:"),
        "baseline: current is now new",
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


def test_the_anchor_does_not_ask_for_what_has_left_either(accepted):
    edit_failing(lambda row: None)(accepted)

    accepted.run("--ftgate-accept", "--ftgate-accept-anchor")

    accepted.run().assert_outcomes(passed=4)


def test_what_is_left_decides_first_and_a_failure_stays_one(accepted):
    edit_failing(lambda row: None)(accepted)
    accepted.replies("new", wrong=80)

    result = accepted.run()

    verdict = accepted.verdicts()["accuracy[new]"]
    assert verdict["outcome"] == "failed"
    assert "20 of 100 accepted cases are gone; 0 of them were right: " in verdict["notes"][0]
    result.stdout.fnmatch_lines(["BLOCKED  1 failed, 3 inconclusive of 4 gates *"])


def test_cases_that_came_are_named_and_block_nothing(accepted):
    accepted.cases = 103
    rows = [
        {"id": f"t{n:03}", "input": f"Ticket {n}", "expected": "billing"} for n in range(100, 103)
    ]
    path = accepted.path("tickets.cases.jsonl")
    path.write_text(path.read_text("utf-8") + "".join(f"{json.dumps(row)}\n" for row in rows))
    for name in ("current", "new"):
        accepted.replies(name, wrong=20)

    result = accepted.run()

    result.assert_outcomes(passed=4)
    assert accepted.verdicts()["accuracy[new]"]["notes"] == [
        "3 cases have come since a run was accepted: t100, t101, t102"
    ]


def test_explain_says_that_the_rest_of_the_exam_passed(accepted, capsys, monkeypatch):
    edit_failing(lambda row: None)(accepted)
    accepted.run()
    monkeypatch.chdir(accepted.pytester.path)
    capsys.readouterr()

    main(["explain", "tickets.ftgate.yaml::accuracy[new]"])

    said = " ".join(capsys.readouterr().out.split())
    assert "so a pass on what is left is inconclusive, until a run is accepted." in said
    assert said.index("What is left: ") < said.index("So this check passed.")


def test_a_corrected_label_counts_as_changed_and_is_accepted_with_the_correction(accepted):
    edit_cases(accepted, lambda row: reply_as_expected(row) if row["id"] == "t005" else row)

    result = accepted.run()

    result.stdout.fnmatch_lines(["? accuracy[[]current]   1 of 100 accepted cases has changed"])
    accepted.run("--ftgate-accept").assert_outcomes(passed=4)


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


def test_a_selection_of_gates_asks_for_no_other(accepted):
    accepted.run("--ftgate-variant=new").assert_outcomes(passed=2)
    accepted.run("tickets.ftgate.yaml::accuracy[current]").assert_outcomes(passed=1)


def test_a_run_that_is_accepted_is_not_advised_to_be_accepted(desk):
    desk.suite("{accuracy: {max_drop: 0.1}}", current=20)

    assert "accept a run" not in desk.run("--ftgate-accept").stdout.str()
    assert "accept a run" not in desk.run().stdout.str()


def test_accepting_says_if_no_gate_compares_with_what_is_accepted(desk):
    desk.suite("{accuracy: {min: 0.6, max_drop: none}}", current=20)

    result = desk.run("--ftgate-accept")

    result.stdout.fnmatch_lines(
        [f"no gate compares with the results in {ACCEPTED}: max_drop: none,*"]
    )


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_the_exam_of_marked_functions_is_accepted_with_them(accepted, workers):
    accepted.marked("def test_it(case, reply):\n    assert reply.text == case.expected\n")
    accepted.run("--ftgate-accept", *workers)
    edit_failing(lambda row: None)(accepted)

    accepted.run("test_marked.py")

    verdict = accepted.verdicts()["test_it[new]"]
    assert (verdict["outcome"], verdict["exam"]["lost"][0]["count"]) == ("inconclusive", 20)
