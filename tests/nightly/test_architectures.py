"""An adapter of random matrices for a tiny model of each architecture, beside llama.cpp itself."""

from __future__ import annotations

from ftgate_testing.architectures import MODELS, trip
from ftgate_testing.tables import every_row

from pytest_ftgate.adapters.architectures import ARCHITECTURES

#: Architectures that no model of transformers has: the code comes with the checkpoint.
FOREIGN = {"minicpm"}
#: What llama.cpp computes otherwise than transformers, also without an adapter: the size of the
#: difference. Most differ by rounding alone.
LOOSE = {"exaone4": 1.0, "afmoe": 5.0, "gemma4": 0.1, "gpt-oss": 0.1}
ROUNDING = 5e-3

ROWS = [(name, tiny) for name, models in MODELS.items() for tiny in models]


def test_every_architecture_has_a_tiny_model():
    assert MODELS.keys() | FOREIGN == ARCHITECTURES.keys()


@every_row(("name", "tiny"), ROWS, ids=[f"{name}-{tiny.model}" for name, tiny in ROWS])
def test_a_converted_adapter_is_what_llama_cpp_makes_of_the_merged_model(tmp_path, name, tiny):
    found = trip(tiny, tmp_path)

    assert found.architecture == name
    assert found.modules >= 2
    assert found.weights < 1e-6
    if tiny.runs:
        # The same log-probabilities, which are others than those of the base.
        assert found.merged < 5e-4 < found.moved
        assert found.tuned < LOOSE.get(name, ROUNDING)


#: How many linear modules of the tiny model are refused: in each of two layers, but for one matrix.
SILENT = {"gemma4": 1, "deepseek2": 8}


@every_row("name", SILENT)
def test_modules_to_which_llama_cpp_adds_nothing_are_those_that_are_refused(tmp_path, name):
    (tiny,) = MODELS[name]

    refused = trip(tiny, tmp_path).refused.splitlines()

    assert all("llama.cpp adds no adapter to" in line for line in refused)
    assert len(refused) == SILENT[name]
