"""The keys of an adapter's config: what trainers write is allowed, and nothing that names code."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.adapters.config import config_problem
from pytest_ftgate.adapters.lora import peft_problem, unusable_reason
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.suite.loader import load_suite

#: What PEFT 0.21 writes where nothing is set but the rank.
WRITTEN = json.loads("""{
    "peft_type": "LORA", "peft_version": "0.21.2", "task_type": "CAUSAL_LM", "bias": "none",
    "base_model_name_or_path": "org/base", "revision": null, "inference_mode": true, "r": 8,
    "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"],
    "auto_mapping": null, "megatron_config": null, "megatron_core": "megatron.core",
    "rank_pattern": {}, "alpha_pattern": {}, "loftq_config": {}, "init_lora_weights": true,
    "use_bdlora": null, "use_dora": false, "use_qalora": false, "use_rslora": false,
    "qalora_group_size": 16, "exclude_modules": null, "modules_to_save": null, "lora_bias": false,
    "layers_to_transform": null, "layers_pattern": null, "layer_replication": null,
    "alora_invocation_tokens": null, "trainable_token_indices": null, "target_parameters": null,
    "ensure_weight_tying": false, "fan_in_fan_out": false, "arrow_config": null,
    "corda_config": null, "eva_config": null, "kasa_config": null, "lora_ga_config": null,
    "monteclora_config": null, "velora_config": null
}""")
OF_A_CLASS = {
    "base_model_class": "LlamaForCausalLM",
    "parent_library": "transformers.models.llama.modeling_llama",
}
ALLOWED = [
    {},
    {"auto_mapping": OF_A_CLASS},
    {"auto_mapping": {**OF_A_CLASS, "unsloth_fixed": True}},
    {"target_modules": r"model\.layers\.\d+\.(q|v)_proj", "layers_to_transform": 3},
    {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"v_proj": 2.5}, "init_lora_weights": "pissa"},
    {"layer_replication": [[0, 4], [2, 5]], "trainable_token_indices": {"embed_tokens": [5, 7]}},
    {"eva_config": {"rho": 2.0, "whiten": False}, "corda_config": {"corda_method": "ipm"}},
    {"lora_dtype": "float32", "lorap_lr_ratio": None, "lorap_emb_lr": 1e-06},
    {"key_of_next_year": 16, "another": False, "one_more": {}, "and_this": [1, 2]},
]
#: What a config holds, and how the message about it begins.
REFUSED = {
    "megatron_config makes PEFT import a module, and an adapter may name no code; write null": {
        "megatron_config": {"a": 1}
    },
    "megatron_core makes PEFT import a module": {"megatron_core": "evilmod"},
    "auto_mapping names a module outside transformers; write null": {
        "auto_mapping": {**OF_A_CLASS, "parent_library": "evilmod"}
    },
    "auto_mapping names a module": {"auto_mapping": {"AutoModel": "evilmod.Model"}},
    "auto_mapping names": {"auto_mapping": "evilmod"},
    "tokenizer_kwargs is no key of a LoRA adapter that is known here, and may name code": {
        "tokenizer_kwargs": {"trust_remote_code": True}
    },
    "tokenizer_name_or_path is no key": {"tokenizer_name_or_path": "eviltok"},
    "custom_module is no key": {"custom_module": ["evilmod"]},
    "switch is no key": {"switch": True},
    "r must be a number, or null; save the adapter again": {"r": "8"},
    "lora_alpha must be a number": {"lora_alpha": float("nan")},
    "lora_dropout must be a number": {"lora_dropout": 10**400},
    "use_dora must be true or false": {"use_dora": {"trust_remote_code": True}},
    "target_modules must be names": {"target_modules": [{"a": 1}]},
    "rank_pattern must be numbers by name": {"rank_pattern": {"q_proj": "evilmod"}},
    "eva_config must be settings by name": {"eva_config": {"rho": {"deep": "evilmod"}}},
    "revision must be a text": {"revision": "x" * 5_000},
}


@every_row("more", ALLOWED)
def test_what_trainers_write_is_allowed(more):
    assert config_problem({**WRITTEN, **more}) == ""


@every_row(("message", "more"), REFUSED.items())
def test_what_may_name_code_or_is_of_another_kind_is_refused_by_its_key(message, more):
    assert config_problem({**WRITTEN, **more}).startswith(message)


def write(folder, **more):
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**WRITTEN, **more}))
    (folder / "adapter_model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}")
    return folder


@every_row("problem", [peft_problem, unusable_reason])
def test_both_engines_hold_to_the_list(tmp_path, problem):
    assert problem(write(tmp_path / "good")) == ""
    assert problem(write(tmp_path / "bad", megatron_config={"a": 1})) == (
        "cannot be used: adapter_config.json: megatron_config makes PEFT import a module, and an "
        "adapter may name no code; write null"
    )
    assert "its peft_type is PROMPT_TUNING, and" in problem(
        write(tmp_path / "other", peft_type="PROMPT_TUNING", tokenizer_kwargs={"a": 1})
    )


def test_a_config_of_another_kind_says_what_to_train(tmp_path):
    assert peft_problem(write(tmp_path / "other", peft_type="IA3")) == (
        "cannot be used as an adapter: its peft_type is IA3, and this package applies LORA only; "
        "train a LoRA adapter, or merge this one into its base"
    )


DEEP = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"


@every_row(("text", "why"), [
    (DEEP, "adapter_config.json cannot be read: "),
    ('{"a": "' + "x" * 16_000_000 + '"}', "adapter_config.json has more than 16 MB"),
])  # fmt: skip
def test_a_config_too_deep_or_too_large_is_an_error(tmp_path, text, why):
    folder = write(tmp_path / "out")
    (folder / "adapter_config.json").write_text(text)

    assert peft_problem(folder).startswith(f"cannot be used: {why}")


SUITE = """\
cases: [{id: a, input: x, expected: b}]
variants: {one: {provider: transformers, model: base, adapter: peft}}
gates: {accuracy: {min: 0.1}}
"""


def test_an_adapter_that_has_changed_since_its_suite_was_read_is_held_to_the_list_again(tmp_path):
    folder = write(tmp_path / "peft")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    (tmp_path / "base" / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}")
    (tmp_path / "s.ftgate.yaml").write_text(SUITE)
    suite = load_suite(tmp_path / "s.ftgate.yaml", tmp_path)
    ask = lambda: [*task_requests(suite, suite.variants["one"], {})]  # noqa: E731 - asked twice
    assert len(ask()) == 1

    (folder / "adapter_config.json").write_text(json.dumps({**WRITTEN, "megatron_core": "evil"}))
    with pytest.raises(ConfigurationError, match=r"adapter peft cannot be used: .* megatron_core"):
        ask()
    (folder / "adapter_config.json").write_text(json.dumps(WRITTEN))
    (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(ConfigurationError, match=r"peft: adapter_model\.safetensors is damaged"):
        ask()
