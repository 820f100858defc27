from dataclasses import replace

from columns import suite, variant_scores

from pytest_ftgate.gates.levels import shared_levels
from pytest_ftgate.gates.rates import AcceptedSamples, Comparison, evaluate_rate
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.slices import slice_members
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate

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


def test_a_regressed_slice_fails_a_gate_whose_average_is_within_the_margin():
    # Thirty of two hundred angry cases are lost, which is three points of all.
    after = [0.0 if i % 5 == 1 and i < 150 else 1.0 for i in range(N)]

    verdict = evaluated(after)

    assert verdict.check.outcome is Outcome.PASSED
    assert verdict.outcome is Outcome.FAILED
    assert headline(verdict).endswith("but regressed: tag angry")
    assert (verdict.slices[0].name, verdict.slices[0].state) == ("angry", "regressed")


def test_the_same_loss_spread_over_all_slices_passes():
    after = [0.0 if i < 30 else 1.0 for i in range(N)]

    verdict = evaluated(after)

    assert verdict.outcome is Outcome.PASSED
    assert "regressed" not in {part.state for part in verdict.slices if part.kind == "tag"}


def test_every_slice_is_told_the_greatest_loss_first():
    verdict = evaluated([1.0] * N)

    assert {(part.kind, part.name) for part in verdict.slices} == {
        *(("tag", name) for name in TAGS),
        ("language", "en"),
    }


def test_a_label_is_the_first_answer_that_is_expected():
    case = replace(
        next(iter(variant_scores("x", [1.0]).results.values())).case, expected=["a", "b"]
    )

    assert slice_members([case], ["label"]) == {("label", "a"): {"c000"}}


def test_looking_at_slices_takes_its_share_of_the_alarms():
    plain = replace(GATE, slices=())

    assert shared_levels(suite(GATE)).alarm < shared_levels(suite(plain)).alarm


def test_parts_of_a_plain_threshold_take_their_share_too():
    point = replace(GATE, evidence="point")

    assert shared_levels(suite(point)).shared == 2
    assert shared_levels(suite(point, variants=("current", "a", "b"))).shared == 3


def test_a_slice_of_few_groups_is_inconclusive():
    def grouped(scores):
        return VariantScores(
            scores.variant,
            {
                key: replace(row, case=replace(row.case, group=f"g{i // 125}"))
                for i, (key, row) in enumerate(scores.results.items())
            },
        )

    before, after = tagged("current", [1.0] * N), tagged("new", [0.0] * N)

    verdict = evaluate_rate(suite(GATE), GATE, Comparison(grouped(after), grouped(before)))

    assert {part.state for part in verdict.slices} == {"inconclusive"}
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_the_slices_of_the_baseline_are_held_to_what_was_accepted():
    accepted = AcceptedSamples(samples_from_scores(tagged("current", [1.0] * N), "accuracy"), 0)
    now = tagged("current", [0.0 if i % 5 == 1 and i < 150 else 1.0 for i in range(N)])

    verdict = evaluate_rate(suite(GATE), GATE, Comparison(now, now, accepted))

    assert verdict.outcome is Outcome.FAILED
    assert headline(verdict).endswith("but regressed: tag angry")


def test_the_label_of_an_expected_tool_call_is_the_tool():
    row = variant_scores("current", [1.0]).results["c000"]
    case = replace(row.case, expected={"name": "lookup", "arguments": {"id": "17"}})

    assert slice_members([case], ["label"]) == {("label", "lookup"): {"c000"}}
