"""Gates that no replies could pass: refused with the numbers, and only these."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.feasibility import with_default_limits
from pytest_ftgate.runner.suite import check_feasibility, with_limits
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


def test_a_drop_that_is_too_small_is_refused_with_the_cases_it_takes(tmp_path):
    assert errors(tmp_path, "accuracy: {max_drop: 0.05}", count=20) == [
        (
            "s.ftgate.yaml:4: accuracy: max_drop: 0.05 can never be shown with 20 cases, even if "
            "every reply is the same; it takes 59 cases, or max_drop: 0.14"
        )
    ]


def test_a_drop_is_refused_with_the_groups_it_takes(tmp_path):
    (folder := tmp_path / "grouped").mkdir()
    path = suite(folder, "accuracy: {max_drop: 0.05}", count=160).path
    rows = [{"input": f"q{n}", "expected": "a", "group": f"g{n // 4}"} for n in range(160)]
    (folder / "c.jsonl").write_text("\n".join(json.dumps(row) for row in rows))

    with pytest.raises(SuiteError) as caught:
        check_feasibility(load_suite(path, folder))

    assert (
        "max_drop: 0.05 can never be shown with 160 cases (40 unrelated ones), even if every reply "
        "is the same; it takes 59 groups like these (234 cases), or max_drop: 0.08"
    ) in str(caught.value)


def test_a_minimum_that_is_too_high_is_refused_with_the_cases_it_takes(tmp_path):
    assert errors(tmp_path, "accuracy: {min: 0.95}") == [
        (
            "s.ftgate.yaml:4: accuracy: min: 0.95 can never be shown with 10 cases, even if "
            "every reply is right; it takes 59 cases, or min: 0.74"
        )
    ]


def test_a_minimum_of_one_is_refused_without_a_number_of_cases_for_none_would_do(tmp_path):
    assert errors(tmp_path, "accuracy: {min: 1}") == [
        (
            "s.ftgate.yaml:4: accuracy: min: 1 can never be shown with 10 cases, even if "
            "every reply is right; min: 0.74"
        )
    ]


def test_both_numbers_of_a_gate_and_all_gates_are_refused_at_once(tmp_path):
    gates = "accuracy: {min: 0.95, max_drop: 0.05}\n  format: {min: 0.95}"
    messages = errors(tmp_path, gates, more=LABELS)

    assert [message.split(": ")[:3] for message in messages] == [
        ["s.ftgate.yaml:5", "accuracy", "max_drop"],
        ["s.ftgate.yaml:5", "accuracy", "min"],
        ["s.ftgate.yaml:6", "format", "min"],
    ]


def test_a_drop_is_held_to_the_exact_test_below_a_hundred_cases(tmp_path):
    (message,) = errors(tmp_path, "accuracy: {max_drop: 0.03}", count=98)

    assert "max_drop: 0.03 can never be shown with 98 cases" in message
    assert "it takes 99 cases" in message


@pytest.mark.parametrize(("count", "limit"), [(60, 0.14), (98, 0.11), (200, 0.07)])
def test_the_default_limit_is_the_least_that_an_unchanged_variant_passes(tmp_path, count, limit):
    """In whole points, 9 times in 10 if replies disagree on a tenth of the cases."""
    made = with_default_limits(suite(tmp_path, "accuracy: {}", count=count), {})

    assert made.gates["accuracy"].max_drop == limit
    check_feasibility(made)


def test_too_few_cases_for_any_default_limit_are_refused_with_the_number_it_takes(tmp_path):
    with pytest.raises(SuiteError, match=r"8 cases cannot show .* it takes about 10"):
        with_limits(suite(tmp_path, "accuracy: {}", count=8), {})


def test_too_few_cases_for_any_default_limit_leave_a_minimum_to_gate(tmp_path):
    made = suite(tmp_path, "accuracy: {min: 0.5}", count=8)

    assert with_default_limits(made, {}).gates == made.gates
    check_feasibility(with_default_limits(made, {}))


@pytest.mark.parametrize("key", ["max_drop: none", "evidence: point"])
def test_a_minimum_alone_limits_no_drop_where_the_suite_says_so(tmp_path, key):
    made = suite(tmp_path, f"accuracy: {{min: 0.5, {key}}}", count=100)

    assert with_default_limits(made, {}) is made


def test_a_minimum_does_not_switch_the_comparison_off(tmp_path):
    made = with_default_limits(suite(tmp_path, "accuracy: {min: 0.5}", count=100), {})

    gate = made.gates["accuracy"]
    assert (gate.min, gate.max_drop, gate.has_default_limit) == (0.5, 0.1, True)


def test_forgetting_counts_the_cases_of_its_skills_and_not_those_of_the_suite(tmp_path):
    (message,) = errors(tmp_path, "forgetting: {skills: logic, max_drop: 0.03}", count=100)

    assert "forgetting: max_drop: 0.03 can never be shown with 67 cases" in message


def test_the_whole_set_can_show_what_forgetting_allows_by_default(tmp_path):
    check_feasibility(suite(tmp_path, "forgetting: {skills: general}"))


def test_cases_that_expect_nothing_do_not_count_for_accuracy(tmp_path):
    check_feasibility(suite(tmp_path, "accuracy: {max_drop: 0.05}", count=60))
    rows = (tmp_path / "c.jsonl").read_text().split("\n")
    blank = [json.dumps({"input": f"p{n}"}) for n in range(20)]
    (tmp_path / "c.jsonl").write_text("\n".join(rows[:40] + blank))

    with pytest.raises(SuiteError, match="can never be shown with 40 cases"):
        check_feasibility(load_suite(tmp_path / "s.ftgate.yaml", tmp_path))


def test_cases_that_a_function_scores_count_without_an_expectation(tmp_path):
    more = 'reply: {score: {python: "marks:close"}}\n'

    check_feasibility(suite(tmp_path, "accuracy: {max_drop: 0.05}", count=60, row={}, more=more))


@pytest.mark.parametrize("gates", ["accuracy: {min: 0}", "accuracy: {min: 0.7}"])
def test_what_some_outcome_could_pass_is_let_through(tmp_path, gates):
    check_feasibility(suite(tmp_path, gates))


def refused(folder, gates, count):
    try:
        check_feasibility(suite(folder, gates, count=count))
    except SuiteError:
        return True
    return False


@pytest.mark.parametrize(("drop", "wanted"), [(0.02, 133), (0.03, 99), (0.05, 59), (0.1, 29)])
def test_a_drop_is_refused_exactly_where_the_gate_itself_cannot_show_it(tmp_path, drop, wanted):
    gates = f"accuracy: {{max_drop: {drop}}}"
    for count in (wanted - 1, wanted):
        shown = p_noninferior(paired_counts([1.0] * count, [1.0] * count), drop) <= 0.05

        assert refused(tmp_path, gates, count) is not shown
    assert shown


@pytest.mark.parametrize(("least", "wanted"), [(0.5, 5), (0.8, 14), (0.9, 29), (0.95, 59)])
def test_a_minimum_is_refused_exactly_where_the_gate_itself_cannot_show_it(tmp_path, least, wanted):
    gates = f"accuracy: {{min: {least}}}"
    for count in (wanted - 1, wanted):
        shown = lower_bound(count, count, 0.05) >= least

        assert refused(tmp_path, gates, count) is not shown
    assert shown


@pytest.mark.parametrize("count", [1, 2, 7, 20, 51, 100])
def test_the_numbers_that_a_refusal_offers_are_themselves_let_through(tmp_path, count):
    drop, least = (
        float(errors(tmp_path, gates, count=count)[0].rpartition(": ")[2])
        for gates in ("accuracy: {max_drop: 0.01}", "accuracy: {min: 1}")
    )

    check_feasibility(suite(tmp_path, f"accuracy: {{max_drop: {drop}}}", count=count))
    check_feasibility(suite(tmp_path, f"accuracy: {{min: {least}}}", count=count))


@pytest.mark.parametrize(("count", "group"), [(29, None), (60, "same")])
def test_a_mean_price_takes_thirty_unrelated_cases(tmp_path, count, group):
    gates, row = "cost: {max_usd_per_1k: 1}", {"group": group}
    by_tokens = ", usd_per_1m_input: 1, usd_per_1m_output: 1"

    (message,) = errors(tmp_path, gates, count=count, row=row, price=by_tokens)

    assert "can never bound a mean price; it takes 30 unrelated ones" in message
    check_feasibility(suite(tmp_path, gates, count=30, price=by_tokens))
    check_feasibility(suite(tmp_path, gates, count=count, row=row, price=", usd_per_1k: 1"))


# Macro-F1, latency, price, divergence -------------------------------------------------------------


def labelled(folder, gates, sizes, **more):
    """Return the errors of a suite with so many cases of each label."""
    path = suite(folder, gates, more=f"reply: {{format: {{choice: [{', '.join(sizes)}]}}}}\n").path
    rows = [
        {"input": f"{label} {n}", "expected": label} for label, size in sizes.items()
        for n in range(size)
    ]  # fmt: skip
    (folder / "c.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    found = load_suite(path, folder)
    try:
        check_feasibility(found)
    except SuiteError as error:
        return [one.message for one in error.errors]
    return []


@pytest.mark.parametrize(
    ("limits", "sizes", "told"),
    [
        ("max_drop: 0.2", {"a": 60, "b": 9}, "macro-F1"),
        ("max_drop: 0.01", {"a": 100, "b": 20}, "0.01 can never be shown with 20 cases of b"),
        ("max_drop: 0.01", {"a": 100, "b": 20}, "among 2 labels, even if every reply is the same"),
        ("min: 0.99", {"a": 100, "b": 20}, "min: 0.99 can never be shown with 20 cases of b"),
        ("min: 1", {"a": 100, "b": 20}, "even if every reply is right; min: "),
    ],
)  # fmt: skip
def test_macro_f1_is_refused_by_its_rarest_label(tmp_path, limits, sizes, told):
    (message,) = labelled(tmp_path, f"accuracy: {{metric: macro_f1, {limits}}}", sizes)

    assert told in message


def test_macro_f1_that_can_be_shown_is_allowed(tmp_path):
    assert (
        labelled(tmp_path, "accuracy: {metric: macro_f1, max_drop: 0.2}", {"a": 90, "b": 90}) == []
    )


def test_a_plain_threshold_is_always_possible(tmp_path):
    check_feasibility(suite(tmp_path, "accuracy: {max_drop: 0.01, evidence: point}"))


def grouped(folder, gates, groups, count=90):
    path = suite(folder, gates, count=count).path
    rows = [{"input": f"q{n}", "expected": "a", "group": f"g{n % groups}"} for n in range(count)]
    (folder / "c.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return load_suite(path, folder)


def test_a_limit_of_a_marked_function_is_refused_at_its_line_without_a_key(tmp_path):
    made = suite(tmp_path, "accuracy: {max_drop: 0.05}", count=20)
    gate = replace(made.gates["accuracy"], function="test_it")

    with pytest.raises(SuiteError) as caught:
        check_feasibility(replace(made, gates={"accuracy": gate}))

    (error,) = caught.value.errors
    assert error.message.startswith("max_drop: 0.05 can never be shown")
    assert error.address == ""


def test_a_few_groups_are_refused_whatever_the_limit(tmp_path):
    with pytest.raises(SuiteError, match="it takes 10 groups of related cases"):
        check_feasibility(grouped(tmp_path, "accuracy: {max_drop: 0.5, min: 0.2}", 9))


def test_a_minimum_of_related_cases_is_held_to_their_test(tmp_path):
    with pytest.raises(SuiteError, match=r"min: 0\.95 can never be shown"):
        check_feasibility(grouped(tmp_path, "accuracy: {min: 0.95}", 15))
    check_feasibility(grouped(tmp_path, "accuracy: {min: 0.5}", 45))


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        ("latency: {max_p95_ms: 900}", "10 cases can never bound the 95th percentile; it takes 72"),
        ("latency: {max_p50_ms: 900}", None),
        ("cost: {max_usd_per_1k: 1}", "10 cases can never bound a mean price; it takes 30 unrel"),
    ],
)
def test_latency_and_price_take_their_number_of_cases(tmp_path, gates, told):
    made = suite(tmp_path, gates, price=", usd_per_1m_input: 1, usd_per_1m_output: 1")
    if told is None:
        check_feasibility(made)
        return
    with pytest.raises(SuiteError, match=told):
        check_feasibility(made)


def test_a_suite_with_limits_of_its_own_gets_no_others(tmp_path):
    made = suite(tmp_path, "accuracy: {min: 0.5, max_drop: 0.2}", count=100)

    assert with_default_limits(made, {}) is made


def test_a_gate_with_a_limit_keeps_it_beside_one_that_gets_its_own(tmp_path):
    gates = "accuracy: {max_drop: 0.3}\n  format: {}"
    made = with_default_limits(suite(tmp_path, gates, count=300, more=LABELS), {})

    assert made.gates["accuracy"].max_drop == 0.3
    assert made.gates["format"].has_default_limit
