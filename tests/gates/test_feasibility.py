"""Gates that no replies could pass: refused with the numbers that suffice, and only these."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import patch

import pytest
from ftgate_testing.inputs import inputs_of
from ftgate_testing.score_columns import suite
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates import feasibility
from pytest_ftgate.gates.design import Design
from pytest_ftgate.gates.feasibility import (
    cost_problems,
    exclude_unrunnable_skills,
    latency_problems,
    limit_of_cases,
    limit_of_cases_notes,
    min_cases_for_quantile,
    min_latency_cases,
    missing_limits,
    rate_problems,
    skill_problems,
    smallest_limit,
    with_default_limits,
)
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.power import cases_for_default, default_limit
from pytest_ftgate.runner.suite import check_feasibility, gate_error, with_limits
from pytest_ftgate.stats.paired import p_noninferior, paired_counts
from pytest_ftgate.stats.proportions import lower_bound
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
)
from pytest_ftgate.suite.loader import load_suite
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


def rate(**limits):
    return RateGate(kind="accuracy", line=3, **limits)


def with_cases(gate, asked):
    return replace(suite(gate), cases=asked)


def problems(gate, asked):
    """Return the notes of each problem; a problem of one note is that note."""
    found = told_by(rate_problems, with_cases(gate, asked), gate)
    return [problem[0] if len(problem) == 1 else problem for problem in found]


def told_by(problems_of, made, gate):
    """Return the problems without what 9 in 10 builds pass, which has a test of its own."""
    with patch.object(feasibility, "_usually_passed", return_value={}):
        return [*problems_of(made, gate)]


# --- rates ---------------------------------------------------------------------------------------


def drop(limit, n, *, needed, unrelated=0, groups=0):
    return note(
        NoteKind.DROP_NEVER_SHOWN, key="max_drop", limit=limit, cases=n,
        unrelated=unrelated, needed=needed, groups=groups,
    )  # fmt: skip


def least(limit, n, *, needed, possible, unrelated=0):
    return note(
        NoteKind.MINIMUM_NEVER_SHOWN, limit=limit, possible=possible, cases=n,
        unrelated=unrelated, needed=needed,
    )  # fmt: skip


def few_groups(n, unrelated):
    return note(NoteKind.GROUPS_SHOW_NOTHING, cases=n, unrelated=unrelated, needed=10)


@every_row(
    ("asked", "limits", "told"),
    [
        (
            cases(20), {"max_drop": 0.05, "min": 0.95},
            [drop(0.05, 20, needed=59), least(0.95, 20, needed=59, possible=0.86)],
        ),
        (cases(120), {"max_drop": 0.02}, [drop(0.02, 120, needed=149)]),
        (
            cases(160, groups=40), {"max_drop": 0.02, "min": 0.99},
            [drop(0.02, 160, unrelated=40, needed=594, groups=149),
             least(0.99, 160, unrelated=40, needed=1193, possible=0.92)],
        ),
        (
            cases(160, groups=40), {"min": 1},
            [least(1, 160, unrelated=40, needed=0, possible=0.92)],
        ),
        (
            cases(50, kind="similarity"), {"max_drop": 0.02, "min": 0.99},
            [drop(0.02, 50, needed=149), least(0.99, 50, needed=299, possible=0.94)],
        ),
        (cases(90, groups=9), {"max_drop": 0.02, "min": 0.99}, [few_groups(90, 9)]),
        (cases(100, groups=10), {"max_drop": 0.5, "min": 0.0}, []),
        (cases(9), {"max_drop": 0.5, "min": 0.5}, []),
        (cases(1), {"max_drop": 0.01, "min": 1, "evidence": "point"}, []),
        (
            cases(100), {"max_drop": 0.02, "stop_early": True},
            [drop(0.02, 100, needed=159)],
        ),
    ],
)  # fmt: skip
def test_the_limits_of_a_rate_are_refused_with_what_it_takes(asked, limits, told):
    assert problems(rate(**limits), asked) == told


@every_row(("limits", "possible"), [({"min": 0.9}, 0.42), ({"max_drop": 0.1}, 0.48)])
def test_a_group_that_hides_a_loss_is_to_count_as_one_case(limits, possible):
    """A hundred cases of one group stand beside a hundred without one."""
    alone, related = (
        cases(100),
        tuple(replace(one, id=f"r{one.id}") for one in cases(100, groups=1)),
    )
    (key, limit), gate = *limits.items(), rate(**limits)

    told = problems(gate, (*alone, *related))

    values = {"cases": 200, "largest": 100, "weight": 0.01, "limit": limit, "possible": possible}
    assert told == [note(NoteKind.GROUP_TOO_LARGE, key=key, **values)]
    assert problems(rate(**{key: possible}), (*alone, *related)) == []
    assert problems(gate, (*alone, *(replace(one, weight=0.01) for one in related))) == []


@every_row(("count", "limit"), [(1, 0.95), (20, 0.139108), (99, 0.029807), (400, 0.007461)])
def test_the_smallest_limit_is_that_of_the_exact_test(count, limit):
    design = Design((1.0,) * count, tuple(range(count)))

    assert smallest_limit(design) == pytest.approx(limit, abs=1e-6)


@every_row(("limit", "wanted"), [(0.01, 299), (0.02, 149), (0.03, 99), (0.05, 59), (0.1, 29)])
def test_a_drop_is_refused_exactly_where_the_gate_itself_cannot_show_it(limit, wanted):
    for count in (wanted - 1, wanted):
        shown = p_noninferior(paired_counts([1.0] * count, [1.0] * count), limit) <= 0.05

        assert bool(problems(rate(max_drop=limit), cases(count))) is not shown
    assert shown


@every_row(("limit", "wanted"), [(0.5, 5), (0.8, 14), (0.9, 29), (0.95, 59)])
def test_a_minimum_is_refused_exactly_where_the_gate_itself_cannot_show_it(limit, wanted):
    for count in (wanted - 1, wanted):
        shown = lower_bound(count, count, 0.05) >= limit

        assert bool(problems(rate(min=limit), cases(count))) is not shown
    assert shown


@every_row("count", [2, 7, 20, 51, 100])
def test_the_numbers_that_a_refusal_offers_are_themselves_let_through(count):
    (minimum,) = (told.values["possible"] for told in problems(rate(min=1), cases(count)))

    assert problems(rate(min=minimum), cases(count)) == []


@every_row(("count", "has_limit"), [(5, False), (50, True), (100, True)])
def test_a_refused_drop_names_what_nine_in_ten_builds_pass_as_the_default_limit_does(
    count, has_limit
):
    gate, asked = rate(max_drop=0.02), cases(count)
    declared = with_cases(gate, asked)

    ((told,),) = rate_problems(declared, gate)

    assert told.values["likely"] == cases_for_default(declared, gate, 0.02)
    assert told.values["shown"] == (default_limit(declared, gate) or 0.0)
    assert bool(told.values["shown"]) is has_limit
    assert not has_limit or problems(rate(max_drop=told.values["shown"]), asked) == []


@every_row(
    ("limits", "told"),
    [
        ({"max_drop": 0.1}, [note(NoteKind.LONE_CASE)]),
        ({"max_drop": 0.95}, [note(NoteKind.LONE_CASE)]),
        ({"min": 0.04}, [note(NoteKind.LONE_CASE)]),
        ({"min": 0.8, "evidence": "point"}, []),
        ({"min": 0.0, "max_drop": None}, []),
    ],
)
def test_one_case_is_refused_where_no_limit_of_it_could_be_shown(limits, told):
    assert problems(rate(**limits), cases(1)) == told
    assert problems(rate(**limits), cases(1, kind="rouge_l")) == told


# --- inputs --------------------------------------------------------------------------------------


def with_inputs(gate, count, inputs=300):
    return replace(with_cases(gate, cases(count)), inputs=inputs_of(inputs))


@every_row(
    ("limits", "count", "inputs", "told"),
    [
        ({"max_drop": 0.03}, 20, 300, []),
        ({"max_drop": 0.03}, 1, 300, []),
        ({"max_drop": 0.03}, 20, 50, [drop(0.03, 70, needed=99)]),
        # Inputs have no right answer, so that a minimum is one of the cases alone.
        (
            {"max_drop": 0.03, "min": 0.95}, 20, 300,
            [least(0.95, 20, needed=59, possible=0.86)],
        ),
        ({"max_drop": 0.03, "min": 0.01}, 1, 300, [note(NoteKind.LONE_CASE)]),
    ],
)  # fmt: skip
def test_inputs_count_as_cases_that_show_a_drop_and_no_minimum(limits, count, inputs, told):
    gate = rate(**limits)

    found = told_by(rate_problems, with_inputs(gate, count, inputs), gate)

    assert found == [(one,) for one in told]


@every_row(
    ("limits", "count", "limit"),
    [
        ({"max_drop": 0.2}, 20, 0.2),
        ({"max_drop": 0.03}, 60, 0.13),
        ({"max_drop": 0.03}, 20, None),
        ({"max_drop": 0.13, "has_default_limit": True}, 60, 0.13),
        ({"max_drop": 0.03, "has_default_limit": True}, 200, 0.07),
        ({"max_drop": 0.03, "kind": "format"}, 20, 0.03),
        ({"max_drop": None, "kind": "format"}, 20, None),
    ],
)
def test_what_was_accepted_is_held_to_a_limit_that_the_cases_show_without_inputs(
    limits, count, limit
):
    gate = replace(rate(), **limits)
    made = with_inputs(gate, count)

    assert limit_of_cases(made, gate) == limit
    differs = [] if limit == gate.max_drop else [(gate.max_drop, limit or 0.0)]
    notes = [*limit_of_cases_notes(made, gate)]
    assert [(one.values["limit"], one.values["possible"]) for one in notes] == differs
    assert {one.kind for one in notes} <= {NoteKind.CASES_SHOW_NO_DROP}


# --- skills --------------------------------------------------------------------------------------


def skills(**counts):
    """Return so many cases of each skill."""
    return tuple(
        replace(one, id=f"{name}{one.id}", skill=name)
        for name, count in counts.items()
        for one in cases(count)
    )


def margin(limit, named, *, more=0, needed, possible):
    return note(
        NoteKind.MARGIN_NEVER_SHOWN, skills=named, more=more, needed=needed, limit=limit,
        possible=possible,
    )  # fmt: skip


@every_row(
    ("declared", "told"),
    [
        # The first three skills are named.
        (
            {"cases": skills(a=28, b=20, c=29, d=21, e=1, f=22, g=22), "each": 0.1,
             "margins": {"g": 0.5}, "may_lose": ("e",)},
            [margin(0.1, ("a (28)", "b (20)", "d (21)"), more=1, needed=29, possible=0.14)],
        ),
        # A family has the cases that count.
        (
            {"cases": skills(a=40, b=40, c=40), "families": {"a": "f", "b": "f", "c": "f"},
             "family_margins": {"f": 0.03}, "may_lose": ("c",), "max_drop": 0.01},
            [margin(0.03, ("f (80)",), needed=99, possible=0.04),
             drop(0.01, 80, needed=299)],
        ),
        # Few related cases show nothing, whatever the limit.
        (
            {"cases": tuple(replace(one, group=f"g{n % 9}")
                            for n, one in enumerate(skills(a=90))), "max_drop": 0.01},
            [few_groups(90, 9)],
        ),
        ({"cases": skills(a=90)}, []),
    ],
)  # fmt: skip
def test_margins_of_skills_and_the_limit_of_all_are_refused_with_what_it_takes(declared, told):
    gate = ForgettingGate(line=4, **declared)

    found = told_by(skill_problems, suite(gate), gate)
    assert [one for problem in found for one in problem] == told


# --- latency, cost -------------------------------------------------------------------


@every_row(
    ("limits", "needed", "kind"),
    [
        ({"max_p95_ms": 900}, 72, NoteKind.P95_NEVER_BOUND),
        ({"max_p95_ms": 900, "max_p50_ms": 500}, 72, NoteKind.P95_NEVER_BOUND),
        ({"max_p50_ms": 500}, 6, NoteKind.MEDIAN_NEVER_BOUND),
        ({"max_rise": 0.1}, 6, NoteKind.MEDIAN_NEVER_BOUND),
    ],
)
def test_latency_takes_a_number_of_cases(limits, needed, kind):
    """The largest of n values is below the 95th percentile with the probability 0.95^n."""
    gate = LatencyGate(line=3, **limits)

    assert min_latency_cases(gate) == needed
    enough, few = (with_cases(gate, cases(count)) for count in (needed, needed - 1))
    assert [*latency_problems(enough, gate)] == []
    assert [*latency_problems(few, gate)] == [(note(kind, n=needed - 1, needed=needed),)]


def test_a_quantile_takes_so_many_values_that_all_lie_below_it_one_time_in_forty():
    assert [min_cases_for_quantile(share) for share in (0.5, 0.9, 0.95)] == [6, 36, 72]


COST = CostGate(line=3, max_usd_per_1k=0.1)
#: Replies have 1,024 tokens at most, so a thousand requests cost 1.024 USD at most, or 10 by hand.
BY_TOKENS = Tariff(per_1m_input=0.0, per_1m_output=1.0)
DECLARED = replace(COST, max_cost_per_case=0.01)
BY_HAND = {"tokens": 0, "most": 0.01, "possible": 0, "usd": 0.00167}


def priced(gate, asked, **keys):
    made = with_cases(gate, asked)
    keys = {"tariff": BY_TOKENS} | keys
    return replace(made, variants={"new": replace(made.variants["new"], **keys)})


def never_shown(n, needed, *, unrelated=0, tokens=1024, most=0.001024, possible, usd=0.000999):
    return note(
        NoteKind.PRICE_NEVER_SHOWN, variant="new", possible=possible, limit=0.1, most=most,
        max_tokens=tokens, cases=n, unrelated=unrelated, needed=needed,
        possible_usd=pytest.approx(usd),
    )  # fmt: skip


@every_row(
    ("gate", "asked", "told"),
    [
        # (1 - 0.1 / 1.024)^n is at most 0.025 from 36 cases on; of 35, (1 - 0.1 / 0.9997)^35 is.
        (COST, cases(36), None),
        (COST, cases(35), never_shown(35, 36, possible=999)),
        (COST, cases(70, groups=35), never_shown(70, 72, unrelated=35, possible=999)),
        (DECLARED, cases(368), None),
        (DECLARED, cases(60), never_shown(60, 368, **BY_HAND)),
        (replace(DECLARED, max_cost_per_case=0.00167), cases(60), None),
        (replace(COST, evidence="point"), cases(1), None),
        # A rise may be as small as it likes.
        (CostGate(line=3, max_rise=0.1), cases(2), None),
    ],
)
def test_a_limit_that_free_requests_could_not_show_is_refused_with_what_would(gate, asked, told):
    made = priced(gate, asked, max_tokens=20_000 if gate.max_cost_per_case else 1024)

    assert [*cost_problems(made, gate)] == ([(told,)] if told else [])


def test_a_limit_far_below_what_a_case_may_cost_is_refused_as_any_other():
    dear = priced(tiny := replace(COST, max_usd_per_1k=1e-9), cases(40), tariff=Tariff(
        per_1m_input=0.0, per_1m_output=1e20
    ))  # fmt: skip

    (((told,),),) = [[*cost_problems(dear, tiny)]]
    assert told.kind == NoteKind.PRICE_NEVER_SHOWN


def test_a_declared_most_does_not_loosen_what_max_tokens_or_a_price_of_nothing_allows():
    free = Tariff(per_1m_input=0.0, per_1m_output=0.0)

    for keys in ({"max_tokens": 1024}, {"max_tokens": 20_000, "tariff": free}):
        assert [*cost_problems(priced(DECLARED, cases(60), **keys), DECLARED)] == []


@every_row(
    ("gate", "asked", "unrelated"),
    [(COST, cases(299), 0), (COST, cases(600, groups=299), 299), (COST, cases(300), None)],
)
def test_without_a_most_that_a_case_can_cost_three_hundred_unrelated_cases_are_needed(
    gate, asked, unrelated
):
    found = [*cost_problems(priced(gate, asked, provider="recorded"), gate)]

    counts = {"cases": len(asked), "unrelated": unrelated, "needed": 300}
    told = note(NoteKind.PRICE_WITHOUT_BOUND, variants=("new",), **counts)
    assert found == ([] if unrelated is None else [(told,)])
    success = CostGate(line=3, max_usd_per_success=1.0)
    for other in (replace(gate, evidence="point"), success):
        assert [*cost_problems(priced(other, asked, provider="recorded"), other)] == []


def test_a_max_tokens_that_is_named_could_show_the_limit_and_one_more_could_not():
    ((problem,),) = cost_problems(priced(COST, cases(20)), COST)

    tokens = problem.values["possible"]
    for limit, refusals in ((tokens, 0), (tokens + 1, 1)):
        made = priced(COST, cases(20), max_tokens=limit)
        assert len([*cost_problems(made, COST)]) == refusals


def test_a_flat_price_of_all_variants_takes_no_cases():
    made = with_cases(COST, cases(1))
    flat = {name: replace(one, tariff=Tariff(per_1k=1.0)) for name, one in made.variants.items()}

    assert [*cost_problems(replace(made, variants=flat), COST)] == []
    half = {**flat, "new": made.variants["new"]}
    assert len([*cost_problems(replace(made, variants=half), COST)]) == 1


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
    open_gate, held = rate(min=0.5), replace(rate(max_drop=0.3), kind="format")
    cost = CostGate(line=5, max_rise=0.1, evidence="point")
    format_rule = Rule("choice", ["refund"])
    made = replace(suite(open_gate, held, cost), cases=cases(100, format=(format_rule,)))

    found = with_default_limits(made, {})

    limited = replace(open_gate, max_drop=0.11, has_default_limit=True)
    assert found == replace(made, gates={"accuracy": limited, "format": held, "cost": cost})
    check_feasibility(found)
    few = with_cases(open_gate, cases(8))
    assert with_default_limits(few, {}) == few


@every_row(
    "limits",
    [{"max_drop": 0.2}, {"limits_by_default": False}, {"evidence": "point"}],
)
def test_a_gate_that_says_what_it_limits_gets_no_default_limit(limits):
    made = with_cases(rate(min=0.5, **limits), cases(100))

    assert with_default_limits(made, {}) is made


@every_row(
    ("accepted", "limit"),
    [(0.07, 0.07), (0.25, 0.1), (0.01, 0.1)],
    ids=["a smaller one stays", "more cases show a smaller one", "fewer cannot show it"],
)
def test_an_accepted_limit_stays_unless_the_cases_of_today_show_another(accepted, limit):
    made = with_cases(rate(), cases(100))

    found = with_default_limits(made, {"accuracy": accepted, "format": 0.5})

    assert found.gates == {"accuracy": replace(rate(), max_drop=limit, has_default_limit=True)}


def test_all_gates_with_too_few_cases_for_a_limit_are_told_at_once():
    gates = rate(), ForgettingGate(line=4, cases=skills(a=6))
    made = replace(suite(*gates), cases=cases(8))

    with pytest.raises(SuiteError) as caught:
        with_limits(made, {})

    assert [(error.path, error.line) for error in caught.value.errors] == [
        ("suite.ftgate.yaml", 3), ("suite.ftgate.yaml", 4),
    ]  # fmt: skip
    remedies = (
        note(NoteKind.MINIMUM_OR_CASES, minimum=0.68, needed=10, groups=0),
        note(NoteKind.LIMIT_OR_CASES, needed=10),
    )
    assert [*missing_limits(made)] == [
        (gate, (note(NoteKind.NO_LIMIT, cases=n, unrelated=0, limit=0.4), remedy))
        for gate, n, remedy in zip(gates, (8, 6), remedies, strict=True)
    ]


def with_weight(asked, weight):
    return tuple(replace(one, weight=weight) if one.group else one for one in asked)


def test_what_is_to_be_written_for_a_missing_limit_is_let_through():
    large = (*cases(40, groups=1), *(replace(one, id=f"d{one.id}") for one in cases(60)))
    for asked, remedy, mended in (
        (large, note(NoteKind.WEIGHT_OF_GROUP, cases=100, largest=40, weight=0.03),
         (rate(), with_weight(large, 0.03))),
        (cases(100, groups=8), note(NoteKind.MINIMUM_OR_CASES, minimum=0.0, needed=125, groups=10),
         (rate(), cases(125, groups=10))),
        (cases(5), note(NoteKind.MINIMUM_OR_CASES, minimum=0.54, needed=10, groups=0),
         (rate(min=0.54), cases(5))),
        (cases(3), note(NoteKind.MINIMUM_OR_CASES, minimum=0.0, needed=10, groups=0),
         (rate(), cases(10))),
    ):  # fmt: skip
        ((_, told),) = missing_limits(with_default_limits(with_cases(rate(), asked), {}))
        assert told[1] == remedy
        made = with_limits(with_cases(*mended), {})
        assert [*missing_limits(made)] == [*rate_problems(made, made.gates["accuracy"])] == []


# --- suites of files -----------------------------------------------------------------------------


def of_file(folder, gates, rows, more=""):
    (folder / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = folder / "s.ftgate.yaml"
    variants = "variants: {one: {provider: anthropic, model: m, base: n}}"
    path.write_text(f"cases: c.jsonl\n{more}{variants}\ngates: {{{gates}}}\n")
    return load_suite(path, folder)


def test_only_cases_that_have_a_score_count_for_accuracy(tmp_path):
    gate = "accuracy: {max_drop: 0.05}"
    scored = [{"input": f"q{n}", "expected": "a"} for n in range(60)]
    blank = [{"input": f"p{n}"} for n in range(60)]

    check_feasibility(of_file(tmp_path, gate, scored))
    with pytest.raises(SuiteError, match="cannot be proven with 40 cases"):
        check_feasibility(of_file(tmp_path, gate, scored[:40] + blank[:20]))
    check_feasibility(of_file(tmp_path, gate, blank, 'reply: {score: {python: "marks:close"}}\n'))


# --- skills whose code cannot run here -----------------------------------------------------------

CODE = Rule("code", "assert True")
MIXED = Rule("mean", ((Rule("exact"), 1.0), (CODE, 1.0)))
UNCONFINED = replace(CODE, options={"sandbox": "none"})


def scored_by(asked, **rules):
    return tuple(replace(one, score=rules.get(one.skill, one.score)) for one in asked)


def test_skills_whose_code_cannot_be_shut_in_are_left_out_with_a_note(monkeypatch):
    monkeypatch.setattr("pytest_ftgate.scoring.sandbox.can_sandbox", lambda: False)
    asked = scored_by(skills(b=2, a=2, c=3), b=CODE, a=MIXED)
    gate, other = ForgettingGate(line=4, cases=asked), rate(max_drop=0.5)
    made = suite(gate, other)

    left = replace(gate, cases=asked[4:], excluded_skills=("a", "b"))
    assert exclude_unrunnable_skills(made) == replace(
        made, gates={"forgetting": left, "accuracy": other}
    )


@every_row(
    "gate",
    [
        ForgettingGate(line=4, cases=scored_by(skills(a=2), a=CODE)),
        rate(),
        ForgettingGate(line=4, cases=scored_by(skills(a=2, b=2), a=UNCONFINED)),
    ],
    ids=["nothing but code", "no skills", "code whose sandbox is off"],
)
def test_a_suite_of_which_nothing_or_all_would_be_left_stays_as_it_is(gate, monkeypatch):
    monkeypatch.setattr("pytest_ftgate.scoring.sandbox.can_sandbox", lambda: False)
    made = suite(gate)

    assert exclude_unrunnable_skills(made) is made
