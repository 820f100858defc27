"""What llama.cpp changes of a model's matrices when it converts them to GGUF, by architecture.

Each entry comes from ``modify_tensors`` of the architecture's class in llama.cpp
(ggml-org/llama.cpp, folder conversion/), whose file stands in the comment before it.
`tests/nightly/test_architectures.py` holds each entry against that conversion, and against what
llama.cpp computes with the adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    _Order = np.ndarray[Any, np.dtype[np.int64]]

#: A number of the model's metadata by its key, without the architecture's name.
Number = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the rows (or columns) of a matrix stand in a GGUF file.

    `into` names the tensors of the layer that they go to: of several names for one tensor, the
    first that the file has. `order` takes the numbers of all rows, shape (rows,), and returns for
    each tensor those that it has, in its order, as an array of any shape.
    """

    into: tuple[tuple[str, ...], ...]
    order: Callable[[_Order, Number], Sequence[_Order]]


@dataclass(frozen=True, slots=True)
class Architecture:
    """How the matrices of an architecture stand in a GGUF file.

    `rows` and `columns` place each tensor that differs from transformers, by its name
    in the layer: that of the GGUF file, or, where gguf knows none, that of the module. `silent` has
    the tensors to which llama.cpp adds no adapter, without a word.
    """

    rows: Mapping[str, Placement] = field(default_factory=dict)
    columns: Mapping[str, Placement] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


def as_named(*names: str) -> Placement:
    """Return the placement of a matrix that stays as it is, under the first name in the file."""
    return Placement((names,), lambda order, _: [order])


def _rotary(part: str, heads: str) -> Placement:
    """Return the placement of a head's rows: row n of its first half beside row n of its second.

    transformers rotates the first half of a head with the second half, llama.cpp in some
    architectures each even row with the next one.
    """
    return Placement(
        ((part,),), lambda order, number: [order.reshape(number(heads), 2, -1).swapaxes(1, 2)]
    )


def _value_heads(part: str) -> Placement:
    """Return the placement of value heads: the first of each key head, then the second of each."""
    return Placement(((part,),), lambda order, number: [_by_value_head(order, number)])


def _by_value_head(order: _Order, number: Number) -> _Order:
    keys, values = number("ssm.group_count"), number("ssm.time_step_rank")
    return order.reshape(keys, values // keys, -1).swapaxes(0, 1)


def _values_by_head(order: _Order, number: Number) -> Sequence[_Order]:
    """Queries and keys stay, and values are ordered by their heads."""
    first = 2 * number("ssm.group_count") * number("ssm.state_size")
    return [np.concatenate([order[:first], _by_value_head(order[first:], number).ravel()])]


def _by_kind(order: _Order, number: Number) -> Sequence[_Order]:
    """Query, key, value and gate stand together for each key head, and apart in GGUF."""
    keys, state = number("ssm.group_count"), number("ssm.state_size")
    bounds = np.cumsum([state, state, number("ssm.inner_size") // keys])
    *parts, gate = np.split(order.reshape(keys, -1), bounds, axis=1)
    return [np.concatenate([part.ravel() for part in parts]), gate]


def _three_in_one(order: _Order, number: Number) -> Sequence[_Order]:
    """Query, key and value stand together for each head, and apart in GGUF."""
    return [order.reshape(number("attention.head_count"), 3, -1).swapaxes(0, 1)]


_ROTARY = {
    "attn_q": _rotary("attn_q", "attention.head_count"),
    "attn_k": _rotary("attn_k", "attention.head_count_kv"),
}
_GRANITE_SHARED = {
    "shared_mlp.input_linear": Placement(
        (("ffn_gate_shexp", "ffn_gate"), ("ffn_up_shexp", "ffn_up")),
        lambda order, _: np.split(order, 2),
    ),
    "ffn_down_shexp": as_named("ffn_down_shexp", "ffn_down"),
}
_QWEN35 = Architecture(
    rows={
        "attn_qkv": Placement((("attn_qkv",),), _values_by_head),
        **{part: _value_heads(part) for part in ("attn_gate", "ssm_alpha", "ssm_beta")},
    },
    columns={"ssm_out": _value_heads("ssm_out")},
)

#: Architectures whose matrices all stand as in transformers.
_UNCHANGED = (  # noqa: SIM905 - one name a line would be a page
    # qwen.py, qwen3vl.py, qwenvl.py
    "qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl "
    # gemma.py, phi.py, starcoder.py, olmo.py, llama.py (Llama 4, Apertus)
    "gemma gemma2 gemma3 phi2 phi3 starcoder starcoder2 olmo2 olmoe seed_oss llama4 apertus "
    # glm.py, chatglm.py, lfm2.py, exaone.py, ernie.py
    "glm4 glm4moe chatglm lfm2 lfm2moe exaone4 exaone-moe ernie4_5 ernie4_5-moe "
    # hunyuan.py, command_r.py, nemotron.py, gpt_oss.py, stablelm.py
    "hunyuan-dense hunyuan-moe command-r cohere2 nemotron gpt-oss stablelm "
    # dots1.py, afmoe.py, minimax.py, gpt2.py, jais.py, mamba.py, jamba.py
    "dots1 afmoe minimax-m2 gpt2 jais2 mamba mamba2 jamba"
).split()

#: The architectures of which adapters can be converted, by their names in GGUF files.
#:
#: Not here, since the numbers stand nowhere in a GGUF file: falcon-h1, whose weights llama.cpp
#: multiplies by factors of the config (falcon_h1.py).
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        # As in permute of llama.py: mistral3.py, granite.py, olmo.py, minicpm.py
        **dict.fromkeys(
            ("llama", "mistral3", "granite", "smollm3", "arcee", "olmo", "minicpm"),
            Architecture(rows=_ROTARY),
        ),
        # granite.py
        **dict.fromkeys(
            ("granitemoe", "granitehybrid"), Architecture(rows={**_ROTARY, **_GRANITE_SHARED})
        ),
        # qwen.py
        "qwen3next": Architecture(
            rows={"ssm_in": Placement((("attn_qkv",), ("attn_gate",)), _by_kind)}
        ),
        **dict.fromkeys(("qwen35", "qwen35moe"), _QWEN35),
        # gemma.py; llama.cpp multiplies by one matrix of all layers without an adapter
        "gemma4": Architecture(silent=("per_layer_model_proj",)),
        # deepseek.py; the same of the matrices before attention, and of the head
        "deepseek2": Architecture(
            silent=("attn_q", "attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_kv_b", "output")
        ),
        # bloom.py, gptneox.py
        **dict.fromkeys(
            ("bloom", "gptneox"),
            Architecture(rows={"attn_qkv": Placement((("attn_qkv",),), _three_in_one)}),
        ),
        **dict.fromkeys(_UNCHANGED, Architecture()),
    }
)
