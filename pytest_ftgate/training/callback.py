"""The callback that evaluates a suite's gates while a model is trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from transformers import TrainerCallback

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
from pytest_ftgate.training.memory import ModelInMemory
from pytest_ftgate.training.stop import (
    StopRule,
    StopTest,
    doubtful_gates,
    drops,
    may_exceed,
    planned_checkpoints,
    stop_level,
    stop_tests,
)
from pytest_ftgate.training.suite import (
    IN_MEMORY,
    count_questions,
    extra_of,
    in_memory_content,
    trained_variant,
    with_fewer_cases,
    with_weights,
    without_base_readings,
)

#: The folder of the best checkpoint, in the output folder of the training.
BEST_FOLDER = "ftgate-best"
_EVENTS = ("epoch", "save")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedCheckpoint:
    """The gates at one step of a training.

    Attributes:
        step: the number of the training step.
        seconds: the time that the evaluation took.
        result: the run; its ``verdicts`` are on a part of the cases unless it *is_whole*.
        drops: the gates with a drop that is shown and may exceed its limit.
        mean: the mean of what its gates rate (accuracy, format, general skills), of the cases that
            each checkpoint has.
        is_whole: True if all cases of the suite were used.
        doubtful: the gates that were evaluated on all cases, since part of them left a drop beyond
            the limit possible.
    """

    step: int
    seconds: float
    result: EvaluateResult
    drops: tuple[str, ...]
    mean: float
    is_whole: bool
    doubtful: tuple[str, ...] = ()


class GateCallback(TrainerCallback):  # type: ignore[misc]
    """Evaluates the gates of a suite on the model in memory, for the trainers of Transformers.

    The base is the same model without its adapter. Its replies are requested once, and kept in the
    cache by a digest of its weights.

    Args:
        suite: the path of a ``*.ftgate.yaml`` file. One of its variants is being trained; what it
            declares of provider, model and adapter does not matter here.
        every: ``epoch``, ``save``, or a number of steps.
        stop_on: the gates that end the training. All cases decide: a gate whose cases leave a drop
            beyond its limit possible is evaluated on all of them at once.
        stop_rule: ``half_limit`` ends the training once it has surely lost more than half of what a
            limit allows: over all checkpoints together, one that loses half or less ends so in at
            most 5 % of cases. ``any_drop`` ends it earlier, with a drop that is shown and may
            exceed its limit: then that holds of a training that loses nothing.
        keep: ``best`` saves the best checkpoint in ``ftgate-best`` in the output folder; None
            saves none.
        cases: the number of cases, and of skills cases, at each checkpoint; None for all.
        at_end: True to evaluate the gates on all cases at the end of the training.
        variant: the name of the variant that is being trained; by default the one that is tuned.
        trainer: the trainer, for trackers such as W&B, MLflow and TensorBoard:
            ``trainer.add_callback(GateCallback(suite, trainer=trainer))``. Without it the figures
            are in ``trainer.state.log_history`` alone.
        rootdir: as for ``pytest_ftgate.evaluate``.
        batch_size: the number of requests that the model answers at once.

    Attributes:
        checkpoints: what was evaluated so far.
        best: of those without a drop the one whose gates rate highest; None if there is none.
        stopped_at: the step at which a gate ended the training, or None.
    """

    def __init__(  # noqa: PLR0913 - each by its name
        self,
        suite: str | Path,
        *,
        every: Literal["epoch", "save"] | int = "epoch",
        stop_on: Sequence[str] = ("forgetting",),
        stop_rule: StopRule = "half_limit",
        keep: Literal["best"] | None = "best",
        cases: int | None = 60,
        at_end: bool = True,
        variant: str | None = None,
        trainer: Any = None,
        rootdir: str | Path | None = None,
        batch_size: int = 32,
    ) -> None:
        if every not in _EVENTS and not (isinstance(every, int) and every > 0):
            raise ConfigurationError(f"every={every!r}: write epoch, save, or a number of steps")
        rules = get_args(StopRule)
        if stop_rule not in rules:
            raise ConfigurationError(f"stop_rule={stop_rule!r}: write {' or '.join(rules)}")
        path = Path(suite).absolute()
        if not path.is_file():
            raise ConfigurationError(f"{suite} is no file; name a *.ftgate.yaml file")
        self.every, self.keep, self.cases, self.trainer = every, keep, cases, trainer
        self.at_end, self.batch_size, self.stop_rule = at_end, batch_size, stop_rule
        self._project = Project.of_suite(path, rootdir)
        content = read_yaml(path.read_text("utf-8"), path.name).value
        content = content if isinstance(content, dict) else {}
        self.variant = trained_variant(content, variant)
        gates = content.get("gates") or {}
        for gate in set(stop_on) - {*gates, "forgetting"}:
            raise ConfigurationError(
                f'stop_on: the suite has no gate "{gate}"{did_you_mean(gate, gates)}'
            )
        self.stop_on = tuple(gate for gate in stop_on if gate in gates)
        self._extra = extra_of(content, self.variant)
        self._provider: ModelInMemory | None = None
        self._planned = 1
        #: The room to think of both sides, chosen at the first checkpoint.
        self._room: int | None = None
        self.checkpoints: list[EvaluatedCheckpoint] = []
        self.best: EvaluatedCheckpoint | None = None
        self.stopped_at: int | None = None

    # Events of a trainer ------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over the model; request the replies of a base that the training will change."""
        del control
        self._planned = planned_checkpoints(self.every, args, state)
        if getattr(args, "world_size", 1) > 1 or getattr(args, "deepspeed", None):
            raise ConfigurationError(
                "GateCallback needs the whole model in one process; save checkpoints, and evaluate "
                "them with pytest_ftgate.evaluate"
            )
        tokenizer = kwargs.get("processing_class") or kwargs.get("tokenizer")
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        if tokenizer is None:
            raise ConfigurationError("GateCallback needs the trainer's processing_class")
        self._provider = ModelInMemory(kwargs["model"], tokenizer, self.batch_size)
        self._provider.compute_as_in_training(args)
        if not self._provider.has_adapter:
            self._ask_base(self._provider)
            self._provider.is_trained = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the gates, with ``every="epoch"``."""
        if self.every == "epoch":
            self._check(args, state, control, kwargs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the gates, with a number of steps."""
        if isinstance(self.every, int) and state.global_step % self.every == 0:
            self._check(args, state, control, kwargs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the gates, with ``every="save"``."""
        if self.every == "save":
            self._check(args, state, control, kwargs)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name the best checkpoint; with *at_end*, evaluate the gates on all cases before."""
        del control, kwargs
        provider = self._provider
        if provider is None:
            return
        last = self.checkpoints[-1] if self.checkpoints else None
        is_new = self.cases is not None or last is None or last.step != state.global_step
        if self.at_end and is_new:
            self._log(state, self._evaluate(provider, state.global_step, cases=None))
        if self.best is None and self.checkpoints:
            _tell("no checkpoint is without a drop, so none is the best")
        elif self.best:
            place = f", saved in {Path(args.output_dir) / BEST_FOLDER}" if self.keep else ""
            _tell(f"the best checkpoint is that of step {self.best.step}{place}")
        provider.stop()
        self._provider = None

    # Evaluation ---------------------------------------------------------------------------------

    def _check(self, args: Any, state: Any, control: Any, kwargs: Mapping[str, Any]) -> None:
        if self._provider is None:
            return
        checkpoint = self._evaluate(self._provider, state.global_step, self.cases)
        self._log(state, checkpoint)
        stops = self._is_stopped(checkpoint)
        is_good = not (checkpoint.drops or stops)
        if is_good and (self.best is None or checkpoint.mean > self.best.mean):
            self.best = checkpoint
            if self.keep == "best":
                folder = Path(args.output_dir) / BEST_FOLDER
                kwargs["model"].save_pretrained(str(folder))
                if tokenizer := kwargs.get("processing_class"):
                    tokenizer.save_pretrained(str(folder))
        if stops and self.stopped_at is None:
            self.stopped_at = state.global_step
            control.should_training_stop = True

    def _is_stopped(self, checkpoint: EvaluatedCheckpoint) -> bool:
        """Return True if the last checkpoint ends the training; say why, or what a stop needs."""
        number = len(self.checkpoints)
        tests, level = self._stop_tests(checkpoint.result.verdicts, number)
        found = [(test.verdict, test.part) for test in tests if test.p <= level]
        if found:
            place = f"checkpoint {number} of {max(number, self._planned)}"
            why = stop_text(found, surely_half=self.stop_rule == "half_limit")
            _tell(f"step {checkpoint.step}: stopped at {place}: {why}")
            return True
        for verdict, check, needed in drops(tests, level) if self.stop_rule == "half_limit" else ():
            # Part of the cases stops nothing.
            if self.cases is None or verdict.gate in checkpoint.doubtful:
                _tell(f"step {checkpoint.step}: {distance_text(verdict, check, needed)}")
        return False

    def _stop_tests(
        self, verdicts: Sequence[Verdict], number: int
    ) -> tuple[tuple[StopTest, ...], float]:
        """Return what may end the training at the checkpoint *number*, and the level of each."""
        tests = stop_tests(verdicts, self.stop_on, self.stop_rule)
        return tests, stop_level(number, self._planned, len(tests))

    def _evaluate(
        self, provider: ModelInMemory, step: int, cases: int | None
    ) -> EvaluatedCheckpoint:
        """Evaluate the gates now, and append what came of it."""
        start = time.perf_counter()
        provider.name_weights()
        first = result = self._run(provider, cases, step=step)
        doubtful = self._gates_in_doubt(first) if cases is not None else []
        if doubtful:
            names = ", ".join(doubtful)
            _tell(f"step {step}: {names} may have dropped too far, and is evaluated on all cases")
            result = self._run(provider, cases, doubtful)
        checkpoint = EvaluatedCheckpoint(
            step=step,
            seconds=time.perf_counter() - start,
            result=result,
            drops=tuple(verdict.gate for verdict in result.verdicts if may_exceed(verdict)),
            mean=_mean(first),
            is_whole=cases is None,
            doubtful=tuple(doubtful),
        )
        self.checkpoints.append(checkpoint)
        return checkpoint

    def _gates_in_doubt(self, result: EvaluateResult) -> list[str]:
        """Return the gates that are evaluated on all cases, since these decide."""
        tests, level = self._stop_tests(result.verdicts, len(self.checkpoints) + 1)
        found = {test.verdict.gate for test in tests if test.p <= level}
        found |= {*doubtful_gates(result.verdicts, self.stop_on)}
        return [gate for gate in self.stop_on if gate in found]

    def _run(
        self,
        provider: ModelInMemory,
        cases: int | None,
        whole: Collection[str] = (),
        step: int | None = None,
    ) -> EvaluateResult:
        """Evaluate the gates, on *cases* cases unless they are among *whole*.

        With *step*, say how many questions that and what may follow it asks.
        """
        with self._opened(provider) as (session, loaded):
            suite = loaded if cases is None else with_fewer_cases(loaded, cases, whole)
            if step is not None:
                _tell(f"step {step}: {self._count(suite, loaded, cases)}")
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
    def _opened(self, provider: ModelInMemory) -> Iterator[tuple[Session, Suite]]:
        """Open a session that *provider* answers, and load the suite with its names."""
        settings = Settings.of_evaluation(self._project.root)
        with self._project.open_session(settings, {IN_MEMORY: provider}) as (session, load):
            suite = load(lambda content: in_memory_content(content, self.variant))
            names = (provider.name, provider.base_name)
            suite = with_weights(suite, self.variant, *names, self._extra)
            yield session, suite if provider.has_adapter else without_base_readings(suite)

    def _ask_base(self, provider: ModelInMemory) -> None:
        """Ask for all replies of the base, which the cache keeps."""
        provider.name_weights()
        with self._opened(provider) as (session, suite):
            for requests in _base_requests(session, suite, self.variant):
                session.replies.results(requests)

    def _log(self, state: Any, checkpoint: EvaluatedCheckpoint) -> None:
        """Log the figures through the trainer, and say them in a line."""
        verdicts = checkpoint.result.report.gate_verdicts
        figures = logged_figures(verdicts)
        figures["ftgate/seconds"] = round(checkpoint.seconds, 1)
        if self.trainer is not None:
            control = self.trainer.control
            # To log clears the mark that the trainer itself is about to log its loss.
            is_due = control.should_log
            self.trainer.log(dict(figures))
            control.should_log = is_due
        else:
            entry = {**figures, "epoch": state.epoch, "step": checkpoint.step}
            state.log_history.append(entry)
        for verdict in verdicts:
            is_whole = checkpoint.is_whole or verdict.gate in checkpoint.doubtful
            cases = "all cases" if is_whole else f"{self.cases} cases"
            word = verdict.outcome.upper() if verdict.gated else "not gated:"
            _tell(f"step {checkpoint.step}, {cases}: {word} {headline(verdict)}")
        for row in checkpoint.result.not_evaluated:
            _tell(f"step {checkpoint.step}: {row.node} was not evaluated: {row.reason}")


def _mean(result: EvaluateResult) -> float:
    """Return the mean of what the gates rate; a divergence is no rate."""
    checks = filter(None, map(comparing_check, result.verdicts))
    rated = [check.after for check in checks if check.unit != "nats"]
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


def _tell(sentence: str) -> None:
    sys.stderr.write(f"ftgate: {escape_controls(sentence)}\n")
