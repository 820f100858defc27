"""A suite without any model: a classifier beside what a team has, judged in a second."""

from __future__ import annotations


def test_a_classifier_is_a_variant_like_any_other(desk):
    desk.suite_of(
        {
            "current": "{provider: recorded, replies: current.jsonl}",
            "floor": "{provider: classical, training_data: train.jsonl}",
        },
        gates="{accuracy: {max_drop: 0.05}}",
    )
    rows = [
        {
            "id": f"t{n:03}",
            "input": f"{desk.label(n)} please, number {n}",
            "expected": desk.label(n),
        }
        for n in range(desk.cases)
    ]
    desk.write_rows("tickets.cases.jsonl", rows)
    desk.replies("current", wrong=10)
    train = [
        {"input": f"about {label}, {n}", "expected": label}
        for label in ("billing", "refund")
        for n in range(5)
    ]
    desk.write_rows("train.jsonl", train)

    desk.run().assert_outcomes(passed=2)

    assert desk.verdicts()["accuracy[floor]"]["checks"][0]["after"] == 1.0


def test_a_classifier_needs_something_to_learn_from(desk):
    desk.suite_of({"floor": "{provider: classical}"})

    result = desk.run()

    result.stdout.fnmatch_lines(["*provider classical needs training_data (*"])
