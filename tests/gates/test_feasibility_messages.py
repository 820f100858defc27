"""What gates say of cases that could never show their limits, and which cases suffice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.score_columns import suite
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates.design import LAST_LOOK_MISS, Design, design_of
from pytest_ftgate.gates.feasibility import (
    cost_problems,
    divergence_problems,
    exclude_unrunnable_skills,
    latency_problems,
    macro_f1_shortage,
    min_cases_for_quantile,
    min_latency_cases,
    rate_problems,
    skill_problems,
    smallest_limit,
    with_default_limits,
)
from pytest_ftgate.reporting.notes import note_text, notes_text
from pytest_ftgate.runner.suite import gate_error, with_limits
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DivergenceGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
)
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.prices import Tariff
from pytest_ftgate.suite.rule import Rule


def cases(count, *, groups=0, labels=("refund",), kind="exact", **more):
    """Return cases in so many groups, or in none, with *labels* by turns."""
    return tuple(
        Case(
            id=f"c{n}", location=f"c.jsonl:{n + 1}", input=f"q{n}",
            expected=labels[n % len(labels)], score=Rule(kind),
            group=f"g{n % groups}" if groups else None, **more,
        )
        for n in range(count)
    )  # fmt: skip


def told_of(problems):
    """Return the sentence of each problem."""
    return [notes_text(problem) for problem in problems]


def rate(**limits):
    return RateGate(kind="accuracy", line=3, **limits)


def problems(gate, asked):
    return told_of(rate_problems(replace(suite(gate), cases=asked), gate))


# --- rates ---------------------------------------------------------------------------------------


@every_row(
    ("asked", "limits", "told"),
    [
        (
            cases(20), {"max_drop": 0.05, "min": 0.95},
            [("max_drop: 0.05 can never be shown with 20 cases, even if every reply is the same; "
             "it takes 59 cases, or max_drop: 0.14"),
             ("min: 0.95 can never be shown with 20 cases, even if every reply is right; "
             "it takes 59 cases, or min: 0.86")],
        ),
        (
            cases(120), {"max_drop": 0.02},
            [("max_drop: 0.02 can never be shown with 120 cases, even if every reply is the same; "
             "it takes 133 cases, or max_drop: 0.03")],
        ),
        (
            cases(160, groups=40), {"max_drop": 0.02, "min": 0.99},
            [("max_drop: 0.02 can never be shown with 160 cases (40 unrelated ones), even if every "
             "reply is the same; it takes 149 groups like these (594 cases), or max_drop: 0.08"),
             ("min: 0.99 can never be shown with 160 cases (40 unrelated ones), even if every "
             "reply is right; it takes 1188 cases, or min: 0.93")],
        ),
        (
            cases(160, groups=40), {"min": 1},
            [("min: 1 can never be shown with 160 cases (40 unrelated ones), even if every reply "
             "is right; min: 0.93")],
        ),
        (
            cases(50, kind="similarity"), {"max_drop": 0.02, "min": 0.99},
            [("max_drop: 0.02 can never be shown with 50 cases, even if every reply is the same; "
             "it takes 133 cases, or max_drop: 0.06"),
             ("min: 0.99 can never be shown with 50 cases, even if every reply is right; "
             "it takes 268 cases, or min: 0.94")],
        ),
        (
            cases(100, groups=50, kind="similarity"), {"max_drop": 0.02},
            [("max_drop: 0.02 can never be shown with 100 cases (50 unrelated ones), even if every "
             "reply is the same; it takes 142 groups like these (284 cases), or max_drop: 0.06")],
        ),
        (
            cases(90, groups=9), {"max_drop": 0.02, "min": 0.99},
            ["90 cases (9 unrelated ones) show nothing; it takes 10 groups of related cases"],
        ),
        (
            cases(8, groups=7), {"max_drop": 0.5},
            ["8 cases (7 unrelated ones) show nothing; it takes 10 groups of related cases"],
        ),
        (cases(100, groups=10), {"max_drop": 0.5, "min": 0.0}, []),
        (cases(9), {"max_drop": 0.5, "min": 0.5}, []),
        (cases(1), {"max_drop": 0.01, "min": 1, "evidence": "point"}, []),
        (
            cases(100), {"max_drop": 0.02, "stop_early": True},
            [("max_drop: 0.02 can never be shown with 100 cases, even if every reply is the same; "
             "it takes 149 cases, or max_drop: 0.03")],
        ),
    ],
)  # fmt: skip
def test_the_limits_of_a_rate_are_refused_with_what_it_takes(asked, limits, told):
    assert problems(rate(**limits), asked) == told


@every_row(("count", "limit"), [(1, 0.95), (20, 0.139108), (99, 0.029807), (100, 0.026343)])
def test_the_smallest_limit_is_that_of_the_exact_test_below_a_hundred_cases(count, limit):
    design = Design((1.0,) * count, tuple(range(count)))

    assert smallest_limit(design) == pytest.approx(limit, abs=1e-6)


TWO = ("refund",) * 4 + ("late_delivery",)


@every_row(
    ("limits", "told"),
    [
        (
            {"max_drop": 0.01, "min": 0.995},
            [("max_drop: 0.01 can never be shown with 20 cases of late_delivery among 2 labels, "
             "even if every reply is the same; it takes 134 cases of each label, or "
             "max_drop: 0.07"),
             ("min: 0.995 can never be shown with 20 cases of late_delivery among 2 labels, even "
             "if every reply is right; it takes 270 cases of each label, or min: 0.93")],
        ),
        (
            {"min": 1},
            [("min: 1 can never be shown with 20 cases of late_delivery among 2 labels, even if "
             "every reply is right; min: 0.93")],
        ),
        (
            {"max_drop": 0.02, "stop_early": True},
            [("max_drop: 0.02 can never be shown with 20 cases of late_delivery among 2 labels, "
             "even if every reply is the same; it takes 75 cases of each label, or "
             "max_drop: 0.08")],
        ),
        ({"max_drop": 0.07, "min": 0.93}, []),
        ({"max_drop": 0.01, "evidence": "point"}, []),
    ],
)  # fmt: skip
def test_the_limits_of_macro_f1_are_refused_by_the_rarest_label(limits, told):
    assert problems(rate(metric="macro_f1", **limits), cases(100, labels=TWO)) == told


@every_row(
    ("asked", "told"),
    [
        (
            cases(99, labels=TWO),
            "macro-F1 takes 100 unrelated cases, and 99 expect a label",
        ),
        (
            (*cases(99, labels=TWO), replace(cases(1)[0], id="x", expected="no label")),
            "macro-F1 takes 100 unrelated cases, and 99 expect a label",
        ),
        (
            cases(200, groups=99, labels=TWO),
            "macro-F1 takes 100 unrelated cases, and 99 expect a label",
        ),
        (
            cases(108, labels=("refund",) * 11 + ("late_delivery",)),
            ("macro-F1 takes 10 unrelated cases of each expected label, which is 20 for 2 labels, "
            "and late_delivery has 9"),
        ),
    ],
)  # fmt: skip
def test_macro_f1_of_too_few_cases_is_refused_with_another_metric(asked, told):
    gate = rate(metric="macro_f1", max_drop=0.5)

    assert problems(gate, asked) == [f"{told}; add cases, or write metric: accuracy"]


def test_macro_f1_takes_a_hundred_unrelated_cases_and_ten_of_each_label():
    pairs = [("b", n) for n in range(10)] + [("a", n) for n in range(10, 100)]

    assert macro_f1_shortage(pairs) is None
    assert note_text(macro_f1_shortage(pairs[1:])) == (
        "macro-F1 takes 100 unrelated cases, and 99 expect a label"
    )

    pairs = [(name, n % 9) for name in "cba" for n in range(20)]
    pairs += [("d", n) for n in range(100)]

    assert note_text(macro_f1_shortage(pairs)) == (
        "macro-F1 takes 10 unrelated cases of each expected label, which is 40 for 4 labels, "
        "and a has 9"
    )


# --- skills --------------------------------------------------------------------------------------


def skills(**counts):
    """Return so many cases of each skill."""
    return tuple(
        replace(one, id=f"{name}{one.id}", skill=name)
        for name, count in counts.items()
        for one in cases(count)
    )


def skill_refusals(**declared):
    gate = ForgettingGate(line=4, **declared)
    return told_of(skill_problems(suite(gate), gate))


def test_margins_of_skills_are_refused_with_the_first_three_skills_and_a_number():
    asked = skills(a=24, b=20, c=25, d=21, e=1, f=22, g=22)

    told = skill_refusals(cases=asked, each=0.1, margins={"g": 0.5}, may_lose=("e",))

    assert told == [
        (
            "a loss of 0.1 can never be ruled out in a (24), b (20), d (21) and 1 more, even if "
            "every reply is the same; it takes 25 cases of a skill, or a margin of 0.12"
        )
    ]


def test_margins_of_families_are_refused_by_the_cases_that_count():
    asked = skills(a=40, b=40, c=40)

    told = skill_refusals(
        cases=asked, families={"a": "f", "b": "f", "c": "f"}, family_margins={"f": 0.03},
        may_lose=("c",), max_drop=0.01,
    )  # fmt: skip

    assert told == [
        (
            "a loss of 0.03 can never be ruled out in f (80), even if every reply is the same; "
            "it takes 88 cases of a skill, or a margin of 0.04"
        ),
        (
            "max_drop: 0.01 can never be shown with 80 cases, even if every reply is the same; "
            "it takes 268 cases, or max_drop: 0.04"
        ),
    ]


def test_skills_of_few_related_cases_are_refused_whatever_the_limit():
    asked = tuple(replace(one, group=f"g{n % 9}") for n, one in enumerate(skills(a=90)))

    assert skill_refusals(cases=asked, max_drop=0.01) == [
        "90 cases (9 unrelated ones) show nothing; it takes 10 groups of related cases"
    ]
    assert skill_refusals(cases=skills(a=90)) == []


# --- latency, cost, divergence -------------------------------------------------------------------


@every_row(
    ("limits", "needed", "figure"),
    [
        ({"max_p95_ms": 900}, 72, "the 95th percentile"),
        ({"max_p95_ms": 900, "max_p50_ms": 500}, 72, "the 95th percentile"),
        ({"max_p50_ms": 500}, 6, "a median"),
        ({"max_rise": 0.1}, 6, "a median"),
    ],
)
def test_latency_takes_a_number_of_cases(limits, needed, figure):
    """The largest of n values is below the 95th percentile with the probability 0.95^n."""
    gate = LatencyGate(line=3, **limits)

    assert min_latency_cases(gate) == needed
    assert [*latency_problems(gate, needed)] == []
    assert told_of(latency_problems(gate, needed - 1)) == [
        f"{needed - 1} cases can never bound {figure}; it takes {needed}"
    ]


def test_a_quantile_takes_so_many_values_that_all_lie_below_it_one_time_in_forty():
    assert [min_cases_for_quantile(share) for share in (0.5, 0.9, 0.95)] == [6, 36, 72]


def test_a_mean_price_takes_thirty_unrelated_cases():
    gate = CostGate(line=3, max_usd_per_1k=1.0)

    def refusals(count, **more):
        made = replace(suite(gate), cases=cases(count, **more))
        return told_of(cost_problems(made, gate))

    assert refusals(30) == []
    assert refusals(29) == ["29 cases can never bound a mean price; it takes 30 unrelated ones"]
    assert refusals(60, groups=29) == [
        "60 cases (29 unrelated ones) can never bound a mean price; it takes 30 unrelated ones"
    ]


def test_a_flat_price_of_all_variants_takes_no_cases():
    gate = CostGate(line=3, max_usd_per_1k=1.0)
    made = replace(suite(gate), cases=cases(1))
    flat = {name: replace(one, tariff=Tariff(per_1k=1.0)) for name, one in made.variants.items()}

    assert [*cost_problems(replace(made, variants=flat), gate)] == []
    half = {**flat, "new": made.variants["new"]}
    assert len([*cost_problems(replace(made, variants=half), gate)]) == 1


def test_a_bound_of_the_divergence_takes_thirty_unrelated_cases():
    gate = DivergenceGate(line=3, max_kl=0.1)

    def refusals(gate, count, **more):
        return told_of(divergence_problems(replace(suite(gate), cases=cases(count, **more)), gate))

    assert refusals(gate, 30) == []
    assert refusals(replace(gate, max_kl=None), 29) == []
    assert refusals(gate, 29) == [
        (
            "29 unrelated cases can never bound max_kl; it takes 30: write prompts: skills, or add "
            "cases"
        )
    ]
    assert refusals(gate, 90, groups=29) == refusals(gate, 29)


# --- errors and default limits -------------------------------------------------------------------


def test_an_error_of_a_gate_has_the_address_of_its_key_and_that_of_a_function_has_none():
    made, gate = suite(), rate(max_drop=0.1)

    error = gate_error(made, gate, "is wrong")

    assert error == Diagnostic("suite.ftgate.yaml", 3, "accuracy: is wrong")
    assert error.address.endswith("reference/suite-keys/#gates-accuracy")
    error = gate_error(made, replace(gate, function="test_it"), "is wrong")
    assert error == Diagnostic("suite.ftgate.yaml", 3, "is wrong")
    assert error.address == ""


def test_gates_without_a_limit_get_one_and_others_stay_as_they_are():
    open_gate, held = rate(), replace(rate(max_drop=0.3), kind="format")
    cost = CostGate(line=5, max_rise=0.1)
    format_rule = Rule("choice", ["refund"])
    made = replace(suite(open_gate, held, cost), cases=cases(100, format=(format_rule,)))

    found = with_default_limits(made, {})

    assert found == replace(
        made,
        gates={
            "accuracy": replace(open_gate, max_drop=0.08, has_default_limit=True),
            "format": held,
            "cost": cost,
        },
    )


@every_row(
    ("accepted", "limit"),
    [(0.07, 0.07), (0.25, 0.08), (0.01, 0.08)],
    ids=["a smaller one stays", "more cases show a smaller one", "fewer cannot show it"],
)
def test_an_accepted_limit_stays_unless_the_cases_of_today_show_another(accepted, limit):
    made = replace(suite(rate()), cases=cases(100))

    found = with_default_limits(made, {"accuracy": accepted, "format": 0.5})

    assert found.gates == {"accuracy": replace(rate(), max_drop=limit, has_default_limit=True)}


def test_all_gates_with_too_few_cases_for_a_limit_are_told_at_once():
    gates = rate(), ForgettingGate(line=4, cases=skills(a=6))
    made = replace(suite(*gates), cases=cases(8))

    with pytest.raises(SuiteError) as caught:
        with_limits(made, {})

    assert caught.value.errors == [
        Diagnostic(
            "suite.ftgate.yaml", 3,
            "accuracy: 8 cases cannot show that a drop stays below 40 points; write min: 0.8, or "
            "add cases: it takes about 10",
        ),
        Diagnostic(
            "suite.ftgate.yaml", 4,
            "forgetting: 6 cases cannot show that a drop stays below 40 points; write max_drop: "
            "for the whole of the skills, or add cases: it takes about 10",
        ),
    ]  # fmt: skip
    assert "suite.ftgate.yaml" in str(caught.value)


# --- skills whose code cannot run here -----------------------------------------------------------


@pytest.fixture
def no_sandbox(monkeypatch):
    monkeypatch.setattr("pytest_ftgate.scoring.sandbox.can_sandbox", lambda: False)


CODE = Rule("code", "assert True")


@pytest.mark.usefixtures("no_sandbox")
def test_skills_whose_code_cannot_be_shut_in_are_left_out_with_a_note():
    mixed = Rule("mean", ((Rule("exact"), 1.0), (CODE, 1.0)))
    asked = tuple(
        replace(one, score={"b": CODE, "a": mixed}.get(one.skill, one.score))
        for one in skills(b=2, a=2, c=3)
    )
    gate, other = ForgettingGate(line=4, cases=asked), rate(max_drop=0.5)
    made = suite(gate, other)

    assert exclude_unrunnable_skills(made) == replace(
        made,
        gates={
            "forgetting": replace(
                gate, cases=asked[4:],
                excluded_skills=("a", "b"),
            ),
            "accuracy": other,
        },
    )  # fmt: skip


@pytest.mark.usefixtures("no_sandbox")
def test_a_suite_of_nothing_but_code_or_without_skills_stays_as_it_is():
    asked = tuple(replace(one, score=CODE) for one in skills(a=2))
    only_code = suite(ForgettingGate(line=4, cases=asked))
    no_skills = suite(rate())

    assert exclude_unrunnable_skills(only_code) is only_code
    assert exclude_unrunnable_skills(no_skills) is no_skills


@pytest.mark.usefixtures("no_sandbox")
def test_code_of_a_case_that_turns_its_sandbox_off_is_run():
    unconfined = replace(CODE, options={"sandbox": "none"})
    asked = (*(replace(one, score=unconfined) for one in skills(a=2)), *skills(b=2))
    made = suite(ForgettingGate(line=4, cases=asked))

    assert exclude_unrunnable_skills(made) is made


# --- the design of a gate ------------------------------------------------------------------------


def test_the_design_of_a_gate_numbers_its_groups_in_the_order_of_its_cases():
    asked = tuple(
        replace(one, group=group, weight=weight)
        for one, group, weight in zip(
            cases(5), ["b", None, "a", "b", None], [1.0, 2.0, 1.0, 1.0, 0.0], strict=True
        )
    )
    gate = rate(max_drop=0.1, stop_early=True)

    design = design_of(replace(suite(gate), cases=asked), gate, (2, 3))

    assert design == Design(
        weights=(1.0, 2.0, 1.0, 1.0), groups=(0, 1, 2, 0), repeats=(2, 3), miss=LAST_LOOK_MISS
    )
    assert (design.n, design.units) == (4, 3)
    assert design.effective == pytest.approx(3 * 2 / (1 / 2 + 1 / 3))
    assert design.counts == {"cases": 4, "unrelated": 3}
    assert (design.counts_groups, design.is_plain) == (False, False)


def test_weights_that_are_all_the_same_are_one():
    gate, format_gate = rate(max_drop=0.1), RateGate(kind="format", line=3, max_drop=0.1)
    asked = cases(3, weight=0.5, kind="similarity", format=(Rule("choice", ["refund"]),))
    made = replace(suite(gate), cases=asked)

    assert design_of(made, gate) == Design((1.0,) * 3, (0, 1, 2), is_graded=True)
    assert design_of(made, format_gate) == Design((1.0,) * 3, (0, 1, 2))


@every_row(
    ("design", "counts_groups", "is_plain"),
    [
        (Design((1.0, 1.0), (0, 1)), False, True),
        (Design((1.0, 1.0), (0, 0)), True, False),
        (Design((1.0, 2.0), (0, 1)), False, False),
        (Design((1.0, 2.0), (0, 0)), False, False),
        (Design((1.0, 1.0), (0, 1), is_graded=True), False, False),
        (Design((1.0, 1.0), (0, 0), is_graded=True), False, False),
    ],
)
def test_a_design_is_plain_or_counts_groups_if_its_cases_are_alike(design, counts_groups, is_plain):
    assert (design.counts_groups, design.is_plain) == (counts_groups, is_plain)
    assert Design((1.0,), (0,)).counts == {"cases": 1, "unrelated": 0}
