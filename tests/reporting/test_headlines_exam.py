from ftgate_testing.tables import every_row

from pytest_ftgate.gates.statements import ExamChange, ExamLoss, LossOfExam, LostCases
from pytest_ftgate.reporting.headlines import acceptance_lines, exam_phrase, exam_sentences
from pytest_ftgate.results.accepted import Acceptance

GONE = LostCases("gone", 46, 40, ("a", "b", "c", "d", "e"))


def test_cases_that_are_gone_are_counted_with_those_that_were_right():
    assert [*exam_sentences(ExamChange(accepted=200, lost=(GONE,)))] == [
        "46 of 200 accepted cases are gone; 40 of them were right: a, b, c, d, e and 41 more"
    ]


def test_one_case_is_told_in_the_singular_and_without_a_score_that_is_not_known():
    lost = LostCases("without weight", 1, None, ("a",))

    assert [*exam_sentences(ExamChange(accepted=200, lost=(lost,), came=1, came_ids=("z",)))] == [
        "1 of 200 accepted cases has no weight any more; it is a",
        "1 case has come since a run was accepted: z",
    ]


@every_row("loss, sentence", [
    (ExamLoss(LossOfExam.GATE, "format"), "the accepted gate format is gone"),
    (ExamLoss(LossOfExam.VARIANT, "format[new]"),
     "format[new] was accepted, and is not gated any more"),
    (ExamLoss(LossOfExam.COMPARED, "new"), "new is not compared with the baseline any more"),
    (ExamLoss(LossOfExam.LIMIT, "max_drop", 0.05, "none"),
     "max_drop: 0.05 is now none, which lets more pass than what was accepted"),
    (ExamLoss(LossOfExam.MUST_PASS, "a"), "the case a need not pass any more"),
    (ExamLoss(LossOfExam.BASELINE, "baseline", "old", "new"), "baseline: old is now new"),
])  # fmt: skip
def test_each_loss_has_its_sentence(loss, sentence):
    assert [*exam_sentences(ExamChange(losses=(loss,)))] == [sentence]


def test_every_kind_of_loss_has_a_sentence():
    for kind in LossOfExam:
        (sentence,) = exam_sentences(ExamChange(losses=(ExamLoss(kind, "x"),)))
        assert sentence


def test_a_record_of_the_older_form_is_not_said_to_test_less():
    older = ExamChange(is_older=True)

    assert exam_phrase(older) == "record of an older format"
    assert exam_phrase(ExamChange(lost=(GONE,))) == "less is tested than was accepted"
    assert [*exam_sentences(older)] == [
        "the accepted record is older: it lists no cases and no limits"
    ]


def test_accepting_says_what_changed_once_with_the_gates_that_it_is_about():
    change = ExamChange(accepted=200, lost=(GONE,))
    told = Acceptance(
        names=("current", "new"), file="s.accepted.json", not_passed={"failed": 1}, is_read=True,
        changes={"accuracy[current]": change, "format[current]": change},
    )  # fmt: skip

    accepted, lost = acceptance_lines(told)

    assert accepted == (
        "accepted current, new in s.accepted.json; commit it with the change (1 gate failed)"
    )
    assert lost.startswith("accepted accuracy[current], format[current]: 46 of 200 accepted cases")
