"""The probe: what must be known of tuned variants before their requests can be planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import Diagnostic, FtgateError, SuiteError
from pytest_ftgate.requests.reply import answered
from pytest_ftgate.requests.request import CaseRequest, distinct_requests, group_by_adapter
from pytest_ftgate.requests.request_groups import ROOM_TO_THINK, Workload, is_known_to_think
from pytest_ftgate.runner.accepted_records import AcceptedRecords
from pytest_ftgate.runner.planner import BuiltRequests, Plan, TunedFacts
from pytest_ftgate.runner.replies import Replies
from pytest_ftgate.scoring.scores import score_replies, skill_score
from pytest_ftgate.suite.gate_kinds import skills_gate
from pytest_ftgate.suite.model import Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import AcceptedRecord
    from pytest_ftgate.suite.skill_levels import LevelChoice

_Variants = Iterable[tuple[Suite, Variant]]


class Probe:
    """Finds the facts of tuned variants, and makes plans with them.

    Facts are those of the accepted record, else what the replies to probes and pilots show. They
    are frozen: a plan that was made before the replies came has older facts.
    """

    def __init__(self, built: BuiltRequests, replies: Replies, records: AcceptedRecords) -> None:
        self._built, self._replies, self._records = built, replies, records
        self._rooms: dict[tuple[str, str], int] = {}
        self._kept_rooms: set[tuple[str, str]] = set()
        self._levels: dict[tuple[str, str], tuple[LevelChoice, ...]] = {}

    def plan(self, suite: Suite, variant: Variant) -> Plan:
        """Return the plan of *variant*, with what is known by now.

        Raises:
            FtgateError: the accepted record is not valid, or the probes cannot be built.
        """
        facts = self.facts(suite, variant) if variant.tuned else TunedFacts()
        return Plan(suite, variant, facts, self._built)

    def facts(self, suite: Suite, variant: Variant) -> TunedFacts:
        """Return what is known of *variant*, which is tuned, and of its base.

        Raises:
            FtgateError: as for `plan`.
        """
        key = (suite.name, variant.name)
        plan = self._first_plan(suite, variant)
        if key not in self._rooms:
            self._rooms[key] = self._choose_room(plan)
        plan = replace(plan, facts=replace(plan.facts, room=self._rooms[key]))
        if leveled_skills(suite) and key not in self._levels:
            self._levels[key] = self._choose_levels(plan)
        return replace(plan.facts, levels=self._levels.get(key, ()))

    def keep_room(self, suite: Suite, variant: Variant, room: int) -> None:
        """Take the *room* to think of a tuned variant and its base that an earlier run chose."""
        key = (suite.name, variant.name)
        self._rooms[key] = room
        self._kept_rooms.add(key)

    def first_probes(self, suite: Suite, variant: Variant) -> tuple[Workload, ...]:
        """Return the requests that show whether *variant*, which is tuned, and its base think."""
        return self._first_plan(suite, variant).first_probes

    def _first_plan(self, suite: Suite, variant: Variant) -> Plan:
        """Return the plan of what is sent before anything is known."""
        is_kept = (suite.name, variant.name) in self._kept_rooms
        return Plan(suite, variant, TunedFacts(is_kept=is_kept), self._built)

    def ask_first_probes(self, variants: _Variants) -> None:
        """Wait for the replies that show whether tuned variants think; once for each."""
        groups = list[Workload]()
        for suite, variant in variants:
            if variant.tuned:
                # The setup of the gate reports the error.
                with suppress(FtgateError):
                    groups += self.first_probes(suite, variant)
                    if (key := (suite.name, variant.name)) not in self._kept_rooms:
                        self._rooms.pop(key, None)
        self._ask(groups)

    def ask_pilots(self, variants: _Variants) -> None:
        """Wait for the replies by which the bases of tuned variants choose the levels of skills."""
        groups = list[Workload]()
        for suite, variant in variants:
            # The setup of the gate reports the error.
            with suppress(FtgateError):
                if variant.tuned and leveled_skills(suite):
                    if self._accepted_levels(suite, variant) is None:
                        groups.append(self.plan(suite, variant).pilot)
                    self._levels.pop((suite.name, variant.name), None)
        self._ask(groups)

    def _ask(self, groups: Iterable[Workload]) -> None:
        groups = list(groups)
        requests = distinct_requests(chain.from_iterable(groups))
        self._replies.engine.submit(group_by_adapter(requests))
        # The first line of a log counts what is sent afterwards.
        with self._replies.show_progress(None):
            for group in groups:
                self._replies.results(group)

    def _choose_room(self, plan: Plan) -> int:
        """Return the tokens that a tuned variant and its base may think in.

        They are those of the accepted record, else a fixed number if the model is known or seen to
        think, else 0.
        """
        record = self._record(plan.suite, plan.variant)
        if record and plan.variant.declared_name in record.rooms:
            return record.rooms[plan.variant.declared_name]
        if is_known_to_think(plan.variant):
            return ROOM_TO_THINK
        probes = [*chain.from_iterable(plan.first_probes)]
        replies = answered(probes, self._replies.known_replies(probes))
        return ROOM_TO_THINK if any(reply.thinks for _, reply in replies) else 0

    def _choose_levels(self, plan: Plan) -> tuple[LevelChoice, ...]:
        """Return the levels of skills: those of the accepted record, else those of the pilot."""
        accepted = self._accepted_levels(plan.suite, plan.variant)
        if accepted:
            return accepted
        return _piloted_choices(plan.suite, plan.pilot, self._replies.known_replies(plan.pilot))

    def _accepted_levels(self, suite: Suite, variant: Variant) -> tuple[LevelChoice, ...] | None:
        """Return the levels of the accepted record; None if it lacks a family of *suite*."""
        record = self._record(suite, variant)
        levels = record.skill_levels.get(variant.declared_name, {}) if record else {}
        families = leveled_skills(suite)
        if record is None or not levels.keys() >= {*families}:
            return None
        from pytest_ftgate.suite.skill_levels import LevelChoice

        return tuple(LevelChoice(family, levels[family] or None) for family in families)

    def _record(self, suite: Suite, variant: Variant) -> AcceptedRecord | None:
        """Return the accepted record, if this run goes on with what it holds of a base.

        Raises:
            SuiteError: the record is not valid, or these figures are of a base in another engine.
        """
        record, name = self._records.kept(suite), variant.declared_name
        if record is None or name not in record.rooms.keys() | record.skill_levels.keys():
            return record
        from pytest_ftgate.gates.identity import identity_facts

        facts = [one.facts for one in record.verdicts if one.variant == name]
        probes = self._first_plan(suite, variant).first_probes
        asked = next(chain.from_iterable(probes), None)
        then = next((one for one in facts if "provider" in one), None)
        if (
            asked is None
            or then is None
            or (old := engine(then)) == (now := engine(identity_facts([asked], {})))
        ):
            return record
        message = (
            f"{name}: the room to think and the levels of skills were chosen by its base in {old}, "
            f"and this run asks {now}; engines and quantisations answer differently without any "
            "training. Accept a run again (pytest --ftgate --ftgate-accept), or go back to the "
            "engine of then"
        )
        raise SuiteError(suite.name, [Diagnostic(suite.accepted_path.name, 0, message)])


def engine(facts: Mapping[str, str]) -> str:
    """Return what computes the replies of a variant with such *facts*, and of its base.

    A model that is no adapter on a base has a name of its own, of each training another one.
    """
    provider, model = facts.get("provider", ""), facts.get("model", "")
    return f"{model} ({provider})" if "adapter" in facts else provider


def leveled_skills(suite: Suite) -> tuple[str, ...]:
    """Return the families of skills of *suite* whose level the base chooses."""
    gate = skills_gate(suite)
    return gate.leveled if gate else ()


def _piloted_choices(
    suite: Suite, requests: Iterable[CaseRequest], replies: Mapping[str, Result]
) -> tuple[LevelChoice, ...]:
    """Return the levels that a base chooses by its *replies* to the *requests* of the pilot.

    The replies are by fingerprint. Levels of a family without any are assumed.
    """
    from pytest_ftgate.suite.skill_levels import choose_levels, pilot_cases

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
