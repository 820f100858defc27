"""Single cases as ordinary tests, which evaluate no gate (``--ftgate-case``)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import EngineError, FtgateError, did_you_mean
from pytest_ftgate.plugin.progress import wait_for_task
from pytest_ftgate.plugin.state import session_key, set_up, settings_key
from pytest_ftgate.reporting.next_steps import options_of_node
from pytest_ftgate.reporting.text import escape_controls, quoted_lines
from pytest_ftgate.runner.planner import GateRun, full_look
from pytest_ftgate.scoring.scorers import expected_text
from pytest_ftgate.scoring.scores import CaseResult
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Case

#: Of a run: the ids of the cases of all collected suites and marked functions.
_known_key = pytest.StashKey[set[str]]()
_variant_key = pytest.StashKey[str]()
_MAX_LINES = 200


def chosen_cases(config: pytest.Config, cases: Collection[Case]) -> list[Case]:
    """Return those of *cases* that ``--ftgate-case`` names."""
    config.stash.setdefault(_known_key, set()).update(case.id for case in cases)
    wanted = config.stash[settings_key].cases
    return [case for case in cases if case.id in wanted]


def unknown_case_error(config: pytest.Config) -> str:
    """Return what is wrong with the ids that ``--ftgate-case`` names, or ""."""
    known = config.stash.get(_known_key, set())
    for name in config.stash[settings_key].cases:
        if name not in known:
            return f'--ftgate-case: "{name}" is in no selected suite{did_you_mean(name, known)}'
    return ""


def set_case_variant(item: pytest.Item, variant: str) -> None:
    """Note that *item* runs a single case of *variant*."""
    item.stash[_variant_key] = variant


def case_variant(item: pytest.Item) -> str | None:
    """Return the variant of an item that runs a single case; None for any other item."""
    return item.stash.get(_variant_key, None)


def case_command(node: str, variant: str, repeated: Iterable[str], case: str) -> str:
    """Return the command that runs one case of the gate *node*, with the *repeated* options."""
    file, _, name = node.partition("[")
    inner = f"-{name.removesuffix(']')}-".replace(f"-{variant}-", f"-{variant}-{case}-", 1)
    options = [*options_of_node(repeated), f"--ftgate-case={shell_word(case)}"]
    if inner.isascii():
        file = f"{file}[{inner[1:-1]}]"
    else:
        # pytest escapes other letters in the ids of functions.
        options.append(f"--ftgate-variant={shell_word(variant)}")
    return " ".join(["pytest --ftgate", *options, shell_word(file)])


def shell_word(text: str) -> str:
    """Return *text* as one word of a command line."""
    if re.fullmatch(r"[\w.:/@%+=,-]+", text, re.ASCII):
        return text
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


class WrongCase(AssertionError):
    """Fails an item whose case is wrong."""


class CaseItem(pytest.Item):
    """One case of one variant of a gate in a suite file."""

    def __init__(self, *, gate_run: GateRun, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._gate_run, self._case = gate_run, case
        self._look = replace(full_look(gate_run.suite), cases=frozenset({case.id}))
        set_case_variant(self, gate_run.variant.name)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the place of the case, and the title of its failure section."""
        file, _, line = self._case.location.rpartition(":")
        number = int(line) - 1 if line.isdecimal() else None
        return self.config.rootpath / file, number, f"{self._case.location} {self.name}"

    def setup(self) -> None:
        """Get the replies to the case."""
        wanted = (self._gate_run.suite, self._gate_run.variant, self._look)
        set_up(self.config, partial(wait_for_task, self.config, *wanted), str)

    def runtest(self) -> None:
        """Score the replies; raise WrongCase if one is wrong."""
        __tracebackhide__ = True
        suite, variant = self._gate_run.suite, self._gate_run.variant
        session = self.config.stash[session_key]
        with session.replies.internal_errors():
            scores = session.scores.task_scores(suite, variant, self._look)
        result = scores.results.get(self._case.id)
        if result is None:
            pytest.skip(f"{variant.name} was trained on this case")
        from pytest_ftgate.gates.samples import samples_from_scores

        samples = samples_from_scores(scores, self._gate_run.gate.sample)
        if not result.scores or bool((samples.values < 1).any()):
            raise WrongCase("\n".join(case_lines(result)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the case with its replies and what is wrong with them."""
        if isinstance(excinfo.value, WrongCase | FtgateError | EngineError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


def case_items(parent: pytest.File, gate_runs: Iterable[GateRun]) -> Iterator[CaseItem]:
    """Yield an item for each chosen case of each gate of *gate_runs* that scores cases."""
    for gate_run in gate_runs:
        for case in chosen_cases(parent.config, gate_run.suite.cases):
            if is_rate(gate_run.gate):
                name = f"{gate_run.gate.kind}[{gate_run.variant.name}-{case.id}]"
                options = {"gate_run": gate_run, "case": case}
                yield CaseItem.from_parent(
                    parent, name=name, nodeid=f"{parent.nodeid}::{name}", **options
                )


def case_lines(result: CaseResult) -> Iterator[str]:
    """Yield a case in full, with each reply and what is wrong with it."""
    case = result.case
    yield escape_controls(f"{case.id}  {case.location}")
    yield from quoted_lines("input", case.input_text, max_lines=_MAX_LINES)
    if expected := expected_text(case):
        yield from quoted_lines("expected", expected, max_lines=_MAX_LINES)
    for reply, score in zip(result.replies, result.scores, strict=True):
        yield from quoted_lines("reply", reply.text, max_lines=_MAX_LINES)
        error = score.format_error
        if error is not None:
            text = f"{error.kind}: {error.detail}".removesuffix(": ")
            yield from quoted_lines("format", text, max_lines=_MAX_LINES)
        if score.correct is not None and score.correct < 1:
            reason = score.reason or (f"it scores {score.correct:.3g}" if score.correct else "")
            yield from quoted_lines("wrong", reason, max_lines=_MAX_LINES) if reason else ()
    for reason in result.missing_reasons:
        yield from quoted_lines("missing", reason, max_lines=_MAX_LINES)
