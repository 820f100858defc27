"""llama.cpp: its own conversion of models, which is in no wheel, and what it computes.

The folder of the conversion is that of the source distribution of llama-cpp-python, and is named by
`LLAMA_CPP`:

    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz
    export LLAMA_CPP=$PWD/llama_cpp_python-0.3.36/vendor/llama.cpp
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache, partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

VOCABULARY = 64
#: A prompt of twelve tokens.
PROMPT = [1, 5, 9, 13, 17, 40, 33, 21, 8, 60, 12, 7]


# The conversion -----------------------------------------------------------------------------------


def _stub_sentencepiece() -> None:
    """Stand in for a package that the conversion imports for tokenizers that no tiny model has."""
    stub = ModuleType("sentencepiece")
    stub.__spec__ = ModuleSpec("sentencepiece", None)
    stub.SentencePieceProcessor = object  # type: ignore[attr-defined]
    sys.modules.setdefault("sentencepiece", stub)


def _set_vocab(model: Any) -> None:
    writer, rest = model.gguf_writer, VOCABULARY - 3
    words = ["<unk>", "<s>", "</s>", *(f"\u2581w{number}" for number in range(rest))]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_scores([-float(number) for number in range(VOCABULARY)])
    writer.add_token_types([2, 3, 3, *[1] * rest])
    for add, token in (("unk", 0), ("bos", 1), ("eos", 2)):
        getattr(writer, f"add_{add}_token_id")(token)
    writer.add_add_bos_token(False)


def _older_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return *config* with the keys that configs of published models have, and today's lack."""
    rotary = (config.get("rope_parameters") or {}).get("partial_rotary_factor", 1.0)
    head = config.get("head_dim")
    config = {"n_ctx": 128, "rotary_pct": rotary, "rotary_dim": head, **config}
    if config.get("model_type") == "hunyuan_v1_moe":
        for key in ("moe_topk", "moe_intermediate_size", "num_shared_expert"):
            config[key] = [config[key]] * config["num_hidden_layers"]
    if config.get("model_type") == "granitemoehybrid":
        older = {"linear_attention": "mamba", "full_attention": "attention"}
        config["layer_types"] = [older[kind] for kind in config["layer_types"]]
    return config


def _convert(folder: Path, target: Path) -> str:
    import gguf
    import torch
    from conversion import (  # type: ignore[import-not-found]
        ModelBase,
        ModelType,
        get_model_architecture,
        get_model_class,
    )

    config = _older_config(ModelBase.load_hparams(folder, False))
    kind = get_model_class(get_model_architecture(config, ModelType.TEXT))
    kind.no_mtp = True  # Layers that predict further tokens, which no tiny model has.
    with torch.inference_mode():
        model = kind(folder, gguf.LlamaFileType.ALL_F32, target, eager=True, hparams=config)
        # Mistral 3 hands everything on to another class.
        model = getattr(model, "impl", model)
        model.set_vocab = partial(_set_vocab, model)
        model.write()
    return str(gguf.MODEL_ARCH_NAMES[model.model_arch])


def _serve() -> None:
    """Convert what each line of the input names; write the architecture, or what went wrong."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What llama.cpp prints is no answer.
    _stub_sentencepiece()
    for line in sys.stdin:
        folder, target = map(Path, json.loads(line))
        try:
            answer = {"architecture": _convert(folder, target)}
        except Exception as error:  # noqa: BLE001 - of a conversion, whatever it is
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


@cache
def _converter() -> subprocess.Popen[str]:
    source = Path(os.environ["LLAMA_CPP"]).resolve()
    paths = [str(source / "gguf-py"), str(source), str(Path(__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        [sys.executable, "-m", "ftgate_testing.llama_cpp"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    atexit.register(process.kill)
    return process


def convert(folder: Path, target: Path) -> str:
    """Convert the model in *folder* as llama.cpp does, in float32; return its architecture.

    The vocabulary is that of the tiny models, whose tokenizers llama.cpp does not know. The
    conversion needs a gguf of its own, newer than the package on the index, so it is a process.

    Raises:
        RuntimeError: llama.cpp does not convert it.
    """
    process = _converter()
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps([str(folder), str(target)]) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return str(answer["architecture"])


# What it computes ---------------------------------------------------------------------------------


def logprobs(model: Path, adapter: Path | None = None) -> np.ndarray[Any, Any]:
    """Return the log-probabilities of the token after `PROMPT`, shape (vocabulary,)."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.port = str(model), 128, 1, 0
    params.cpuparams.n_threads, params.verbosity, params.warmup = 1, 0, False
    # In float32, as everything else here.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    attention = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = attention.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if adapter:
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path, info.scale = str(adapter), 1.0
        params.lora_adapters = [info]
    server = xllamacpp.Server(params)
    asked = {"prompt": PROMPT, "n_predict": 1, "n_probs": VOCABULARY, "temperature": 0}
    answer = server.handle_completions(asked)
    found = np.full(VOCABULARY, np.nan)
    for token in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        found[token["id"]] = token["logprob"]
    return found


if __name__ == "__main__":
    _serve()
