"""The conversion of a trainer's folder: equal weights, llama.cpp's order, and clear refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from ftgate_testing.tickets import EXAMPLE, peft_matrices
from gguf import GGUFReader, GGUFWriter
from safetensors import TensorSpec, serialize_file
from safetensors.numpy import save_file

from pytest_ftgate.adapters import conversion
from pytest_ftgate.adapters.conversion import convert_adapter, gguf_adapter
from pytest_ftgate.errors import ConfigurationError

WIDTH, HEADS, KEY_HEADS, HEAD, INNER, RANK = 16, 4, 2, 4, 24, 2
#: The modules of one layer of a tiny model: in a GGUF file, and in transformers, with rows.
MODULES = {
    "attn_q": ("self_attn.q_proj", HEADS * HEAD),
    "attn_k": ("self_attn.k_proj", KEY_HEADS * HEAD),
    "attn_v": ("self_attn.v_proj", KEY_HEADS * HEAD),
    "ffn_up": ("mlp.up_proj", INNER),
}
PREFIX = "base_model.model.model.layers.0"
CONFIG = {"peft_type": "LORA", "r": RANK, "lora_alpha": 4, "base_model_name_or_path": "out/base"}


def write_model(path: Path, architecture: str = "llama", name: str = "Tiny", sizes=None) -> Path:
    """Write a model without values: a conversion reads only names and shapes.

    *sizes* are those of its tensors, by default of one layer.
    """
    sizes = sizes or {f"blk.0.{part}.weight": (n, WIDTH) for part, (_, n) in MODULES.items()}
    writer = GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_block_count(30)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    for tensor, size in sizes.items():
        writer.add_tensor(tensor, np.zeros(size, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def matrices(*parts: str, rank: int = RANK, kind=np.float32) -> dict[str, np.ndarray]:
    """Return random matrices of *parts* under PEFT's names."""
    random = np.random.default_rng(1)
    made = {}
    for part in parts or MODULES:
        module, rows = MODULES[part]
        made[f"{PREFIX}.{module}.lora_A.weight"] = random.normal(size=(rank, WIDTH)).astype(kind)
        made[f"{PREFIX}.{module}.lora_B.weight"] = random.normal(size=(rows, rank)).astype(kind)
    return made


def write_adapter(folder: Path, arrays: dict[str, np.ndarray] | None = None, **config) -> Path:
    """Write an adapter as trainers do."""
    folder.mkdir(exist_ok=True)
    save_file(matrices() if arrays is None else arrays, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}), "utf-8")
    return folder


@dataclass
class Converted:
    """A converted adapter: its alpha, and the change that llama.cpp adds to each tensor."""

    path: Path

    def __post_init__(self) -> None:
        reader = GGUFReader(self.path)
        self.alpha = reader.get_field("adapter.lora.alpha").contents()
        self.tensors = {t.name: np.array(t.data) for t in reader.tensors}

    def change(self, part: str) -> np.ndarray:
        a, b = (self.tensors[f"blk.0.{part}.weight.lora_{side}"] for side in "ab")
        return self.alpha / a.shape[0] * (b @ a)


def converted(folder: Path, model: Path) -> Converted:
    target = folder.parent / "made.gguf"
    convert_adapter(folder, model, target)
    return Converted(target)


def peft_change(arrays: dict[str, np.ndarray], part: str, factor: float) -> np.ndarray:
    """Return what PEFT adds to the weights of a module."""
    a, b = (arrays[f"{PREFIX}.{MODULES[part][0]}.lora_{side}.weight"] for side in "AB")
    return factor * (b @ a)


def rotated_halves(vector: np.ndarray, angle: float) -> np.ndarray:
    """Rotate each head as transformers does: its first half with its second half."""
    first, second = np.split(vector.reshape(-1, HEAD), 2, axis=1)
    angles = angle / np.arange(1, HEAD // 2 + 1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.hstack([first * cos - second * sin, second * cos + first * sin])


def rotated_pairs(vector: np.ndarray, angle: float) -> np.ndarray:
    """Rotate each head as llama.cpp does for llama: each even row with the next one."""
    heads = vector.reshape(-1, HEAD)
    even, odd = heads[:, ::2], heads[:, 1::2]
    angles = angle / np.arange(1, HEAD // 2 + 1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([even * cos - odd * sin, odd * cos + even * sin], axis=2).reshape(-1, HEAD)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "m.gguf")


# Equal weights -----------------------------------------------------------------------------------


def test_an_adapter_of_the_example_survives_the_way_to_peft_and_back(tmp_path):
    source = GGUFReader(EXAMPLE / "tickets-narrow.gguf")
    shapes = {tensor.name: tensor.data.shape for tensor in source.tensors}
    names = {name.rpartition(".")[0] for name in shapes}
    sizes = {name: (shapes[f"{name}.lora_b"][0], shapes[f"{name}.lora_a"][1]) for name in names}
    model = write_model(tmp_path / "m.gguf", sizes=sizes)

    made = converted(
        write_adapter(tmp_path / "peft", peft_matrices(source), r=8, lora_alpha=16), model
    )

    assert made.alpha == 16
    assert len(made.tensors) == len(source.tensors) == 240
    for tensor in source.tensors:
        assert made.tensors[tensor.name].dtype == tensor.data.dtype
        assert np.array_equal(made.tensors[tensor.name], tensor.data)


PATTERNS = {"rank_pattern": {"up_proj": 4}, "alpha_pattern": {r"layers\.\d\.mlp\.up_proj": 20}}


@every_row("arrays, config, factors", [
    (matrices(), {}, {"attn_v": 2, "ffn_up": 2}),
    # Each module has its own scale.
    (matrices("attn_q", "attn_v") | matrices("ffn_up", rank=4), PATTERNS,
     {"attn_v": 2, "ffn_up": 5}),
    # Alpha is divided by the root of the rank.
    (matrices("attn_v", rank=4), {"r": 4, "use_rslora": True}, {"attn_v": 2}),
], ids=["plain", "patterns", "rslora"])  # fmt: skip
def test_matrices_that_nothing_rotates_are_added_as_peft_adds_them(
    tmp_path, model, arrays, config, factors
):
    made = converted(write_adapter(tmp_path / "a", arrays, **config), model)

    for part, factor in factors.items():
        assert np.allclose(made.change(part), peft_change(arrays, part, factor))


def test_scores_of_attention_are_those_of_transformers(tmp_path, model):
    # Without an adapter the score would be 0, so this is the adapter's share alone.
    arrays, random = matrices(), np.random.default_rng(3)
    made = converted(write_adapter(tmp_path / "a", arrays), model)
    x, y = random.normal(size=(2, WIDTH))

    def scores(change, rotated):
        q = rotated(change("attn_q") @ x, 0.7).reshape(KEY_HEADS, -1, HEAD)
        k = rotated(change("attn_k") @ y, 1.9).reshape(KEY_HEADS, 1, HEAD)
        return (q * k).sum(axis=2)

    there = scores(lambda part: peft_change(arrays, part, 2), rotated_halves)
    here = scores(made.change, rotated_pairs)

    assert np.allclose(here, there)
    # The order of rows matters: without it the scores are others.
    assert not np.allclose(scores(made.change, rotated_halves), there)


def test_an_architecture_that_rotates_as_transformers_does_keeps_its_rows(tmp_path):
    arrays, model = matrices(), write_model(tmp_path / "q.gguf", "qwen2")

    made = converted(write_adapter(tmp_path / "a", arrays), model)

    assert np.allclose(made.change("attn_q"), peft_change(arrays, "attn_q", 2))


def test_bfloat16_keeps_its_values(tmp_path, model):
    floats = matrices("attn_v")
    halves = {name: (x.view(np.uint32) >> 16).astype(np.uint16) for name, x in floats.items()}
    exact = {name: (half.astype(np.uint32) << 16).view(np.float32) for name, half in halves.items()}
    folder = write_adapter(tmp_path / "a")
    specs = {
        name: TensorSpec(
            dtype="bfloat16", shape=half.shape, data_ptr=half.ctypes.data, data_len=half.nbytes
        )
        for name, half in halves.items()
    }
    serialize_file(specs, folder / "adapter_model.safetensors")

    made = converted(folder, model)

    assert np.array_equal(made.change("attn_v"), peft_change(exact, "attn_v", 2))


def test_the_part_of_a_model_that_reads_text_is_found(tmp_path, model):
    arrays = {
        name.replace("model.layers", "model.language_model.layers"): array
        for name, array in matrices("attn_v").items()
    }
    made = converted(write_adapter(tmp_path / "a", arrays), model)

    assert "blk.0.attn_v.weight.lora_a" in made.tensors


# The cache ---------------------------------------------------------------------------------------


def test_a_folder_is_converted_once_for_each_content_and_each_base(tmp_path, model, monkeypatch):
    counted = Mock(wraps=convert_adapter)
    monkeypatch.setattr(conversion, "convert_adapter", counted)
    folder, cache = write_adapter(tmp_path / "a"), tmp_path / "cache"

    first = gguf_adapter(folder, model, cache)
    assert gguf_adapter(folder, model, cache) == first
    assert counted.call_count == 1
    write_adapter(folder, lora_alpha=8)
    retrained = gguf_adapter(folder, model, cache)
    other = gguf_adapter(folder, write_model(tmp_path / "n.gguf", name="Other"), cache)

    assert len({first, retrained, other}) == counted.call_count == 3
    assert Converted(retrained).alpha == 8


def test_a_conversion_that_fails_leaves_no_adapter(tmp_path, model):
    folder = write_adapter(tmp_path / "a", r=3)

    with pytest.raises(ConfigurationError, match=r"has rank 2, and adapter_config\.json says 3"):
        gguf_adapter(folder, model, tmp_path / "cache")

    assert [*(tmp_path / "cache" / "adapters").glob("*.gguf")] == []


def test_a_file_is_used_as_it_is(tmp_path, model):
    assert gguf_adapter(tmp_path / "a.gguf", model, tmp_path / "cache") == tmp_path / "a.gguf"


def test_converted_adapters_that_nothing_uses_any_more_are_deleted(tmp_path, model, monkeypatch):
    old = gguf_adapter(write_adapter(tmp_path / "a"), model, tmp_path / "cache")
    monkeypatch.setattr(conversion, "_UNUSED_SECONDS", -60)

    new = gguf_adapter(write_adapter(tmp_path / "a", lora_alpha=8), model, tmp_path / "cache")

    assert (old.exists(), new.exists()) == (False, True)


# Refusals ----------------------------------------------------------------------------------------


def refusal(folder: Path, model: Path) -> str:
    with pytest.raises(ConfigurationError) as raised:
        gguf_adapter(folder, model, folder.parent / "cache")
    return str(raised.value)


def test_an_adapter_of_another_base_names_the_first_tensor_and_both_shapes(tmp_path, model):
    arrays = matrices("attn_q", "attn_v")
    name = f"{PREFIX}.self_attn.v_proj.lora_A.weight"
    arrays[name] = np.zeros((RANK, WIDTH + 1), np.float32)

    message = refusal(write_adapter(tmp_path / "a", arrays), model)

    assert message == (
        "adapter a: blk.0.attn_v.weight is 16 × 8 in m.gguf, and 17 × 8 in the adapter "
        "(model.layers.0.self_attn.v_proj), which was probably trained on another base or with "
        "another tokenizer; name the GGUF file of its own base as model"
    )


FOREIGN = {
    f"{PREFIX}.self_attn.v_proj.lora_magnitude_vector": "it uses DoRA",
    "base_model.model.model.embed_tokens.weight": "it changes or resizes embeddings",
    "base_model.model.model.embed_tokens.lora_embedding_A": "it changes embeddings",
    "base_model.model.lm_head.weight": "it changes or resizes embeddings",
    f"{PREFIX}.self_attn.v_proj.bias": "it has biases",
    f"{PREFIX}.self_attn.v_proj.ia3_l": "unknown tensor",
}


@every_row("name", FOREIGN)
def test_a_tensor_that_is_no_lora_matrix_is_refused_by_name(tmp_path, model, name):
    arrays = {**matrices("attn_v"), name: np.zeros((2, 2), np.float32)}

    message = refusal(write_adapter(tmp_path / "a", arrays), model)

    assert message.startswith(f"adapter a: {FOREIGN[name]} ({name}); merge the adapter into")


@every_row("module", ["lm_head", "model.layers.0.mlp.experts.3.up_proj"])
def test_a_module_that_the_base_lacks_is_refused_by_name(tmp_path, model, module):
    arrays = {
        f"base_model.model.{module}.lora_{side}.weight": np.zeros((RANK, RANK), np.float32)
        for side in "AB"
    }

    message = refusal(write_adapter(tmp_path / "a", arrays), model)

    assert f"unknown tensor: m.gguf (llama) has none for {module}; merge" in message


def test_half_of_a_module_is_refused(tmp_path, model):
    arrays = matrices("attn_v")
    del arrays[f"{PREFIX}.self_attn.v_proj.lora_B.weight"]

    assert "v_proj has no two LoRA matrices; save the adapter again" in refusal(
        write_adapter(tmp_path / "a", arrays), model
    )


@every_row("content", [b"", b"not safetensors", b"\xff" * 64])
def test_damaged_weights_are_one_sentence(tmp_path, model, content):
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(content)

    message = refusal(folder, model)

    assert message.startswith("adapter a: adapter_model.safetensors is damaged (")
    assert message.endswith("); copy or save it again")
    assert "\n" not in message


def test_an_architecture_whose_order_is_not_known_is_refused(tmp_path):
    model = write_model(tmp_path / "f.gguf", "falcon")

    message = refusal(write_adapter(tmp_path / "a"), model)

    assert "f.gguf is of the architecture falcon, for which no adapter can be converted" in message


NAMES = [
    ("Qwen/Qwen2.5-0.5B-Instruct", "Smollm2 135M 8k Lc100K Mix1 Ep2", True),
    ("meta-llama/Meta-Llama-3-8B-Instruct", "Llama 3.1 8B Instruct", True),
    ("unsloth/gemma-2-2b-it-bnb-4bit", "Gemma 3 1b It", True),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "Smollm2 135M 8k Lc100K Mix1 Ep2", False),
    ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "Llama 3.1 8B Instruct", False),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "DeepSeek R1 Distill Qwen 7B", False),
    ("mistralai/Mistral-7B-Instruct-v0.3", "Mistral 7B Instruct", False),
    ("google/gemma-7b", "Gemma 2b", False),
    ("/models/Qwen2.5-7B", "Llama 3.1 8B Instruct", False),
    ("./qwen2-merged", "Llama 3.1 8B Instruct", False),
    ("acme/support", "Llama 3.1 8B Instruct", False),
    ("meta-llama/Llama-3.2-1B", "models", False),
]


@every_row(("trained_on", "name", "is_refused"), NAMES)
def test_an_adapter_whose_config_names_another_model_is_refused_unless_that_proves_nothing(
    tmp_path, trained_on, name, is_refused
):
    model = write_model(tmp_path / "m.gguf", name=name)
    folder = write_adapter(tmp_path / "a", base_model_name_or_path=trained_on)

    if not is_refused:
        assert converted(folder, model)
        return
    message = refusal(folder, model)
    assert f"it was trained on {trained_on} (" in message
    assert f'm.gguf is "{name}"' in message
    assert message.endswith("If that is the same model, correct base_model_name_or_path")


@every_row("content", ["weights", "GGUF"])
def test_a_file_that_is_no_model_or_cut_off_is_an_error_that_names_it(tmp_path, content):
    model = tmp_path / "m.gguf"
    model.write_text(content)

    message = refusal(write_adapter(tmp_path / "a"), model)

    why = "it ends within its header"
    told = f"adapter a: {model} is cut off or no GGUF file ({why}); fetch or convert it again"
    assert message == told
