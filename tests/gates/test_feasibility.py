"""Gates that no replies could pass: refused with the numbers, and only these."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.feasibility import with_default_limits
from pytest_ftgate.runner.suite import check_feasibility
from pytest_ftgate.stats.paired import p_noninferior, paired_counts
from pytest_ftgate.stats.proportions import lower_bound
from pytest_ftgate.suite.loader import load_suite


def suite(folder, gates, count=10, row=None, more="", price=""):
    rows = [{"input": f"q{n}", **({"expected": "a"} if row is None else row)} for n in range(count)]
    (folder / "c.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    path = folder / "s.ftgate.yaml"
    variant = f"{{provider: anthropic, model: m, base: n{price}}}"
    path.write_text(f"cases: c.jsonl\n{more}variants: {{one: {variant}}}\ngates:\n  {gates}\n")
    return load_suite(path, folder)


def errors(folder, gates, **rest):
    with pytest.raises(SuiteError) as caught:
        check_feasibility(suite(folder, gates, **rest))
    return [str(error) for error in caught.value.errors]


LABELS = "reply: {format: {choice: [a]}}\n"


def test_both_numbers_of_a_gate_and_all_gates_are_refused_at_once(tmp_path):
    gates = "accuracy: {min: 0.95, max_drop: 0.05}\n  format: {min: 0.95}"
    messages = errors(tmp_path, gates, more=LABELS)

    assert [message.split(": ")[:3] for message in messages] == [
        ["s.ftgate.yaml:5", "accuracy", "max_drop"],
        ["s.ftgate.yaml:5", "accuracy", "min"],
        ["s.ftgate.yaml:6", "format", "min"],
    ]


@every_row(("count", "limit"), [(60, 0.14), (98, 0.11), (200, 0.07)])
def test_the_default_limit_is_the_least_that_an_unchanged_variant_passes(tmp_path, count, limit):
    """In whole points, 9 times in 10 if replies disagree on a tenth of the cases."""
    made = with_default_limits(suite(tmp_path, "accuracy: {}", count=count), {})

    assert made.gates["accuracy"].max_drop == limit
    check_feasibility(made)


@every_row("key", ["max_drop: none", "evidence: point"])
def test_a_minimum_alone_limits_no_drop_where_the_suite_says_so(tmp_path, key):
    made = suite(tmp_path, f"accuracy: {{min: 0.5, {key}}}", count=100)

    assert with_default_limits(made, {}) is made


def test_a_minimum_stands_beside_a_default_limit_of_a_drop_where_the_cases_can_show_one(tmp_path):
    made = with_default_limits(suite(tmp_path, "accuracy: {min: 0.5}", count=100), {})

    gate = made.gates["accuracy"]
    assert (gate.min, gate.max_drop, gate.has_default_limit) == (0.5, 0.1, True)

    made = suite(tmp_path, "accuracy: {min: 0.5}", count=8)

    assert with_default_limits(made, {}).gates == made.gates
    check_feasibility(with_default_limits(made, {}))


def test_forgetting_is_held_to_the_cases_of_its_skills_and_the_whole_set_suffices(tmp_path):
    (message,) = errors(tmp_path, "forgetting: {skills: logic, max_drop: 0.03}", count=100)

    assert "forgetting: max_drop: 0.03 can never be shown with 67 cases" in message

    check_feasibility(suite(tmp_path, "forgetting: {skills: general}"))


def test_only_cases_that_have_a_score_count_for_accuracy(tmp_path):
    check_feasibility(suite(tmp_path, "accuracy: {max_drop: 0.05}", count=60))
    rows = (tmp_path / "c.jsonl").read_text().split("\n")
    blank = [json.dumps({"input": f"p{n}"}) for n in range(20)]
    (tmp_path / "c.jsonl").write_text("\n".join(rows[:40] + blank))

    with pytest.raises(SuiteError, match="can never be shown with 40 cases"):
        check_feasibility(load_suite(tmp_path / "s.ftgate.yaml", tmp_path))

    more = 'reply: {score: {python: "marks:close"}}\n'

    check_feasibility(suite(tmp_path, "accuracy: {max_drop: 0.05}", count=60, row={}, more=more))


@every_row("gates", ["accuracy: {min: 0}", "accuracy: {min: 0.7}"])
def test_what_some_outcome_could_pass_is_let_through(tmp_path, gates):
    check_feasibility(suite(tmp_path, gates))


def refused(folder, gates, count):
    try:
        check_feasibility(suite(folder, gates, count=count))
    except SuiteError:
        return True
    return False


@every_row(("drop", "wanted"), [(0.02, 133), (0.03, 99), (0.05, 59), (0.1, 29)])
def test_a_drop_is_refused_exactly_where_the_gate_itself_cannot_show_it(tmp_path, drop, wanted):
    gates = f"accuracy: {{max_drop: {drop}}}"
    for count in (wanted - 1, wanted):
        shown = p_noninferior(paired_counts([1.0] * count, [1.0] * count), drop) <= 0.05

        assert refused(tmp_path, gates, count) is not shown
    assert shown


@every_row(("least", "wanted"), [(0.5, 5), (0.8, 14), (0.9, 29), (0.95, 59)])
def test_a_minimum_is_refused_exactly_where_the_gate_itself_cannot_show_it(tmp_path, least, wanted):
    gates = f"accuracy: {{min: {least}}}"
    for count in (wanted - 1, wanted):
        shown = lower_bound(count, count, 0.05) >= least

        assert refused(tmp_path, gates, count) is not shown
    assert shown


@every_row("count", [1, 2, 7, 20, 51, 100])
def test_the_numbers_that_a_refusal_offers_are_themselves_let_through(tmp_path, count):
    drop, least = (
        float(errors(tmp_path, gates, count=count)[0].rpartition(": ")[2])
        for gates in ("accuracy: {max_drop: 0.01}", "accuracy: {min: 1}")
    )

    check_feasibility(suite(tmp_path, f"accuracy: {{max_drop: {drop}}}", count=count))
    check_feasibility(suite(tmp_path, f"accuracy: {{min: {least}}}", count=count))


# Macro-F1, latency, price, divergence -------------------------------------------------------------


def test_a_suite_with_limits_of_its_own_gets_no_others(tmp_path):
    made = suite(tmp_path, "accuracy: {min: 0.5, max_drop: 0.2}", count=100)

    assert with_default_limits(made, {}) is made
