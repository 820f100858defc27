"""Tiny models of many architectures, and what must hold of an adapter that is converted for them.

The reference is llama.cpp's own conversion of models, which no package on an index has by itself.
Its folder comes from the source distribution of llama-cpp-python, and is named by `LLAMA_CPP`:

    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz
    LLAMA_CPP=llama_cpp_python-0.3.36/vendor/llama.cpp python -m ftgate_testing.architectures

prints the table of docs/contributing/trainers.md, with `tests` on the path of Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ftgate_testing.llama_cpp import PROMPT, VOCABULARY, convert, logprobs

RANK, ALPHA = 4, 8
LAYERS = 2
#: The numbers that most configs share: small widths, two heads of keys for four of queries.
_SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
_EQUAL_HEADS = {"num_key_value_heads": 4}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_SHARED_EXPERT = {**_EXPERTS, "shared_expert_intermediate_size": 32}
_ROUTED = {
    "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
    "moe_intermediate_size": 32, "first_k_dense_replace": 1,
}  # fmt: skip
_LINEAR = {
    "num_hidden_layers": 4, "full_attention_interval": 4,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4,
}  # fmt: skip
_SECTIONS = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
_WITH_VISION = {
    "text_config": {**_SMALL, "rope_parameters": _SECTIONS},
    "vision_config": {
        "depth": 1, "embed_dim": 32, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
        "out_hidden_size": 32, "deepstack_visual_indexes": [0], "num_position_embeddings": 16,
    },
}  # fmt: skip
_YARN = {
    "rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "beta_fast": 32.0, "beta_slow": 1.0,
    "original_max_position_embeddings": 64, "mscale": 1.0, "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.1,
}  # fmt: skip
_WINDOW = {"sliding_window": 64}
_THREE_OF_FOUR = ["sliding_attention"] * 3 + ["full_attention"]
_MAMBA = {
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1,
    "mamba_d_conv": 4, "mamba_expand": 2, "mamba_chunk_size": 16,
}  # fmt: skip
_OLD = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": LAYERS, "n_head": 4, "n_positions": 128}


@dataclass(frozen=True, slots=True)
class Tiny:
    """A model of transformers: its class without the ending, and numbers that differ from most.

    Attributes:
        config: the class of its config, where that has another name.
        bare: True if the numbers of most models are not its own.
        runs: False if llama.cpp converts it, and ends the process when it shall compute with it.
    """

    model: str
    numbers: Mapping[str, Any]
    config: str = ""
    bare: bool = False
    runs: bool = True

    def make(self) -> Any:
        """Return the model, in float32, with weights that all count."""
        import torch
        import transformers

        config = getattr(transformers, self.config or f"{self.model}Config")
        names = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
        kinds = (getattr(transformers, self.model + name, None) for name in names)
        kind = next(found for found in kinds if found)
        torch.manual_seed(7)
        model = kind(config(**({} if self.bare else _SMALL) | dict(self.numbers))).float().eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if value.ndim > 1:
                    value.normal_(0, value.shape[-1] ** -0.5)
                elif "norm" in name or name.endswith("bias"):
                    value.add_(torch.randn(value.shape) * 0.1)
        return model


#: Tiny models by what llama.cpp calls their architecture; several classes may have the same one.
MODELS: Mapping[str, tuple[Tiny, ...]] = {
    "llama": (Tiny("Llama", {}), Tiny("Mistral", {}), Tiny("Mixtral", _LOCAL_EXPERTS)),
    "granite": (Tiny("Granite", {}),),
    "granitemoe": (
        Tiny("GraniteMoe", _LOCAL_EXPERTS),
        Tiny("GraniteMoeShared", {**_LOCAL_EXPERTS, "shared_intermediate_size": 32}),
    ),
    "granitehybrid": (
        Tiny("GraniteMoeHybrid", {
            **_LOCAL_EXPERTS, **_MAMBA, "shared_intermediate_size": 32,
            "layer_types": ["mamba", "attention"],
        }),
    ),
    "smollm3": (Tiny("SmolLM3", {}),),
    "arcee": (Tiny("Arcee", {}),),
    "olmo": (Tiny("Olmo", _EQUAL_HEADS),),
    "mistral3": (Tiny("Ministral3", {"rope_parameters": _YARN}),),
    "qwen2": (Tiny("Qwen2", {}),),
    "qwen2moe": (Tiny("Qwen2Moe", _SHARED_EXPERT),),
    "qwen3": (Tiny("Qwen3", {}),),
    "qwen3moe": (Tiny("Qwen3Moe", {**_EXPERTS, "norm_topk_prob": True}),),
    "qwen35": (
        Tiny("Qwen3_5", {
            **_LINEAR, "rope_parameters": {**_SECTIONS, "partial_rotary_factor": 1.0}
        }, config="Qwen3_5TextConfig"),
    ),
    "qwen35moe": (
        Tiny("Qwen3_5Moe", {
            **_LINEAR, **_SHARED_EXPERT,
            "rope_parameters": {**_SECTIONS, "partial_rotary_factor": 1.0},
        }, config="Qwen3_5MoeTextConfig"),
    ),
    "qwen2vl": (Tiny("Qwen2VL", _WITH_VISION, bare=True),),
    "qwen3vl": (Tiny("Qwen3VL", _WITH_VISION, bare=True),),
    "qwen3next": (Tiny("Qwen3Next", {**_LINEAR, **_SHARED_EXPERT}),),
    "gemma": (Tiny("Gemma", {}),),
    "gemma2": (Tiny("Gemma2", {"query_pre_attn_scalar": 8}),),
    "gemma3": (
        Tiny("Gemma3", {**_WINDOW, "query_pre_attn_scalar": 8}, config="Gemma3TextConfig"),
    ),
    "gemma4": (
        Tiny("Gemma4", {
            **_WINDOW, "vocab_size_per_layer_input": VOCABULARY, "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 16, "global_head_dim": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        }, config="Gemma4TextConfig"),
    ),
    "phi2": (Tiny("Phi", {**_EQUAL_HEADS, "intermediate_size": 128}),),
    "phi3": (Tiny("Phi3", {}),),
    "starcoder": (Tiny("GPTBigCode", _OLD, bare=True),),
    "starcoder2": (Tiny("Starcoder2", {}),),
    "olmo2": (Tiny("Olmo2", {}), Tiny("Olmo3", _WINDOW)),
    "olmoe": (Tiny("Olmoe", {**_EQUAL_HEADS, "num_experts": 4, "num_experts_per_tok": 2}),),
    "seed_oss": (Tiny("SeedOss", {}),),
    "apertus": (Tiny("Apertus", {}),),
    "llama4": (
        Tiny("Llama4", {
            "num_hidden_layers": 4, "intermediate_size_mlp": 64, "num_local_experts": 4,
            "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "attention_chunk_size": 64,
        }, config="Llama4TextConfig"),
    ),
    "chatglm": (Tiny("Glm", {"partial_rotary_factor": 0.5}),),
    "glm4": (Tiny("Glm4", {"partial_rotary_factor": 0.5}),),
    "glm4moe": (Tiny("Glm4Moe", {**_ROUTED, "partial_rotary_factor": 0.5}),),
    "lfm2": (
        Tiny("Lfm2", {
            "layer_types": ["conv", "full_attention"], "block_ff_dim": 64, "conv_L_cache": 3,
            "block_auto_adjust_ff_dim": False, "block_multiple_of": 8,
            "block_ffn_dim_multiplier": 1.0,
        }),
    ),
    "lfm2moe": (
        Tiny("Lfm2Moe", {
            **_EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1,
            "conv_L_cache": 3,
        }),
    ),
    "exaone4": (
        Tiny("Exaone4", {
            **_WINDOW, "num_hidden_layers": 4, "sliding_window_pattern": "LLLG",
            "layer_types": _THREE_OF_FOUR,
        }),
    ),
    "exaone-moe": (
        Tiny("ExaoneMoe", {
            **_WINDOW, **_EXPERTS, "num_hidden_layers": 4, "sliding_window_pattern": "LLLG",
            "layer_types": _THREE_OF_FOUR, "num_shared_experts": 1, "first_k_dense_replace": 1,
            "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"], "scoring_func": "sigmoid",
        }),
    ),
    "ernie4_5": (Tiny("Ernie4_5", {}),),
    "ernie4_5-moe": (
        Tiny("Ernie4_5_Moe", {
            "moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32,
            "moe_num_shared_experts": 1, "moe_layer_start_index": 1, "moe_layer_end_index": 1,
        }),
    ),
    "hunyuan-dense": (Tiny("HunYuanDenseV1", {}),),
    "hunyuan-moe": (
        Tiny("HunYuanMoEV1", {
            "num_experts": 4, "moe_topk": 2, "moe_intermediate_size": 64, "num_shared_expert": 1
        }),
    ),
    "command-r": (Tiny("Cohere", {"logit_scale": 0.25}),),
    "cohere2": (
        Tiny("Cohere2", {
            **_WINDOW, "num_hidden_layers": 4, "logit_scale": 0.25, "layer_types": _THREE_OF_FOUR
        }),
    ),
    "nemotron": (Tiny("Nemotron", {}),),
    "gpt-oss": (Tiny("GptOss", {**_LOCAL_EXPERTS, **_WINDOW}),),
    "stablelm": (Tiny("StableLm", {"partial_rotary_factor": 0.5}),),
    "dots1": (Tiny("Dots1", {**_ROUTED, **_EQUAL_HEADS, "sliding_window": None}, runs=False),),
    "afmoe": (
        Tiny("Afmoe", {**_EXPERTS, **_WINDOW, "num_shared_experts": 1, "num_dense_layers": 1}),
    ),
    "minimax-m2": (Tiny("MiniMaxM2", _LOCAL_EXPERTS, runs=False),),
    "gpt2": (Tiny("GPT2", _OLD, bare=True),),
    "gptneox": (
        Tiny("GPTNeoX", {
            "rope_parameters": {**_SECTIONS, "partial_rotary_factor": 0.5}
        }),
    ),
    "bloom": (
        Tiny("Bloom", {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4},
             bare=True),
    ),
    "jais2": (Tiny("Jais2", {}),),
    "mamba": (
        Tiny("Mamba", {
            "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 16
        }, bare=True),
    ),
    "mamba2": (
        Tiny("Mamba2", {
            "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 16,
            "num_heads": 4, "head_dim": 16, "n_groups": 1,
        }, bare=True),
    ),
    "jamba": (
        Tiny("Jamba", {
            "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
            "expert_layer_period": 2, "expert_layer_offset": 1, "use_mamba_kernels": False,
        }),
    ),
    "deepseek2": (
        Tiny("DeepseekV2", {
            **_ROUTED, **_EQUAL_HEADS, "q_lora_rank": 16, "kv_lora_rank": 16,
            "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
        }),
    ),
}  # fmt: skip


# The adapter -------------------------------------------------------------------------------------


def linear_modules(model: Any) -> list[str]:
    """Return the modules that `target_modules="all-linear"` of PEFT finds: all but the head."""
    import torch

    kinds = (torch.nn.Linear,)
    return [
        name
        for name, module in model.named_modules()
        if "visual" not in name
        and (isinstance(module, kinds) or type(module).__name__ == "Conv1D")
        and name.rpartition(".")[2] not in {"lm_head", "embed_out"}
    ]


def merge_adapter(model: Any, modules: list[str], folder: Path) -> None:
    """Write an adapter of random matrices for *modules* in PEFT's format, and add it to *model*."""
    import torch
    from safetensors.torch import save_file

    random, matrices, by_name = torch.Generator().manual_seed(5), {}, dict(model.named_modules())
    for name in modules:
        weight = by_name[name].weight
        # GPT-2 keeps its matrices the other way round.
        is_transposed = type(by_name[name]).__name__ == "Conv1D"
        rows, columns = weight.shape[::-1] if is_transposed else weight.shape
        a = torch.randn(RANK, columns, generator=random) * 0.3
        b = torch.randn(rows, RANK, generator=random) * 0.15
        matrices[f"base_model.model.{name}.lora_A.weight"] = a
        matrices[f"base_model.model.{name}.lora_B.weight"] = b
        change = ALPHA / RANK * b @ a
        with torch.no_grad():
            weight.add_(change.T if is_transposed else change)
    folder.mkdir()
    save_file(matrices, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": modules}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")


def transformers_logprobs(model: Any) -> np.ndarray[Any, Any]:
    """Return the same of a model of transformers."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([PROMPT])).logits[0, -1]
    return np.asarray(torch.log_softmax(logits.float(), -1))


# What must hold ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trip:
    """What became of an adapter of random matrices, each number a largest difference.

    Attributes:
        architecture: llama.cpp's name.
        modules: how many modules the adapter changes.
        refused: what the conversion says of those that it does not take.
        weights: of an element, between llama.cpp's conversion of the merged model and that of the
            base with the converted adapter added.
        merged: of a log-probability in llama.cpp, between these two.
        moved: of one between base and adapter, which shows that the adapter does something.
        base, tuned: of one between llama.cpp and transformers, without and with the adapter.
    """

    architecture: str
    modules: int
    refused: str
    weights: float
    merged: float
    moved: float
    base: float
    tuned: float


def trip(tiny: Tiny, folder: Path, keep: Callable[[str], bool] = lambda _: True) -> Trip:
    """Return what becomes of an adapter for those linear modules of *tiny* that *keep* takes.

    Modules that the conversion refuses, or to which llama.cpp would add nothing, are left out.
    """
    from pytest_ftgate.adapters.conversion import convert_adapter

    model = tiny.make()
    base, merged, adapter = (folder / f"{name}.gguf" for name in ("base", "merged", "adapter"))
    save(model, folder / "base")
    model = type(model).from_pretrained(folder / "base").eval()
    architecture = convert(folder / "base", base)
    before = transformers_logprobs(model)
    modules, refused = accepted_modules([*filter(keep, linear_modules(model))], model, folder)
    merge_adapter(model, modules, folder / "peft")
    save(model, folder / "merged")
    convert(folder / "merged", merged)
    convert_adapter(folder / "peft", base, adapter)
    files = ((base,), (merged,), (base, adapter))
    sides = [logprobs(*one) if tiny.runs else np.full(VOCABULARY, np.nan) for one in files]
    pairs = ((sides[1], sides[2]), (sides[0], sides[2]), (before, sides[0]))
    last = (transformers_logprobs(model), sides[2])
    largest = (float(np.abs(one - other).max()) for one, other in (*pairs, last))
    weights = _largest_change(base, merged, adapter)
    return Trip(architecture, len(modules), refused, weights, *largest)


def save(model: Any, folder: Path) -> None:
    from ftgate_testing.tiny_model import save_tokenizer

    model.save_pretrained(folder)
    words = ["<s>", "</s>", "<u>", *(f"w{number}" for number in range(VOCABULARY - 3))]
    save_tokenizer(folder, words)


def accepted_modules(modules: list[str], model: Any, folder: Path) -> tuple[list[str], str]:
    """Return those of *modules* that the conversion takes, and what it says of the others."""
    from pytest_ftgate.adapters.conversion import read_base
    from pytest_ftgate.errors import ConfigurationError

    taken, reasons, by_name = list[str](), list[str](), dict(model.named_modules())
    base = read_base(folder / "base.gguf")
    for name in modules:
        shape = by_name[name].weight.shape
        rows, columns = shape[::-1] if type(by_name[name]).__name__ == "Conv1D" else shape
        try:
            [*base.tensors_of(name, np.zeros((1, columns)), np.zeros((rows, 1)))]
        except ConfigurationError as error:
            reasons.append(f"{name}: {error}")
        else:
            taken.append(name)
    return taken, "\n".join(reasons)


def _largest_change(base: Path, merged: Path, adapter: Path) -> float:
    """Return how far the converted adapter is from what llama.cpp converts, of one element."""
    from gguf import GGUFReader

    then, now, made = (
        {tensor.name: np.array(tensor.data, np.float64) for tensor in GGUFReader(file).tensors}
        for file in (base, merged, adapter)
    )
    assert then.keys() == now.keys()
    worst = 0.0
    for name, weights in then.items():
        change = np.zeros(weights.shape)
        if f"{name}.lora_a" in made:
            change = ALPHA / RANK * made[f"{name}.lora_b"] @ made[f"{name}.lora_a"]
        worst = max(worst, float(np.abs(now[name] - weights - change.reshape(weights.shape)).max()))
    return worst


def table() -> str:
    """Return what became of an adapter for each tiny model, as a table in Markdown."""
    lines = [
        "| architecture | model | modules | weights | llama.cpp | transformers |",
        "|---" * 6 + "|",
    ]
    for name, models in MODELS.items():
        for tiny in models:
            with TemporaryDirectory() as folder:
                found = trip(tiny, Path(folder))
            left_out = found.refused.count("\n") + 1 if found.refused else 0
            modules = f"{found.modules}, {left_out} refused" if left_out else f"{found.modules}"
            numbers = (found.weights, found.merged, found.tuned)
            cells = ("not run" if np.isnan(number) else f"{number:.0e}" for number in numbers)
            lines.append(f"| `{name}` | {tiny.model} | {modules} | {' | '.join(cells)} |")
            sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
