"""GitHub workflow commands: a verdict at the line of its gate in the suite file."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join, normpath

from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_line
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.results.run import NotEvaluated, Report
from pytest_ftgate.results.verdicts import node_name

#: GitHub shows at most this many commands of a step, and this many characters of a command.
_MAX_COMMANDS, _MAX_CHARACTERS = 10, 1_000


def workflow_commands(report: Report, prefix: str = "") -> Iterator[str]:
    """Yield a command for each gate that did not pass, then the number of those left out.

    *prefix* is the folder of the suites, relative to the root of the repository.
    """
    commands = [
        *_outcome_commands(report, Outcome.FAILED, prefix),
        *_outcome_commands(report, Outcome.INVALID, prefix),
        *(_not_evaluated_command(gate, prefix) for gate in report.not_evaluated),
        *_outcome_commands(report, Outcome.INCONCLUSIVE, prefix),
    ]
    yield from commands[:_MAX_COMMANDS]
    if len(commands) > _MAX_COMMANDS:
        yield f"… and {len(commands) - _MAX_COMMANDS} more"


def _outcome_commands(report: Report, outcome: Outcome, prefix: str) -> Iterator[str]:
    warns = report.lenient and outcome is Outcome.INCONCLUSIVE
    level = "warning" if warns else "error"
    for verdict in report.gated_verdicts:
        if verdict.outcome is outcome:
            file = normpath(join(prefix, verdict.suite))
            title = f"{node_name(verdict)} {verdict.outcome}"
            steps = "".join(f"\nnext: {step_line(step)}" for step in verdict.next)
            yield _command(level, file, verdict.line, title, headline(verdict) + steps)


def _not_evaluated_command(gate: NotEvaluated, prefix: str) -> str:
    suite, _, name = gate.node.partition("::")
    title = f"{name or suite} not evaluated"
    return _command("error", normpath(join(prefix, suite)), 1, title, gate.reason)


def _command(level: str, file: str, line: int, title: str, message: str) -> str:
    location = f"file={_escape_property(file)},line={line},title={_escape_property(title)}"
    return f"::{level} {location}::{_escape_data(message[:_MAX_CHARACTERS])}"


def _escape_data(text: str) -> str:
    text = escape_controls(text).replace("%", "%25")
    return text.replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
