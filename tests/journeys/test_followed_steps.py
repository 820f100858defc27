"""Whoever does what a red build says gets a green one, or the answer that it promises."""

from __future__ import annotations

import re

import pytest

SUITE = "tickets.ftgate.yaml"
DROP = "{accuracy: {max_drop: 0.05}}"
#: A function that fails for the first ten cases as long as a file is missing.
DOWN_AT_FIRST = """\
from pathlib import Path

def answer(case):
    if case.id < "t010" and not Path(__file__).with_name("up").exists():
        raise OSError("the server is down")
    return case.expected
"""


def edit(desk, *pairs):
    text = desk.path(SUITE).read_text("utf-8")
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    desk.path(SUITE).write_text(text, "utf-8")


def steps(desk, gate):
    return {step["kind"]: step["values"] for step in desk.verdicts()[gate]["next"]}


@pytest.mark.parametrize(
    ("gates", "wrong"),
    [
        (DROP, 30),
        (DROP, 5),
        ("{accuracy: {min: 0.85}}", 30),
        ("{accuracy: {min: 0.85}}", 12),
        ("{accuracy: {min: 0.85, max_drop: 0.05}}", 30),
        ("{accuracy: {max_drop: 0.05, evidence: point}}", 30),
        ("{accuracy: {min: 0.85, evidence: point}}", 30),
        ("{format: {max_drop: 0.05}}", 30),
    ],
)
def test_the_limit_that_a_verdict_names_passes_the_same_replies(desk, gates, wrong):
    desk.suite(gates, current=2, new=0)
    desk.replies("new", wrong=wrong, said="none of these" if "format" in gates else None)
    kind = gates[1:].partition(":")[0]
    assert desk.run().ret == 1

    step = steps(desk, f"{kind}[new]")["set limit"]

    assert step["where"] == f"{SUITE}:6"
    for setting in step["setting"].split(", "):
        key = setting.partition(":")[0]
        declared = gates.partition(f"{key}: ")[2].split(",")[0].split("}")[0]
        # A default limit stands nowhere, so the step adds it.
        start = f"gates: {{{kind}: {{"
        written = f"{key}: {declared}" if declared else start
        edit(desk, (written, setting if declared else f"{start}{setting}, "))
    assert desk.run().ret == 0


def test_the_limit_one_point_stricter_does_not_pass(desk):
    desk.suite(DROP, current=2, new=5)
    desk.run()
    limit = float(steps(desk, "accuracy[new]")["set limit"]["setting"].split()[1])

    edit(desk, ("max_drop: 0.05", f"max_drop: {limit - 0.01:.2f}"))

    assert desk.run().ret == 1


@pytest.mark.parametrize("rest", ["evidence: point", "max_drop: none"])
def test_a_minimum_of_nothing_gates_nothing_until_another_one_is_written(desk, rest):
    desk.suite(f"{{accuracy: {{min: 0, {rest}}}}}", current=100)

    result = desk.run()

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            f"  not gated  accuracy?current? 0 %: nothing can fail it: min: 0, {rest}",
            f"  accuracy?current?: write a min: above 0, in {SUITE}:5",
            "no gate was evaluated; nothing can fail the selected gates",
        ]
    )
    desk.replies("current", wrong=2)
    edit(desk, ("min: 0", "min: 0.8"))
    assert desk.run().ret == 0


def test_a_candidate_that_is_made_the_baseline_passes(desk):
    desk.suite(DROP, current=6, candidate=40)
    assert desk.run().ret == 1
    assert steps(desk, "accuracy[candidate]")["make baseline"]["variant"] == "candidate"

    edit(desk, ("variants:", "baseline: candidate\nvariants:"))

    assert desk.run().ret == 0


def test_the_variant_to_ship_passes_once_the_other_one_is_left_out(desk):
    desk.suite(DROP, current=2, good=1, worse=30)
    result = desk.run()
    result.stdout.fnmatch_lines(
        ["    do      ship good: it passes its gate   (set gated: false for worse)"]
    )

    edit(desk, ("replies: worse.jsonl}", "replies: worse.jsonl, gated: false}"))

    assert desk.run().ret == 0


@pytest.mark.parametrize("releases", [1, 3])
def test_an_intended_drop_from_the_accepted_run_is_accepted_by_the_command(desk, releases):
    desk.suite(DROP, current=0)
    for number in range(releases):
        desk.replies("current", wrong=number)
        desk.run("--ftgate-accept")
    desk.replies("current", wrong=30)
    lines = desk.run().outlines
    command = next(line.split() for line in lines if "--ftgate-accept" in line and " do " in line)
    assert command[1:3] == ["pytest", "--ftgate"]

    assert desk.run(*command[3:]).ret == 1
    assert desk.run().ret == 0


def test_a_part_that_is_fixed_passes(desk):
    desk.cases = 1000
    desk.suite("{accuracy: {max_drop: 0.10, slices: [label]}}", current=0, draft=0)
    rows = [
        {"id": f"t{n:03}", "text": "billing" if n % 2 == 1 and n < 100 else desk.label(n)}
        for n in range(desk.cases)
    ]
    desk.write_rows("draft.jsonl", rows)
    assert desk.run().ret == 1

    desk.replies("draft")

    assert desk.run().ret == 0


def test_a_real_drop_within_the_limit_passes_with_the_limit_that_is_named(desk):
    desk.cases = 300
    desk.suite(DROP, current=3, draft=13)
    assert desk.run().ret == 1
    setting = steps(desk, "accuracy[draft]")["set limit"]["setting"]

    edit(desk, ("max_drop: 0.05", setting))

    assert desk.run().ret == 0


def test_the_cases_that_are_added_settle_a_drop_that_was_likely_beyond_the_limit(desk):
    desk.cases = 20
    # Several variants share the error rate, so that each needs more evidence.
    others = {f"good-{number}": 0 for number in range(8)}
    desk.suite("{accuracy: {max_drop: 0.15}}", current=0, draft=8, **others)
    desk.run().stdout.fnmatch_lines(["*likely beyond the limit of 15*"])
    assert desk.verdicts()["accuracy[draft]"]["outcome"] == "inconclusive"

    desk.cases += steps(desk, "accuracy[draft]")["add cases"]["needed"]
    drop = round(desk.cases * 0.4)
    desk.suite("{accuracy: {max_drop: 0.15}}", current=0, draft=drop, **others)
    desk.run()

    assert desk.verdicts()["accuracy[draft]"]["outcome"] == "failed"


def test_macro_f1_without_a_baseline_passes_with_a_minimum(desk):
    desk.suite("{accuracy: {metric: macro_f1, max_drop: 0.3}}", current=2)
    desk.run().assert_outcomes(skipped=1)
    assert [*steps(desk, "accuracy[current]")] == ["add minimum"]

    edit(desk, ("max_drop: 0.3", "max_drop: 0.3, min: 0.8"))

    desk.run().stdout.fnmatch_lines(["PASSED  1 gate   accuracy: current 98 % (min 80 %)"])


def test_cases_that_are_fixed_pass(desk):
    desk.suite(DROP, current=2, draft=5)
    assert desk.run().ret == 1
    assert steps(desk, "accuracy[draft]")["fix cases"]["cases"] == "t002, t003, t004"

    desk.replies("draft", wrong=2)

    assert desk.run().ret == 0


def test_must_pass_cases_that_are_fixed_pass(desk):
    desk.suite("{accuracy: {min: 0.8}}", current=3)
    rows = (
        desk.path("tickets.cases.jsonl")
        .read_text("utf-8")
        .replace('"id": "t001"', '"must_pass": true, "id": "t001"')
    )
    desk.path("tickets.cases.jsonl").write_text(rows, "utf-8")
    desk.run().stdout.fnmatch_lines(["    do      fix t001*"])

    desk.replies("current", wrong=1)

    assert desk.run().ret == 0


def test_a_minimum_that_cannot_be_reached_is_not_offered_to_be_accepted(desk):
    desk.suite("{accuracy: {min: 0.85}}", worse=30)

    desk.run().stdout.no_fnmatch_line("*--ftgate-accept*")


def test_an_unread_first_run_is_accepted_and_compared_with_from_then_on(desk):
    desk.suite(DROP, current=2)
    lines = desk.run().outlines
    command = next(line.split() for line in lines if "--ftgate-accept" in line)

    assert desk.run(*command[2:]).ret == 0

    desk.run().stdout.fnmatch_lines(
        ["PASSED  1 gate   accuracy: current 98 % (unchanged, limit 5)"]
    )


def test_a_comparison_that_can_show_nothing_passes_with_the_minimum_that_is_added(desk):
    desk.suite(DROP, current=96, new=96)
    edit(desk, ("reply: {format: {choice: [billing, refund]}}\n", ""))
    desk.replies("new", wrong=96, said="none of these")
    assert desk.run().ret == 1
    assert [*steps(desk, "accuracy[new]")] == ["declare minimum"]

    edit(desk, ("{max_drop: 0.05}", "{max_drop: 0.05, min: 0.01}"))

    assert desk.run().ret == 0


def test_a_minimum_that_guessing_reaches_passes_once_it_is_raised(desk):
    desk.suite("{accuracy: {min: 0.4}}", current=2)
    result = desk.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*guessing is right in 50 %, so this minimum shows nothing.",
            f"    do      raise min: above the rate of guessing   {SUITE}:5",
        ]
    )

    edit(desk, ("min: 0.4", "min: 0.6"))

    assert desk.run().ret == 0


def test_a_comparison_in_which_nothing_is_right_passes_once_the_score_is_mended(desk):
    desk.suite(DROP, current=0, new=0)
    edit(desk, ("reply: {format: {choice: [billing, refund]}}", "reply: {score: exact}"))
    rows = [{"id": f"t{n:03}", "text": f"It is {desk.label(n)}."} for n in range(desk.cases)]
    for name in ("current", "new"):
        desk.write_rows(f"{name}.jsonl", rows)
    result = desk.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["    do      check the score, the format and the expected answers", "*on either side*"]
    )

    edit(desk, ("score: exact", "score: contains"))

    assert desk.run().ret == 0


def test_training_data_passes_without_the_rows_that_are_cases(desk):
    rows = [{"input": f"Customer {n} asks {n * 7919}", "expected": "billing"} for n in range(60)]
    rows += [{"input": f"Another {n} asks {n * 104729}", "expected": "refund"} for n in range(60)]
    leaked = [{"input": f"ticket {n}: HELP!", "expected": "billing"} for n in (7, 8, 9)]
    desk.write_rows("train.jsonl", rows + leaked)
    desk.replies("tuned")
    tuned = (
        "{provider: recorded, replies: tuned.jsonl, rung: fine-tuned, training_data: train.jsonl}"
    )
    desk.suite_of({"tuned": tuned}, "{data: {min_rows: 50}}")
    result = desk.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["    leak, lines 121–123: *"])

    desk.write_rows("train.jsonl", rows)

    assert desk.run().ret == 0


def test_too_few_cases_are_read_with_the_limit_that_the_error_names(desk):
    desk.cases = 20
    desk.suite("{accuracy: {max_drop: 0.05}}", current=0, new=0)
    text = "\n".join(desk.run().outlines)
    limit = re.search(r"or max_drop: ([0-9.]+)", text)[1]

    edit(desk, ("max_drop: 0.05", f"max_drop: {limit}"))

    assert desk.run().ret == 0


def test_recorded_replies_of_a_base_to_other_cases_prove_nothing_and_break_nothing(desk):
    desk.replies("tuned")
    desk.replies("base")
    variant = "{provider: recorded, replies: tuned.jsonl, base_replies: base.jsonl}"
    desk.suite_of({"tuned": variant}, "{accuracy: {min: 0.8}}")

    result = desk.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*not proven*"])


def test_cases_without_a_reply_are_complete_after_the_command(desk):
    run_again(desk, "{accuracy: {min: 0.9}}")


def test_a_first_run_that_lacks_replies_passes_after_the_command(desk):
    run_again(desk, DROP)


def test_a_first_run_in_which_nothing_is_right_passes_once_the_score_is_mended(desk):
    desk.replies("current")
    desk.suite_of({"current": "{provider: recorded, replies: current.jsonl}"}, DROP)
    edit(desk, ("reply: {", "reply: {score: regex, "))
    desk.write_rows("tickets.cases.jsonl", [
        {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": "Billing|Refund"}
        for n in range(desk.cases)
    ])  # fmt: skip

    result = desk.run()

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "[?] accuracy[[]current]   nothing to compare with yet   no reply is right",
            "    do      check the score, the format and the expected answers",
        ]
    )
    edit(desk, ("score: regex, ", ""))
    desk.write_cases()
    assert desk.run().ret == 0


def run_again(desk, gates):
    """Run a suite whose function fails at first, and then the command that the verdict names."""
    desk.asking_suite(DOWN_AT_FIRST, gates=gates)
    lines = desk.run().outlines
    command = next(line.split() for line in lines if " do " in line)
    assert command[1:3] == ["pytest", "--ftgate"]
    desk.path("up").touch()

    assert desk.run(*command[3:4]).ret == 0


def test_recorded_replies_that_are_added_complete_the_gate(desk):
    desk.replies("current", missing=20)
    desk.suite_of(
        {"current": "{provider: recorded, replies: current.jsonl}"}, "{accuracy: {min: 0.9}}"
    )
    result = desk.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["    do      add the 20 missing replies to current.jsonl", "*no run can bring them*"]
    )

    desk.replies("current")

    assert desk.run().ret == 0


def test_replies_in_the_right_format_pass(desk):
    desk.suite("{format: {max_drop: 0.05}}", current=0)
    desk.replies("new", wrong=30, said="```\nbilling\n```")
    desk.suite_of(
        {name: f"{{provider: recorded, replies: {name}.jsonl}}" for name in ("current", "new")},
        "{format: {max_drop: 0.05}}",
    )
    desk.run().stdout.fnmatch_lines(["    or      ask for the bare answer without a code fence*"])

    desk.replies("new")

    assert desk.run().ret == 0
