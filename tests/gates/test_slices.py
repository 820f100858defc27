from dataclasses import replace

from columns import column, suite

from pytest_ftgate.gates.rates import Accepted, Sides, judge_rate, shared_levels
from pytest_ftgate.gates.samples import side
from pytest_ftgate.gates.slices import members
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.model import RateGate

GATE = RateGate(kind="accuracy", line=1, max_drop=0.05, slices=("tag", "language"))
TAGS = ("plain", "angry", "terse", "long", "typos")
N = 1000


def tagged(variant, marks):
    rows = {
        key: replace(row, case=replace(row.case, tags=(TAGS[i % 5],), language="en"))
        for i, (key, row) in enumerate(column(variant, marks).rows.items())
    }
    return Column(variant, rows)


def judged(after, gate=GATE):
    before = tagged("current", [1.0] * N)
    return judge_rate(suite(gate), gate, Sides(tagged("new", after), before))


def test_a_lost_part_fails_a_gate_whose_average_is_within_the_margin():
    # Thirty of two hundred angry cases are lost, which is three points of all.
    after = [0.0 if i % 5 == 1 and i < 150 else 1.0 for i in range(N)]

    verdict = judged(after)

    assert verdict.check.outcome is Outcome.PASSED
    assert verdict.outcome is Outcome.FAILED
    assert verdict.headline.endswith("but lost: tag angry")
    assert (verdict.slices[0].name, verdict.slices[0].state) == ("angry", "lost")


def test_the_same_loss_spread_over_all_parts_passes():
    after = [0.0 if i < 30 else 1.0 for i in range(N)]

    verdict = judged(after)

    assert verdict.outcome is Outcome.PASSED
    assert "lost" not in {part.state for part in verdict.slices if part.kind == "tag"}


def test_every_part_is_told_the_greatest_loss_first():
    verdict = judged([1.0] * N)

    assert {(part.kind, part.name) for part in verdict.slices} == {
        *(("tag", name) for name in TAGS),
        ("language", "en"),
    }


def test_a_label_is_the_first_answer_that_is_expected():
    case = replace(next(iter(column("x", [1.0]).rows.values())).case, expected=["a", "b"])

    assert members([case], ["label"]) == {("label", "a"): {"c000"}}


def test_looking_at_parts_takes_its_share_of_the_alarms():
    plain = replace(GATE, slices=())

    assert shared_levels(suite(GATE)).alarm < shared_levels(suite(plain)).alarm


def test_parts_of_a_plain_threshold_take_their_share_too():
    point = replace(GATE, evidence="point")

    assert shared_levels(suite(point)).shared == 2
    assert shared_levels(suite(point, variants=("current", "a", "b"))).shared == 3


def test_a_part_of_few_groups_is_open():
    def grouped(column):
        return Column(
            column.variant,
            {
                key: replace(row, case=replace(row.case, group=f"g{i // 125}"))
                for i, (key, row) in enumerate(column.rows.items())
            },
        )

    before, after = tagged("current", [1.0] * N), tagged("new", [0.0] * N)

    verdict = judge_rate(suite(GATE), GATE, Sides(grouped(after), grouped(before)))

    assert {part.state for part in verdict.slices} == {"open"}
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_the_parts_of_the_baseline_are_held_to_what_was_accepted():
    accepted = Accepted(side(tagged("current", [1.0] * N), "accuracy"), 0)
    now = tagged("current", [0.0 if i % 5 == 1 and i < 150 else 1.0 for i in range(N)])

    verdict = judge_rate(suite(GATE), GATE, Sides(now, now, accepted))

    assert verdict.outcome is Outcome.FAILED
    assert verdict.headline.endswith("but lost: tag angry")


def test_the_label_of_an_expected_call_is_the_tool():
    row = column("current", [1.0]).rows["c000"]
    case = replace(row.case, expected={"name": "lookup", "arguments": {"id": "17"}})

    assert members([case], ["label"]) == {("label", "lookup"): {"c000"}}
