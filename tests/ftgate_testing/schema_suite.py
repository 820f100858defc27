"""The JSON Schema Test Suite, as the source distribution of the jsonschema package carries it."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

__all__ = ["schema_groups", "suite_folder"]

_PACKAGE = "jsonschema==4.26.0"


def suite_folder() -> Path | None:
    """Return the folder of the suite, fetched once; None where it cannot be fetched."""
    cache = user_cache_path("pytest-ftgate-tests") / _PACKAGE
    found = next(cache.glob("*/json/tests"), None)
    return found or (_unpack(cache) if _download(cache) else None)


def _download(cache: Path) -> bool:
    cache.mkdir(parents=True, exist_ok=True)
    options = ("--no-deps", "--no-binary=:all:", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(cache), _PACKAGE]
    return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 0


def _unpack(cache: Path) -> Path | None:
    with tarfile.open(next(cache.glob("*.tar.gz"))) as archive:
        archive.extractall(cache, filter="data")
    return next(cache.glob("*/json/tests"), None)


def schema_groups(folder: Path) -> Iterator[tuple[str, Any, list[dict[str, Any]]]]:
    """Yield the name, the schema and the tests of each group that a draft requires."""
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text("utf-8")):
            yield f"{path.stem}: {group['description']}", group["schema"], group["tests"]
