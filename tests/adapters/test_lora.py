"""An adapter, file or folder: its digest, its facts, and why llama.cpp cannot use it."""

from __future__ import annotations

import json
from pathlib import Path

from ftgate_testing.tables import every_row
from ftgate_testing.tickets import EXAMPLE

from pytest_ftgate.adapters.lora import (
    LoraConfig,
    adapter_facts,
    adapter_path,
    adapter_sha256,
    unusable_reason,
)
from pytest_ftgate.weights import file_sha256

CONFIG = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "org/base"}


def write_folder(folder: Path, weights: str = "weights", **config) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}), "utf-8")
    (folder / "adapter_model.safetensors").write_text(weights)
    return folder


# Where and what ----------------------------------------------------------------------------------


def test_the_weights_in_a_trainers_folder_stand_for_the_folder(tmp_path):
    folder = write_folder(tmp_path / "out")
    alone = tmp_path / "adapter_model.safetensors"

    assert adapter_path(folder / "adapter_model.safetensors") == folder
    assert adapter_path(folder) == folder
    assert adapter_path(alone) == alone


def test_the_digest_of_a_file_is_that_of_its_content():
    path = EXAMPLE / "tickets-narrow.gguf"

    assert adapter_sha256(path) == file_sha256(path)


def test_retraining_in_place_changes_the_digest_of_a_folder_and_the_state_of_a_training_does_not(
    tmp_path,
):
    first = adapter_sha256(write_folder(tmp_path / "out"))
    copy = write_folder(tmp_path / "two")
    (copy / "optimizer.pt").write_text("state")

    again = adapter_sha256(write_folder(tmp_path / "out", weights="other weights"))
    scaled = adapter_sha256(write_folder(tmp_path / "out", lora_alpha=32))

    assert len({first, again, scaled}) == 3
    assert adapter_sha256(copy) == first


def test_of_another_folder_every_file_counts(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "weights.bin").write_text("one")
    first = adapter_sha256(tmp_path)
    (tmp_path / ".DS_Store").write_text("hidden")
    assert adapter_sha256(tmp_path) == first

    (tmp_path / "deep" / "weights.bin").write_text("two!")

    assert adapter_sha256(tmp_path) != first


# Facts -------------------------------------------------------------------------------------------

BOTH = {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 8, "v_proj": 16}}


@every_row("config, scale, text", [
    ({}, 1.0, "1 × 16/8 = 2"),
    ({}, 0.5, "0.5 × 16/8 = 1"),
    ({"use_rslora": True, "r": 16}, 1.0, "1 × 16/√16 = 4"),
    ({"rank_pattern": {"q_proj": 4}}, 1.0, "1 × 16/8 = 2, 1 × 16/4 = 4"),
    (BOTH, 1.0, "1 × 16/8 = 2, 1 × 8/4 = 2"),
])  # fmt: skip
def test_the_scale_of_a_folder_is_a_fact(tmp_path, config, scale, text):
    folder = write_folder(tmp_path / "out", **config)

    facts = adapter_facts(folder, adapter_sha256(folder), scale)

    assert facts["adapter scale"] == text
    assert facts["adapter base"] == "org/base"


def test_the_scale_of_a_gguf_file_is_a_fact():
    path = EXAMPLE / "tickets-narrow.gguf"

    assert adapter_facts(path, file_sha256(path), 1.0) == {
        "adapter rank": "8",
        "adapter type": "lora",
        "adapter alpha": "16",
        "adapter scale": "1 × 16/8 = 2",
    }


def test_what_cannot_be_read_has_no_facts(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")

    assert adapter_facts(tmp_path, "", 1.0) == {}


def test_a_new_digest_gives_new_facts(tmp_path):
    folder = write_folder(tmp_path / "out")
    assert adapter_facts(folder, adapter_sha256(folder))["adapter alpha"] == "16"

    write_folder(tmp_path / "out", lora_alpha=32)

    assert adapter_facts(folder, adapter_sha256(folder))["adapter alpha"] == "32"


def test_the_largest_rank_is_that_of_any_module():
    assert LoraConfig({**CONFIG, "rank_pattern": {"q_proj": 64}}).max_rank() == 64


def test_a_pattern_that_is_no_expression_applies_to_no_module():
    config = LoraConfig({**CONFIG, "rank_pattern": {"(": 4, "(a|a)*b": 5}})

    assert config.rank_of("model.layers.0.self_attn." + "a" * 40) == 8


# Refusals ----------------------------------------------------------------------------------------

REFUSED = [
    ({"use_dora": True}, "it uses DoRA (use_dora)"),
    ({"modules_to_save": ["lm_head"]}, "it replaces whole layers (modules_to_save)"),
    ({"trainable_token_indices": [5]}, "it changes embeddings (trainable_token_indices)"),
    ({"bias": "all"}, "it has biases (bias: all)"),
    ({"lora_bias": True}, "it has biases (lora_bias)"),
    ({"peft_type": "IA3"}, "its peft_type is IA3, and llama.cpp applies LORA only"),
    ({"peft_type": "PROMPT_TUNING"}, "its peft_type is PROMPT_TUNING"),
    ({"init_lora_weights": "pissa_niter_4"}, "its training changed the base as well"),
    ({"r": 0}, "r and lora_alpha must be numbers above 0"),
    ({"lora_alpha": "16"}, "r and lora_alpha must be numbers above 0"),
]


@every_row(("config", "why"), REFUSED)
def test_an_adapter_that_is_more_than_lora_is_refused_with_what_to_do_instead(
    tmp_path, config, why
):
    reason = unusable_reason(write_folder(tmp_path / "out", **config))

    assert reason.startswith(f"cannot be used as an adapter: {why}")
    assert reason.endswith("write model: MERGED.gguf and base: BASE.gguf")


def test_an_ordinary_adapter_is_not_refused(tmp_path):
    settings = {"bias": "none", "use_dora": False, "modules_to_save": None, "rank_pattern": {}}

    assert unusable_reason(write_folder(tmp_path / "out", **settings)) == ""


def test_a_folder_without_an_adapter_names_its_newest_checkpoint_or_what_it_is(tmp_path):
    hint = "name the folder in which the trainer saved the adapter"
    assert unusable_reason(tmp_path) == f"has no adapter_config.json; {hint}"
    (tmp_path / "config.json").write_text("{}")
    assert "it is a whole model: convert it to GGUF" in unusable_reason(tmp_path)

    for number in (500, 1000):
        write_folder(tmp_path / f"checkpoint-{number}")

    hint = "did you mean checkpoint-1000 in it?"
    assert unusable_reason(tmp_path) == f"has no adapter_config.json; {hint}"


def test_an_adapter_without_weights_or_with_a_pickle_says_how_to_save_it(tmp_path):
    folder = write_folder(tmp_path / "out")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    assert unusable_reason(folder) == (
        "has no adapter_model.safetensors; it has a pickle; save with safe_serialization=True"
    )


@every_row("text", ["", "[]", "{"])
def test_a_config_that_is_no_object_is_an_error(tmp_path, text):
    folder = write_folder(tmp_path / "out")
    (folder / "adapter_config.json").write_text(text)

    assert unusable_reason(folder).startswith("cannot be used: adapter_config.json ")


def test_a_number_that_no_float_holds_is_no_fact(tmp_path):
    folder = write_folder(tmp_path / "out", r=10**400)

    assert "adapter scale" not in adapter_facts(folder, adapter_sha256(folder))
