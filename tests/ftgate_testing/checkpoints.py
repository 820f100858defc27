"""The embedded model as a checkpoint of Transformers, and servers that take minutes to start."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from pytest_ftgate.weights import find_weights

_WEIGHTS = find_weights("smollm2-135m", Path())
_SOURCE = {"gguf_file": _WEIGHTS.name}
#: Seconds until a server has loaded its libraries and the model.
_START = 600


def load_model() -> Any:
    """Return the weights that llama.cpp serves, in float32."""
    floats = GgufConfig(dequantize=True)
    return AutoModelForCausalLM.from_pretrained(
        _WEIGHTS.parent, dtype="float32", quantization_config=floats, **_SOURCE
    )


def load_tokenizer(**options: Any) -> Any:
    return AutoTokenizer.from_pretrained(_WEIGHTS.parent, **_SOURCE, **options)


def save_checkpoint(folder: Path) -> None:
    load_model().save_pretrained(folder)
    load_tokenizer().save_pretrained(folder)


@contextmanager
def started(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """Run a server on a free port until the block ends; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [*command, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | environ) as process:
        try:
            _wait_for(f"{address}/health", process)
            yield f"{address}/v1"
        finally:
            process.terminate()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(address).close()
        except URLError:
            time.sleep(1)
        else:
            return
    raise AssertionError(f"the server did not start: exit status {process.poll()}")
