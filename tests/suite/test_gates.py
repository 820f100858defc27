"""Gates that could not be evaluated as they are declared, and what to write instead."""

from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.power import MAX_REPEATS, needed_repeats
from pytest_ftgate.runner.suite import check_feasibility
from pytest_ftgate.suite.gate_kinds import DataGate, RateGate
from pytest_ftgate.suite.loader import load_suite

CASES = "  - {id: a, input: x, expected: refund}\n  - {id: b, input: y, expected: other}\n"


def suite(folder, gates, *, cases=CASES, more="", model="provider: anthropic, model: m"):
    path = folder / "s.ftgate.yaml"
    path.write_text(
        f"cases:\n{cases}"
        "reply: {format: {choice: [refund, other]}}\n"
        f"variants: {{current: {{{model}}}}}\n"
        f"{more}gates: {gates}\n",
        encoding="utf-8",
    )
    return load_suite(path, folder)


def errors(folder, gates, **rest):
    with pytest.raises(SuiteError) as caught:
        suite(folder, gates, **rest)
    return [error.message for error in caught.value.errors]


@every_row(
    ("gate", "told"),
    [
        ("max_drop: 0.5, stop_early: true, settle: 5", "keep one of them"),
        ("max_drop: 0.5, settle: 5, evidence: point", "needs evidence: statistics"),
        ("max_drop: 0.5, stop_early: true, evidence: point", "needs evidence: statistics"),
        ("max_drop: 0.5, settle: 5, metric: macro_f1", "is evaluated once"),
        ("min: 0.5, evidence: point, metric: macro_f1", "does not go with metric: macro_f1"),
        ("min: 0.5, slices: [label], max_drop: none", "max_drop: none does not"),
        ("max_drop: none", "write min: 0.8, or remove max_drop: none"),
        ("evidence: point", "write min: 0.8, or max_drop: 0.05"),
        ("metric: macro_f1", "write min: 0.8, or max_drop: 0.05"),
        ("max_drop: often", "max_drop: write a share such as 0.05, or none"),
        ("max_drop: 0.5, slices: [tag]", "no case has a tag"),
        ("max_drop: 0.5, slices: [language]", "no case has a language"),
        ("max_drop: 0.5, slices: [lable]", "must be one of"),
        ("max_drop: 0.5, settle: 1", "settle: 1 must be more than repeats: 1"),
    ],
)
def test_a_gate_that_could_not_be_evaluated_as_declared_is_refused(tmp_path, gate, told):
    (message,) = errors(tmp_path, f"{{accuracy: {{{gate}}}}}")

    assert told in message


def test_how_often_to_repeat_is_a_number_or_auto(tmp_path):
    (message,) = errors(tmp_path, "{accuracy: {min: 0.5}}", more="repeats: often\n")

    assert message.startswith("repeats must be")


NO_THOUGHTS = "thoughts: no limit is declared; write max_drop: 0.1"


@every_row(
    ("gates", "more", "told"),
    [
        ("{format: {min: 0.5, metric: macro_f1}}", {}, 'unknown key "metric"'),
        ("{format: {thoughts: {}}}", {}, NO_THOUGHTS),
        ("{format: {thoughts: {max_drop: , max_rise: }}}", {}, NO_THOUGHTS),
        ("{accuracy: {thoughts: {max_drop: 0.1}}}", {}, "thoughts"),
        (
            "{accuracy: {min: 0.5}}",
            {"cases": CASES + "  - {id: c, input: z, must_pass: true}\n"},
            "must_pass needs expected",
        ),
    ],
)
def test_what_a_gate_cannot_use_is_one_error(tmp_path, gates, more, told):
    (message,) = errors(tmp_path, gates, **more)

    assert told in message


def test_a_gate_of_must_pass_cases_alone_needs_no_limit(tmp_path):
    cases = "  - {id: a, input: x, expected: refund, must_pass: true}\n"

    gate = suite(tmp_path, "{accuracy: {max_drop: none}}", cases=cases).gates["accuracy"]

    assert (gate.min, gate.max_drop, gate.limits_drop) == (None, None, False)


def test_a_gate_of_thoughts_alone_needs_no_other_limit(tmp_path):
    gates = "{format: {max_drop: none, thoughts: {max_drop: 0.1}}}"

    assert suite(tmp_path, gates).gates["format"].max_thought_drop == 0.1


def test_macro_f1_needs_labels(tmp_path):
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(
        f"cases:\n{CASES}variants: {{current: {{provider: anthropic, model: m}}}}\n"
        "gates: {accuracy: {min: 0.5, metric: macro_f1}}\n"
    )

    with pytest.raises(SuiteError, match="macro_f1 needs labels"):
        load_suite(path, tmp_path)


@every_row(
    ("drop", "model", "repeats"),
    [
        (0.5, "provider: anthropic, model: m", 4),
        (0.05, "provider: anthropic, model: m", MAX_REPEATS),
        (0.05, "provider: recorded, replies: r.jsonl", 1),
    ],
)
def test_auto_repeats_as_often_as_the_gates_need_where_replies_vary(tmp_path, drop, model, repeats):
    (tmp_path / "r.jsonl").write_text('{"id": "a", "text": "refund"}\n')
    gates = f"{{accuracy: {{max_drop: {drop}}}}}"

    found = suite(tmp_path, gates, more="repeats: auto\n", model=model)

    assert found.repeats is None
    assert needed_repeats(found) == repeats


def test_a_gate_that_stops_early_needs_the_cases_that_its_last_look_takes(tmp_path):
    cases = "".join(f"  - {{id: c{i}, input: x{i}, expected: refund}}\n" for i in range(14))
    gate = "{{accuracy: {{min: 0.8, stop_early: {early}}}}}"

    check_feasibility(suite(tmp_path, gate.format(early="false"), cases=cases))
    with pytest.raises(SuiteError, match="can never be shown with 14 cases"):
        check_feasibility(suite(tmp_path, gate.format(early="true"), cases=cases))


def macro_f1_suite(folder, limit, **counts):
    """Return a suite with so many cases of each label, and *limit* for macro-F1."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    cases = "".join(f"  - {{input: x{i}, expected: {name}}}\n" for i, name in enumerate(labels))
    return suite(folder, f"{{accuracy: {{{limit}, metric: macro_f1}}}}", cases=cases)


@every_row(
    ("limit", "counts", "told"),
    [
        (
            "max_drop: 0.2",
            {"refund": 80, "other": 19},
            "macro-F1 takes 100 unrelated cases, and 99 expect a label; add cases, or write metric",
        ),
        (
            "max_drop: 0.2",
            {"refund": 191, "other": 9},
            "10 unrelated cases of each expected label, which is 20 for 2 labels, and other has 9",
        ),
        (
            "max_drop: 0.05",
            {"refund": 175, "other": 25},
            (
                "max_drop: 0.05 can never be shown with 25 cases of other among 2 labels, even if "
                "every reply is the same; it takes 26 cases of each label, or max_drop: 0.06"
            ),
        ),
        (
            "min: 0.95",
            {"refund": 175, "other": 25},
            "every reply is right; it takes 26 cases of each label, or min: 0.94",
        ),
        ("min: 1", {"refund": 100, "other": 100}, "every reply is right; min: 0.98"),
    ],
)
def test_macro_f1_is_refused_with_the_cases_that_it_takes(tmp_path, limit, counts, told):
    with pytest.raises(SuiteError) as caught:
        check_feasibility(macro_f1_suite(tmp_path, limit, **counts))

    (error,) = caught.value.errors
    assert told in error.message


@every_row(
    ("limit", "counts"),
    [
        ("max_drop: 0.05", {"refund": 174, "other": 26}),
        ("min: 0.9", {"refund": 80, "other": 20}),
        # No case expects the other label, so that it takes no cases.
        ("max_drop: 0.05", {"refund": 100}),
    ],
)
def test_macro_f1_is_let_through_with_enough_cases_of_each_label(tmp_path, limit, counts):
    check_feasibility(macro_f1_suite(tmp_path, limit, **counts))


def test_each_label_weighs_the_same_in_the_design_of_macro_f1(tmp_path):
    found = macro_f1_suite(tmp_path, "max_drop: 0.2", refund=150, other=50)

    weights = found.gates["accuracy"].case_weights(found.cases)

    assert sum(weights[:150]) == pytest.approx(sum(weights[150:]))


def test_related_cases_count_as_one_for_macro_f1(tmp_path):
    found = macro_f1_suite(tmp_path, "max_drop: 0.2", refund=100, other=20)
    cases = [
        replace(case, group="same") if case.expected == "other" else case for case in found.cases
    ]

    with pytest.raises(SuiteError, match="other has 1"):
        check_feasibility(replace(found, cases=tuple(cases)))


def test_a_plain_threshold_is_never_impossible(tmp_path):
    found = suite(tmp_path, "{accuracy: {max_drop: 0.01, evidence: point}}")

    check_feasibility(found)


def test_columns_of_a_table_are_read_as_what_they_stand_for(tmp_path):
    (tmp_path / "c.csv").write_text(
        "id,input,expected,weight,must_pass,max_tokens,difficulty\na,x,refund,2.5,true,7,3\n"
    )
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(
        "cases: c.csv\nvariants: {current: {provider: anthropic, model: m}}\n"
        "gates: {accuracy: {min: 0.01}}\n"
    )

    (case,) = load_suite(path, tmp_path).cases

    assert (case.weight, case.must_pass, case.max_tokens, case.difficulty) == (2.5, True, 7, 3)


def test_the_format_gate_limits_thoughts_against_the_baseline(tmp_path):
    limits = "{format: {min: 0.5, thoughts: {max_drop: 0.1, max_rise: 0.5}}}"
    gate = suite(tmp_path, limits).gates["format"]

    assert (gate.max_thought_drop, gate.max_thought_rise) == (0.1, 0.5)
    assert gate.has_comparison
    # The share is a drop check of its own, the length is none.
    assert (gate.drop_checks(0), gate.drop_checks(1)) == (0, 1)


def test_what_a_suite_does_not_declare_is_as_in_the_gates_of_a_file_alone(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"input": "q", "expected": "refund"}\n', "utf-8")
    model = "provider: classical, training_data: t.jsonl"

    gates = suite(tmp_path, "{data: {}, accuracy: {max_drop: 0.5}}", model=model).gates

    assert gates["data"] == DataGate(line=gates["data"].line)
    assert gates["accuracy"] == RateGate(
        kind="accuracy", line=gates["accuracy"].line, max_drop=0.5, metric="accuracy"
    )


@every_row("provider", ["anthropic", "bedrock", "bedrock-converse"])
def test_distributions_need_a_provider_that_gives_log_probabilities(tmp_path, provider):
    model = f"provider: {provider}, model: m, base: n"

    (message,) = errors(tmp_path, "{divergence: {max_kl: 0.1}}", model=model)

    assert f"provider {provider} of variant current gives no log-probabilities" in message
    assert "use provider: openai-compatible or provider: transformers" in message
