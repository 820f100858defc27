"""Kinds of loss of regressed answers, and the results of each part of the skills."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import LABELS, case, case_result, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.skills import (
    LossClassifier,
    SkillWeights,
    guess_share,
    skill_retention,
    skill_slices,
)
from pytest_ftgate.gates.verdict import LossKind, Retention, Slice
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.bounded import p_mean, unseen_unit
from pytest_ftgate.stats.paired import p_drop, p_noninferior, p_within, paired_counts
from pytest_ftgate.stats.proportions import mcnemar_midp
from pytest_ftgate.stats.resampling import SkillSample
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.rule import Rule

JSON = Rule("json_schema", {"type": "object", "required": ["label"]})


def classifier(*rules, **changes):
    """Return the classifier of a suite with these rules of format alone."""
    made = suite()
    return LossClassifier(replace(made, reply=replace(made.reply, format=rules), **changes))


def kind(now, before="The capital of Japan is Tokyo.", *, of=None, stop="end", language="en"):
    was, is_ = (
        case_result("c", right, text, skill="facts") for right, text in ((1.0, before), (0.0, now))
    )
    is_ = replace(
        is_, case=replace(is_.case, language=language), replies=(Reply(text=now, stop=stop),)
    )
    return (of or classifier(LABELS)).classify(was, is_)


FORMAT, CONTENT = "in the trained task's format", "wrong content"
SORRY, LOOP = "I can't help with that.", "go go go go go go go go"


@every_row(
    ("now", "expected"),
    [
        ("The capital of Japan is Kyoto.", CONTENT),
        ("1867", CONTENT),
        ("refund", FORMAT),
        ("capital_of_japan", FORMAT),
        ("Tokyo_capital", CONTENT),
        ("a capital_of_japan", CONTENT),
        (" \n\t", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("Tokyo is the capital. " * 20, "repetition"),
        ("yes no yes no yes no yes no", "repetition"),
        ("Yes no yes no yes no yes", CONTENT),
        ("go Go GO go Go GO", "repetition"),
        ("Столица Японии — Киото.", "other language"),
        ("京都市で Kyo", "other language"),
        ("Kyoto 京", CONTENT),
        ("Die Hauptstadt ist Kyoto", "other language"),
        ("Die Stadt Kyoto", CONTENT),
    ],
)
def test_a_regressed_answer_has_one_kind_of_loss_that_begins_where_it_can_be_told(now, expected):
    assert kind(now) == expected


@every_row(
    ("now", "more", "expected"),
    [
        ("", {"stop": "length"}, "cut off"),
        ("Ky", {"stop": "length"}, CONTENT),
        ("", {"stop": "refusal"}, "refusal"),
        # What the base did as well is no loss.
        ("I can't tell you that.", {"before": SORRY}, CONTENT),
        ("refund", {"before": "late_delivery"}, CONTENT),
        (f"{LOOP} go", {"before": LOOP}, CONTENT),
        ("京都です。", {"before": "東京です。"}, CONTENT),
        (
            "Kyoto es la capital",
            {"before": "Tokio es la capital de Japón", "language": "es"},
            CONTENT,
        ),
    ],
)
def test_what_ended_a_reply_and_what_the_base_did_as_well_decide_its_kind(now, more, expected):
    assert kind(now, **more) == expected


def test_a_language_that_the_question_asks_in_is_no_other_language():
    german = "Die Hauptstadt von Japan ist die Stadt Kyoto im Westen."
    was, is_ = (
        case_result("c", right, text, skill="facts")
        for right, text in ((1.0, "Tokyo"), (0.0, german))
    )
    asked = {"input": "Was ist die Hauptstadt von Japan, bitte?", "language": "en"}

    for case_values in (asked, {"language": "de"}):
        answered = replace(is_, case=replace(is_.case, **case_values))
        assert classifier(LABELS).classify(was, answered) == CONTENT


@every_row(
    ("rules", "now", "expected"),
    [
        ([Rule("pydantic", "no_such_module:Model")], "[Kyoto]", FORMAT),
        ([Rule("pydantic", "no_such_module:Model")], "{Kyoto}", FORMAT),
        # A rule that cannot run on another question shows no format.
        ([Rule("pydantic", "no_such_module:Model")], "Kyoto", CONTENT),
        ([Rule("python", "absent:check")], "Kyoto", CONTENT),
        ([Rule("xml", ("label",))], "<Kyoto", FORMAT),
        ([JSON], "<Kyoto", CONTENT),
        ([JSON], '{"answer": "Kyoto"}', FORMAT),
        ([JSON], "[1, 2", FORMAT),
        ([LABELS], '{"answer": "Kyoto"}', CONTENT),
        ([Rule("regex", "Kyo.*")], "Kyoto", FORMAT),
        ([Rule("regex", "Osa.*")], "Kyoto", CONTENT),
        # Only a task with underscores in its labels makes up such labels.
        ([Rule("choice", ["billing", "refund"])], "refund", FORMAT),
        ([Rule("choice", ["billing", "refund"])], "japan_capital", CONTENT),
        ([], "refund", CONTENT),
    ],
)
def test_a_format_shows_in_labels_in_the_first_character_or_by_its_rule(rules, now, expected):
    assert kind(now, of=classifier(*rules)) == expected


def test_code_and_tool_calls_that_the_suite_checks_are_no_format_of_a_reply(tmp_path):
    (tmp_path / "looks.py").write_text("def check(reply):\n    return 'Kyoto' in reply\n")
    of = classifier(Rule("python", "looks:check"), path=tmp_path / "suite.ftgate.yaml")

    assert kind("It is Kyoto.", of=of) == CONTENT


def test_kinds_are_counted_the_commonest_first_with_examples():
    def scores(name, texts):
        rows = [case_result(f"c{i}", 0.0, text, skill="facts") for i, text in enumerate(texts)]
        return VariantScores(name, {row.case.id: row for row in rows})

    before = scores("base", [*["It is Tokyo."] * 7, "I can't tell you that."])
    after = scores("new", [*["refund"] * 6, "", "I can't help with that."])
    kinds = classifier(LABELS).count_kinds(before, after, [f"c{i}" for i in range(8)], "prompt")

    empty = LossKind(kind="empty", cases=1, share=0.125, examples=("c6",), under="prompt")
    first = tuple(f"c{i}" for i in range(5))
    assert kinds == (
        replace(empty, kind=FORMAT, cases=6, share=0.75, examples=first),
        empty,
        replace(empty, kind=CONTENT, examples=("c7",)),
    )


def test_a_regressed_result_without_a_reply_on_either_side_has_a_kind():
    said = case_result("a", 0.0, "refund", skill="reading")
    silent = replace(said, replies=(), scores=())

    assert classifier(LABELS).classify(None, silent) == "empty"
    assert classifier(LABELS).classify(None, said) == FORMAT
    assert classifier(LABELS).classify(silent, said) == FORMAT


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


def parts_of(cases, before, after, *, levels=None, groups=None, **limits):
    """Return the results of a gate with *limits*, given how many cases of each skill are right."""
    gate = ForgettingGate(line=1, cases=tuple(cases), **limits)
    sides = (samples_of(cases, *right, groups=groups) for right in (before, after))
    return skill_slices(*sides, cases, gate, levels or Levels())


def test_each_part_of_the_skills_has_its_whole_result_the_largest_drop_first():
    cases = (
        *skill_cases("facts", 40, language="de"),
        *skill_cases("sums", 40, difficulty=2, choices=4),
        *skill_cases("logic", 20, difficulty=1),
    )
    limits = {"margins": {"facts": 0.15}, "weights": {"sums": 2.0, "logic": 3.0}}
    found = parts_of(cases, (36, 30, 2), (28, 31, 1), **limits)

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
    half = p_within(paired_counts([1] * 36 + [0] * 4, [1] * 28 + [0] * 12), 0.15 / 2)
    own = {"gated": True, "margin": 0.15, "p_half": half, "required": True, "state": "regressed"}
    # A family of one skill with a limit is this skill; other skills are no parts by themselves.
    own["p_alone"] = 0.5**9
    assert found == (
        facts,
        replace(logic, p_alone=0.25),
        replace(sums, p_alone=0.75),
        replace(facts, kind="skill", family="facts", **own),
        replace(logic, kind="skill", name="logic", family="reasoning"),
        replace(sums, kind="skill", family="sums"),
        replace(logic, kind="difficulty", name="1", weight=0.0),
        replace(sums, kind="difficulty", name="2", weight=0.0),
        replace(facts, kind="language", name="de", weight=0.0),
    )


def test_the_p_values_of_the_tested_parts_are_corrected_for_their_number():
    cases = [case for skill in ("facts", "sums", "logic") for case in skill_cases(skill, 40)]
    found = parts_of(cases, (40, 40, 40), (33, 35, 34), margins={"facts": 0.1, "sums": 0.1})

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
        (20, 0, "uninformative"),
        (21, 0, "regressed"),
        (100, 80, "regressed"),
        (100, 81, "inconclusive"),
        (100, 98, "kept"),
    ],
)
def test_a_limit_is_reached_by_a_drop_of_as_much_and_needs_more_than_that_to_lose(
    right, now, state
):
    cases, levels = skill_cases("facts", 100), Levels(alarm=0.05)
    (_, facts) = parts_of(cases, [right], [now], levels=levels, margins={"facts": 0.2})

    assert facts.state == state


@every_row(("groups", "state"), [(9, "inconclusive"), (10, "regressed")])
def test_a_skill_of_fewer_than_ten_groups_is_open(groups, state):
    labels = np.array([f"g{i % groups}" for i in range(90)])
    cases, margins = skill_cases("facts", 90), {"facts": 0.1}
    (_, facts) = parts_of(cases, [90], [0], groups=labels, margins=margins)

    assert facts.state == state


def test_cases_without_a_reply_on_either_side_belong_to_no_slice():
    cases = skill_cases("facts", 40)
    before, after = samples_of(cases, 40), samples_of(cases, 40)
    before.values[:3] = np.nan
    after.values[2:5] = np.nan
    gate = ForgettingGate(line=1, cases=tuple(cases))

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
    assert skill_retention([sample(5, 5, weight=0.0)]) is skill_retention([]) is None


# Lucky guesses among choices hide losses ----------------------------------------------------------

FOUR, OPEN = skill_cases("four", 400, choices=4), skill_cases("open", 400)
GUESSED = ForgettingGate(line=1, cases=(*FOUR, *OPEN), max_drop=0.10)


def test_a_guess_is_right_in_one_of_as_many_cases_as_there_are_choices():
    assert guess_share(FOUR) == 0.25
    assert guess_share(OPEN) == guess_share(()) == 0
    assert guess_share(GUESSED.cases) == 0.125


def test_the_same_loss_of_answers_is_a_larger_loss_of_ability_where_one_may_guess():
    def found(before, after):
        sides = (samples_of(GUESSED.cases, right, right) for right in (before, after))
        slices = skill_slices(*sides, GUESSED.cases, GUESSED, Levels())
        return {part.name: (part.state, part.margin) for part in slices if part.kind == "family"}

    # 8 points of right answers: 10.7 points of what was known among four choices.
    assert found(300, 268) == {
        "four": ("regressed", pytest.approx(0.075)),
        "open": ("inconclusive", pytest.approx(0.10)),
    }
    assert found(110, 100)["four"][0] == "uninformative"


# The mean over skills ----------------------------------------------------------------------------


def mean_of(before, after, *, groups=None, sizes, **weights):
    """Return the mean over skills a, b … of *sizes*, of which so many cases are right."""
    cases = [one for skill, n in zip("abc", sizes, strict=False) for one in skill_cases(skill, n)]
    gate = ForgettingGate(line=1, cases=tuple(cases), weights=weights)
    sides = [samples_of(cases, *right, groups=groups) for right in (before, after)]
    return SkillWeights(gate, cases).pair(*sides)


@every_row(
    ("sizes", "weights"), [((100, 100), {}), ((50, 500), {"b": 10.0}), ((30, 90), {"a": 1 / 3})]
)
def test_cases_of_one_weight_are_counted_over_all_skills(sizes, weights):
    found = mean_of(sizes, [n - 5 for n in sizes], sizes=sizes, **weights)

    total = sum(sizes)
    assert found.countable
    assert (found.n, found.fixed, found.regressed, found.effective) == (total, 0, 10, total)
    assert p_drop(found) == mcnemar_midp(0, 10)


def test_a_mean_over_uneven_skills_is_a_bounded_mean_in_which_each_case_has_its_share():
    found = mean_of((50, 500), (45, 500), sizes=(50, 500))

    assert (found.n, found.countable, found.delta) == (550, False, pytest.approx(-0.05))
    # A case of the small skill weighs 5.5, one of the other 0.55.
    values, counts = [5.5 * 0.1, 5.5 * -0.9, 0.55 * 0.1], [45, 5, 500]
    unit = unseen_unit(np.repeat([5.5, 0.55], [50, 500]), 0.1)
    assert p_noninferior(found, 0.1) == pytest.approx(p_mean(values, -0.9 * unit, counts), abs=1e-6)

    heavy = mean_of((50, 500), (45, 500), sizes=(50, 500), a=3.0)
    assert heavy.delta == pytest.approx(-0.075)


def test_a_skill_without_replies_leaves_the_mean_to_the_others():
    cases = [*skill_cases("a", 20), *skill_cases("b", 40), *skill_cases("c", 10)]
    weights = SkillWeights(ForgettingGate(line=1, cases=tuple(cases)), cases)
    before, after = (samples_of(cases[:60], *right) for right in ((20, 40), (20, 30)))

    assert weights.pair(before, after).delta == pytest.approx(-0.125)


def test_groups_are_units_of_the_mean_whatever_skill_they_are_in():
    groups = np.arange(120) // 5

    found = mean_of((60, 60), (60, 55), sizes=(60, 60), groups=groups)

    assert (found.groups, found.countable) == (24, True)
    assert found.whole.lost == pytest.approx(5 / 120)


def test_the_mean_weighs_a_skill_with_choices_more_and_allows_less():
    assert SkillWeights(GUESSED, GUESSED.cases).shown == pytest.approx(2 / (1 / 0.75 + 1))
    assert SkillWeights(GUESSED, OPEN).shown == 1
