"""What a gate needs is said before it is evaluated, and is all that it reads then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import pytest
from ftgate_testing.score_columns import LABELS, case, case_result, suite, variant_scores
from ftgate_testing.sources import NotedSource
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import MUST_PASS_REPEATS, Levels, Look
from pytest_ftgate.gates.kinds import KINDS, kind_of
from pytest_ftgate.gates.needs import (
    Given,
    GivenScores,
    Need,
    ScoreRequest,
    ScoreSource,
    Sides,
    TimesRequest,
    When,
    replies_of,
)
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DataGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
    UsageGate,
)
from pytest_ftgate.suite.model import Gate, Judge, Suite, Variant
from pytest_ftgate.suite.prices import Tariff
from pytest_ftgate.suite.rule import Rule

BASE = "base of new"
SKILLS = tuple(
    replace(case(f"facts-{n}", skill="facts"), must_keep=n == 0, weight=1.0) for n in range(30)
)
FORGETTING = ForgettingGate(line=1, cases=SKILLS, max_drop=0.1)
RATE_LIMITS = (
    {"min": 0.5},
    {"max_drop": 0.1},
    {"min": 0.5, "max_drop": 0.1, "slices": ("tag",), "stop_early": True, "settle": 3},
    {"min": 0.5, "evidence": "point"},
    {"max_drop": None, "limits_by_default": False, "max_thought_drop": 0.1},
    {"min": 0.5, "max_thought_rise": 0.5},
    {"max_drop": 0.1, "function": "test_tone"},
)
GATES: tuple[Gate, ...] = (
    *(
        RateGate(kind=kind, line=1, **limits)
        for kind in ("accuracy", "format")
        for limits in RATE_LIMITS
    ),
    RateGate(kind="accuracy", line=1, metric="macro_f1", max_drop=0.1),
    FORGETTING,
    replace(FORGETTING, under_prompt=True),
    replace(FORGETTING, cases=SKILLS[1:]),
    replace(FORGETTING, stop_early=True),
    CostGate(line=1, max_usd_per_1k=5),
    CostGate(line=1, max_rise=0.1),
    CostGate(line=1, max_usd_per_success=5, max_rise=0.1),
    UsageGate(line=1, max_tokens_per_task=5, max_rise=0.1),
    LatencyGate(line=1, max_p50_ms=900),
    LatencyGate(line=1, max_p95_ms=900, max_rise=0.1),
)
DATA = DataGate(line=1)


# --- suites --------------------------------------------------------------------------------------


JUDGE = Judge(
    rule=Rule("judge"), rubric="Is it polite?", grades={"good": 1.0, "bad": 0.0},
    variant=Variant(name="judge", line=1, provider="anthropic", model="judge"),
)  # fmt: skip
PAIRWISE = replace(JUDGE, is_pairwise=True)


def made_for(gate: Gate, *judges: Judge, must_pass: int = 0) -> Suite:
    """Return a suite of 40 cases, of which the first *must_pass* must pass."""
    made, priced = suite(gate), Tariff(per_1k=1.0)
    variants = {name: replace(one, tariff=priced) for name, one in made.variants.items()}
    cases = tuple(
        replace(case(f"c{n:03}"), expected=LABELS.value[n % 2], must_pass=n < must_pass)
        for n in range(40)
    )
    return replace(made, cases=cases, variants=variants, judges=judges)


#: Judges, and the number of cases that must pass.
SUITES = (((), 0), ((), 2), ((JUDGE,), 2), ((PAIRWISE,), 0))
VARYING = {"sampling": {"temperature": 0.7}}
#: The changes of the tuned variant, or None for the baseline.
VARIANTS = (None, {}, VARYING, {"compared": False})


def variant_of(made: Suite, changes: Mapping[str, object] | None) -> Variant:
    name = "current" if changes is None else "new"
    return replace(made.variants[name], **(changes or {}))


LOOKS = (
    Look(),
    Look(number=1, of=2, cases=frozenset({"c000", "c001", "c002"}), repeats=2, fractions=(0.1,)),
)


# --- what is asked -------------------------------------------------------------------------------


@dataclass
class Answers(NotedSource):
    """Scores for whatever is asked: a base and a baseline are right, the variant as *right* says.

    Attributes:
        gate: the gate that may bring cases of its own.
        made: the suite.
        name: the name of the variant.
    """

    gate: Gate = GATES[0]
    made: Suite = None  # type: ignore[assignment] - always given
    name: str = ""
    right: float = 1.0

    def scores(self, request: ScoreRequest) -> VariantScores:
        self.asked.append(request)
        return self._scored(request)

    def sent_scores(self, request: ScoreRequest) -> VariantScores:
        self.asked.append(replace(request, when=When.IF_SENT))
        return self._scored(request)

    def _scored(self, request: ScoreRequest) -> VariantScores:
        cases = self.gate.own_cases if request.of_gate else self.made.cases
        right = self.right if request.variant == self.name else 1.0
        rows = {
            one.id: replace(case_result(one.id, right, str(one.expected)), case=one)
            for one in cases
            if request.ids is None or one.id in request.ids
        }
        return VariantScores(request.variant, rows)


def given_to(gate: Gate, made: Suite, variant: Variant, look: Look, right: float) -> Given:
    seconds = dict.fromkeys(("new", "current", BASE), 0.4)
    source = Answers(seconds=seconds, gate=gate, made=made, name=variant.name, right=right)
    return Given(suite=made, variant=variant, look=look, source=source, levels=Levels())


def covers(request: ScoreRequest, other: ScoreRequest) -> bool:
    """Return True if *other* asks for the same scores, or for those of fewer cases."""
    is_part = request.ids is None or (other.ids is not None and other.ids <= request.ids)
    return is_part and replace(other, ids=request.ids) == request


def is_covered(one: Need, needs: Iterable[Need]) -> bool:
    """Return True if *needs* have the scores, the readings or the times of *one*.

    What may be missing is covered by what is always there too.
    """
    wanted = replies_of(one)
    whens = {wanted.when, When.ALWAYS} if wanted.when is When.IF_SENT else {wanted.when}
    alike = (need for need in needs if type(need) is type(one))
    readers = getattr(one, "reader", "")
    return any(
        covers(replies_of(need), replace(wanted, when=when))
        for need in alike
        for when in whens
        if getattr(need, "reader", "") == readers
    )


def spread(gate: Gate) -> Iterator[tuple[Suite, Variant]]:
    """Yield the suites and variants that *gate* may have. Only rates depend on the suite."""
    for judges, must_pass in SUITES if isinstance(gate, RateGate) else SUITES[:1]:
        made = made_for(gate, *judges, must_pass=must_pass)
        variants = (variant_of(made, changes) for changes in VARIANTS)
        yield from ((made, one) for one in variants if gate.applies_to(one))


def told(gate: Gate) -> str:
    return f"{gate.kind} {GATES.index(gate)}"


def needs_of(gate: Gate, made: Suite, variant: str = "new") -> list[Need]:
    sides = Sides(suite=made, variant=made.variants[variant], look=Look())
    return [*kind_of(gate).needs(gate, sides)]


def test_every_kind_of_gate_is_tried_here():
    assert {gate.kind for gate in (*GATES, DATA)} == {*KINDS}


@pytest.mark.parametrize("gate", GATES, ids=told)
def test_what_is_read_was_stated_before(gate):
    kind, combinations = kind_of(gate), [*product(spread(gate), LOOKS, (1.0, 0.0))]
    assert combinations

    for (made, variant), look, right in combinations:
        given = given_to(gate, made, variant, look, right)
        needs = [*kind.needs(gate, Sides(suite=made, variant=variant, look=look))]

        kind.evaluate(gate, given)

        assert given.source.asked
        assert [one for one in given.source.asked if not is_covered(one, needs)] == []


@pytest.mark.parametrize("gate", GATES, ids=told)
def test_a_measurement_reads_the_scores_of_the_variant_and_those_that_are_sent_anyway(gate):
    for made, variant in spread(gate):
        given = given_to(gate, made, variant, Look(), 1.0)
        own = (given.task(graded=True), TimesRequest(replies=given.task()))
        shown = replace(given.task(made.baseline, graded=True), when=When.IF_SENT)

        measured = [*kind_of(gate).measure(gate, given)]

        assert [one for one in given.source.asked if not is_covered(one, (*own, shown))] == []
        assert bool(given.source.asked) == bool(measured)


@every_row("right", [1.0, 0.0], ids=["right", "wrong"])
@every_row("gate", GATES)
def test_what_is_stated_for_every_verdict_is_read_for_every_verdict(gate, right):
    made = made_for(gate, must_pass=2)
    given = given_to(gate, made, variant_of(made, VARYING), Look(), right)

    kind_of(gate).evaluate(gate, given)

    needs = kind_of(gate).needs(gate, given)
    always = [need for need in needs if replies_of(need).when is When.ALWAYS]
    assert [need for need in always if need not in given.source.asked] == []


@every_row(("gate", "ids"), [(GATES[1], {"c000", "c001"}), (FORGETTING, {"facts-0"})])
def test_wrong_cases_that_must_not_be_wrong_are_asked_again_as_it_was_stated(gate, ids):
    def repeated(needs: Iterable[Need]) -> list[ScoreRequest]:
        return [one for one in map(replies_of, needs) if one.repeats == MUST_PASS_REPEATS]

    made = made_for(gate, must_pass=2)
    given = given_to(gate, made, variant_of(made, VARYING), Look(), 0.0)
    kind_of(gate).evaluate(gate, given)

    again, stated = repeated(given.source.asked), repeated(kind_of(gate).needs(gate, given))

    assert {(one.ids, one.when) for one in again} == {(frozenset(ids), When.IF_WRONG)}
    assert {one.variant for one in again} == {one.variant for one in stated}


def test_a_broken_case_that_must_be_kept_is_not_asked_again_where_replies_do_not_vary():
    made = made_for(FORGETTING)
    given = given_to(FORGETTING, made, variant_of(made, {}), Look(), 0.0)

    assert kind_of(FORGETTING).evaluate(FORGETTING, given).breaks

    asked = [(one.variant, one.when) for one in given.source.asked]
    assert asked == [("new", When.ALWAYS), (BASE, When.ALWAYS)]


def test_the_baseline_is_asked_first_and_what_may_be_wrong_last():
    needs = needs_of(GATES[1], made_for(GATES[1], must_pass=2))

    always, if_wrong = When.ALWAYS, When.IF_WRONG
    sent = [("current", always), ("new", always), ("new", if_wrong), ("new", if_wrong)]
    assert [(need.variant, need.when) for need in needs] == sent


@every_row(("judge", "when"), [(JUDGE, When.IF_SENT), (PAIRWISE, When.ALWAYS)])
def test_a_judge_of_pairs_needs_the_baseline_though_the_gate_compares_nothing(judge, when):
    gate = RateGate(kind="accuracy", line=1, min=0.5)

    first, *_ = needs_of(gate, made_for(gate, judge))

    assert (first.variant, first.when, first.graded) == ("current", when, True)


@every_row("vary", [True, False])
@every_row("gate", [*GATES, DATA])
def test_the_last_look_of_a_gate_includes_all_cases(gate, vary):
    made = made_for(gate, must_pass=2)

    looks = kind_of(gate).looks(made, gate, replies_vary=vary)

    assert looks[-1].cases in (None, {case.id for case in gate.own_cases or made.cases})
    assert [look.number for look in looks] == [*range(1, len(looks) + 1)]
    assert (len(looks) > 1) == gate.stop_early


# --- requests and sources ------------------------------------------------------------------------

SOME = ScoreRequest(variant="new", ids=frozenset({"a", "b"}))


def test_a_look_decides_the_cases_and_the_repeats_of_a_task():
    made = made_for(GATES[0])
    look = Look(cases=frozenset({"c001"}), repeats=3)
    sides = Sides(suite=made, variant=made.variants["new"], look=look)

    assert sides.task() == ScoreRequest(variant="new", ids=frozenset({"c001"}), repeats=3)
    assert sides.task("current", graded=True).variant == "current"
    assert sides.base == BASE


def test_given_scores_are_those_of_the_variant_whatever_else_is_asked():
    of_new, of_base = (variant_scores(name, [1.0] * 3) for name in ("new", BASE))
    drift = text_note("it moved")
    source = GivenScores({"new": of_new, BASE: of_base}, drift, shown=of_base)

    assert source.scores(SOME) is source.scores(replace(SOME, repeats=3, graded=True)) is of_new
    assert (
        source.scores(ScoreRequest(variant=BASE, of_gate="forgetting", under="prompt")) is of_base
    )
    assert source.sent_scores(SOME) is of_base
    assert source.baseline_drift() is drift
    assert source.judge_evidence(of_new, of_base) is None
    assert GivenScores({}).sent_scores(SOME) is GivenScores({}).baseline_drift() is None


@every_row(
    ("ask", "message"),
    [
        (lambda source: source.scores(SOME), "there are no scores of new here"),
        (lambda source: source.times(TimesRequest(replies=SOME)), "there are no times of new here"),
    ],
)
def test_a_source_says_what_it_cannot_bring(ask, message):
    with pytest.raises(LookupError, match=f"^{message}$"):
        ask(ScoreSource())


def test_a_source_may_lack_what_is_only_shown_and_training_data_need_none():
    scores = variant_scores("new", [1.0] * 3)

    assert ScoreSource().sent_scores(SOME) is ScoreSource().baseline_drift() is None
    assert ScoreSource().judge_evidence(scores, scores) is None
    assert needs_of(DATA, made_for(DATA)) == []
