from dataclasses import replace

from ftgate_testing.score_columns import case_samples, suite, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels, shared_levels
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.regressions import slice_members, slice_names, slice_results
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import Outcome, Slice
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import change_interval, p_drop, paired_counts
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

GATE = RateGate(kind="accuracy", line=1, max_drop=0.05, slices=("tag", "language"))
TAGS = ("plain", "angry", "terse", "long", "typos")
N = 1000


def tagged(variant, scores):
    rows = {
        key: replace(row, case=replace(row.case, tags=(TAGS[i % 5],), language="en"))
        for i, (key, row) in enumerate(variant_scores(variant, scores).results.items())
    }
    return VariantScores(variant, rows)


def evaluated(after, gate=GATE):
    before = tagged("current", [1.0] * N)
    return evaluate_rate(suite(gate), gate, Comparison(tagged("new", after), before))


def test_the_same_loss_spread_over_all_slices_passes_and_every_slice_is_told():
    after = [0.0 if i < 30 else 1.0 for i in range(N)]

    verdict = evaluated(after)

    assert verdict.outcome is Outcome.PASSED
    assert "regressed" not in {part.state for part in verdict.slices if part.kind == "tag"}

    verdict = evaluated([1.0] * N)

    assert {(part.kind, part.name) for part in verdict.slices} == {
        *(("tag", name) for name in TAGS),
        ("language", "en"),
    }


def made_case(**changes):
    return Case(**{"id": "c1", "location": "c.jsonl:1", "score": Rule("exact"), **changes})


@every_row(
    ("changes", "kind", "names"),
    [
        ({"tags": ("a", "b")}, "tag", ("a", "b")),
        ({"expected": ["a", "b"]}, "label", ["a"]),
        ({"expected": ["a", 2], "score": Rule("labels")}, "label", ["a", "2"]),
        ({"expected": 7}, "label", ["7"]),
        ({"expected": {"name": "lookup", "arguments": {"id": "17"}}}, "label", ["lookup"]),
        ({}, "label", []),
        ({"expected": {"arguments": {}}}, "label", []),
        ({"expected": {"name": "a"}, "score": Rule("fields")}, "label", []),
        ({"difficulty": 0}, "difficulty", ["0"]),
        ({}, "difficulty", []),
        ({"language": "en", "skill": "logic"}, "language", ["en"]),
        ({"language": "en", "skill": "logic"}, "skill", ["logic"]),
        ({"skill": "logic"}, "language", []),
        ({"language": "en"}, "skill", []),
    ],
)
def test_a_case_is_in_the_slices_of_its_kinds(changes, kind, names):
    assert slice_names(made_case(**changes), kind) == names


def test_the_members_of_slices_are_the_ids_of_their_cases():
    cases = [
        made_case(id="a", tags=("x", "y"), language="en"),
        made_case(id="b", tags=("y",)),
    ]  # fmt: skip

    assert slice_members(cases, iter(["tag", "language"])) == {
        ("tag", "x"): {"a"},
        ("tag", "y"): {"a", "b"},
        ("language", "en"): {"a"},
    }


def samples(values, groups=None):
    return case_samples(values, groups=groups and [n % groups for n in range(len(values))])


def part(*numbers):
    return {f"c{n}" for n in numbers}


def test_each_slice_has_the_figures_of_its_answered_cases():
    """Of two tested slices, Holm doubles the smaller p-value."""
    before = [1.0] * 60 + [None, 1.0]
    after = [0.0] * 12 + [1.0] * 48 + [1.0, None]
    members = {
        ("tag", "still"): part(*range(30, 60)),
        ("tag", "unanswered"): part(60, 61),
        ("language", "en"): part(*range(30), 60, 61),
    }

    found = slice_results(samples(before), samples(after), members, margin=0.2, levels=Levels())

    lost = paired_counts([1.0] * 30, [0.0] * 12 + [1.0] * 18)
    same = paired_counts([1.0] * 30, [1.0] * 30)
    lost_low, lost_high = change_interval(lost, 0.95)
    same_low, same_high = change_interval(same, 0.95)
    assert found == (
        Slice(
            kind="language", name="en", n=30, before=1.0, after=0.6, low=lost_low, high=lost_high,
            p_drop=2 * p_drop(lost), state="regressed", regressed=12,
        ),
        Slice(
            kind="tag", name="still", n=30, before=1.0, after=1.0, low=same_low, high=same_high,
            p_drop=1.0, state="kept",
        ),
    )  # fmt: skip


def test_variants_without_a_shared_case_have_no_slices():
    before, after = samples([1.0]), samples_from_cases({"other": CaseSample(1.0, 1, "")})
    members = {("tag", "a"): {"c0", "other"}}

    assert slice_results(before, after, members, margin=0.1, levels=Levels()) == ()


def state(lost, count, margin, groups=None, **levels):
    before, after = [1.0] * count, [0.0] * lost + [1.0] * (count - lost)
    (found,) = slice_results(
        samples(before, groups), samples(after, groups), {("tag", "a"): part(*range(count))},
        margin=margin, levels=Levels(**levels),
    )  # fmt: skip
    return found.state


@every_row(
    ("lost", "found"), [(19, "inconclusive"), (20, "regressed"), (21, "regressed"), (2, "kept")]
)
def test_a_slice_regresses_if_a_real_drop_reaches_the_limit(lost, found):
    assert state(lost, 200, 0.1) == found


def test_a_slice_is_regressed_and_kept_at_the_levels_of_the_gate():
    p = p_drop(paired_counts([1.0] * 20, [0.0] * 5 + [1.0] * 15))

    assert state(5, 20, 0.25, alarm=p) == "regressed"
    assert state(5, 20, 0.25, alarm=p * 0.999) == "inconclusive"

    assert state(0, 59, 0.05) == "kept"
    assert state(0, 59, 0.05, miss=0.01) == "inconclusive"


@every_row(("groups", "found"), [(9, "inconclusive"), (10, "kept")])
def test_a_slice_takes_ten_groups_of_related_cases(groups, found):
    assert state(0, 200, 0.4, groups) == found


def test_parts_take_their_share_of_the_alarms_of_tests_and_of_plain_thresholds():
    plain = replace(GATE, slices=())

    assert shared_levels(suite(GATE)).alarm < shared_levels(suite(plain)).alarm

    point = replace(GATE, evidence="point")

    assert shared_levels(suite(point)).shared == 2
    assert shared_levels(suite(point, variants=("current", "a", "b"))).shared == 3
