"""The plan: the requests that the gates of a variant need, given what is known of the variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.gates.design import MUST_PASS_REPEATS, Look
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.needs import (
    Need,
    ScoreRequest,
    Sides,
    When,
    replies_of,
)
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
from pytest_ftgate.suite.gate_kinds import compares_skills, data_gate, skills_gate
from pytest_ftgate.suite.model import Case, Gate, Suite, Variant
from pytest_ftgate.suite.providers import provider_spec

if TYPE_CHECKING:
    from pytest_ftgate.suite.skill_levels import LevelChoice

#: The number of replies of each side that show whether a model thinks.
_FIRST_PROBES = 3
_Requests = tuple[CaseRequest, ...]


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
    def names(self) -> tuple[str, ...]:
        """The names that select the gate: of its variant, and of the training it is one of."""
        return self.variant.name, self.variant.declared_name

    @property
    def variant_key(self) -> tuple[str, str]:
        """The key of the suite with the requests, and the name of the variant."""
        return self.suite.key, self.variant.name

    @property
    def gate_suite(self) -> Suite:
        """The suite with the cases and limits that the statistics use."""
        return self.function_suite or self.suite

    @property
    def accepted_name(self) -> str:
        """The name in the accepted record, which holds all functions of a module."""
        name = self.variant.declared_name
        return f"{self.gate.name}[{name}]" if self.function_suite else name

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks of the gate; the last one takes in all of its requests."""
        if self.look is not None:
            return (self.look,)
        sides = (self.variant, self.suite.variants[self.suite.baseline])
        vary = any(map(replies_vary, sides))
        return kind_of(self.gate).looks(self.suite, self.gate, replies_vary=vary)

    def needs(self, look: Look | None = None) -> tuple[Need, ...]:
        """Return what the evaluation at *look* reads; by default at the first look."""
        sides = Sides(suite=self.suite, variant=self.variant, look=look or self.looks[0])
        return tuple(kind_of(self.gate).needs(self.gate, sides))

    @property
    def sends_requests(self) -> bool:
        """True if the gate reads replies."""
        return bool(self.needs(Look()))

    @property
    def reads_cases(self) -> bool:
        """True if the gate reads replies to the cases of its suite."""
        return any(not replies_of(need).of_gate for need in self.needs(Look()))

    @property
    def is_graded(self) -> bool:
        """True if judges grade the replies that the gate reads."""
        return bool(self.suite.judges) and any(
            replies_of(need).graded for need in self.needs(Look())
        )


def gate_runs_of(suite: Suite) -> list[GateRun]:
    """Return the gates of all variants of *suite*."""
    variants = suite.variants.values()
    return [
        GateRun(suite, gate, variant) for variant in variants for gate in suite.gates_for(variant)
    ]


def whole_suites(gates: Iterable[GateRun]) -> list[GateRun]:
    """Return the first of *gates* of each suite all of whose gates are among them.

    Marked functions have limits of their own, and do not make a suite whole.
    """
    of_files = [run for run in gates if run.function_suite is None]
    counts = Counter(run.suite.key for run in of_files)
    first = {run.suite.key: run for run in reversed(of_files)}
    found = [run for key, run in first.items() if counts[key] == len(gate_runs_of(run.suite))]
    return found[::-1]


def full_look(suite: Suite) -> Look:
    """Return the look that takes in the regular requests of every case."""
    return Look(repeats=suite.repeats or 1)


def runs_in_blocks(suite: Suite, *, ladder: bool = False) -> list[GateRun]:
    """Return the gates that read replies to the cases of *suite*, if all of them may stop early.

    None are returned if a gate, or what the suite or the run (*ladder*) asks beside the gates,
    needs all cases at once.
    """
    reading = [run for run in gate_runs_of(suite) if run.reads_cases]
    needs_all = ladder or suite.asks_for_advice
    is_whole = needs_all or any(run.looks[0].cases is None for run in reading)
    return [] if is_whole else reading


def look_size(look: Look) -> tuple[float, int]:
    """Return the number of cases and of replies of *look*, for comparison with another."""
    return (inf if look.cases is None else len(look.cases), look.repeats)


class BuiltRequests:
    """Builds the requests of variants, each once. Addresses come from *environ*."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._requests: dict[object, Workload | FtgateError] = {}
        self._turn_builders: dict[tuple[str, str], Callable[..., CaseRequest]] = {}
        self._contaminated: dict[tuple[str, Path], frozenset[str]] = {}

    def cached(self, key: object, build: Callable[[], _Requests]) -> Workload:
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

    def task(self, suite: Suite, variant: Variant, look: Look) -> Workload:
        """Return the requests of the suite's cases to *variant* that *look* takes in.

        Cases that the variant was trained on are left out.

        Raises:
            FtgateError: the requests cannot be built, or no case is left.
        """
        look = replace(look, repeats=side_repeats(variant, look.repeats))
        repeats = side_repeats(variant, _max_repeats(suite))
        case_requests = self.cached(
            (suite.key, variant.name, ("task", repeats)),
            lambda: self._uncontaminated(suite, variant, repeats),
        )
        if look.cases is None and look.repeats >= repeats:
            return case_requests
        # Cached as well, with its key: the session waits for it and scores it only once.
        return self.cached(
            (suite.key, variant.name, (look.cases, look.repeats)),
            lambda: tuple(
                case_request
                for case_request in case_requests
                if look.includes(case_request.case.id, case_request.repeat)
            ),
        )

    def greedy_task(self, suite: Suite, variant: Variant) -> Workload:
        """Return one request for each case to *variant*, which answers at temperature 0."""
        return self.cached(
            (suite.key, variant.name, "greedy task"),
            lambda: task_requests(suite, variant, self.environ),
        )

    def _uncontaminated(self, suite: Suite, variant: Variant, repeats: int) -> _Requests:
        case_requests = task_requests(suite, variant, self.environ, repeats)
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

    def turn_builder(self, suite: Suite, variant: Variant) -> Callable[..., CaseRequest]:
        """Return the function that builds the turns of conversations with *variant*."""
        key = (suite.key, variant.name)
        if key not in self._turn_builders:
            builder = RequestBuilder(suite, variant, self.environ)
            self._turn_builders[key] = partial(conversation_request, builder)
        return self._turn_builders[key]


@dataclass(frozen=True, slots=True)
class TunedFacts:
    """What must be known of a tuned variant and its base before their requests are planned.

    Attributes:
        room: the tokens that both may think in before they answer a case of skills.
        levels: the levels of the families of skills that have some, as the base chose them.
        is_kept: True if an earlier run of this process has chosen the room.
    """

    room: int = 0
    levels: tuple[LevelChoice, ...] = ()
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of one variant of a suite, and of its base if it is tuned.

    The same suite, variant and facts have the same requests.
    """

    suite: Suite
    variant: Variant
    facts: TunedFacts
    built: BuiltRequests

    def groups(self, gate_run: GateRun, look: Look | None = None) -> list[Workload]:
        """Return all requests that the evaluation of *gate_run* needs, a group for each side.

        Groups with the same requests have the same key, so that each is processed once. *look* is
        the look to evaluate; the gate's first look by default.

        Raises:
            FtgateError: no request to the variant can be built.
        """
        needs = gate_run.needs(look)
        if not needs:
            return []
        groups = self._needed(needs) if gate_run.planned else []
        if self.variant.tuned and not self.variant.is_proven:
            groups += self.probe_stages[0]
        if self.variant.tuned and self.facts.room:
            # Exported with the others, since a later run chooses the room to think by them.
            groups += self.first_probes
        levels = self.facts.levels if compares_skills(gate_run.gate) else ()
        if any(choice.rate is not None or choice.is_assumed for choice in levels):
            # Its replies have chosen the levels, or are to choose them.
            groups.append(self.pilot)
        return groups

    def _needed(self, needs: tuple[Need, ...]) -> list[Workload]:
        requests = [replies_of(need) for need in needs]
        groups = [self.requests(one) for one in requests if one.when is When.ALWAYS]
        if not requests[0].of_gate:
            own = next(one for one in reversed(requests) if not one.of_inputs)
            same_seed = Workload.of(same_seed_requests(self.requests(own))[1])
            groups += [same_seed] if same_seed else []
        return groups

    def possible(self, gate_run: GateRun, look: Look | None = None) -> list[Workload]:
        """Return the requests that *gate_run* sends as well if some cases turn out wrong."""
        requests = map(replies_of, gate_run.needs(look))
        return [self.requests(one) for one in requests if one.when is When.IF_WRONG]

    def most(self, gate_run: GateRun) -> list[Workload]:
        """Return all requests that *gate_run* may send, whatever the replies show.

        Raises:
            FtgateError: as for `groups`.
        """
        last = gate_run.looks[-1]
        proofs = self.proofs(gate_run)
        return [*self.groups(gate_run, last), *self.possible(gate_run, last), *proofs]

    def proofs(self, gate_run: GateRun) -> tuple[Workload, ...]:
        """Return all requests that may show the identity of the variant; () if none is to be."""
        is_open = self.variant.tuned and not self.variant.is_proven and gate_run.sends_requests
        return self.probe_stages[-1] if is_open else ()

    def own_requests(self, gate_run: GateRun) -> Workload:
        """Return the first requests of *gate_run* to its variant, or those of its identity.

        Those to its base if there are none.
        """
        needed = [replies_of(need) for need in gate_run.needs()]
        own = [one for one in needed if one.variant == self.variant.name]
        if not own and self.identity_probes(gate_run):
            return self.probe_stages[0][0]
        return self.requests((own or needed)[0])

    def requests(self, request: ScoreRequest) -> Workload:
        """Return the requests whose replies have the scores that *request* names.

        Raises:
            FtgateError: they cannot be built, or the base is too weak for all levels of skills.
        """
        side = self._side(request.variant)
        side = _greedy(side) if request.greedy else side
        if request.of_gate:
            gate = self.suite.gates[request.of_gate]
            whole = replace(request, ids=None, when=When.ALWAYS)
            cases = self._chosen_cases(gate)
            found = self._skills(side, cases, whole, under=request.under, repeats=request.repeats)
            return found if request.ids is None else self._of_cases(found, request.ids)
        suite = self.suite.inputs_suite if request.of_inputs else self.suite
        if request.greedy:
            return self.built.greedy_task(suite, side)
        return self.built.task(suite, side, Look(cases=request.ids, repeats=request.repeats))

    def _side(self, name: str) -> Variant:
        if self.variant.tuned and name == base_name(self.variant):
            return base_variant(self.variant)
        return self.variant if name == self.variant.name else self.suite.variants[name]

    # Tuned variants -----------------------------------------------------------------------

    @property
    def first_probes(self) -> tuple[Workload, ...]:
        """A few requests to a tuned variant and its base that show whether they think.

        They leave no room to think; none are needed if the suite itself decides, or if an earlier
        run has chosen.
        """
        gate, variant = skills_gate(self.suite), self.variant
        is_chosen = self.facts.is_kept or is_known_to_think(variant)
        if not provider_spec(variant.provider).prompted or (gate and gate.max_tokens) or is_chosen:
            return ()
        groups = self._identity_probes(room=0, levels=False)
        step = PROBE_STAGES[0] if variant.base_replies is None else 1
        # The variant, then its base, whose recorded replies need no request.
        sides = groups[:2] if variant.base_replies is None else groups[:1]
        return tuple(Workload.of(group[::step][:_FIRST_PROBES]) for group in sides)

    @property
    def pilot(self) -> Workload:
        """The requests to the base of a tuned variant that choose the levels of skills."""
        from pytest_ftgate.suite.skill_levels import pilot_cases

        gate = skills_gate(self.suite)
        cases = pilot_cases(gate) if gate else ()
        return self._skills(base_variant(self.variant), cases, "pilot")

    def _chosen_cases(self, gate: Gate) -> tuple[Case, ...]:
        """Return the cases of *gate*, those with levels at the levels of the base.

        Raises:
            ConfigurationError: the base is too weak for all of them.
        """
        of_skills = skills_gate(self.suite)
        if gate is not of_skills or not of_skills.leveled:
            return gate.own_cases
        from pytest_ftgate.suite.skill_levels import cases_at, limit_notes

        cases = cases_at(of_skills, self.facts.levels)
        if not cases:
            weak = "; ".join(limit_notes(self.facts.levels))
            raise ConfigurationError(f"{weak}; write skills: general-small")
        return cases

    @property
    def probe_stages(self) -> list[tuple[Workload, ...]]:
        """The identity probes of a tuned variant: a few, then more, then all of them.

        Each stage has a group for the variant, for its base, and for the base again. A recorded
        base cannot answer again: there is one stage of two groups.
        """
        groups = self._identity_probes(self.facts.room)
        steps = PROBE_STAGES if self.variant.base_replies is None else (1,)
        return [tuple(self._part(group, step) for group in groups) for step in steps]

    def _part(self, group: Workload, step: int) -> Workload:
        return self.built.cached((group.key, step), lambda: group[::step])

    def identity_probes(self, gate_run: GateRun) -> list[CaseRequest]:
        """Return the first identity probes of a gate, those of the base first; [] for no tuned."""
        variant = self.variant
        if not variant.tuned or variant.is_proven or not gate_run.sends_requests:
            return []
        of_variant, *of_base = self.probe_stages[0]
        return [case_request for group in (*of_base, of_variant) for case_request in group]

    def _identity_probes(self, room: int, *, levels: bool = True) -> tuple[Workload, ...]:
        variant, gate = self.variant, skills_gate(self.suite)
        base = base_variant(variant)
        cases = gate.cases if gate and not gate.leveled else ()
        if variant.base_replies is not None:
            # All cases: recorded replies are free, and one difference is enough.
            if gate and gate.leveled:
                # Without room they show whether the model thinks, before levels are chosen.
                cases = self._chosen_cases(gate) if levels else gate.cases
            return tuple(
                self._skills(side, cases, ("recorded", levels), room=room)
                for side in (variant, base)
            )
        # A few cases of the suite show little, so the bundled skills replace them.
        cases = cases if len(cases) >= PROBE_COUNT else skill_cases(("general-small",))
        # At temperature 0, because random sampling would hide a difference of the weights.
        of_base, of_variant = (
            self._skills(_greedy(side), cases, "greedy", room=room) for side in (base, variant)
        )
        repeated = self.built.cached((of_base.key, "probes"), lambda: probe_requests(of_base))
        chosen = frozenset(case_request.case.id for case_request in repeated)
        return (*(self._of_cases(group, chosen) for group in (of_variant, of_base)), repeated)

    def _of_cases(self, group: Workload, ids: frozenset[str]) -> Workload:
        return self.built.cached(
            (group.key, ids), lambda: tuple(one for one in group if one.case.id in ids)
        )

    def _skills(
        self,
        side: Variant,
        cases: tuple[Case, ...],
        name: object,
        *,
        room: int | None = None,
        under: str = "",
        repeats: int = 1,
    ) -> Workload:
        """Return the requests of *cases*, with room to think; *name* tells them from others."""
        room = self.facts.room if room is None else room
        return self.built.cached(
            (self.suite.key, side.name, name, room, self.facts.levels),
            lambda: skill_requests(
                self.suite,
                side,
                with_room(self.suite, side, cases, room),
                self.built.environ,
                under=under,
                repeats=repeats,
                thinks=bool(room),
            ),
        )


def _greedy(variant: Variant) -> Variant:
    """Return *variant* at temperature 0, at which replies are the likeliest ones."""
    return replace(variant, sampling={**variant.sampling, "temperature": 0.0})


def _max_repeats(suite: Suite) -> int:
    settled = [gate.settle or 1 for gate in suite.gates.values()]
    again = MUST_PASS_REPEATS if any(case.must_pass for case in suite.cases) else 1
    return max(suite.repeats or 1, again, *settled, 1)
