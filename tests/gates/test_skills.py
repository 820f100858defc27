"""The kinds of loss of regressed answers: each of the six by its own rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case, case_result, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.skills import LossClassifier, skill_retention, skill_slices
from pytest_ftgate.gates.verdict import LossKind, Retention, Slice
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.resampling import SkillSample
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.rule import Rule

JSON = Rule("json_schema", {"type": "object", "required": ["label"]})


def classifier(*rules):
    made = suite()
    return LossClassifier(replace(made, reply=replace(made.reply, format=rules)) if rules else made)


def kind(now, before="The capital of Japan is Tokyo.", *, of=None, stop="end", language="en"):
    was, is_ = (
        case_result("c", right, text, skill="facts") for right, text in ((1.0, before), (0.0, now))
    )
    is_ = replace(
        is_, case=replace(is_.case, language=language), replies=(Reply(text=now, stop=stop),)
    )
    return (of or classifier()).classify(was, is_)


@every_row(
    ("now", "expected"),
    [
        ("The capital of Japan is Kyoto.", "wrong content"),
        ("Kyoto", "wrong content"),
        ("refund", "in the trained task's format"),
        ("late_delivery", "in the trained task's format"),
        ("japan_capital", "in the trained task's format"),
        ("", "empty"),
        (" \n\t", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI, I have no capital.", "refusal"),
        ("Tokyo is the capital. " * 20, "repetition"),
        ("the the the the the the the the", "repetition"),
        ("Столица Японии — Киото.", "other language"),
        ("日本の首都は京都です。", "other language"),
        ("Die Hauptstadt von Japan ist die Stadt Kyoto im Westen.", "other language"),
    ],
)
def test_a_regressed_answer_has_one_kind_of_loss(now, expected):
    assert kind(now) == expected


@every_row(
    ("now", "expected"),
    [
        ("yes no yes no yes no yes no", "repetition"),
        ("Yes no yes no yes no yes", "wrong content"),
        ("go Go GO go Go GO", "repetition"),
        ("Kyoto 京", "wrong content"),
        ("京都市で Kyo", "other language"),
        ("1867", "wrong content"),
        ("Die Stadt Kyoto", "wrong content"),
        ("Die Hauptstadt ist Kyoto", "other language"),
        ("Tokyo_capital", "wrong content"),
        ("capital_of_japan", "in the trained task's format"),
        ("a capital_of_japan", "wrong content"),
    ],
)
def test_a_kind_of_loss_begins_where_it_can_be_told(now, expected):
    assert kind(now) == expected


def test_a_language_that_the_question_asks_in_is_no_other_language():
    german = "Die Hauptstadt von Japan ist die Stadt Kyoto im Westen."
    was, is_ = (
        case_result("c", right, text, skill="facts")
        for right, text in ((1.0, "Tokyo"), (0.0, german))
    )
    asked = replace(is_.case, input="Was ist die Hauptstadt von Japan, bitte?", language="en")

    assert classifier().classify(was, replace(is_, case=asked)) == "wrong content"
    assert classifier().classify(was, replace(is_, case=replace(is_.case, language="de"))) == (
        "wrong content"
    )


def test_code_and_tool_calls_that_the_suite_checks_are_no_format_of_a_reply(tmp_path):
    (tmp_path / "looks.py").write_text("def check(reply):\n    return 'Kyoto' in reply\n")
    made = replace(suite(), path=tmp_path / "suite.ftgate.yaml")
    code = Rule("python", "looks:check")
    of = LossClassifier(replace(made, reply=replace(made.reply, format=(code,))))

    assert kind("It is Kyoto.", of=of) == "wrong content"


@every_row(
    ("rule", "now", "expected"),
    [
        (Rule("pydantic", "no_such_module:Model"), "[Kyoto]", "in the trained task's format"),
        (Rule("pydantic", "no_such_module:Model"), "{Kyoto}", "in the trained task's format"),
        (Rule("xml", ("label",)), "<Kyoto", "in the trained task's format"),
        (JSON, "<Kyoto", "wrong content"),
        (Rule("regex", "Kyo.*"), "Kyoto", "in the trained task's format"),
        (Rule("regex", "Osa.*"), "Kyoto", "wrong content"),
    ],
)
def test_the_first_character_shows_a_format_or_else_its_rule_does(rule, now, expected):
    assert kind(now, of=classifier(rule)) == expected


def test_an_answer_without_text_is_cut_off_or_a_refusal_as_its_reply_ended():
    assert kind("", stop="length") == "cut off"

    assert kind("", stop="refusal") == "refusal"


def test_a_rule_that_cannot_run_on_another_question_shows_no_format(tmp_path):
    broken = classifier(Rule("pydantic", "no_such_module:Model"))

    assert kind("Kyoto", of=broken) == "wrong content"

    """The module that the rule names is not there."""
    assert kind("Kyoto", of=classifier(Rule("python", "absent:check"))) == "wrong content"


def test_what_the_base_did_as_well_is_no_kind_of_loss():
    assert kind("I can't tell you that.", "I can't help with that.") == "wrong content"
    assert kind("refund", "late_delivery") == "wrong content"
    assert kind("Kyoto es la capital", "Tokio es la capital de Japón", language="es") == (
        "wrong content"
    )


def test_without_a_format_or_underscores_only_the_names_of_labels_are_the_tasks_format():
    plain = classifier(Rule("choice", ["billing", "refund"]))

    assert kind("refund", of=plain) == "in the trained task's format"
    assert kind("japan_capital", of=plain) == "wrong content"

    made = suite()
    free = LossClassifier(replace(made, reply=replace(made.reply, format=())))

    assert kind("refund", of=free) == "wrong content"


@every_row("now", ['{"label": "x"}', '{"answer": "Kyoto"}', "[1, 2"])
def test_json_where_the_product_asks_for_json_is_the_fine_tunes_format(now):
    assert kind(now, of=classifier(JSON)) == "in the trained task's format"
    assert kind(now) == "wrong content"


def test_kinds_are_counted_the_commonest_first_with_examples():
    def scores(name, texts):
        rows = [case_result(f"c{i}", 0.0, text, skill="facts") for i, text in enumerate(texts)]
        return VariantScores(name, {row.case.id: row for row in rows})

    before = scores("base", [*["It is Tokyo."] * 7, "I can't tell you that."])
    after = scores("new", [*["refund"] * 6, "", "I can't help with that."])
    kinds = classifier().count_kinds(before, after, [f"c{i}" for i in range(8)], "prompt")

    assert kinds == (
        LossKind(
            kind="in the trained task's format",
            cases=6,
            share=0.75,
            examples=("c0", "c1", "c2", "c3", "c4"),
            under="prompt",
        ),
        LossKind(kind="empty", cases=1, share=0.125, examples=("c6",), under="prompt"),
        LossKind(kind="wrong content", cases=1, share=0.125, examples=("c7",), under="prompt"),
    )


def test_an_empty_regressed_result_is_an_empty_reply_and_no_weight_gives_no_retention():
    result = replace(case_result("a", 0.0, "x", skill="reading"), replies=(), scores=())

    said = case_result("a", 0.0, "refund", skill="reading")

    assert classifier().classify(None, result) == "empty"
    assert classifier().classify(None, said) == "in the trained task's format"
    assert classifier().classify(result, said) == "in the trained task's format"
    assert skill_retention([]) is None


def near(value):
    return pytest.approx(value, abs=0.001)


def skill_cases(skill, count, **more):
    return [replace(case(f"{skill}-{i}", skill=skill), **more) for i in range(count)]


def samples_of(cases, *right, groups=None):
    """Return samples in which the first cases of each skill are right, *right* of each."""
    sizes = Counter(one.skill for one in cases).values()
    values = [
        float(i < count) for size, count in zip(sizes, right, strict=True) for i in range(size)
    ]
    ids = tuple(one.id for one in cases)
    return Samples(case_ids=ids, values=np.array(values), repeats=np.ones(len(ids)), groups=groups)


def test_each_part_of_the_skills_has_its_whole_result_the_largest_drop_first():
    cases = (
        *skill_cases("facts", 40, language="de"),
        *skill_cases("sums", 40, difficulty=2, choices=4),
        *skill_cases("logic", 20, difficulty=1),
    )
    gate = ForgettingGate(
        line=1,
        cases=cases,
        max_drop=0.1,
        margins={"facts": 0.15},
        weights={"sums": 2.0, "logic": 3.0},
    )
    before, after = samples_of(cases, 36, 30, 2), samples_of(cases, 28, 31, 1)

    found = skill_slices(before, after, cases, gate, Levels())

    facts = Slice(
        kind="family", name="facts", n=40, before=0.9, after=0.7, low=near(-0.348),
        high=near(-0.095), p_drop=0.5**9, state="untested", gated=False, weight=1.0,
        kept=28, regressed=8, fixed=0,
        retention=Retention(near(7 / 9), near(0.623), near(0.909)),
    )  # fmt: skip
    logic = replace(
        facts, name="reasoning", n=20, before=0.1, after=0.05, low=near(-0.236), high=near(0.119),
        p_drop=0.25, state="uninformative", weight=3.0, kept=1, regressed=1,
        retention=Retention(0.5, 0.0, near(1.851)),
    )  # fmt: skip
    sums = replace(
        facts, name="sums", before=0.75, after=0.775, low=near(-0.065), high=near(0.129),
        p_drop=0.75, weight=2.0, kept=30, regressed=0, fixed=1,
        retention=Retention(near(31 / 30), near(0.946), near(1.150)),
    )  # fmt: skip
    own = {"gated": True, "margin": 0.15, "required": True, "state": "regressed"}
    assert found == (
        facts,
        logic,
        sums,
        replace(facts, kind="skill", family="facts", **own),
        replace(logic, kind="skill", name="logic", family="reasoning"),
        replace(sums, kind="skill", family="sums"),
        replace(logic, kind="difficulty", name="1", weight=0.0),
        replace(sums, kind="difficulty", name="2", weight=0.0),
        replace(facts, kind="language", name="de", weight=0.0),
    )


def test_the_p_values_of_the_tested_parts_are_corrected_for_their_number():
    cases = (*skill_cases("facts", 40), *skill_cases("sums", 40), *skill_cases("logic", 40))
    gate = ForgettingGate(line=1, cases=cases, margins={"facts": 0.1, "sums": 0.1})
    before, after = samples_of(cases, 40, 40, 40), samples_of(cases, 33, 35, 34)

    found = skill_slices(before, after, cases, gate, Levels())

    shown = {part.name: (part.p_drop, part.state) for part in found if part.kind == "skill"}
    # Of 7, 5 and 6 cases that all got worse, the two tested ones are corrected.
    assert shown == {
        "facts": (0.5**7, "regressed"),
        "logic": (0.5**7, "untested"),
        "sums": (0.5**6, "inconclusive"),
    }


@every_row(
    ("right", "now", "state"),
    [
        ((20, 40), (0, 40), "uninformative"),
        ((21, 40), (0, 40), "regressed"),
        ((100, 40), (80, 40), "regressed"),
        ((100, 40), (81, 40), "inconclusive"),
        ((100, 40), (98, 40), "kept"),
    ],
)
def test_a_limit_is_reached_by_a_drop_of_as_much_and_needs_more_than_that_to_lose(
    right, now, state
):
    cases = (*skill_cases("facts", 100), *skill_cases("sums", 40))
    gate = ForgettingGate(line=1, cases=cases, margins={"facts": 0.2})

    found = skill_slices(
        samples_of(cases, *right), samples_of(cases, *now), cases, gate, Levels(alarm=0.05)
    )

    assert {part.name: part.state for part in found if part.kind == "skill"}["facts"] == state


@every_row(("groups", "state"), [(9, "inconclusive"), (10, "regressed")])
def test_a_skill_of_fewer_than_ten_groups_is_open(groups, state):
    cases = skill_cases("facts", 90)
    labels = np.array([f"g{i % groups}" for i in range(90)])
    gate = ForgettingGate(line=1, cases=tuple(cases), margins={"facts": 0.1})
    before, after = (samples_of(cases, right, groups=labels) for right in (90, 0))

    found = skill_slices(before, after, cases, gate, Levels())

    assert [part.state for part in found if part.kind == "skill"] == [state]


def test_cases_without_a_reply_on_either_side_belong_to_no_slice():
    cases = skill_cases("facts", 40)
    gate = ForgettingGate(line=1, cases=tuple(cases), max_drop=0.1)
    before, after = samples_of(cases, 40), samples_of(cases, 40)
    before.values[:3] = np.nan
    after.values[2:5] = np.nan

    (family, skill) = skill_slices(before, after, cases, gate, Levels())

    assert (family.n, skill.n) == (35, 35)


def sample(before, after, *, of=10, weight=1.0):
    sides = ((np.arange(of) < right).astype(float) for right in (before, after))
    return SkillSample(*sides, float(of), weight)


def test_a_retention_is_that_of_the_weighted_mean_where_the_base_knew_a_tenth():
    assert skill_retention([sample(1, 1)]) == Retention(1.0, 0.0, near(2.219))
    assert skill_retention([sample(9, 9, of=100)]) is None
    # Weighted 3 to 1, the base knew 8.75 % and 16.25 % of the skills.
    weak, strong = sample(1, 1, of=20, weight=3.0), sample(4, 2, of=20)
    assert skill_retention([weak, strong]) is None
    heavy = skill_retention([weak._replace(weight=1.0), strong._replace(weight=3.0)])
    assert heavy.share == pytest.approx((0.05 + 3 * 0.1) / (0.05 + 3 * 0.2))
    assert skill_retention([sample(5, 5, weight=0.0)]) is None
