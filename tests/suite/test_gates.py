"""Gates that could not be evaluated as they are declared, and what to write instead."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from ftgate_testing.labelling import write_suite
from ftgate_testing.suite_files import Like, errors_of, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.runner.suite import check_feasibility
from pytest_ftgate.suite.gate_kinds import DataGate, RateGate
from pytest_ftgate.suite.loader import load_suite

CASES = "[{id: a, input: x, expected: refund}, {id: b, input: y, expected: other}]"
CHOICE = "reply: {format: {choice: [refund, other]}}\n"
MODEL = "provider: anthropic, model: m"
FILES = {
    "r.jsonl": '{"id": "a", "text": "refund"}\n',
    "t.jsonl": '{"input": "q", "expected": "a"}\n',
}


def suite(folder, gates, *, cases=CASES, more=CHOICE, model=MODEL):
    """Load a suite with *gates*; a text without braces has the keys of the accuracy gate."""
    written = gates if gates.startswith("{") else f"{{accuracy: {{{gates}}}}}"
    variant = f"current: {{{model}}}"
    return load_variants(folder, variant, gates=written, cases=cases, more=more, files=FILES)


NO_THOUGHTS = "thoughts: no limit is declared; write max_drop: 0.1"
NO_LIMIT = "...write min: 0.8, or max_drop: 0.05..."
STATISTICS = "...needs evidence: statistics..."
MUST_PASS = f"{CASES[:-1]}, {{id: c, input: z, must_pass: true}}]"
REFUSED = [
    ("max_drop: 0.5, stop_early: true, settle: 5", {}, "...keep one of them..."),
    ("max_drop: 0.5, settle: 5, evidence: point", {}, STATISTICS),
    ("max_drop: 0.5, stop_early: true, evidence: point", {}, STATISTICS),
    ("min: 0.5, slices: [label], max_drop: none", {}, "...max_drop: none does not..."),
    ("max_drop: none", {}, "...write min: 0.8, or remove max_drop: none..."),
    ("evidence: point", {}, NO_LIMIT),
    ("max_drop: often", {}, "...max_drop: write a share such as 0.05, or none..."),
    ("max_drop: 0.5, slices: [tag]", {}, "...no case has a tag..."),
    ("max_drop: 0.5, slices: [language]", {}, "...no case has a language..."),
    ("max_drop: 0.5, slices: [lable]", {}, "...must be one of..."),
    ("max_drop: 0.5, settle: 1", {}, "...settle: 1 must be more than repeats: 1..."),
    ("min: 0.5", {"more": f"{CHOICE}repeats: often\n"}, "repeats must be..."),
    ("min: 0.5", {"cases": MUST_PASS}, "...must_pass needs expected..."),
    ("min: 0.5, metric: balanced_accuracy", {"more": ""}, "...needs labels..."),
    ("{format: {min: 0.5, metric: balanced_accuracy}}", {}, '...unknown key "metric"...'),
    ("{format: {thoughts: {}}}", {}, f"...{NO_THOUGHTS}..."),
    ("{format: {thoughts: {max_drop: , max_rise: }}}", {}, f"...{NO_THOUGHTS}..."),
    ("thoughts: {max_drop: 0.1}", {}, "...thoughts..."),
]


@every_row(("gates", "parts", "told"), REFUSED)
def test_a_gate_that_could_not_be_evaluated_as_declared_is_refused(tmp_path, gates, parts, told):
    (message,) = errors_of(suite, tmp_path, gates, **parts)

    assert message.partition(": ")[2] == Like(told)


def test_a_gate_of_must_pass_cases_alone_needs_no_limit(tmp_path):
    cases = "[{id: a, input: x, expected: refund, must_pass: true}]"

    gate = suite(tmp_path, "max_drop: none", cases=cases).gates["accuracy"]

    assert (gate.min, gate.max_drop, gate.limits_drop) == (None, None, False)


@every_row(
    ("limits", "thoughts"),
    [
        # A gate of thoughts alone needs no other limit.
        ("max_drop: none, thoughts: {max_drop: 0.1}", (0.1, None)),
        ("min: 0.5, thoughts: {max_drop: 0.1, max_rise: 0.5}", (0.1, 0.5)),
    ],
)
def test_the_format_gate_limits_thoughts_against_the_baseline(tmp_path, limits, thoughts):
    gate = suite(tmp_path, f"{{format: {{{limits}}}}}").gates["format"]

    assert (gate.max_thought_drop, gate.max_thought_rise) == thoughts
    assert gate.has_comparison
    # The share is a drop check of its own, the length is none.
    assert (gate.drop_checks(0), gate.drop_checks(1)) == (0, 1)


def test_what_a_suite_does_not_declare_is_as_in_the_gates_of_a_file_alone(tmp_path):
    model = "provider: classical, training_data: t.jsonl"

    gates = suite(tmp_path, "{data: {}, accuracy: {max_drop: 0.5}}", model=model).gates

    assert gates["data"] == DataGate(line=gates["data"].line)
    assert gates["accuracy"] == RateGate(
        kind="accuracy", line=gates["accuracy"].line, max_drop=0.5, metric="accuracy"
    )


def labelled(folder, gates, **counts):
    """Return a suite with so many cases of each label."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    cases = [f"{{input: x{i}, expected: {name}}}" for i, name in enumerate(labels)]
    return suite(folder, gates, cases=f"[{', '.join(cases)}]")


def test_balanced_each_label_weighs_the_same_in_the_design(tmp_path):
    found = labelled(
        tmp_path, "max_drop: none, min: 0.1, metric: balanced_accuracy", refund=2, other=1
    )

    assert found.gates["accuracy"].case_weights(found.cases) == (0.75, 0.75, 1.5)


@every_row(
    ("gates", "counts", "told"),
    [
        ("min: 0.8, stop_early: false", {"refund": 14}, ""),
        ("min: 0.8, stop_early: true", {"refund": 14}, "cannot be proven with 14 cases"),
        (
            "max_drop: 0.1, metric: balanced_accuracy",
            {"refund": 80, "other": 9},
            "cannot be proven",
        ),
        ("max_drop: 0.2, metric: balanced_accuracy", {"refund": 174, "other": 26}, ""),
    ],
)
def test_a_gate_of_a_suite_needs_cases_that_can_show_its_limit(tmp_path, gates, counts, told):
    found = labelled(tmp_path, gates, **counts)

    refused = pytest.raises(SuiteError, match=told) if told else nullcontext()
    with refused:
        check_feasibility(found)


def test_a_verdict_about_these_cases_alone_does_not_go_with_inputs(tmp_path):
    path = write_suite(tmp_path)
    text = path.read_text("utf-8").replace("max_drop: 0.2", "max_drop: 0.2, claim: these_tasks")
    path.write_text(text, "utf-8")

    with pytest.raises(SuiteError, match="inputs are about others like them; remove one"):
        load_suite(path, tmp_path)
