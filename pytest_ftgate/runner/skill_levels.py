"""The levels of general skills, chosen by the replies of a base to its pilot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from pytest_ftgate.client.results import Result
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.scoring.scores import score_replies, skill_score
from pytest_ftgate.suite.gate_kinds import skills_gate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.skill_levels import LevelChoice, choose_levels, pilot_cases


def leveled_skills(suite: Suite) -> tuple[str, ...]:
    """Return the families of skills of *suite* whose level the base chooses."""
    gate = skills_gate(suite)
    return gate.leveled if gate else ()


def accepted_choices(suite: Suite, levels: Mapping[str, int]) -> tuple[LevelChoice, ...] | None:
    """Return the choices of an accepted record, or None if it lacks a family of *suite*."""
    families = leveled_skills(suite)
    if not levels.keys() >= {*families}:
        return None
    return tuple(LevelChoice(family, levels[family] or None) for family in families)


def piloted_choices(
    suite: Suite, requests: Sequence[CaseRequest], replies: Mapping[str, Result]
) -> tuple[LevelChoice, ...]:
    """Return the levels that a base chooses by its *replies* to the *requests* of the pilot.

    The replies are by fingerprint. Levels of a family without any are assumed.
    """
    gate = skills_gate(suite)
    if gate is None:
        return ()
    asked = [case_request for case_request in requests if case_request.fingerprint in replies]
    results = score_replies("base", asked, replies, suite.path.parent).results
    scores = {
        case_id: fmean(
            skill_score(result.case, reply, score)
            for reply, score in zip(result.replies, result.scores, strict=True)
        )
        for case_id, result in results.items()
        if result.scores
    }
    return choose_levels(gate, pilot_cases(gate), scores)
