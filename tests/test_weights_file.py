"""The headers of weights: what is within bounds is read, and what lies is an error in words."""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack

import gguf
import numpy as np
import pytest
from ftgate_testing.tables import every_row
from ftgate_testing.tickets import EXAMPLE
from safetensors.numpy import save_file

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.weights_file import (
    check_gguf,
    check_safetensors,
    gguf_numbers,
    gguf_parts,
    gguf_tokens,
    safetensors_shapes,
)

HUGE = 1 << 62


def safetensors(header: object, data: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return pack("<Q", len(text) if size is None else size) + text + data


def tensor(**more: object) -> dict[str, object]:
    return {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **more}}


def key(name: bytes, kind: int, value: bytes = b"", size: int | None = None) -> bytes:
    return pack("<Q", len(name) if size is None else size) + name + pack("<I", kind) + value


def header(*keys: bytes, tensors: int = 0, count: int | None = None, version: int = 3) -> bytes:
    counts = pack("<4sIQQ", b"GGUF", version, tensors, len(keys) if count is None else count)
    return counts + b"".join(keys)


NUMBERS, TEXT, ARRAY = 4, 8, 9
NAME = pack("<Q", 1) + b"t"


def test_files_that_libraries_write_are_within_bounds(tmp_path):
    arrays = {"a": np.zeros((2, 3), np.float16), "b": np.zeros((0,), np.float32)}
    save_file(arrays, tmp_path / "w.safetensors", {"format": "pt"})
    check_safetensors(tmp_path / "w.safetensors")
    assert safetensors_shapes(tmp_path / "w.safetensors") == {"a": [2, 3], "b": [0]}

    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_token_list(["a", "bc"])
    writer.add_token_types([1, 5])
    writer.add_file_type(7)
    writer.add_tensor("t", np.zeros((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert gguf_numbers(tmp_path / "m.gguf") == {"general.file_type": 7}
    assert gguf_tokens(tmp_path / "m.gguf") == (["a", "bc"], (1, 5))
    assert gguf_tokens(EXAMPLE / "tickets-narrow.gguf") == ((), ())
    check_gguf(EXAMPLE / "tickets-narrow.gguf")


@every_row(("content", "why"), [
    (b"no tensors", "its header would have"),
    (b"", "unpack requires"),
    (safetensors({}, size=1 << 63), "its header would have 9,223,372,036,854,775,808 bytes"),
    (safetensors(b" " * 32_000_001), "its header would have 32,000,001 bytes"),
    (safetensors(b"[]"), "its header is no JSON object"),
    (safetensors(b"[" * 100_000), ""),
    (safetensors({"__metadata__": {"a": {}}}), "its __metadata__ holds something else than texts"),
    (safetensors({"x" * 1_001: tensor()["t"]}, bytes(8)), "is no tensor"),
    (safetensors({"t": []}), "'t' is no tensor"),
    (safetensors(tensor(shape=[-2])), "'t' is no tensor"),
    (safetensors(tensor(shape=[1] * 9), bytes(8)), "'t' is no tensor"),
    (safetensors(tensor(shape=[True]), bytes(8)), "'t' is no tensor"),
    (safetensors(tensor(), bytes(7)), "t lies outside the file"),
    (safetensors(tensor(data_offsets=[8, 0]), bytes(8)), "t lies outside the file"),
    (safetensors(tensor(shape=[HUGE, 2]), bytes(8)), "t lies outside the file"),
    (safetensors({str(n): {} for n in range(200_001)}), "it has more than 200,000 tensors"),
])  # fmt: skip
def test_a_safetensors_file_whose_header_lies_is_damaged(tmp_path, content, why):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError) as raised:
        check_safetensors(path)

    message = str(raised.value)
    assert message.startswith("w.safetensors is damaged (")
    assert why in message
    assert message.endswith("); copy or save it again")


@every_row(("content", "why"), [
    (b"", "empty file"),
    (b"GGUF", "it ends within its header"),
    (header(version=1), "version 1"),
    (header(count=HUGE), "4,611,686,018,427,387,904 keys"),
    (header(tensors=HUGE), "4,611,686,018,427,387,904 tensors"),
    (header(key(b"k", NUMBERS, size=HUGE)), "bytes in a name"),
    (header(key(b"k" * 65_536, NUMBERS)), "65,536 bytes in a name"),
    (header(key(b"k", TEXT, pack("<Q", 1 << 63))), "it ends within its header"),
    (header(key(b"k", 99)), "k is of the type 99"),
    (header(key(b"k", ARRAY, pack("<IQ", 0, HUGE))), "items up to k"),
    (header(key(b"k", ARRAY, pack("<IQ", 0, 4_000_000))), "it ends within its header"),
    (header(key(b"k", ARRAY, pack("<IQ", ARRAY, 1) * 9)), "k is of the type 9"),
    (header(*[key(b"k", ARRAY, pack("<IQ", 0, 3_000_000) + bytes(3_000_000))] * 2), "items up to"),
    (header(tensors=1), "it ends within its header"),
    (header(tensors=1) + NAME + pack("<I", 9), "9 dimensions of t"),
    (header(tensors=1) + NAME + pack("<IQQIQ", 2, HUGE, 2, 0, 0), "t lies outside the file"),
    (header(tensors=1) + NAME + pack("<IQIQ", 1, 1, 0, 1 << 40), "t lies outside the file"),
])  # fmt: skip
def test_a_gguf_file_whose_header_lies_is_an_error_that_names_it(tmp_path, content, why):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError) as raised:
        check_gguf(path)

    message = str(raised.value)
    assert message.startswith(f"{path} is cut off or no GGUF file (")
    assert why in message
    assert message.endswith("); fetch or convert it again")


def test_every_part_of_a_split_model_is_checked(tmp_path):
    first, second = tmp_path / "m-00001-of-00002.gguf", tmp_path / "m-00002-of-00002.gguf"
    first.write_bytes(header())
    assert [*gguf_parts(first)] == [first, second]

    with pytest.raises(ConfigurationError, match=r"m-00002-of-00002\.gguf cannot be read"):
        check_gguf(first)
    second.write_bytes(b"GGUF")
    with pytest.raises(ConfigurationError, match=r"m-00002-of-00002\.gguf is cut off"):
        check_gguf(first)
    second.write_bytes(header())
    check_gguf(first)
    assert [*gguf_parts(Path("m.gguf"))] == [Path("m.gguf")]
