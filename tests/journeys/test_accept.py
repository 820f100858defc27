"""A team accepts a run, and the next run is held against it."""

from __future__ import annotations

import json
import re

import pytest
from ftgate_testing.labelling import write_suite

DROP = "{accuracy: {max_drop: 0.05}}"
ACCEPTED = "tickets.accepted.json"
RIGHT = "def test_it(case, reply):\n    assert reply.text == case.expected\n"


def compared(desk, gate="accuracy[current]"):
    """Return the check of the last run that compared with what was accepted."""
    checks = desk.verdicts()[gate]["checks"]
    return next(check for check in checks if check["kind"] == "accepted")


def test_accepting_writes_a_record_without_replies_beside_a_suite_in_a_folder_and_says_so(desk):
    desk.suite(DROP, current=2)
    desk.replies("current", wrong=2, said="zebra crossing")
    folder = desk.pytester.mkdir("prompts")
    for path in desk.pytester.path.glob("*.*l"):
        path.rename(folder / path.name)

    result = desk.run("--ftgate-accept")

    told = f"accepted current in prompts/{ACCEPTED}; commit it with the change"
    result.stdout.fnmatch_lines([told])
    assert "zebra" not in (folder / ACCEPTED).read_text("utf-8")


def test_the_next_run_is_compared_with_the_accepted_one_and_quotes_the_cases_lost(desk):
    desk.suite(DROP, current=2)
    desk.run("--ftgate-accept")
    desk.replies("current", wrong=30)
    before = desk.path(ACCEPTED).read_bytes()

    result = desk.run("--ftgate-accept-anchor")

    result.assert_outcomes(failed=1)
    check = compared(desk)
    assert (check["before"], check["after"], check["outcome"]) == (0.98, 0.7, "failed")
    result.stdout.fnmatch_lines(
        [
            "  passed before, fails now (1 of 28, *",
            "    accepted 98 % → current 70 %   28 of 100 cases regressed*",
            "NOT ACCEPTED: *",
        ]
    )
    # The record of before stays.
    assert desk.path(ACCEPTED).read_bytes() == before


def gates_of_record(desk):
    verdicts = json.loads(desk.path(ACCEPTED).read_text("utf-8"))["verdicts"]
    return [f"{verdict['gate']}[{verdict['variant']}]" for verdict in verdicts]


def test_what_was_accepted_of_a_gate_stays_without_a_run_and_goes_with_the_gate(desk):
    both = "{accuracy: {max_drop: 0.05}, format: {max_drop: 0.05}}"
    gates = [f"{kind}[{name}]" for kind in ("accuracy", "format") for name in ("current", "short")]
    node = "tickets.ftgate.yaml::format[current]"
    for arguments in ([], ["tickets.ftgate.yaml"]):
        desk.suite(both, current=2, short=1)
        desk.run("--ftgate-accept")
        for selection in (["-k", "format"], [node], ["--ftgate-variant=short"]):
            desk.run("--ftgate-accept", *selection)
            assert sorted(gates_of_record(desk)) == gates

        desk.run()
        assert compared(desk)["is_unchanged"]
        desk.suite(DROP, current=2, short=1)
        desk.run("--ftgate-accept", *arguments)
        assert sorted(gates_of_record(desk)) == ["accuracy[current]", "accuracy[short]"]


@pytest.mark.parametrize("named", [(), ("tests",), ("tests/test_tone.py",)], ids=" ".join)
def test_a_marked_function_that_is_gone_is_missed_however_its_file_is_named(desk, named):
    desk.suite(DROP, current=2)
    desk.path("tests").mkdir()
    desk.marked(RIGHT, name="tests/test_tone")
    desk.run("--ftgate-accept", *named)
    desk.marked(RIGHT.replace("test_it", "test_other"), name="tests/test_tone")

    desk.run(*named)

    assert desk.verdicts()["test_other[current]"]["headline"] == "the accepted gate test_it is gone"


def test_small_drops_of_accepted_releases_add_up_against_the_anchor_until_it_is_moved(desk):
    desk.suite("{accuracy: {max_drop: 0.12}}", current=0)
    for wrong in (0, 4, 8):
        desk.replies("current", wrong=wrong)
        desk.run("--ftgate-accept")
    desk.replies("current", wrong=30)

    desk.run()

    checks = {check["kind"]: check for check in desk.verdicts()["accuracy[current]"]["checks"]}
    assert checks["accepted"]["before"] == 0.92
    assert (checks["anchor"]["before"], checks["anchor"]["outcome"]) == (1.0, "failed")
    # Both comparisons share the risk of a false alarm.
    assert checks["anchor"]["shared"] == 2
    desk.replies("current", wrong=8)
    desk.run("--ftgate-accept-anchor")
    desk.run()
    kinds = [check["kind"] for check in desk.verdicts()["accuracy[current]"]["checks"]]
    assert kinds == ["accepted"]


@pytest.mark.parametrize("edited", ["score", "ids"])
def test_an_anchor_of_which_no_case_is_left_gives_way_to_the_accepted_run(desk, edited):
    desk.suite("{accuracy: {max_drop: 0.12}}", current=0)
    desk.run("--ftgate-accept")
    desk.run("--ftgate-accept")
    if edited == "score":
        desk.edit("reply: {", "reply: {score: exact, ")

    def accept(count):
        desk.replies("current", wrong=count)
        if edited == "ids":
            desk.write_cases()
            for name in ("current.jsonl", "tickets.cases.jsonl"):
                desk.edit('"id": "t', '"id": "u', name)
        return desk.run("--ftgate-accept")

    accept(5).stdout.fnmatch_lines(
        ["new anchor of current: no case that was accepted earlier is as it was"]
    )
    accept(9).stdout.no_fnmatch_line("new anchor*")
    accept(30)

    checks = {check["kind"]: check for check in desk.verdicts()["accuracy[current]"]["checks"]}
    assert (checks["anchor"]["before"], checks["anchor"]["outcome"]) == (0.95, "failed")


@pytest.mark.parametrize("kind", ["suite", "module"])
def test_a_renamed_suite_is_not_evaluated_until_its_record_has_the_new_name(desk, kind):
    names = {
        "suite": ("tickets.ftgate.yaml", "new.ftgate.yaml"),
        "module": ("test_a.py", "test_b.py"),
    }
    old, new = names[kind]
    old_record, new_record = (
        f"{name.removesuffix('.ftgate.yaml')}.accepted.json" for name in names[kind]
    )
    desk.suite(DROP, current=0)
    if kind == "module":
        desk.marked(RIGHT, name="test_a")
    desk.run("--ftgate-accept")
    desk.path(old).rename(desk.path(new))

    result = desk.run(new)

    told = " ".join(result.stdout.str().split())
    assert f"{old_record}: the record of {old}, which is gone, and {new} has none" in told
    assert f'rename this file to {new_record} and write {new} as its "suite"' in told
    assert result.ret != 0
    desk.path(old_record).rename(desk.path(new_record))
    desk.edit(f'"suite": "{old}"', f'"suite": "{new}"', new_record)
    desk.run(new).assert_outcomes(passed=1)
    assert compared(desk, *["test_it[current]"][: kind == "module"])["is_unchanged"]


def test_the_record_of_a_deleted_suite_and_what_is_no_record_stop_no_other_suite(desk):
    desk.suite(DROP, current=0)
    desk.run("--ftgate-accept")
    desk.path("tickets.ftgate.yaml").rename(desk.path("new.ftgate.yaml"))
    desk.path("golden.accepted.json").write_text('{"x": 1}')
    for path in desk.pytester.path.glob("*.jsonl"):
        path.write_text(re.sub(r'"t(\d)', r'"other-\1', path.read_text()))

    assert "renamed" not in desk.run("new.ftgate.yaml").stdout.str()


def test_a_record_that_lost_scores_in_a_merge_is_an_error(desk):
    desk.suite(current=0, gates={"accuracy": {"min": 0.5}})
    desk.run("--ftgate-accept")
    path = desk.path("tickets.accepted.json")
    record = json.loads(path.read_text("utf-8"))
    scores = record["variants"]["current"]
    for case in [*scores][:30]:
        del scores[case]
    path.write_text(json.dumps(record, indent=1), "utf-8")

    result = desk.run()

    told = " ".join(result.stdout.str().split())
    assert f"accuracy[current]: 30 of {len(scores) + 30} accepted cases have no score here" in told
    assert result.ret != 0


def test_a_record_of_a_suite_with_inputs_has_the_scores_of_its_cases_alone(desk):
    write_suite(desk.pytester.path, inputs=40, differing=0)
    desk.run("--ftgate-accept")

    desk.run().assert_outcomes(passed=2)


def test_a_record_of_tasks_with_runs_has_a_score_of_each_task(desk):
    desk.cases = 10
    desk.suite("{accuracy: {max_drop: 0.2, claim: these_tasks}}\nrepeats: 3", current=0)
    replies = desk.path("current.jsonl")
    rows = [json.loads(line) for line in replies.read_text("utf-8").splitlines()]
    # White space at the end is no other answer, and tells the runs from copies of one.
    runs = [{**row, "text": f"{row['text']}{' ' * run}"} for run in range(3) for row in rows]
    replies.write_text("\n".join(map(json.dumps, runs)), "utf-8")
    desk.run("--ftgate-accept")

    desk.run().assert_outcomes(passed=1)
    assert compared(desk)["n"] == 30


def test_a_run_with_a_gate_that_was_not_evaluated_writes_no_record(desk):
    desk.suite(DROP, current=2, second=2)
    desk.path("second.jsonl").unlink()
    desk.path("other.ftgate.yaml").write_text("cases: missing.jsonl\n")

    result = desk.run("--ftgate-accept")

    result.stdout.fnmatch_lines(["NOT ACCEPTED: *not evaluated*"])
    assert not desk.path(ACCEPTED).exists()


def test_a_run_with_an_inconclusive_gate_is_accepted_and_the_line_says_so(desk):
    desk.suite(DROP, current=2, draft=5)

    result = desk.run("--ftgate-accept")

    result.stdout.fnmatch_lines(["accepted current, draft in *(1", "  gate inconclusive)"])
    assert desk.path(ACCEPTED).exists()


LIMIT_15 = "{accuracy: {max_drop: 0.15}}"


def test_a_run_with_too_few_replies_is_not_accepted_and_says_what_brings_them(desk):
    desk.suite(LIMIT_15, current=0)
    desk.replies("current", missing=6)

    result = desk.run("--ftgate-accept")

    result.stdout.fnmatch_lines(
        [
            "NOT ACCEPTED: accuracy[[]current] without enough replies. No record was written;",
            "  to request the missing replies first (add those of a recorded variant):",
            "    *pytest * --ftgate-accept",
            "to accept this run all the same:",
            "    *pytest --ftgate-accept-failed *",
        ]
    )
    assert not desk.path(ACCEPTED).exists()


@pytest.mark.parametrize(
    ("missing", "outcome", "told"),
    [
        (44, "inconclusive", "44 of 100 accepted cases had no reply when the run was accepted"),
        (4, "passed", "accuracy: current 96 % (0 on the accepted cases, limit 15)"),
    ],
)
def test_cases_without_an_accepted_reply_are_said_and_block_if_they_are_many(
    desk, missing, outcome, told
):
    desk.suite(LIMIT_15, current=0)
    desk.replies("current", missing=missing)
    desk.run("--ftgate-accept", "--ftgate-accept-failed")
    desk.replies("current")
    path = desk.path("current.jsonl")
    lines = path.read_text("utf-8").splitlines()
    wrong = [json.dumps(json.loads(line) | {"text": "other"}) for line in lines[-missing:]]
    path.write_text("\n".join([*lines[:-missing], *wrong]), "utf-8")

    result = desk.run()

    verdict = desk.verdicts()["accuracy[current]"]
    assert verdict["outcome"] == outcome
    assert [lost["count"] for lost in verdict["exam"]["lost"]] == [missing]
    assert told in " ".join(result.stdout.str().split())


def test_a_pass_on_the_accepted_cases_needs_replies_to_the_new_ones_too(desk):
    desk.cases = 60
    desk.suite(LIMIT_15, current=0)
    desk.run("--ftgate-accept")
    desk.cases = 100
    desk.write_cases()

    desk.run()

    check = compared(desk)
    assert (check["outcome"], check["n"], check["missing"]) == ("inconclusive", 60, 40)


def test_the_option_for_failed_runs_does_nothing_by_itself(desk):
    desk.suite(DROP, current=2, worse=30)

    desk.run("--ftgate-accept-failed").stderr.fnmatch_lines(["*add --ftgate-accept, or*"])
