"""What a run with ``--ftgate-accept`` accepts, from its gates to the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.plugin.state import (
    AcceptedGate,
    accepted_of,
    leaves_out,
    session_key,
    settings_key,
)
from pytest_ftgate.results.exam import Exam, merge_exams
from pytest_ftgate.results.run import Report, json_adapter
from pytest_ftgate.runner.planner import GateRun

if TYPE_CHECKING:
    from pytest_ftgate.scoring.scores import VariantScores


def store_accepted(item: pytest.Item, gate_run: GateRun, scores: VariantScores | None) -> None:
    """Store what this run accepts of *gate_run*: what decides, and the *scores* if it has some."""
    from pytest_ftgate.results.accepted import accepted_cases  # imports SciPy

    accepted, gate, suite = accepted_of(item.config), gate_run.gate, gate_run.gate_suite
    exam = item.config.stash[session_key].records.exam(suite)
    cases = {} if scores is None else accepted_cases(scores, item.path.parent)
    serves = "" if gate_run.function_suite else suite.serves or suite.baseline
    limits = {gate.name: gate.max_drop} if gate.has_default_limit and gate.max_drop else {}
    part = json_adapter(Exam).dump_python(exam.of_gates([gate.name]))
    # Gates of a suite share their cases, and each worker of pytest-xdist sends them once.
    others = (one.exam["cases"] for one in accepted.values() if one.suite == suite.name)
    sent = {*chain.from_iterable(others)}
    part["cases"] = {key: rows for key, rows in part["cases"].items() if key not in sent}
    accepted[item.nodeid] = AcceptedGate(
        suite.name, gate_run.accepted_name, serves, cases, limits, part
    )


class AcceptedGates:
    """What all processes of a run accept, by node id."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._settings = config, config.stash[settings_key]
        self._gates: dict[str, AcceptedGate] = {}
        #: The tests that have ended; gates of others are not accepted.
        self.ended: set[str] = set()

    def add(self, gates: Mapping[str, Iterable[Any]]) -> None:
        """Add what one process accepts, by node id."""
        self._gates |= {node: AcceptedGate(*values) for node, values in gates.items()}

    def write(self, report: Report) -> list[str]:
        """Write the records of the suites in *report*; return sentences about them.

        Nothing is written if a gate failed, unless the user asks for that as well.
        """
        from pytest_ftgate.reporting.headlines import acceptance_lines, refusal_lines
        from pytest_ftgate.results.accepted import accept_run, failed_gates  # imports SciPy

        failed = failed_gates(report)
        if failed and not self._settings.accept_failed:
            return [*refusal_lines(failed, report.facts["command"])]
        errors = {gate.node for gate in report.not_evaluated}
        serves = {gate.suite: gate.serves for gate in self._gates.values()}
        limits: dict[str, dict[str, float]] = defaultdict(dict)
        for gate in self._gates.values():
            limits[gate.suite] |= gate.limits
        accepted = [
            accept_run(
                self._settings.root,
                suite,
                cases,
                report,
                serves[suite],
                exam=self._exam(suite),
                limits=limits[suite],
                moves_anchor=self._settings.accept_anchor,
                left_out=lambda node: node in errors or leaves_out(self._config, node),
            )
            for suite, cases in self._cases().items()
        ]
        return [line for one in accepted for line in acceptance_lines(one)]

    def _cases(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Return by suite and name the cases to accept."""
        cases: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for node, gate in self._gates.items():
            earlier = cases[gate.suite].get(gate.name, {})
            # Gates of one variant may use fewer replies than others; the most replies are stored.
            if node in self.ended and _count_replies(gate.cases) >= _count_replies(earlier):
                cases[gate.suite][gate.name] = gate.cases
        return {suite: by_name for suite, by_name in cases.items() if by_name}

    def _exam(self, suite: str) -> Exam:
        """Return what decides the gates of *suite* that have run."""
        adapter = json_adapter(Exam)
        parts = {
            node: adapter.validate_python(gate.exam)
            for node, gate in self._gates.items()
            if gate.suite == suite
        }
        ran = {name for node in parts.keys() & self.ended for name in parts[node].gates}
        return merge_exams(parts.values()).of_gates(sorted(ran))


def _count_replies(cases: Mapping[str, Any]) -> int:
    from pytest_ftgate.results.accepted import AcceptedCase

    return sum(AcceptedCase(*values).repeats for values in cases.values())
