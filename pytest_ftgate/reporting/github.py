"""GitHub workflow commands: a verdict at the line of its gate in the suite file."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join, normpath

from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_line
from pytest_ftgate.reporting.summary import next_steps
from pytest_ftgate.reporting.tables import rank_verdicts
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.results.run import FailedTest, NotEvaluated, Report
from pytest_ftgate.results.verdicts import node_name

#: GitHub shows at most this many commands of a step, and this many characters of a command.
_MAX_COMMANDS, _MAX_CHARACTERS = 10, 1_000


def workflow_commands(report: Report, prefix: str = "") -> Iterator[str]:
    """Yield a command for each gate that did not pass, the worst first, and how many are left out.

    *prefix* is the folder of the suites, relative to the root of the repository.
    """
    ranked = rank_verdicts(report.gated_verdicts)
    blocking = [verdict for verdict in ranked if verdict.outcome is not Outcome.PASSED]
    shown = [v for v in blocking if v.outcome is not Outcome.INCONCLUSIVE]
    commands = [
        *(_verdict_command(report, verdict, prefix) for verdict in shown),
        *(_error_command(gate, "not evaluated", prefix) for gate in report.not_evaluated),
        *(_error_command(test, "failed test", prefix) for test in report.failed_tests),
        *(_verdict_command(report, verdict, prefix) for verdict in blocking[len(shown) :]),
    ]
    yield from commands[:_MAX_COMMANDS]
    if len(commands) > _MAX_COMMANDS:
        yield f"… and {len(commands) - _MAX_COMMANDS} more"


def _verdict_command(report: Report, verdict: Verdict, prefix: str) -> str:
    warns = report.lenient and verdict.outcome is Outcome.INCONCLUSIVE
    file = normpath(join(prefix, verdict.suite))
    title = f"{node_name(verdict)} {verdict.outcome}"
    steps = "".join(f"\nnext: {step_line(step)}" for step in next_steps(report, verdict))
    level = "warning" if warns else "error"
    return _command(level, file, verdict.line, title, headline(verdict) + steps)


def _error_command(gate: NotEvaluated | FailedTest, what: str, prefix: str) -> str:
    suite, _, name = gate.node.partition("::")
    title = f"{name or suite} {what}"
    return _command("error", normpath(join(prefix, suite)), 1, title, gate.reason)


def _command(level: str, file: str, line: int, title: str, message: str) -> str:
    location = f"file={_escape_property(file)},line={line},title={_escape_property(title)}"
    return f"::{level} {location}::{_escape_data(message[:_MAX_CHARACTERS])}"


def _escape_data(text: str) -> str:
    text = escape_controls(text).replace("%", "%25")
    return text.replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
