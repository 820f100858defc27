"""Gates that could not be evaluated as they are declared, and what to write instead."""

import pytest

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.feasibility import MAX_REPEATS, needed_repeats
from pytest_ftgate.gates.kinds import check_feasibility
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


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ("max_drop: 0.5, stop_early: true, settle: 5", "keep one of them"),
        ("max_drop: 0.5, settle: 5, evidence: point", "needs evidence: statistics"),
        ("max_drop: 0.5, stop_early: true, evidence: point", "needs evidence: statistics"),
        ("max_drop: 0.5, settle: 5, metric: macro_f1", "is evaluated once"),
        ("min: 0.5, evidence: point, metric: macro_f1", "does not go with metric: macro_f1"),
        ("min: 0.5, slices: [label]", "add max_drop:"),
        ("max_drop: 0.5, slices: [tag]", "no case has a tag"),
        ("max_drop: 0.5, slices: [language]", "no case has a language"),
        ("max_drop: 0.5, slices: [lable]", "must be one of"),
        ("max_drop: 0.5, settle: 1", "settle: 1 must be more than repeats: 1"),
    ],
)
def test_a_gate_that_could_not_be_evaluated_as_declared_is_refused(tmp_path, gate, told):
    (message,) = errors(tmp_path, f"{{accuracy: {{{gate}}}}}")

    assert told in message


def test_macro_f1_needs_labels(tmp_path):
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(
        f"cases:\n{CASES}variants: {{current: {{provider: anthropic, model: m}}}}\n"
        "gates: {accuracy: {min: 0.5, metric: macro_f1}}\n"
    )

    with pytest.raises(SuiteError, match="macro_f1 needs labels"):
        load_suite(path, tmp_path)


def test_the_format_gate_has_no_other_metric(tmp_path):
    (message,) = errors(tmp_path, "{format: {min: 0.5, metric: macro_f1}}")

    assert 'unknown key "metric"' in message


def test_a_case_that_must_pass_needs_an_answer(tmp_path):
    cases = CASES + "  - {id: c, input: z, must_pass: true}\n"

    (message,) = errors(tmp_path, "{accuracy: {min: 0.5}}", cases=cases)

    assert "must_pass needs expected" in message


def test_how_often_to_repeat_is_a_number_or_auto(tmp_path):
    (message,) = errors(tmp_path, "{accuracy: {min: 0.5}}", more="repeats: often\n")

    assert message.startswith("repeats must be")


@pytest.mark.parametrize(
    ("drop", "model", "repeats"),
    [
        (0.5, "provider: anthropic, model: m", 2),
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


def test_macro_f1_of_few_cases_is_refused(tmp_path):
    with pytest.raises(SuiteError, match="it takes 200"):
        check_feasibility(suite(tmp_path, "{accuracy: {min: 0.5, metric: macro_f1}}"))


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
