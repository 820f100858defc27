"""The gates of a suite at the checkpoints of a training."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.gates.needs import ScoreRequest, When
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.readers.yaml import read_yaml
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.stop import distance_text, stop_text
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.reporting.trackers import comparing_check, logged_figures
from pytest_ftgate.requests.request_groups import base_name
from pytest_ftgate.runner.evaluate import EvaluateResult, Project, evaluate_loaded
from pytest_ftgate.runner.planner import GateRun, full_look
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.training.memory import ModelInMemory, kept_random_states
from pytest_ftgate.training.stop import (
    StopRule,
    StopTest,
    doubtful_gates,
    drops,
    may_exceed,
    stop_level,
    stop_tests,
)
from pytest_ftgate.training.suite import (
    IN_MEMORY,
    METRICS,
    checkpoint_gates,
    count_questions,
    extra_of,
    in_memory_content,
    metric_name,
    saved_content,
    trained_variant,
    with_fewer_cases,
    with_weights,
)

#: The metric that the best checkpoint goes by.
SCORE = f"{METRICS}score"
#: What answers: the model in memory, or the provider of the variant with a saved checkpoint.
TrainedWeights = ModelInMemory | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedCheckpoint:
    """The gates at one step of a training.

    Attributes:
        step: the number of the training step.
        seconds: the time that the evaluation took.
        result: the run; its ``verdicts`` are on a part of the cases unless it *is_whole*.
        drops: the gates with a drop that is shown and may exceed its limit.
        rates: what each gate rates, by the name of its metric, of cases that each checkpoint has.
        mean: the mean of what its gates rate (accuracy, format, general skills), of the same cases.
        is_whole: True if all cases of the suite were used.
        doubtful: the gates that were evaluated on all cases, since part of them left a drop beyond
            the limit possible.
    """

    step: int
    seconds: float
    result: EvaluateResult
    drops: tuple[str, ...]
    rates: Mapping[str, float]
    mean: float
    is_whole: bool
    doubtful: tuple[str, ...] = ()

    def figures(self) -> dict[str, float]:
        """Return what is logged: ``ftgate/GATE/VARIANT/FIGURE``, and the seconds that it took."""
        figures = logged_figures(self.result.report.gate_verdicts)
        return figures | {"ftgate/seconds": round(self.seconds, 1)}

    def metrics(self) -> dict[str, float]:
        """Return what each gate rates, and what the best checkpoint goes by.

        That is the mean, less 1 where a drop is shown that may exceed its limit. There is none if
        a gate has no verdict.
        """
        if self.result.not_evaluated or not self.rates:
            return dict(self.rates)
        return {**self.rates, SCORE: self.mean - bool(self.drops)}


class CheckpointGates:
    """The gates of one suite, at one checkpoint of a training after another.

    Args:
        path: the suite file.
        rootdir: as for `pytest_ftgate.evaluate`.
        variant: the variant that is being trained, or None for the one that is tuned.
        stop_on, stop_rule, cases: as for the callback.

    Attributes:
        content: the content of the suite file.
        metric_names: the names of all metrics.
        planned: the number of checkpoints that the training plans.
        seconds: the most in which a checkpoint sends requests.
        evaluated: what was evaluated so far.

    Raises:
        ConfigurationError: an argument cannot be used.
        SuiteError: the suite has errors.
    """

    def __init__(
        self,
        path: Path,
        rootdir: str | Path | None,
        variant: str | None,
        stop_on: Sequence[str],
        stop_rule: StopRule,
        cases: int | None,
    ) -> None:
        self._project = Project.of_suite(path, rootdir)
        content = read_yaml(path.read_text("utf-8"), path.name).value
        self.content: Mapping[str, Any] = content if isinstance(content, dict) else {}
        self.variant = trained_variant(self.content, variant)
        gates = self.content.get("gates") or {}
        for gate in set(stop_on) - {*gates, "forgetting"}:
            raise ConfigurationError(
                f'stop_on: the suite has no gate "{gate}"{did_you_mean(gate, gates)}'
            )
        self.stop_on = tuple(gate for gate in stop_on if gate in gates)
        self.stop_rule, self.cases = stop_rule, cases
        self.planned, self.seconds, self._deadline = 1, inf, inf
        #: The room to think of both sides, chosen at the first checkpoint.
        self._room: int | None = None
        self.evaluated: list[EvaluatedCheckpoint] = []
        self.metric_names = self._find_metrics()

    def _find_metrics(self) -> tuple[str, ...]:
        """Load the suite, so that its errors come before the training; return what gates rate."""
        settings = Settings.of_evaluation(self._project.root)
        with self._project.open_session(settings, {IN_MEMORY: ModelInMemory}) as (_, load):
            suite = load(lambda content: in_memory_content(content, self.variant))
        return (SCORE, *map(metric_name, checkpoint_gates(suite).gates.values()))

    def stops(self, checkpoint: EvaluatedCheckpoint) -> bool:
        """Return True if the last checkpoint ends the training; say why, or what a stop needs."""
        number = len(self.evaluated)
        tests, level = self._stop_tests(checkpoint.result.verdicts, number)
        found = [(test.verdict, test.part) for test in tests if test.p <= level]
        if found:
            place = f"checkpoint {number} of {max(number, self.planned)}"
            why = stop_text(found, surely_half=self.stop_rule == "half_limit")
            tell(f"step {checkpoint.step}: stopped at {place}: {why}")
            return True
        for verdict, check, needed in drops(tests, level) if self.stop_rule == "half_limit" else ():
            # Part of the cases stops nothing.
            if self.cases is None or verdict.gate in checkpoint.doubtful:
                tell(f"step {checkpoint.step}: {distance_text(verdict, check, needed)}")
        return False

    def problem(self, checkpoint: EvaluatedCheckpoint) -> str:
        """Return which gates of *checkpoint* have no verdict, by reason; "" if all have one."""
        by_reason: dict[str, list[str]] = defaultdict(list)
        for row in checkpoint.result.not_evaluated:
            by_reason[row.reason].append(row.node.rpartition("::")[2])
        told = [f"{', '.join(names)} not evaluated: {why}" for why, names in by_reason.items()]
        if told and checkpoint.seconds > self.seconds:
            told.append("raise wait_minutes= of the callback, or lower cases=")
        return "; ".join(told)

    def _stop_tests(
        self, verdicts: Sequence[Verdict], number: int
    ) -> tuple[tuple[StopTest, ...], float]:
        """Return what may end the training at the checkpoint *number*, and the level of each."""
        tests = stop_tests(verdicts, self.stop_on, self.stop_rule)
        return tests, stop_level(number, self.planned, len(tests))

    def evaluate(self, source: TrainedWeights, step: int, cases: int | None) -> EvaluatedCheckpoint:
        """Evaluate the gates now, and append what came of it."""
        with self._limited(source):
            checkpoint = self._evaluated(source, step, cases)
        self.evaluated.append(checkpoint)
        _tell_verdicts(checkpoint, cases)
        return checkpoint

    @contextmanager
    def _limited(self, source: TrainedWeights) -> Iterator[None]:
        """Send no requests after *seconds*, and leave the training as it was."""
        self._deadline = time.monotonic() + self.seconds
        if not isinstance(source, Path):
            source.deadline = self._deadline
        with kept_random_states():
            yield

    def _evaluated(
        self, source: TrainedWeights, step: int, cases: int | None
    ) -> EvaluatedCheckpoint:
        start = time.perf_counter()
        if not isinstance(source, Path):
            source.name_weights()
        first = result = self._run(source, cases, step=step)
        doubtful = self._gates_in_doubt(first) if cases is not None else []
        if doubtful:
            names = ", ".join(doubtful)
            tell(f"step {step}: {names} may have dropped too far, and is evaluated on all cases")
            result = self._run(source, cases, doubtful)
        return EvaluatedCheckpoint(
            step=step,
            seconds=time.perf_counter() - start,
            result=result,
            drops=tuple(verdict.gate for verdict in result.verdicts if may_exceed(verdict)),
            rates=_rates(first),
            mean=_mean(first),
            is_whole=cases is None,
            doubtful=tuple(doubtful),
        )

    def _gates_in_doubt(self, result: EvaluateResult) -> list[str]:
        """Return the gates that are evaluated on all cases, since these decide."""
        tests, level = self._stop_tests(result.verdicts, len(self.evaluated) + 1)
        found = {test.verdict.gate for test in tests if test.p <= level}
        found |= {*doubtful_gates(result.verdicts, self.stop_on)}
        return [gate for gate in self.stop_on if gate in found]

    def _run(
        self,
        source: TrainedWeights,
        cases: int | None,
        whole: Collection[str] = (),
        step: int | None = None,
    ) -> EvaluateResult:
        """Evaluate the gates, on *cases* cases unless they are among *whole*.

        With *step*, say how many questions that and what may follow it asks.
        """
        with self._opened(source) as (session, loaded):
            suite = loaded if cases is None else with_fewer_cases(loaded, cases, whole)
            if step is not None:
                tell(f"step {step}: {self._count(suite, loaded, cases)}")
            variant = suite.variants[self.variant]
            if self._room is not None:
                session.probe.keep_room(suite, variant, self._room)
            result = evaluate_loaded(session, self._project, suite, is_whole=False)
            self._room = session.probe.facts(suite, variant).room
            return result

    def _count(self, suite: Suite, loaded: Suite, cases: int | None) -> str:
        """Return how many questions a checkpoint asks at first, and if every gate is in doubt."""
        text = quantity(count_questions(suite), "question")
        if cases is None:
            return text
        # Gates that cannot end the training take their few cases alone.
        most = count_questions(with_fewer_cases(loaded, cases, self.stop_on))
        return f"{text}, at most {most:,}"

    @contextmanager
    def _opened(self, source: TrainedWeights) -> Iterator[tuple[Session, Suite]]:
        """Open a session that *source* answers, and load the suite for it."""
        settings = Settings.of_evaluation(self._project.root)
        if self.seconds < inf:
            minutes = max(0.0, self._deadline - time.monotonic()) / 60
            settings = replace(settings, max_minutes=minutes)
        lent = {} if isinstance(source, Path) else {IN_MEMORY: source}
        with self._project.open_session(settings, lent) as (session, load):
            if isinstance(source, Path):
                suite = load(lambda content: saved_content(content, self.variant, source))
            else:
                suite = load(lambda content: in_memory_content(content, self.variant))
                extra = extra_of(self.content, self.variant)
                names = (source.name, source.base_name)
                suite = with_weights(suite, self.variant, *names, extra)
            yield session, checkpoint_gates(suite)

    def ask_base(self, source: ModelInMemory) -> None:
        """Ask for all replies of the base, which the cache keeps."""
        source.name_weights()
        with self._limited(source), self._opened(source) as (session, suite):
            for requests in _base_requests(session, suite, self.variant):
                session.replies.results(requests)


def _rates(result: EvaluateResult) -> dict[str, float]:
    """Return what each gate rates, by the names of metrics; also of one without a limit."""
    gates = result.suite.gates
    pairs = ((gates[one.gate], comparing_check(one)) for one in result.report.gate_verdicts)
    return {metric_name(gate): check.after for gate, check in pairs if check}


def _mean(result: EvaluateResult) -> float:
    """Return the mean of what the gates rate."""
    checks = filter(None, map(comparing_check, result.verdicts))
    rated = [check.after for check in checks]
    return sum(rated) / len(rated) if rated else 0.0


def _base_requests(session: Session, suite: Suite, name: str) -> list[Any]:
    variant, baseline = suite.variants[name], suite.variants[suite.baseline]
    plan = session.probe.plan(suite, variant)
    needs = [
        need for gate in suite.gates.values() for need in GateRun(suite, gate, variant).needs()
    ]
    groups: list[Any] = [
        plan.requests(need)
        for need in needs
        if isinstance(need, ScoreRequest) and need.variant == base_name(variant)
        if need.when is When.ALWAYS
    ]
    groups += session.probe.first_probes(suite, variant)[1:]
    if baseline.provider == IN_MEMORY and baseline.name != name:
        groups.append(session.built.task(suite, baseline, full_look(suite)))
    return groups


def _tell_verdicts(checkpoint: EvaluatedCheckpoint, count: int | None) -> None:
    for verdict in checkpoint.result.report.gate_verdicts:
        is_whole = checkpoint.is_whole or verdict.gate in checkpoint.doubtful
        cases = "all cases" if is_whole else f"{count} cases"
        word = verdict.outcome.upper() if verdict.gated else "not gated:"
        tell(f"step {checkpoint.step}, {cases}: {word} {headline(verdict)}")


def tell(sentence: str) -> None:
    """Write *sentence* as a line of standard error."""
    sys.stderr.write(f"ftgate: {escape_controls(sentence)}\n")
