"""Families of skills in the forgetting gate: which are tested, which fail, and what is named."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import replace

from ftgate_testing.score_columns import skill_scores, suite, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import shared_levels
from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.skills import SkillResults, skill_results_by_prompt, skill_table
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import MIN_FAMILY_CASES, ForgettingGate

GATE = ForgettingGate(line=9, cases=(), max_drop=0.10)
#: Two families of 140 cases, and one of 60.
KEPT = {"logic": (42, 28), "arithmetic": (42, 28), "reading": (84, 56), "code_reading": (36, 24)}


def evaluate(after: dict[str, tuple[int, int]], *, before=KEPT, **keys) -> Verdict:
    gate = replace(GATE, **keys)
    scores = {"": (skill_scores("new", {**before, **after}), skill_scores("base", before))}
    return evaluate_forgetting(suite(gate), gate, SkillComparison(scores))


def families(verdict: Verdict):
    return {part.name: part for part in verdict.slices if part.kind == "family"}


def states(verdict: Verdict) -> dict[str, str]:
    return {name: part.state for name, part in families(verdict).items()}


# What is tested ---------------------------------------------------------------------------------


def test_a_family_is_tested_from_120_cases_on_and_its_skills_are_described() -> None:
    verdict = evaluate({})

    assert states(verdict) == {"reasoning": "kept", "language": "kept", "code": "untested"}
    assert families(verdict)["reasoning"].n == 140
    assert {part.state for part in verdict.slices if part.kind == "skill"} == {"untested"}
    assert {part.name for part in verdict.slices if part.gated} == {"reasoning", "language"}


@every_row(("cases", "is_tested"), [(119, False), (120, True)])
def test_the_number_of_cases_that_were_asked_counts(cases, is_tested) -> None:
    before = {"reading": (cases, 0), "logic": (130, 0)}
    after = without_replies(skill_scores("new", before), ["reading-0"])
    scores = {"": (after, skill_scores("base", before))}
    verdict = evaluate_forgetting(suite(GATE), GATE, SkillComparison(scores))

    assert families(verdict)["language"].n == cases - 1
    assert families(verdict)["language"].gated is is_tested


def test_a_skill_that_may_be_lost_is_no_part_of_its_family() -> None:
    verdict = evaluate({"arithmetic": (0, 70)}, may_lose=("arithmetic",))

    assert families(verdict)["reasoning"].n == 70
    assert states(verdict)["reasoning"] == "untested"
    assert verdict.outcome is Outcome.PASSED


def test_a_single_family_or_one_of_a_single_skill_is_tested_once() -> None:
    verdict = evaluate({}, before={"logic": (42, 28), "arithmetic": (42, 28)})

    assert states(verdict) == {"reasoning": "untested"}

    verdict = evaluate({}, margins={"reading": 0.15})
    tested = {(part.kind, part.name): part.margin for part in verdict.slices if part.gated}

    assert tested == {("family", "reasoning"): 0.10, ("skill", "reading"): 0.15}


def test_a_family_with_a_limit_is_tested_however_few_its_cases_and_must_keep_it() -> None:
    verdict = evaluate({}, family_margins={"code": 0.2, "language": 0.15})
    margins = {part.name: (part.margin, part.required) for part in verdict.slices if part.gated}

    assert margins == {"reasoning": (0.10, False), "language": (0.15, True), "code": (0.2, True)}
    told = "The family language (140) has a limit of its own: a drop of 15 points must be ruled out"
    assert told in " ".join(explain(verdict))
    unsure = evaluate({"code_reading": (30, 30)}, family_margins={"code": 0.05})
    assert states(unsure)["code"] == "inconclusive"
    assert unsure.outcome is Outcome.INCONCLUSIVE


def test_families_take_one_share_of_the_alarm_and_each_bundled_one_has_enough_cases() -> None:
    whole = replace(GATE, cases=skill_cases(("general",)))
    sizes = Counter(str(case.skill) for case in whole.cases)
    family_sizes = Counter(whole.family_of(str(case.skill)) for case in whole.cases)

    assert len(whole.tested_parts(sizes)) == 5
    assert shared_levels(suite(whole)).shared == 2
    assert set(family_sizes) == {"code", "instructions", "knowledge", "language", "reasoning"}
    assert min(family_sizes.values()) >= MIN_FAMILY_CASES


# What fails -------------------------------------------------------------------------------------


def test_a_regressed_family_fails_though_the_mean_holds() -> None:
    lost = {"logic": (21, 49), "arithmetic": (21, 49), "reading": (112, 28)}
    verdict = evaluate(lost, max_drop=0.2)

    assert verdict.check.outcome is not Outcome.FAILED
    assert states(verdict)["reasoning"] == "regressed"
    assert verdict.outcome is Outcome.FAILED
    assert headline(verdict).endswith("; but regressed: reasoning down 30 (23 to 38)")
    told = "A drop is shown in family reasoning (Holm over 2 tested parts)"
    assert told in " ".join(explain(verdict))


def test_a_shown_drop_fails_a_family_only_if_it_reaches_the_limit() -> None:
    before = {"logic": (1200, 0), "reading": (1200, 0)}
    inside = evaluate({"logic": (1081, 119)}, before=before)
    beyond = evaluate({"logic": (1080, 120)}, before=before)

    assert families(inside)["reasoning"].p_drop < 1e-6
    assert states(inside)["reasoning"] == "inconclusive"
    assert states(beyond)["reasoning"] == "regressed"


def test_a_family_is_held_to_no_stricter_limit_than_the_mean_and_blocks_only_if_regressed() -> None:
    lost = {"logic": (34, 36), "arithmetic": (34, 36)}

    assert families(evaluate(lost, max_drop=0.05))["reasoning"].margin == 0.10
    assert families(evaluate(lost, max_drop=0.15))["reasoning"].margin == 0.15

    verdict = evaluate({"logic": (34, 36), "arithmetic": (38, 32)}, max_drop=0.12)

    assert states(verdict)["reasoning"] == "inconclusive"
    assert verdict.outcome is Outcome.PASSED


# What is named ----------------------------------------------------------------------------------


def test_a_failed_gate_names_what_clearly_fell_largest_drop_first() -> None:
    verdict = evaluate({"logic": (0, 70), "arithmetic": (7, 63), "reading": (60, 80)})

    told = "; clearly fell: reasoning down 55 (47 to 63), language down 17 (12 to 24)"
    assert headline(verdict).endswith(told)


#: A family of one skill of 14 cases.
FACTS = {"world_facts": (14, 0)}


@every_row(
    ("before", "after", "told"),
    [
        (FACTS, {"world_facts": (7, 7)}, "clearly fell: knowledge down 50 (18 to 73)"),
        # A family needs no 120 cases to be named: 6 of 14 are nearly as clear as 9 of 140.
        (FACTS, {"world_facts": (8, 6)}, "clearly fell: knowledge down 43 (12 to 67)"),
        (FACTS, {"reading": (75, 65)}, "clearly fell: language down 6 (3 to 12)"),
        (FACTS, {"world_facts": (9, 5)},
         "1 of 4 parts may have fallen (by chance: at most 0.1): knowledge down 36 (6 to 61)"),
        (FACTS, {"world_facts": (9, 5), "code_reading": (29, 31)},
         "clearly fell: knowledge down 36 (6 to 61), code down 12 (5 to 22)"),
        # A skill has no test of its own, but half of it is gone.
        ({}, {"arithmetic": (20, 50)},
         "clearly fell: reasoning down 16 (11 to 23); half gone: arithmetic 60 → 29 %"),
        # Four of 14 cases, three right answers, and a tenth of them right before may be chance.
        (FACTS, {"world_facts": (10, 4)}, ""),
        ({"world_facts": (5, 9)}, {"world_facts": (2, 12)}, ""),
    ],
)  # fmt: skip
def test_a_passed_gate_names_the_parts_that_fell_and_the_skills_of_which_half_is_gone(
    before, after, told
) -> None:
    verdict = evaluate(after, before={**KEPT, **before}, max_drop=0.2)

    assert verdict.outcome is Outcome.PASSED
    assert headline(verdict).partition("; ")[2] == told


def test_the_parts_of_both_prompts_are_corrected_together() -> None:
    gate = replace(GATE, under_prompt=True)
    lost = {**KEPT, "logic": (37, 33)}
    sides = (skill_scores("new", lost), skill_scores("base", KEPT))
    once = evaluate_forgetting(suite(GATE), GATE, SkillComparison({"": sides}))
    both = evaluate_forgetting(suite(gate), gate, SkillComparison({"": sides, "prompt": sides}))

    def names(verdict: Verdict) -> list[str]:
        return [part.named for part in verdict.slices if part.name == "reasoning"]

    assert (names(once), names(both)) == (["clearly"], ["perhaps", "perhaps"])
    told = "If none of 6 parts were down, any would be named as clearly fallen at most about once"
    assert told in " ".join(explain(both))
    assert "If none of" not in " ".join(explain(evaluate({})))


def test_skills_without_a_limit_and_those_that_may_be_lost_are_no_parts() -> None:
    lost = {"logic": (10, 60), "arithmetic": (35, 35)}
    verdict = evaluate(lost, margins={"arithmetic": 0.2}, may_lose=("code_reading",))
    named = {part.name: part.named for part in verdict.slices if part.p_alone is not None}

    assert named == {"reasoning": "clearly", "language": "", "arithmetic": "clearly"}


# How it is shown --------------------------------------------------------------------------------


def shown(verdict: Verdict) -> SkillResults:
    (results,) = skill_results_by_prompt(verdict)
    return results


def table_names(verdict: Verdict, verbosity: int) -> list[str]:
    """Return the first cells of the table of families."""
    lines = verdict_section(verdict, verbosity).split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("  family"))
    rows = itertools.takewhile(lambda line: "%" in line, lines[start + 1 :])
    return [re.split("  +", row.strip())[0] for row in rows]


def test_skills_have_rows_with_v_or_a_limit_and_no_verdict_of_their_own() -> None:
    verdict = evaluate({"arithmetic": (20, 50)})

    assert table_names(verdict, 0)[:3] == ["reasoning", "language", "code_reading"]
    assert table_names(verdict, 1)[:3] == ["reasoning", "· arithmetic", "· logic"]

    verdict = evaluate({}, margins={"logic": 0.2})
    (line,) = (line for line in verdict_section(verdict).split("\n") if "· logic" in line)

    assert line.endswith("kept")
    assert "· arithmetic" not in verdict_section(verdict)

    verdict = evaluate({"logic": (34, 36), "arithmetic": (38, 32)}, max_drop=0.12)
    verdicts = {row[0]: row[-1] for row in skill_table(shown(verdict)).rows}

    assert verdicts["reasoning"] == "inconclusive"
    assert [cell for name, cell in verdicts.items() if name.startswith("· ")] == ["", ""]


def test_the_section_and_the_explanation_tell_which_families_are_tested() -> None:
    some, none = evaluate({}), evaluate({}, before={"logic": (40, 10), "reading": (40, 10)})

    assert [part.name for part in shown(some).untested] == ["code_reading"]
    assert [part.name for part in shown(none).untested] == ["logic", "reading"]
    told = " ".join(explain(some))
    assert "Each family of 120 cases or more is tested as well: " in told
    assert "a family is tested only as a part of the mean: code_reading (60)." in told
