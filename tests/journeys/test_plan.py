"""Before anything is spent, a user looks at what a run would ask."""

from __future__ import annotations

#: Two variants, of which one has fifteen of the first thirty tickets wrong.
TWO = """\
def answer(case):
    return case.expected

def other(case):
    return "billing" if case.id < "t030" else case.expected
"""


def row(desk, result):
    """Return what the plan says of *current*: calls, in the ledger, to ask."""
    line = next(line for line in result.outlines if line.startswith("  current "))
    return tuple(line.split()[1:4])


def test_a_plan_shows_what_would_be_asked(desk):
    desk.asking_suite()

    result = desk.run("--ftgate-plan")

    result.stdout.fnmatch_lines(["  variant * calls * in ledger * to ask *"])
    assert row(desk, result) == ("100", "0", "100")


def test_a_plan_asks_nothing_and_judges_nothing(desk):
    desk.asking_suite()

    result = desk.run("--ftgate-plan")

    assert (result.ret, desk.asked(), desk.verdicts()) == (0, [], {})


def test_a_plan_counts_what_the_ledger_has(desk):
    desk.asking_suite()
    desk.run()

    result = desk.run("--ftgate-plan")

    assert row(desk, result) == ("100", "100", "0")


def test_a_plan_says_what_the_gates_could_certify(desk):
    desk.asking_suite()

    result = desk.run("--ftgate-plan")

    result.stdout.fnmatch_lines(
        [
            "  gate * cases * allowed * certifies * disagree * unchanged passes * missing",
            "  accuracy?current? * 100 * −5 * −* 10 % * % * +*",
        ]
    )


def test_a_plan_takes_the_disagreement_that_kept_replies_show(desk):
    draft = '{provider: python, function: "answers:other"}'
    desk.asking_suite(TWO, draft=draft)
    desk.run()

    result = desk.run("--ftgate-plan")

    # Fifteen of a hundred turned, seen beside what is usual: ten in a hundred.
    result.stdout.fnmatch_lines(["  accuracy?draft? * 15 %[*] *"])


def test_a_plan_says_which_cases_a_variant_was_trained_on(desk):
    desk.asking_suite(floor="{provider: classical, training_data: train.jsonl}")
    said = [f"Other {n}" for n in range(3)] + ["ticket 4 HELP", "Ticket 7, help!"]
    desk.write_rows("train.jsonl", [{"prompt": text, "completion": "refund"} for text in said])

    result = desk.run("--ftgate-plan")

    counted = "2 of 100 cases are in train.jsonl, as t004 (line 4)"
    result.stdout.fnmatch_lines([f"  floor: {counted}: what a model has seen it need not know"])


def test_a_variant_that_cannot_be_planned_is_named_and_the_others_are_shown(desk):
    desk.asking_suite(gone='{provider: python, function: "missing:answer"}')

    result = desk.run("--ftgate-plan")

    result.stdout.fnmatch_lines(["  current *", "*gone: missing:answer: there is no module *"])


FEW = "{provider: anthropic, model: m, examples: {from: train.jsonl, shots: 1}}"


def test_a_plan_warns_of_examples_that_leave_labels_out(desk):
    desk.write_rows("train.jsonl", [{"input": "Pay me back", "expected": "refund"}])
    desk.suite_of({"few": FEW, "same": "{like: few, gated: false}"}, "{accuracy: {min: 0.8}}")

    result = desk.run("--ftgate-plan")

    told = "the examples show 1 of 2 labels that the cases expect; without billing"
    result.stdout.fnmatch_lines([f"  lint: few, same: {told}"])


def test_a_plan_of_what_is_well_has_no_warning(desk):
    desk.asking_suite()

    desk.run("--ftgate-plan").stdout.no_fnmatch_line("*lint:*")
