"""The callback that evaluates a suite's gates while a model is trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any, Literal, get_args

from transformers import Trainer, TrainerCallback
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from pytest_ftgate.errors import ConfigurationError, FtgateError, did_you_mean
from pytest_ftgate.training.checkpoints import (
    CheckpointGates,
    EvaluatedCheckpoint,
    TrainedWeights,
    tell,
)
from pytest_ftgate.training.memory import ModelInMemory, is_split, whole_model
from pytest_ftgate.training.processes import Agreement, Processes, reason
from pytest_ftgate.training.stop import StopRule, planned_checkpoints, strategy
from pytest_ftgate.training.suite import METRICS, loads_here, saved_key

#: The folder of the best checkpoint, in the output folder of the training.
BEST_FOLDER = "ftgate-best"
#: The most minutes to wait; more than torch can count would be no limit.
_YEAR = 525_600
_EVENTS = ("epoch", "save", "evaluate")
#: What a trainer saves to go on from, beside the model.
_TRAINER_STATE = shutil.ignore_patterns(
    *("optimizer*", "scheduler*", "scaler*", "rng_state*", "trainer_state*", "training_args*"),
    *("pytorch_model_fsdp*", "global_step*", "latest", "zero_to_fp32.py"),
)


class GateCallback(TrainerCallback):  # type: ignore[misc]
    """Evaluates the gates of a suite while a model is trained, for the trainers of Transformers.

    The base is the same model without its adapter. Its replies are requested once, and kept in the
    cache by a digest of its weights. With several processes the first one evaluates, the others
    wait, and all do what it decides. Nothing that goes wrong after the start ends a training: it is
    a warning on standard error.

    Args:
        suite: the path of a ``*.ftgate.yaml`` file. One of its variants is being trained; what it
            declares of provider, model and adapter does not matter without *through*.
        every: ``epoch``, ``save``, ``evaluate`` (each evaluation of the trainer), or a number of
            steps; by default ``epoch``, with *through* ``save``.
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
        through: the name of the variant whose own provider answers, with each checkpoint that the
            trainer saves as its adapter or model; None for the model in memory. Weights that are
            split over processes (FSDP, ZeRO-3) are evaluated in no other way.
        trainer: the trainer, for trackers such as W&B, MLflow and TensorBoard:
            ``trainer.add_callback(GateCallback(suite, trainer=trainer))``. Without it the figures
            are in ``trainer.state.log_history`` alone.
        rootdir: as for ``pytest_ftgate.evaluate``.
        batch_size: the number of requests that the model in memory answers at once.
        wait_minutes: the most that other processes wait for the first one at a checkpoint.
        required: True to end the training by an error where something cannot be evaluated.

    Attributes:
        checkpoints: what was evaluated so far; in the first process alone, as *best*.
        best: of those without a drop the one whose gates rate highest; None if there is none.
        stopped_at: the step at which a gate ended the training, or None.

    Raises:
        ConfigurationError: an argument cannot be used.
        SuiteError: the suite has errors; the message has all of them, each with its line.
    """

    def __init__(  # noqa: PLR0913 - each by its name
        self,
        suite: str | Path,
        *,
        every: Literal["epoch", "save", "evaluate"] | int | None = None,
        stop_on: Sequence[str] = ("forgetting",),
        stop_rule: StopRule = "half_limit",
        keep: Literal["best"] | None = "best",
        cases: int | None = 60,
        at_end: bool = True,
        variant: str | None = None,
        through: str | None = None,
        trainer: Any = None,
        rootdir: str | Path | None = None,
        batch_size: int = 32,
        wait_minutes: float = 60,
        required: bool = False,
    ) -> None:
        self.every = _checked_event(every, through)
        rules = get_args(StopRule)
        if stop_rule not in rules:
            raise ConfigurationError(f"stop_rule={stop_rule!r}: write {' or '.join(rules)}")
        if not (isinstance(wait_minutes, int | float) and 0 < wait_minutes <= _YEAR):
            raise ConfigurationError(
                f"wait_minutes={wait_minutes!r}: write minutes above 0, and at most {_YEAR:,}"
            )
        path = Path(suite).absolute()
        if not path.is_file():
            raise ConfigurationError(f"{suite} is no file; name a *.ftgate.yaml file")
        variant = _same_variant(variant, through)
        self._gates = CheckpointGates(path, rootdir, variant, stop_on, stop_rule, cases)
        if through:
            saved_key(self._gates.content, through)
        self.keep, self.at_end, self.trainer = keep, at_end, trainer
        self.through, self.batch_size = through, batch_size
        self.wait_minutes, self.required = wait_minutes, required
        #: None while no checkpoint is evaluated.
        self._processes: Processes | None = None
        self._memory: ModelInMemory | None = None
        #: The last step that was tried, and what came of it.
        self._settled: tuple[int, Agreement] | None = None
        self._is_for_trainer = False
        self.checkpoints = self._gates.evaluated
        self.best: EvaluatedCheckpoint | None = None
        self.stopped_at: int | None = None

    # Events of a trainer ------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over the model; request the replies of a base that the training will change."""
        del control
        self._processes = self._memory = self._settled = None
        self._gates.planned = planned_checkpoints(self.every, args, state)
        self._check_metric(args)
        _before_early_stopping(self, self.trainer)
        processes = Processes(self.wait_minutes)
        self._gates.seconds = processes.seconds
        agreement = processes.agree(lambda: self._begin(args, processes.count, kwargs))
        self._raise_or_tell(agreement, processes, "no gate is evaluated", state)
        self._processes = None if agreement.problem else processes

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

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add the figures to the trainer's metrics, by which it chooses its best checkpoint.

        What could not be evaluated is ``nan``, which is never better than anything.
        """
        if not self._is_for_trainer or kwargs.get("metrics") is None:
            return
        self._check(args, state, control, kwargs)
        found = self._settled[1].metrics if self._settled else {}
        kwargs["metrics"].update({name: found.get(name, nan) for name in self._gates.metric_names})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name the best checkpoint; with *at_end*, evaluate the gates on all cases before."""
        del control, kwargs
        processes, self._processes = self._processes, None
        self._is_for_trainer = False
        if processes is None:
            return
        agreement = processes.agree(lambda: self._end(args, state))
        self._log(state, agreement)
        if processes.is_first:
            self._tell_best(args)
        if self._memory is not None:
            self._memory.stop()
        self._memory = None
        self._raise_or_tell(agreement, processes, "at the end", state)

    # What is decided, in the first process ------------------------------------------------------

    def _begin(self, args: Any, count: int, kwargs: Mapping[str, Any]) -> Agreement:
        """Take over what answers; request the replies of a base that will change."""
        if count < args.world_size:
            raise ConfigurationError(
                f"{args.world_size} processes train without a process group of torch's, so they "
                "cannot agree; start them with torchrun or accelerate launch"
            )
        if self.through:
            self._check_through(args)
            return Agreement()
        model = whole_model(kwargs["model"])
        if is_split(model):
            raise ConfigurationError(
                "the weights are split over the processes (FSDP, ZeRO-3, tensor parallelism); "
                "write through=VARIANT, so that the provider of this variant answers with each "
                "saved checkpoint"
            )
        tokenizer = kwargs.get("processing_class") or kwargs.get("tokenizer")
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        if tokenizer is None:
            raise ConfigurationError("the trainer has no tokenizer; write processing_class= there")
        self._memory = memory = ModelInMemory(model, tokenizer, self.batch_size)
        memory.compute_as_in_training(args)
        if not memory.has_adapter:
            self._gates.ask_base(memory)
            memory.is_trained = True
        return Agreement()

    def _check_through(self, args: Any) -> None:
        if strategy(args, "save") == "no":
            raise ConfigurationError("through= evaluates what is saved; write save_strategy=")
        if loads_here(self._gates.content, self._gates.variant) and is_deepspeed_zero3_enabled():
            raise ConfigurationError(
                f'through="{self.through}": under ZeRO-3 Transformers splits every model that '
                "this process loads; name a variant that a server or llama.cpp answers"
            )

    def _check(self, args: Any, state: Any, control: Any, kwargs: Mapping[str, Any]) -> None:
        """Evaluate a step once, and do in each process what the first one decides."""
        processes, step = self._processes, state.global_step
        if processes is None or (self._settled and self._settled[0] == step):
            return
        self._settled = step, Agreement()
        agreement = processes.agree(lambda: self._decide(args, state, kwargs))
        self._settled = step, agreement
        self._log(state, agreement)
        if agreement.stops:
            self.stopped_at = step
            control.should_training_stop = True
        self._raise_or_tell(agreement, processes, f"step {step}", state)

    def _decide(self, args: Any, state: Any, kwargs: Mapping[str, Any]) -> Agreement:
        weights = self._weights(args, state.global_step)
        checkpoint = self._gates.evaluate(weights, state.global_step, self._gates.cases)
        stops = self._gates.stops(checkpoint)
        problem = self._gates.problem(checkpoint)
        is_good = not (checkpoint.drops or stops or checkpoint.result.not_evaluated)
        if is_good and (self.best is None or checkpoint.mean > self.best.mean):
            self.best = checkpoint
            folder = Path(args.output_dir) / BEST_FOLDER
            try:
                self._save_best(folder, weights, kwargs)
            except Exception as error:  # noqa: BLE001 - such as a full disk
                problem = f"{folder} was not written: {reason(error)}"
        metrics = checkpoint.metrics()
        return Agreement(
            problem=problem, stops=stops, figures=checkpoint.figures(), metrics=metrics
        )

    def _end(self, args: Any, state: Any) -> Agreement:
        """Evaluate the gates on all cases, of the model that the training leaves."""
        step = state.global_step
        if args.load_best_model_at_end and state.best_model_checkpoint:
            step = int(state.best_global_step or step)
        elif self.through:
            # An older training may have left later checkpoints in the folder.
            step = self._settled[0] if self._settled else step
        last = self.checkpoints[-1] if self.checkpoints else None
        is_new = self._gates.cases is not None or last is None or last.step != step
        if not (self.at_end and is_new):
            return Agreement()
        checkpoint = self._gates.evaluate(self._weights(args, step), step, cases=None)
        return Agreement(problem=self._gates.problem(checkpoint), figures=checkpoint.figures())

    def _weights(self, args: Any, step: int) -> TrainedWeights:
        """Return what is evaluated: the model in memory, or the folder of the saved checkpoint."""
        if self._memory is not None:
            return self._memory
        folder = Path(args.output_dir).absolute() / f"checkpoint-{step}"
        if self._settled is None or not any(folder.glob("*.safetensors")):
            raise ConfigurationError(
                f"{folder} has no *.safetensors of this training; let the trainer save whole "
                "weights there: save_strategy=; "
                'fsdp_config={"state_dict_type": "FULL_STATE_DICT"} for FSDP; '
                "stage3_gather_16bit_weights_on_model_save for ZeRO-3"
            )
        return folder

    def _save_best(self, folder: Path, weights: TrainedWeights, kwargs: Mapping[str, Any]) -> None:
        if self.keep != "best":
            return
        if isinstance(weights, Path):
            # The trainer may delete its own checkpoint later.
            shutil.copytree(weights, folder, ignore=_TRAINER_STATE, dirs_exist_ok=True)
            return
        whole_model(kwargs["model"]).save_pretrained(str(folder))
        if tokenizer := kwargs.get("processing_class"):
            tokenizer.save_pretrained(str(folder))

    def _raise_or_tell(
        self, agreement: Agreement, processes: Processes, place: str, state: Any
    ) -> None:
        """Tell a problem once, and go on.

        Raises:
            FtgateError: the training goes on only without problems; in all processes alike.
        """
        if not agreement.problem:
            return
        if self.required:
            raise FtgateError(f"{place}: {agreement.problem}") from processes.error
        if state.is_world_process_zero:
            told = f"warning: {place}: {agreement.problem}"
            tell(f"{told}; the training is not ended (required=True would end it)")

    def _check_metric(self, args: Any) -> None:
        """Note whether the trainer chooses by one of our metrics.

        Raises:
            ConfigurationError: there is none of that name, or none would come.
        """
        chosen = str(getattr(args, "metric_for_best_model", None) or "")
        chosen = f"eval_{chosen.removeprefix('eval_')}"
        is_ours = chosen.startswith(METRICS)
        self._is_for_trainer = is_ours or self.every == "evaluate"
        names = self._gates.metric_names
        if is_ours and chosen not in names:
            raise ConfigurationError(
                f'metric_for_best_model="{chosen}": the suite has {", ".join(names)}'
                f"{did_you_mean(chosen, names)}"
            )
        if self._is_for_trainer and strategy(args, "eval") == "no":
            asks = f'metric_for_best_model="{chosen}"' if is_ours else 'every="evaluate"'
            raise ConfigurationError(f'{asks} needs eval_strategy="steps" or "epoch"')
        if is_ours and self.through:
            raise ConfigurationError(
                f'metric_for_best_model="{chosen}": the trainer chooses before it saves what '
                "through= evaluates; leave one of them out, since keep= keeps the best checkpoint"
            )

    def _log(self, state: Any, agreement: Agreement) -> None:
        """Log the figures through the trainer."""
        if not agreement.figures:
            return
        figures = {**agreement.figures, **agreement.metrics}
        if self.trainer is None:
            state.log_history.append({**figures, "epoch": state.epoch, "step": state.global_step})
            return
        control = self.trainer.control
        # To log clears the mark that the trainer itself is about to log its loss.
        is_due = control.should_log
        # TRL's own would add what it has gathered for the next line of the training, and clear it.
        Trainer.log(self.trainer, figures)
        control.should_log = is_due

    def _tell_best(self, args: Any) -> None:
        if self.best is None and self.checkpoints:
            tell("no checkpoint is without a drop, so none is the best")
        elif self.best:
            place = f", saved in {Path(args.output_dir) / BEST_FOLDER}" if self.keep else ""
            tell(f"the best checkpoint is that of step {self.best.step}{place}")


def _checked_event(every: Any, through: str | None) -> Any:
    found = ("save" if through else "epoch") if every is None else every
    if found not in _EVENTS and not (isinstance(found, int) and found > 0):
        raise ConfigurationError(
            f"every={every!r}: write {', '.join(_EVENTS)}, or a number of steps"
        )
    if through and found != "save":
        raise ConfigurationError(
            f'every={every!r}: through= evaluates what the trainer saves; write every="save", and '
            "save_steps= of the trainer"
        )
    return found


def _same_variant(variant: str | None, through: str | None) -> str | None:
    if variant and through and variant != through:
        raise ConfigurationError(
            f'variant="{variant}", through="{through}": the variant that answers is the one '
            "that is trained; leave variant= out"
        )
    return through or variant


def _before_early_stopping(callback: GateCallback, trainer: Any) -> None:
    """Let *callback* add its metrics before the callbacks that read them."""
    if trainer is not None:
        known = trainer.callback_handler.callbacks
        # In place: the trainer is going through this list, and what follows keeps its place.
        known[:] = [callback, *(one for one in known if one is not callback)]
