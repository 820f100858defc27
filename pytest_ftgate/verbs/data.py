"""``pytest-ftgate data``: what is wrong with a training file, without a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pytest_ftgate.errors import SuiteFaults, Unavailable, did_you_mean
from pytest_ftgate.gate.data.examine import examine, read
from pytest_ftgate.gate.data.finding import Finding, Severity, Yardstick
from pytest_ftgate.gate.data.judge import summed_up, yardstick_of
from pytest_ftgate.gate.words import counted
from pytest_ftgate.report.found import finding_lines
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.margins import DataGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.training import training_rows

__all__ = ["Examined", "data"]


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in a file, and how it is told."""

    findings: tuple[Finding, ...]
    lines: tuple[str, ...]

    @property
    def fit(self) -> bool:
        """Whether nothing found is an error."""
        return not any(one.severity is Severity.ERROR for one in self.findings)


def data(
    path: Path,
    suite: Path | None = None,
    against: Path | None = None,
    context: int | None = None,
    verbosity: int = 0,
) -> Examined:
    """Examine the training file *path*.

    Args:
        path: the file.
        suite: a suite whose cases, labels and format it is held to.
        against: a file of rows that a model trained on *path* will be tested with.
        context: the tokens that the model takes.
        verbosity: how many lines of each finding are told.

    Raises:
        SuiteFaults: the suite, or a row of *against*, cannot be used.
        Unavailable: there is no such file.
    """
    yardstick = _held_to(suite) if suite else Yardstick()
    if against:
        yardstick = replace(yardstick, cases=(*yardstick.cases, *_cases(against)))
    if context:
        yardstick = replace(yardstick, context=context)
    found = read(_here(path))
    findings = examine(found, yardstick)
    head = f"{path}: {summed_up(findings)} in {counted(len(found.items), 'row')}"
    return Examined(findings, (head, *finding_lines(findings, verbosity)))


def _held_to(path: Path) -> Yardstick:
    suite = load(path, Path.cwd())
    variants = [one for one in suite.variants.values() if one.training_data]
    variant = next(iter(variants or suite.variants.values()))
    gate = suite.gates.get("data")
    return yardstick_of(suite, gate if isinstance(gate, DataGate) else DataGate(), variant)


def _cases(path: Path) -> list[Case]:
    source = Source(root=Path.cwd(), path=_here(path).resolve())
    rows = training_rows(source, source.path)
    if source.faults:
        raise SuiteFaults(str(path), source.faults)
    score = Rule("exact")
    return [
        Case(id=f"{path.name}:{row.line}", where=f"{path}:{row.line}", input=row.shown, score=score)
        for row in rows
    ]


def _here(path: Path) -> Path:
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise Unavailable(f"there is no file {path}{did_you_mean(path.name, beside)}")
    return path
