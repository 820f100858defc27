"""Errors of gates that no replies could pass: their cases are too few for their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates.feasibility import Problem, missing_limits, with_default_limits
from pytest_ftgate.gates.kinds import infeasible_limits
from pytest_ftgate.reporting.notes import notes_text
from pytest_ftgate.settings import docs_page
from pytest_ftgate.suite.model import Gate, Suite


def with_limits(suite: Suite, accepted_limits: Mapping[str, float]) -> Suite:
    """Return *suite* with the limits of *with_default_limits*.

    Raises:
        SuiteError: a gate without a minimum has too few cases for a limit.
    """
    suite = with_default_limits(suite, accepted_limits)
    _raise_errors(suite, missing_limits(suite))
    return suite


def check_feasibility(suite: Suite) -> None:
    """Raise an error if a gate has a limit that its cases can never show to hold.

    Raises:
        SuiteError: with a diagnostic for each such gate, and what it needs.
    """
    _raise_errors(suite, infeasible_limits(suite))


def _raise_errors(suite: Suite, problems: Iterable[tuple[Gate, Problem]]) -> None:
    errors = [gate_error(suite, gate, notes_text(problem)) for gate, problem in problems]
    if errors:
        raise SuiteError(suite.name, errors)


def gate_error(suite: Suite, gate: Gate, message: str) -> Diagnostic:
    """Return the error *message* at the key of *gate*, with the address of its reference."""
    if gate.function:  # its mark has no key, and its line already identifies it
        return Diagnostic(suite.name, gate.line, message)
    address = docs_page("reference/suite-keys", f"gates-{gate.kind}")
    return Diagnostic(suite.name, gate.line, f"{gate.kind}: {message}", address)
