"""The workload of each gate, computed once for each suite and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.gates.design import MUST_PASS_REPEATS, Look, plan_looks
from pytest_ftgate.requests.builder import RequestBuilder, conversation_request
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import (
    PROBE_COUNT,
    PROBE_STAGES,
    Workload,
    base_name,
    base_variant,
    is_known_to_think,
    probe_requests,
    replies_vary,
    same_seed_requests,
    side_repeats,
    skill_requests,
    task_requests,
    with_room,
)
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import data_gate, skills_gate
from pytest_ftgate.suite.model import Case, Gate, Suite, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.skill_levels import LevelChoice, cases_at, limit_notes, pilot_cases

#: The number of replies of each side that show whether a model thinks.
_FIRST_PROBES = 3
_Requests = tuple[CaseRequest, ...]
_Choices = tuple[LevelChoice, ...]


@dataclass(frozen=True, slots=True)
class GateRun:
    """One gate of one variant of one suite: what a test item evaluates.

    Attributes:
        suite: the suite with the requests.
        look: the look of a marked function; None for a gate of a suite file.
        function_suite: for a marked function, the suite with its own cases and scores.
        planned: True if the requests are known before the run; False for a function that
            holds a conversation.
    """

    suite: Suite
    gate: Gate
    variant: Variant
    look: Look | None = None
    function_suite: Suite | None = None
    planned: bool = True

    @property
    def name(self) -> str:
        """The name of the gate in its suite."""
        return self.gate.name

    @property
    def gate_suite(self) -> Suite:
        """The suite with the cases and limits that the statistics use."""
        return self.function_suite or self.suite


def gate_runs_of(suite: Suite) -> list[GateRun]:
    """Return the gates of all variants of *suite*."""
    variants = suite.variants.values()
    return [
        GateRun(suite, gate, variant) for variant in variants for gate in suite.gates_for(variant)
    ]


def needs_baseline(gate_run: GateRun) -> bool:
    """Return True if the gate, or a pairwise judge, compares with the baseline's replies."""
    has_judges = gate_run.gate.reads_grades and not gate_run.function_suite
    judges = gate_run.suite.judges if has_judges else ()
    return gate_run.gate.compares(gate_run.variant) or any(judge.is_pairwise for judge in judges)


def full_look(suite: Suite) -> Look:
    """Return the look that takes in the regular requests of every case."""
    return Look(repeats=suite.repeats or 1)


class Workloads:
    """Builds the requests of gates and caches them: gates of a suite share most of them.

    Addresses come from *environ*. *choose_room* returns the tokens that a tuned variant and its
    base may think in before they answer a skill case, *choose_levels* the levels of the families
    of skills that have some.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        choose_room: Callable[[Suite, Variant], int] = lambda _suite, _variant: 0,
        choose_levels: Callable[[Suite, Variant], _Choices] = lambda _suite, _variant: (),
    ) -> None:
        self._environ, self._choose_room = environ, choose_room
        self._choose_levels = choose_levels
        self._rooms: dict[tuple[str, str], int] = {}
        self._kept_rooms: set[tuple[str, str]] = set()
        self._levels: dict[tuple[str, str], _Choices] = {}
        self._groups: dict[object, list[_Requests]] = {}
        self._requests: dict[tuple[str, str, object], Workload | FtgateError] = {}
        self._probe_stages: dict[tuple[str, str], list[tuple[_Requests, ...]]] = {}
        self._turn_builders: dict[tuple[str, str], Callable[..., CaseRequest]] = {}
        self._contaminated: dict[tuple[str, Path], frozenset[str]] = {}

    def looks(self, gate_run: GateRun) -> tuple[Look, ...]:
        """Return the looks of a gate; the last one takes in all of its requests."""
        suite = gate_run.suite
        if gate_run.look is not None:
            return (gate_run.look,)
        variants = (gate_run.variant, suite.variants[suite.baseline])
        vary = any(replies_vary(variant) for variant in variants)
        return plan_looks(suite, gate_run.gate, replies_vary=vary)

    def gate_requests(self, gate_run: GateRun, look: Look | None = None) -> list[_Requests]:
        """Return all requests that the evaluation of *gate_run* needs, a group for each side.

        Groups with the same requests have the same key, so that each is processed once. *look* is
        the look to evaluate; the gate's first look by default.

        Raises:
            FtgateError: no request to the variant can be built.
        """
        if not gate_run.gate.sends_requests:
            return []
        look = look or self.looks(gate_run)[0]
        gate = (gate_run.suite.key, gate_run.variant.name, gate_run.gate.kind)
        key = (*gate, gate_run.gate.has_comparison, gate_run.planned, look.cases, look.repeats)
        if key not in self._groups:
            self._groups[key] = [*map(Workload.of, self._build_groups(gate_run, look))]
        return self._groups[key]

    def _build_groups(self, gate_run: GateRun, look: Look) -> list[_Requests]:
        suite, variant, gate = gate_run.suite, gate_run.variant, gate_run.gate
        groups: list[_Requests] = []
        if gate.reads_base_replies:
            groups += self.base_reply_requests(suite, variant, gate)[:1]
        elif gate.skill_cases:
            groups += [
                self.skill_requests(suite, side, gate, mode)
                for mode in gate.prompt_modes
                for side in (base_variant(variant), variant)
            ]
        elif gate_run.planned:
            if needs_baseline(gate_run):
                groups.append(self.task_requests(suite, suite.variants[suite.baseline], look))
            groups.append(self.task_requests(suite, variant, look))
            same_seed = same_seed_requests(groups[-1])[1]
            groups += [same_seed] if same_seed else []
        if variant.tuned and not variant.is_proven:
            groups += self.probe_stages(suite, variant)[0]
        if variant.tuned and self.room_to_think(suite, variant):
            # Exported with the others, since a later run chooses the room to think by them.
            groups += self.first_probes(suite, variant)
        if gate.skill_cases and any(
            choice.rate is not None or choice.is_assumed
            for choice in self.level_choices(suite, variant)
        ):
            groups.append(self.pilot_requests(suite, variant))
        return groups

    def base_reply_requests(
        self, suite: Suite, variant: Variant, gate: Gate
    ) -> tuple[_Requests, _Requests]:
        """Return the greedy requests to the base of a tuned variant, and the same to the variant.

        The variant is not sent its own: it reads the replies of the base.
        """
        base = self._base_reply_requests(suite, base_variant(variant), gate)
        return base, self._base_reply_requests(suite, variant, gate)

    def _base_reply_requests(self, suite: Suite, side: Variant, gate: Gate) -> Workload:
        greedy = _greedy(side)
        if gate.evaluated_cases(suite.cases) == suite.cases:
            return self._cached(
                (suite.key, side.name, "divergence on cases"),
                lambda: task_requests(suite, greedy, self._environ),
            )
        room, cases = self.room_to_think(suite, side), gate.evaluated_cases(suite.cases)
        return self._skill_requests(suite, greedy, cases, room, "divergence on skills")

    def first_probes(self, suite: Suite, variant: Variant) -> tuple[_Requests, ...]:
        """Return a few requests to a tuned variant and its base that show whether they think.

        They leave no room to think; none are needed if the suite itself decides.
        """
        gate, spec = skills_gate(suite), provider_spec(variant.provider)
        is_chosen = (suite.name, variant.name) in self._kept_rooms or is_known_to_think(variant)
        if not spec.prompted or (gate and gate.max_tokens) or is_chosen:
            return ()
        groups = self._identity_probes(suite, variant, room=0, levels=False)
        step = PROBE_STAGES[0] if variant.base_replies is None else 1
        # The variant, then its base, whose recorded replies need no request.
        sides = groups[:2] if variant.base_replies is None else groups[:1]
        return tuple(Workload.of(group[::step][:_FIRST_PROBES]) for group in sides)

    def keep_room(self, suite: Suite, variant: Variant, room: int) -> None:
        """Take the *room* to think of a tuned variant and its base that an earlier run chose."""
        key = (suite.name, variant.name)
        self._rooms[key] = room
        self._kept_rooms.add(key)

    def room_to_think(self, suite: Suite, variant: Variant) -> int:
        """Return the room to think of a tuned variant, or of its base; it is chosen once for both.

        Raises:
            FtgateError: the accepted record is not valid, or the requests cannot be built.
        """
        tuned = _tuned_variant(suite, variant)
        if tuned is None:
            return 0
        key = (suite.name, tuned.name)
        if key not in self._rooms:
            self._rooms[key] = self._choose_room(suite, tuned)
        return self._rooms[key]

    def level_choices(self, suite: Suite, variant: Variant) -> _Choices:
        """Return the levels that the base of a tuned variant chooses, once for both.

        Raises:
            FtgateError: the accepted record is not valid, or the requests cannot be built.
        """
        gate, tuned = skills_gate(suite), _tuned_variant(suite, variant)
        if gate is None or not gate.leveled or tuned is None:
            return ()
        key = (suite.name, tuned.name)
        if key not in self._levels:
            self._levels[key] = self._choose_levels(suite, tuned)
        return self._levels[key]

    def pilot_requests(self, suite: Suite, variant: Variant) -> Workload:
        """Return the requests to the base of a tuned variant that choose the levels of skills."""
        gate, base = skills_gate(suite), base_variant(variant)
        cases = pilot_cases(gate) if gate else ()
        room = self.room_to_think(suite, variant)
        return self._skill_requests(suite, base, cases, room, "pilot")

    def _chosen_cases(self, suite: Suite, variant: Variant, gate: Gate) -> tuple[Case, ...]:
        """Return the skill cases of *gate*, those with levels at the levels of the base.

        Raises:
            ConfigurationError: the base is too weak for all of them.
        """
        if not gate.leveled:
            return gate.skill_cases
        choices = self.level_choices(suite, variant)
        cases = cases_at(gate, choices)
        if not cases:
            weak = "; ".join(limit_notes(choices))
            raise ConfigurationError(f"{weak}; write skills: general-small")
        return cases

    def probe_stages(self, suite: Suite, variant: Variant) -> list[tuple[_Requests, ...]]:
        """Return the identity probes of a tuned variant: a few, then more, then all of them.

        Each stage has a group for the variant, for its base, and for the base again. A recorded
        base cannot answer again: there is one stage of two groups.
        """
        key = (suite.key, variant.name)
        if key not in self._probe_stages:
            room = self.room_to_think(suite, variant)
            groups = self._identity_probes(suite, variant, room)
            steps = PROBE_STAGES if variant.base_replies is None else (1,)
            self._probe_stages[key] = [
                tuple(Workload.of(group[::step]) for group in groups) for step in steps
            ]
        return self._probe_stages[key]

    def identity_probes(self, gate_run: GateRun) -> list[CaseRequest]:
        """Return the first identity probes of a gate, those of the base first; [] for no tuned."""
        variant = gate_run.variant
        if not variant.tuned or variant.is_proven or not gate_run.gate.sends_requests:
            return []
        of_variant, *of_base = self.probe_stages(gate_run.suite, variant)[0]
        return [case_request for group in (*of_base, of_variant) for case_request in group]

    def _identity_probes(
        self, suite: Suite, variant: Variant, room: int, *, levels: bool = True
    ) -> tuple[_Requests, ...]:
        gate, base = skills_gate(suite), base_variant(variant)
        cases = tuple(case for case in gate.cases if not gate.leveled) if gate else ()
        if variant.base_replies is not None:
            # All cases: recorded replies are free, and one difference is enough.
            if gate and gate.leveled:
                # Without room they show whether the model thinks, before levels are chosen.
                cases = self._chosen_cases(suite, variant, gate) if levels else gate.cases
            return tuple(
                skill_requests(suite, side, with_room(suite, side, cases, room), self._environ)
                for side in (variant, base)
            )
        # A few cases of the suite show little, so the bundled skills replace them.
        cases = cases if len(cases) >= PROBE_COUNT else skill_cases(("general-small",))
        # At temperature 0, because random sampling would hide a difference of the weights.
        of_base, of_variant = (
            self._skill_requests(suite, _greedy(side), cases, room, ("greedy", room))
            for side in (base, variant)
        )
        repeated = probe_requests(of_base)
        chosen = {case_request.case.id for case_request in repeated}
        groups = [
            tuple(case_request for case_request in group if case_request.case.id in chosen)
            for group in (of_variant, of_base)
        ]
        return (*groups, repeated)

    def task_requests(self, suite: Suite, variant: Variant, look: Look) -> _Requests:
        """Return the requests of the suite's cases to *variant* that *look* takes in."""
        look = replace(look, repeats=side_repeats(suite, variant, look.repeats))
        repeats = side_repeats(suite, variant, _max_repeats(suite))
        case_requests = self._cached(
            (suite.key, variant.name, ("task", repeats)),
            lambda: self._uncontaminated_requests(suite, variant, repeats),
        )
        if look.cases is None and look.repeats >= repeats:
            return case_requests
        # Cached as well, with its key: the session waits for it and scores it only once.
        return self._cached(
            (suite.key, variant.name, (look.cases, look.repeats)),
            lambda: tuple(
                case_request
                for case_request in case_requests
                if look.includes(case_request.case.id, case_request.repeat)
            ),
        )

    def _uncontaminated_requests(self, suite: Suite, variant: Variant, repeats: int) -> _Requests:
        """Return the requests to *variant* without the cases that it was trained on."""
        case_requests = task_requests(suite, variant, self._environ, repeats)
        contaminated = self.contaminated_cases(suite, variant)
        left = tuple(
            case_request
            for case_request in case_requests
            if case_request.case.id not in contaminated
        )
        if case_requests and not left:
            raise ConfigurationError(
                f"{variant.training_data} contains every case, so no case is left"
            )
        return left

    def contaminated_cases(self, suite: Suite, variant: Variant) -> frozenset[str]:
        """Return the ids of the cases that *variant* was trained on, if there is a data gate."""
        if variant.training_data is None or data_gate(suite) is None:
            return frozenset()
        key = (suite.name, variant.training_data)
        if key not in self._contaminated:
            from pytest_ftgate.gates.training_data import find_leaked_cases

            self._contaminated[key] = find_leaked_cases(suite, variant).case_ids
        return self._contaminated[key]

    def skill_requests(
        self,
        suite: Suite,
        variant: Variant,
        gate: Gate,
        mode: str = "",
        repeats: int = 1,
    ) -> _Requests:
        """Return the requests of the gate's skill cases to the model of *variant*.

        The prompt mode "" sends the cases without the variant's prompt.
        """
        room = self.room_to_think(suite, variant)
        cases, name = self._chosen_cases(suite, variant, gate), f"skills {mode} {repeats}"
        options = {"under": mode, "repeats": repeats}
        return self._skill_requests(suite, variant, cases, room, name, **options)

    def must_keep_requests(self, gate_run: GateRun) -> tuple[_Requests, ...]:
        """Return the possible repetitions of a forgetting gate's must-keep cases, for each side."""
        gate, variant = gate_run.gate, gate_run.variant
        if not gate.skill_cases:
            return ()
        groups = (
            self.skill_requests(gate_run.suite, side, gate, repeats=MUST_PASS_REPEATS)
            for side in (base_variant(variant), variant)
        )
        return tuple(
            tuple(case_request for case_request in group if case_request.case.must_keep)
            for group in groups
        )

    def turn_builder(self, suite: Suite, variant: Variant) -> Callable[..., CaseRequest]:
        """Return the function that builds the turns of conversations with *variant*."""
        key = (suite.key, variant.name)
        if key not in self._turn_builders:
            builder = RequestBuilder(suite, variant, self._environ)
            self._turn_builders[key] = partial(conversation_request, builder)
        return self._turn_builders[key]

    def _skill_requests(
        self,
        suite: Suite,
        side: Variant,
        cases: tuple[Case, ...],
        room: int,
        name: object,
        **options: Any,
    ) -> Workload:
        """Return the requests of *cases*, with *room* to think; *name* tells them from others."""
        return self._cached(
            (suite.key, side.name, name),
            lambda: skill_requests(
                suite, side, with_room(suite, side, cases, room), self._environ, **options
            ),
        )

    def _cached(self, key: tuple[str, str, object], build: Callable[[], _Requests]) -> Workload:
        """Return the requests, built once; an error is raised again without building."""
        if key not in self._requests:
            try:
                self._requests[key] = Workload.of(build())
            except FtgateError as error:
                self._requests[key] = error
        built = self._requests[key]
        if isinstance(built, FtgateError):
            raise built
        return built


def _greedy(variant: Variant) -> Variant:
    """Return *variant* at temperature 0, at which replies are the likeliest ones."""
    return replace(variant, sampling={**variant.sampling, "temperature": 0.0})


def _tuned_variant(suite: Suite, variant: Variant) -> Variant | None:
    """Return the tuned variant that *variant* is, or whose base it is; None for neither."""
    tuned = (other for other in suite.variants.values() if other.tuned)
    return next((one for one in tuned if variant.name in (one.name, base_name(one))), None)


def _max_repeats(suite: Suite) -> int:
    settled = [gate.settle or 1 for gate in suite.gates.values()]
    again = MUST_PASS_REPEATS if any(case.must_pass for case in suite.cases) else 1
    return max(suite.repeats or 1, again, *settled, 1)
