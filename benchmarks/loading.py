"""How many bytes the weights of a model take, as they are and quantised while they are loaded.

    python benchmarks/loading.py [FOLDER]

The provider ``transformers`` loads the checkpoint FOLDER in each way; without it, the embedded
model, saved in bfloat16 first. Counted are the tensors that stay in memory: the weights, and the
scales of those that are quantised. Needs the extra ``quantized``.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from pytest_ftgate import weights
from pytest_ftgate.providers.transformers import _load

#: Ways to load a checkpoint, the one that others are compared with first.
WAYS: tuple[Mapping[str, str], ...] = (
    {"dtype": "bfloat16"},
    {"dtype": "bfloat16", "quantization": "int8"},
    {"dtype": "bfloat16", "quantization": "nf4"},
)
NOT_SAID = """\
The embedding is not quantised, and takes a larger share of a small model than of a large one.
This says nothing of the states of prompts and replies, of speed (bitsandbytes is written for GPUs),
or of how well the model answers."""


def save_embedded_model(folder: Path) -> None:
    """Write the embedded model to *folder* as a checkpoint in bfloat16."""
    file = weights.find_weights("smollm2-135m", Path.cwd())
    source = {"gguf_file": file.name, "local_files_only": True}
    floats = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, dtype=torch.bfloat16, quantization_config=floats, **source
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, **source).save_pretrained(folder)


def tensors(model: Any) -> Iterator[Any]:
    """Yield the weights of *model*, with what bitsandbytes keeps beside those that it quantised."""
    for value in (*model.parameters(), *model.buffers()):
        yield value
        state = getattr(value, "quant_state", None)
        while state is not None:
            yield from (state.absmax, state.code)
            state = state.state2
        if (scales := getattr(value, "SCB", None)) is not None:
            yield scales


def size(values: Iterator[Any]) -> int:
    """Return the bytes of *values*; tensors that share their memory count once."""
    storages = (value.untyped_storage() for value in values)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def measure(folder: Path) -> None:
    """Load the checkpoint in *folder* in each way, and print what it takes."""
    plain = 0
    print("loaded as                             weights   share")
    for options in WAYS:
        model = _load(folder, options, "cpu").model
        found = size(tensors(model))
        plain = plain or found
        name = ", ".join(f"{key}: {value}" for key, value in options.items())
        print(f"{name:34}  {found / 1e6:6.1f} MB  {found / plain:5.0%}", flush=True)
        embedding = model.get_input_embeddings().weight
        del model
        gc.collect()
    print(f"of these the embedding: {size(iter([embedding])) / 1e6:.1f} MB")


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, nargs="?")
    args = parser.parse_args()
    print(f"{args.folder.name if args.folder else 'SmolLM2-135M-Instruct'}, on the processor")
    with tempfile.TemporaryDirectory() as made:
        if args.folder is None:
            save_embedded_model(Path(made))
        measure(args.folder or Path(made))
    print(NOT_SAID)


if __name__ == "__main__":
    main()
