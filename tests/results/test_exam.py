from dataclasses import replace

from ftgate_testing.score_columns import case, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.statements import ExamLoss, LossOfExam, LostCases
from pytest_ftgate.results.exam import (
    Exam,
    ExamCase,
    GateExam,
    case_digest,
    compare_exams,
    exam_of,
    merge_exams,
)
from pytest_ftgate.suite.function_references import import_file
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.rule import Rule

CASES = {"a": ExamCase("1"), "b": ExamCase("2"), "c": ExamCase("3")}
GATE = GateExam(limits={"min": 0.8, "max_drop": 0.05}, variants=("current", "new"))


def exam(cases=CASES, gate=GATE):
    return Exam(gates={"accuracy": gate}, cases={"suite": cases})


def change(now, before=None, right=None):
    return compare_exams(before or exam(), now, "accuracy", "new", right or {})


def test_the_same_exam_or_a_stricter_one_has_lost_nothing():
    assert not change(exam()).has_shrunk
    assert change(exam()).accepted == 3

    stricter = {"min": 0.9, "max_drop": 0.02, "max_p95_ms": 900}

    assert not change(exam(gate=replace(GATE, limits=stricter))).has_shrunk


@every_row("case_now, kind", [
    (None, "gone"), (ExamCase("1", weight=0), "without weight"), (ExamCase("4"), "changed"),
    (ExamCase("1", weight=0.5), "changed"), (ExamCase("1", group="g"), "changed"),
    (ExamCase("1", parts=("hard",)), "changed"),
])  # fmt: skip
def test_a_case_that_decides_otherwise_is_lost_with_how_many_were_right(case_now, kind):
    cases = {key: value for key, value in (CASES | {"a": case_now}).items() if value}

    found = change(exam(cases), right={"a": 1.0, "b": 0.0})

    assert found.lost == (LostCases(kind, 1, 1, ("a",)),)
    assert found.has_shrunk


def test_only_cases_with_weight_are_missed_or_come_and_only_to_a_gate_that_was():
    before = exam(CASES | {"d": ExamCase("4", weight=0)})

    assert not change(exam(), before).has_shrunk

    found = change(exam(CASES | {"d": ExamCase("4"), "e": ExamCase("5", weight=0)}))

    assert (found.came, found.came_ids, found.has_shrunk) == (1, ("d",), False)

    assert change(exam(), Exam()).came == 0


def test_the_first_five_lost_cases_are_named_and_right_only_if_they_were_scored():
    many = {f"c{n}": ExamCase(str(n)) for n in range(9)}

    (lost,) = change(exam({}), exam(many)).lost

    assert (lost.count, lost.ids) == (9, ("c0", "c1", "c2", "c3", "c4"))

    assert change(exam({"a": ExamCase("1")}), right={"b": None}).lost[0].right is None


@every_row("now, loss", [
    ({"variants": ("new",)}, (LossOfExam.VARIANT, "accuracy[current]")),
    ({"uncompared": ("new",)}, (LossOfExam.COMPARED, "new")),
    ({"baseline": "new"}, (LossOfExam.BASELINE, "baseline")),
    ({"limits": {"min": 0.7, "max_drop": 0.05}}, (LossOfExam.LIMIT, "min")),
    ({"limits": {"min": 0.8, "max_drop": 0.1}}, (LossOfExam.LIMIT, "max_drop")),
    ({"limits": {"min": 0.8, "max_drop": "none"}}, (LossOfExam.LIMIT, "max_drop")),
    ({"limits": {"max_drop": 0.05}}, (LossOfExam.LIMIT, "min")),
])  # fmt: skip
def test_what_a_gate_lets_pass_now_is_a_loss(now, loss):
    found = change(exam(gate=replace(GATE, **now)))

    assert [(one.kind, one.name) for one in found.losses] == [loss]


@every_row("key, strict, loose", [
    ("evidence", "statistics", "point"), ("slices", "label, tag", "tag"), ("slices", "tag", None),
    ("claim", None, "these_tasks"), ("may_lose", "logic", "logic, memory"),
    ("ignore", None, "balance"),
])  # fmt: skip
def test_a_text_that_lets_more_pass_is_a_loss_and_its_way_back_is_none(key, strict, loose):
    sides = [
        exam(gate=replace(GATE, limits={key: text} if text else {})) for text in (strict, loose)
    ]

    (loss,) = change(sides[1], sides[0]).losses
    back = change(sides[0], sides[1]).losses

    assert (loss, back) == (ExamLoss(LossOfExam.LIMIT, key, strict or "none", loose or "none"), ())


@every_row(
    ("before", "now", "values"),
    [
        (10, 2, (10.0, 2.0)),
        (10, 1, (10.0, 1.0)),
        (2, 10, None),
        (10, "auto", None),
        ("auto", 2, None),
        ("all", 1, None),
    ],
)
def test_fewer_written_repeats_are_a_loss(before, now, values):
    gate = RateGate(kind="accuracy", line=7, max_drop=0.15)
    exams = [exam_of(replace(suite(gate), written_repeats=one)) for one in (before, now)]

    losses = compare_exams(*exams, "accuracy", "new", {}).losses

    assert losses == ((ExamLoss(LossOfExam.REPEATS, "repeats", *values),) if values else ())


@every_row("before, now, values", [
    (None, (("Sure!", "help."),), ("default", "Sure!…help.")),
    ((("a", "b"),), (), ("a…b", "false")), ((), None, ("false", "default")),
    ((("a", "b"),), (("a", "b"),), None),
])  # fmt: skip
def test_other_marks_around_thoughts_are_a_loss(before, now, values):
    asked = suite(RateGate(kind="accuracy", line=7, max_drop=0.15))
    exams = [
        exam_of(replace(asked, reply=replace(asked.reply, thoughts=marks)))
        for marks in (before, now)
    ]

    losses = compare_exams(*exams, "accuracy", "new", {}).losses

    expected = ExamLoss(LossOfExam.THOUGHTS, "reply.thoughts", *(values or ()))
    assert losses == ((expected,) if values else ())


def test_the_code_of_a_plugin_within_several_scores_counts_and_no_address_or_folder(tmp_path):
    def digest_of(folder, code):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "plugin.py"
        path.write_text(code)
        inner = Rule("offered", "ends", function=import_file(path).ends)
        script = Rule("javascript", "1", path=path)
        score = Rule("all", ((inner, 1.0), (Rule("holds", script), 1.0)))
        return case_digest(replace(case("a"), score=score), tmp_path)

    one, same, other = (
        digest_of(*row)
        for row in (
            ("one", "def ends(case, reply): return 1\n"),
            ("two", "def ends(case, reply): return 1\n"),
            ("six", "def ends(case, reply): return 0\n"),
        )
    )

    assert one == same != other


def test_a_gate_that_is_gone_or_a_case_that_need_not_pass_any_more_is_a_loss():
    gates = {"accuracy": GATE, "format": GateExam(variants=("new",))}
    before = Exam(gates=gates, cases={"suite": CASES})

    assert change(exam(), before).losses == (ExamLoss(LossOfExam.GATE, "format"),)

    before = exam(CASES | {"a": ExamCase("1", must_pass=True)})

    assert change(exam(), before).losses == (ExamLoss(LossOfExam.MUST_PASS, "a"),)
    assert not change(before, exam()).has_shrunk


def test_a_variant_that_no_accepted_gate_has_is_new():
    known = Exam(gates={"accuracy": GateExam(variants=("new",))}, cases={"suite": CASES})
    unknown = Exam(gates={"accuracy": GateExam(variants=("current",))}, cases={"suite": CASES})

    assert [change(exam(), before).is_new for before in (known, unknown)] == [False, True]


def test_the_exam_of_a_suite_is_what_it_declares():
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05, min=0.8)
    asked = replace(
        suite(gate), cases=(case("a"), replace(case("b"), must_pass=True, group="g", weight=2))
    )

    found = exam_of(asked)

    assert found.gates["accuracy"].variants == ("current", "new")
    assert {**found.gates["accuracy"].limits}.items() >= {"min": 0.8, "max_drop": 0.05}.items()
    a, b = found.cases["suite"].values()
    assert (a.weight, a.group, a.must_pass) == (1, None, False)
    assert (b.weight, b.group, b.must_pass) == (2, "g", True)


def test_tags_decide_only_where_a_gate_looks_at_them():
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)
    tagged = replace(suite(gate), cases=(replace(case("a"), tags=("hard",)),))
    sliced = replace(tagged, gates={"accuracy": replace(gate, slices={"tag": {"min": 0.5}})})

    assert exam_of(tagged).cases["suite"]["a"].parts == ()
    assert exam_of(sliced).cases["suite"]["a"].parts == ("hard",)


def test_exams_of_single_gates_merge_into_that_of_the_suite():
    whole = Exam(gates={"accuracy": GATE, "format": GateExam()}, cases={"suite": CASES})

    parts = [whole.of_gates(["accuracy"]), whole.of_gates(["format"])]

    assert merge_exams(parts) == whole
    assert whole.without(gates=frozenset({"format"})) == exam()
    assert [*whole.without(cases=frozenset("a")).cases["suite"]] == ["b", "c"]
