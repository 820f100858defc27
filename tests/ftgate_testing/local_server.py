"""The embedded model, served on loopback by llama.cpp."""

from __future__ import annotations

from pathlib import Path

import xllamacpp

from pytest_ftgate.weights import find_weights

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"
WEIGHTS = find_weights("smollm2-135m", EXAMPLE)


def served(name: str, *adapters: Path, slots: int = 8, template: str = "") -> xllamacpp.Server:
    """Serve the embedded model with *adapters*, as a model of this *name*.

    It writes prompts by the chat template *template*, if one is given, in place of its own.
    """
    params = xllamacpp.CommonParams()
    params.model.path = str(WEIGHTS)
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 256 * slots, slots, 1
    params.port, params.verbosity, params.model_alias = 0, -1, {name}
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 1.0) for path in adapters]
    if template:
        params.chat_template, params.use_jinja = template, True
    return xllamacpp.Server(params)
