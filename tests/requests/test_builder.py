"""What of a variant is a part of the fingerprint of its requests."""

from __future__ import annotations

import pytest
from ftgate_testing.suite_files import load_variants
from ftgate_testing.tables import every_row
from ftgate_testing.token_files import write_adapter, write_model, write_tokenizer

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.requests.request_groups import task_requests

HERE = "provider: transformers"
#: Replies that were cached before these keys were there stay found.
RECORDED = "9719580a499bac8ab99ec0ad9539bc3c075ac82a018672703ddefadb9f648c65"


def fingerprint(folder, keys: str = "", model: str = "tiny") -> str:
    """Return the fingerprint of a request of a variant of *model* with *keys*."""
    suite = load_variants(folder, f"one: {{{HERE}, model: {model}{keys}}}")
    (request,) = task_requests(suite, suite.variants["one"], {})
    return request.fingerprint


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "tiny")
    return tmp_path


def test_a_request_without_a_key_of_loading_keeps_its_fingerprint(folder):
    assert fingerprint(folder) == RECORDED
    assert fingerprint(folder, ", load: {device: cpu}, slots: 4") == RECORDED


def test_what_is_written_under_load_has_the_fingerprint_of_the_keys_that_it_replaced(folder):
    keys = "{dtype: bfloat16, device_map: auto, quantization: nf4, attention: sdpa}"

    assert fingerprint(folder, f", load: {keys}") == (
        "4afcea331101222d9b43051e652418dfedb1cc576edeb01f4c2db353c58ab08e"
    )


LOADED = (
    "dtype: float32",
    "device_map: auto",
    'device_map: {"": cpu}',
    "quantization: nf4",
    "quantization: int8",
    "attention: eager",
)


def test_each_way_of_loading_has_a_fingerprint_of_its_own(folder):
    found = {fingerprint(folder, f", load: {{{keys}}}") for keys in LOADED}

    assert len(found | {fingerprint(folder)}) == len(LOADED) + 1


@every_row("is_file, problem", [
    (True, "tiny.gguf: a GGUF file is not quantised again"),
    (False, "tiny: it is quantised already (gptq)"),
])  # fmt: skip
def test_weights_that_cannot_be_quantised_are_refused_at_the_line(folder, is_file, problem):
    write_model(folder / "tiny", quantization_config={"quant_method": "gptq"})
    (folder / "tiny.gguf").write_bytes(b"GGUF\3\0\0\0" + bytes(16))
    model = "tiny.gguf" if is_file else "tiny"

    with pytest.raises(ConfigurationError) as raised:
        fingerprint(folder, ", load: {quantization: nf4}", model)

    assert str(raised.value) == (
        f"s.ftgate.yaml:4: {problem}; remove quantization, or name a folder of weights that are "
        "not quantised"
    )


def test_an_adapter_whose_tokens_contradict_the_base_is_refused_before_anything_is_sent(folder):
    write_tokenizer(write_adapter(folder / "tuned"), {"<pad>": 3})

    with pytest.raises(
        ConfigurationError, match=r"contradicts that of tiny in 1 token \('<pad>'\)"
    ):
        fingerprint(folder, ", adapter: tuned")


def test_tokens_that_an_adapter_adds_are_a_part_of_the_fingerprint(folder):
    write_tokenizer(write_adapter(folder / "tuned"))
    plain = fingerprint(folder, ", adapter: tuned")
    write_tokenizer(folder / "tuned", {"<me>": 4})
    added = fingerprint(folder, ", adapter: tuned")
    write_tokenizer(folder / "tuned", {"<me>": 5})

    assert len({plain, added, fingerprint(folder, ", adapter: tuned")}) == 3
