"""Gates at the checkpoints of a training by Transformers' own trainer."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from ftgate_testing.tiny_training import SKILLS, loaded, save_project
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

from pytest_ftgate import ConfigurationError, Outcome
from pytest_ftgate.errors import SuiteError
from pytest_ftgate.providers.generation import ChatModel
from pytest_ftgate.training import GateCallback
from pytest_ftgate.training.checkpoints import CheckpointGates
from pytest_ftgate.training.memory import kept_random_states
from pytest_ftgate.training.stop import stop_level

STEPS = 6
SKILLS_METRIC = "eval_ftgate_general_skills"
#: A trainer that chooses its best checkpoint by a gate.
CHOSEN = {
    **dict.fromkeys(("eval_strategy", "save_strategy"), "steps"),
    **dict.fromkeys(("eval_steps", "save_steps"), 1),
    "load_best_model_at_end": True,
    "metric_for_best_model": SKILLS_METRIC,
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_project(tmp_path)


def train(
    folder: Path, *, adapter: bool = True, rate: float = 0.0, args=None, early=False, **options
):
    """Train on "w1" for everything; return the trainer and the callback."""
    torch.manual_seed(3)
    model, tokenizer = loaded(folder / "tiny")
    if adapter:
        lora = LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.5, task_type="CAUSAL_LM")
        model = get_peft_model(model, lora)
    one = tokenizer.convert_tokens_to_ids("w1")
    rows = [{"input_ids": [n % 60, one, 1], "labels": [-100, one, 1]} for n in range(64)]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "out"), max_steps=STEPS, per_device_train_batch_size=8,
            learning_rate=rate, seed=5, use_cpu=True, report_to="none", logging_steps=1,
            disable_tqdm=True, **{"save_strategy": "no", **(args or {})},
        ),
        train_dataset=rows,
        eval_dataset=rows[:8],
        processing_class=tokenizer,
    )  # fmt: skip
    callback = None
    if early:
        trainer.add_callback(EarlyStoppingCallback(1))
    if options:
        callback = GateCallback("s.ftgate.yaml", rootdir=folder, trainer=trainer, **options)
        trainer.add_callback(callback)
    trainer.train()
    return trainer, callback


def losses(trainer) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def figures(trainer) -> list[dict[str, float]]:
    """Return the rows of the gates, without the time that they took."""
    found = [row for row in trainer.state.log_history if "ftgate/seconds" in row]
    return [{name: row[name] for name in row if name != "ftgate/seconds"} for row in found]


def test_the_base_is_asked_once_and_the_figures_are_logged(tiny, capsys):
    trainer, callback = train(tiny, every=3, cases=20)

    said = capsys.readouterr().err.splitlines()
    # 20 tickets and 20 of 240 questions of skills; the latter alone may be in doubt.
    assert "ftgate: step 3: 40 questions, at most 260" in said
    assert "ftgate: step 6: 300 questions" in said

    steps = [(one.step, one.is_whole) for one in callback.checkpoints]
    assert steps == [(3, False), (6, False), (6, True)]
    sent = [one.result.report.requests.sent for one in callback.checkpoints]
    # The weights do not change: the second checkpoint is the first.
    assert sent[0] > 0
    assert sent[1] == 0
    figures = next(row for row in trainer.state.log_history if "ftgate/forgetting/tuned/low" in row)
    assert figures["step"] == 3
    assert figures["ftgate/forgetting/tuned/before"] == 1.0
    assert figures["ftgate/forgetting/tuned/change"] == 0.0
    assert callback.stopped_at is None
    assert callback.best.step == 3
    assert isinstance(
        PeftModel.from_pretrained(loaded(tiny / "tiny")[0], tiny / "out/ftgate-best"), PeftModel
    )


def test_whether_the_model_thinks_is_seen_at_the_first_checkpoint_alone(tiny):
    _, callback = train(tiny, rate=0.01, every=2, cases=20, stop_on=(), at_end=False)

    sent = [one.result.report.requests.sent for one in callback.checkpoints]
    # Cases and skills cases of the model, the skills cases of its base, and three more of each.
    assert sent[0] == 20 + 20 + 20 + 6
    assert sent[1:] == [20 + 20, 20 + 20]


def test_a_training_that_forgets_ends_at_the_first_checkpoint_that_shows_it(tiny):
    suite = tiny / "s.ftgate.yaml"
    # A checkpoint has its own cheap look, and all questions decide.
    suite.write_text(suite.read_text("utf-8").replace("0.2}", "0.2, stop_early: true}"), "utf-8")
    trainer, callback = train(tiny, rate=0.3, every=2, cases=30)

    assert callback.stopped_at == 2
    assert trainer.state.global_step == 2
    assert callback.checkpoints[0].drops == ("forgetting",)
    assert callback.checkpoints[0].result.verdict("forgetting", "tuned").check.n == SKILLS
    assert callback.best is None


def test_a_training_that_forgets_goes_on_until_more_than_half_of_the_limit_is_surely_lost(
    tiny, capsys
):
    suite = tiny / "s.ftgate.yaml"
    suite.write_text(suite.read_text("utf-8").replace("max_drop: 0.2", "max_drop: 0.06"), "utf-8")

    _, callback = train(tiny, rate=0.0015, every=1, cases=60, at_end=False)

    *before, last = callback.checkpoints
    check = last.result.verdict("forgetting", "tuned").check
    levels = [stop_level(number, STEPS) for number in range(1, STEPS + 1)]
    assert callback.stopped_at == last.step
    assert check.n == SKILLS
    assert check.p_half <= levels[len(before)]
    for checkpoint, level in zip(before, levels, strict=False):
        assert checkpoint.result.verdict("forgetting", "tuned").check.p_half > level
    said = capsys.readouterr().err
    assert f"step {last.step}: stopped at checkpoint {len(before) + 1} of {STEPS}: general" in said
    assert "surely more than half of the 6 allowed" in said
    assert "of 6 allowed; a stop needs down" in said


def test_by_any_drop_a_training_that_forgets_little_by_little_ends_before_its_gate_fails(tiny):
    suite = tiny / "s.ftgate.yaml"
    suite.write_text(suite.read_text("utf-8").replace("max_drop: 0.2", "max_drop: 0.1"), "utf-8")

    _, callback = train(tiny, rate=0.0015, every=1, cases=60, at_end=False, stop_rule="any_drop")

    last = callback.checkpoints[-1]
    verdict = last.result.verdict("forgetting", "tuned")
    assert callback.stopped_at == last.step
    assert last.doubtful == last.drops == ("forgetting",)
    assert verdict.check.n == SKILLS
    assert verdict.outcome is not Outcome.FAILED
    assert -0.1 < verdict.check.change < 0
    # The checkpoints before it were evaluated on some of the cases, unless they were in doubt.
    first = callback.checkpoints[0]
    assert first.result.verdict("forgetting", "tuned").check.n == (SKILLS if first.doubtful else 60)


def test_a_model_without_an_adapter_is_compared_with_what_it_was(tiny):
    _, callback = train(tiny, adapter=False, rate=0.05, every=3, cases=30, stop_on=())

    (check,) = callback.checkpoints[0].result.verdict("forgetting", "tuned").checks[:1]
    assert check.before == 1.0
    assert check.after < 1.0
    assert callback.checkpoints[-1].is_whole


def test_the_training_is_the_same_with_the_callback_as_without_it(tiny):
    plain, _ = train(tiny, rate=0.01)
    gated, _ = train(tiny, rate=0.01, every=1, cases=10, stop_on=(), keep=None)

    assert losses(gated) == losses(plain)
    assert not (tiny / "out/ftgate-best").exists()


def test_arguments_that_cannot_be_used_are_errors_at_once(tiny):
    with pytest.raises(ConfigurationError, match="every='step': write epoch, save, evaluate, or a"):
        GateCallback("s.ftgate.yaml", every="step")
    with pytest.raises(ConfigurationError, match=r"t\.ftgate\.yaml is no file"):
        GateCallback("t.ftgate.yaml")
    with pytest.raises(ConfigurationError, match="stop_rule='half': write half_limit or any_drop"):
        GateCallback("s.ftgate.yaml", stop_rule="half")
    with pytest.raises(ConfigurationError, match='no gate "forgeting"; did you mean "forgetting"'):
        GateCallback("s.ftgate.yaml", stop_on=["forgeting"])
    for minutes in (0, float("inf"), float("nan"), 1e9):
        with pytest.raises(ConfigurationError, match=f"wait_minutes={minutes!r}: write minutes"):
            GateCallback("s.ftgate.yaml", wait_minutes=minutes)
    with pytest.raises(ConfigurationError, match=r'through= evaluates what .* write every="save"'):
        GateCallback("s.ftgate.yaml", through="tuned", every=5)
    with pytest.raises(
        ConfigurationError, match=r'variant="base", through="tuned": .* leave variant='
    ):
        GateCallback("s.ftgate.yaml", through="tuned", variant="base")


def test_an_error_in_the_suite_is_raised_before_the_training(tiny):
    suite = tiny / "s.ftgate.yaml"
    suite.write_text(suite.read_text("utf-8").replace("max_drop: 0.2", "max_dorp: 0.2"), "utf-8")

    with pytest.raises(SuiteError, match="max_dorp"):
        GateCallback("s.ftgate.yaml", rootdir=tiny)


@pytest.mark.parametrize(("chosen", "reason"), [
    ({"metric_for_best_model": "eval_ftgate_acuracy"}, 'did you mean "eval_ftgate_accuracy"'),
    ({"eval_strategy": "no"}, 'metric_for_best_model="eval_ftgate_score" needs eval_strategy='),
])  # fmt: skip
def test_a_metric_that_would_not_come_is_an_error_before_the_first_step(tiny, chosen, reason):
    args = {"metric_for_best_model": "eval_ftgate_score", "eval_strategy": "steps", **chosen}

    with pytest.raises(ConfigurationError, match=reason):
        train(tiny, every="epoch", args=args)


def test_the_trainer_loads_its_best_checkpoint_by_what_the_gates_rate(tiny, capsys):
    trainer, callback = train(
        tiny, rate=0.01, every=2, cases=30, stop_on=(), early=True, args=CHOSEN
    )

    rated = [row[SKILLS_METRIC] for row in trainer.state.log_history if SKILLS_METRIC in row]
    # The second evaluation is no better than the first, which ends the training.
    assert [one.step for one in callback.checkpoints] == [1, 2, 1]
    assert rated[1] <= rated[0] == trainer.state.best_metric
    assert trainer.state.best_global_step == 1
    # What it leaves is the first checkpoint, and this is evaluated on all cases.
    assert "ftgate: step 1: 300 questions" in capsys.readouterr().err


def test_what_could_not_be_evaluated_is_no_number_to_the_trainer(tiny, monkeypatch, capsys):
    def fail(*_given, **_options):
        raise OSError("no space left")

    monkeypatch.setattr(CheckpointGates, "evaluate", fail)
    trainer, _ = train(tiny, every="evaluate", args=CHOSEN)

    assert trainer.state.global_step == STEPS
    assert trainer.state.best_global_step is None
    warnings = capsys.readouterr().err.count("ftgate: warning: step ")
    assert warnings == STEPS


def test_through_its_provider_a_saved_checkpoint_gives_the_figures_of_the_model_in_memory(tiny):
    plain, _ = train(tiny, rate=0.001)
    saved = {"save_strategy": "steps", "save_steps": 3}
    inside, _ = train(tiny, rate=0.001, every="save", cases=20, stop_on=(), args=saved)

    through, callback = train(tiny, rate=0.001, through="tuned", cases=20, stop_on=(), args=saved)

    # Loading a model draws random numbers, of which the training must see nothing.
    assert losses(through) == losses(plain)
    assert figures(through) == figures(inside)
    assert [one.step for one in callback.checkpoints] == [3, 6, 6]
    kept = {path.name for path in (tiny / "out/ftgate-best").iterdir()}
    assert {"adapter_model.safetensors", "tokenizer.json"} <= kept
    assert not kept & {"optimizer.pt", "trainer_state.json", "rng_state.pth"}


def test_a_provider_that_does_not_answer_is_one_warning_at_each_checkpoint(tiny, capsys):
    suite = tiny / "s.ftgate.yaml"
    served = "{provider: openai-compatible, base_url: 'http://127.0.0.1:9', model: t, base: b,"
    text = suite.read_text("utf-8").replace("{like: base,", served)
    suite.write_text(text, "utf-8")

    trainer, callback = train(
        tiny, through="tuned", at_end=False, args={"save_strategy": "steps", "save_steps": 6}
    )

    assert trainer.state.global_step == STEPS
    assert callback.best is None
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert "step 6: accuracy[tuned], forgetting[tuned] not evaluated:" in warning
    assert "start the server of b" in warning


def test_without_saved_checkpoints_nothing_is_evaluated_through_a_provider(tiny, capsys):
    trainer, callback = train(tiny, through="tuned")

    assert trainer.state.global_step == STEPS
    assert callback.checkpoints == []
    assert "through= evaluates what is saved; write save_strategy=" in capsys.readouterr().err


def test_too_little_memory_says_what_to_do_beside_a_training(tiny, monkeypatch, capsys):
    def fail(*_given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ChatModel, "_generate", fail)
    trainer, _ = train(tiny, every=6, cases=3, at_end=False)

    assert trainer.state.global_step == STEPS
    assert "too little memory for replies beside the training; write through=" in (
        capsys.readouterr().err
    )


def test_generators_are_as_they_were_after_an_evaluation():
    def drawn():
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(4)
    expected = drawn()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(4)
    with kept_random_states():
        drawn()

    assert drawn() == expected
