"""Submits the requests of gates: those of a tuned variant once its identity is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.request import (
    CaseRequest,
    Request,
    distinct_requests,
    group_by_adapter,
)
from pytest_ftgate.runner.planner import (
    BuiltRequests,
    GateRun,
    Plan,
    full_look,
    runs_in_blocks,
    whole_suites,
)
from pytest_ftgate.runner.probe import Probe
from pytest_ftgate.runner.replies import Replies
from pytest_ftgate.suite.gate_kinds import compares_skills
from pytest_ftgate.suite.providers import provider_spec

_GateKey = tuple[str, str, object]


class Submissions:
    """What the gates of a run have submitted, and what waits for a proof of identity."""

    def __init__(self, built: BuiltRequests, probe: Probe, replies: Replies) -> None:
        self._built, self._probe, self._replies = built, probe, replies
        #: All gates of the run so far, and those of them that were not submitted yet.
        self._gates: dict[_GateKey, GateRun] = {}
        self._left: dict[_GateKey, GateRun] = {}
        #: Whether a tuned variant may be what it claims to be, by suite and variant.
        self._proofs: dict[tuple[str, str], bool] = {}
        #: The gates whose variant is not shown to be tuned yet, and the requests submitted so far.
        self._waiting: list[GateRun] = []
        self._sent: set[str] = set()

    def is_submitted(self, gate_run: GateRun) -> bool:
        """Return True if the requests of *gate_run* were submitted."""
        key = _gate_key(gate_run)
        return key in self._gates and key not in self._left

    def submit(self, gates: Iterable[GateRun]) -> None:
        """Submit the requests of *gates*; of a tuned variant those that show its identity."""
        new = {_gate_key(run): run for run in gates}
        self._left |= {key: run for key, run in new.items() if key not in self._gates}
        self._gates |= new
        self._submit_left()
        self._replies.held = self._count_held()

    def submit_proven(self, gate_run: GateRun, *, is_valid: bool) -> None:
        """Submit what waits for the proof of a variant's identity; if not *is_valid*, drop it."""
        key = gate_run.variant_key
        if key not in self._proofs:
            self._proofs[key] = is_valid
            # The gate that is evaluated now needs them next.
            self._submit_left(first=True)
            self._replies.held = self._count_held()

    def _submit_left(self, *, first: bool = False) -> None:
        """Submit the gates that wait for no proof, and the identity probes of the others."""
        left = [run for run in self._left.values() if self._proofs.get(run.variant_key, True)]
        waiting = [run for run in left if self._awaits_proof(run)]
        self._waiting = waiting
        before: list[Request] = []
        if waiting[:1] == left[:1]:
            # The first verdict comes first, and its variant's identity before that.
            before = self._submit_probes(waiting[:1])
            if any(map(_loads_weights, waiting[:1])):
                return
        ready = [run for run in left if not self._awaits_proof(run)]
        for gate_run in ready:
            del self._left[_gate_key(gate_run)]
        self._submit_all(ready, before, first=first)
        # Weights that are loaded here are proven one by one, before others are loaded.
        later = [run for run in waiting[1:] if not _loads_weights(run)]
        self._submit_probes([*waiting[:1], *later])

    def _awaits_proof(self, gate_run: GateRun) -> bool:
        """Return True if most requests of *gate_run* wait until its variant is shown to be tuned.

        A batch takes hours: it has all requests to its variant.
        """
        variant = gate_run.variant
        is_open = variant.tuned and not variant.is_proven and gate_run.sends_requests
        return is_open and not variant.batch and gate_run.variant_key not in self._proofs

    def _submit_probes(self, gates: Sequence[GateRun]) -> list[Request]:
        """Submit the first identity probes of *gates*, and return them."""
        # A recorded base shows identity on the cases of the levels that it chooses.
        recorded = (run for run in gates if run.variant.base_replies is not None)
        self._probe.ask_pilots((run.suite, run.variant) for run in recorded)
        probes: list[CaseRequest] = []
        for gate_run in gates:
            with suppress(FtgateError):
                probes += self._plan(gate_run).identity_probes(gate_run)
        requests = group_by_adapter(distinct_requests(probes))
        self._send(requests)
        return requests

    def _submit_all(
        self, gates: Sequence[GateRun], before: Sequence[Request], *, first: bool
    ) -> None:
        """Submit all requests of *gates*, of which none waits; *before* were submitted last."""
        self._probe.ask_pilots(
            (run.suite, run.variant) for run in gates if compares_skills(run.gate)
        )
        new = [*self._requests_of(gates)]
        measured = self._measured_baselines([*self._gates.values()]) if new else ()
        own = new.pop(0) if new else []
        ordered = group_by_adapter(distinct_requests(chain(own, measured)), after=before)
        rest = distinct_requests(chain.from_iterable(new))
        ordered += group_by_adapter(rest, after=ordered or before)
        self._send(ordered, first=first)

    def _send(self, requests: Sequence[Request], *, first: bool = False) -> None:
        self._sent.update(request.fingerprint for request in requests)
        self._replies.submit(requests, first=first)

    def _plan(self, gate_run: GateRun) -> Plan:
        return self._probe.plan(gate_run.suite, gate_run.variant)

    def _requests_of(self, gates: Iterable[GateRun]) -> Iterator[list[CaseRequest]]:
        """Yield the requests of each gate, the identity probes first."""
        for gate_run in gates:
            with suppress(FtgateError):
                plan = self._plan(gate_run)
                requests = chain.from_iterable(plan.groups(gate_run))
                yield [*plan.identity_probes(gate_run), *requests]

    def _count_held(self) -> int:
        held: list[CaseRequest] = []
        for gate_run in self._waiting:
            with suppress(FtgateError):
                held += chain.from_iterable(self._plan(gate_run).groups(gate_run))
        left = (one for one in distinct_requests(held) if one.fingerprint not in self._sent)
        # The probe has sent the pilots.
        return sum(not self._replies.was_submitted(request) for request in left)

    def _measured_baselines(self, gates: Sequence[GateRun]) -> Iterator[CaseRequest]:
        """Yield the requests of baselines on this machine that whole suites measure without a gate.

        Their model goes on with them while a look of a gate is evaluated; what other gates need
        would change its adapter, or take longer than the evaluation. If all gates may stop early, a
        first look is needed for certain.
        """
        for first in reversed(whole_suites(gates)):
            suite, baseline = first.suite, first.suite.variants[first.suite.baseline]
            if not baseline.gated and provider_spec(baseline.provider).weights:
                blocks = runs_in_blocks(suite, ladder=self._replies.settings.ladder)
                # In the order in which the looks of its first gate wait for them.
                looks = blocks[0].looks[:1] if blocks else (*first.looks, full_look(suite))
                for look in looks:
                    with suppress(FtgateError):
                        yield from self._built.task(suite, baseline, look)


def _loads_weights(gate_run: GateRun) -> bool:
    """Return True if the model of the variant is loaded in this process."""
    return bool(provider_spec(gate_run.variant.provider).weights)


def _gate_key(gate_run: GateRun) -> _GateKey:
    return (gate_run.gate_suite.name, gate_run.variant.name, gate_run.name)
