"""Suites as tests write them, and what is told of their mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite

NAME = "s.ftgate.yaml"
CASES = "[{input: Where is it, expected: b, vars: {tone: kind}}]"
ACCURACY = "{accuracy: {min: 0.5}}"
#: The contents of files by their paths.
Files = Mapping[str, str | bytes]
#: An adapter as trainers write it.
PEFT = {
    "out/adapter_config.json": '{"peft_type": "LORA", "r": 8, "lora_alpha": 16}',
    "out/adapter_model.safetensors": "weights",
}


def write_files(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def load_text(
    folder: Path, text: str, files: Files | None = None, plugins: PluginContributions | None = None
) -> Suite:
    """Load a suite of *text* beside *files*."""
    write_files(folder, {NAME: text, **(files or {})})
    return load_suite(folder / NAME, folder, plugins)


def suite_text(
    *variants: str, cases: str = CASES, gates: str = ACCURACY, head: str = "", more: str = ""
) -> str:
    """Return a suite with the cases in line 1, the gates in line 2 and variants from line 4 on.

    *head* stands before them, and *more* behind.
    """
    named = "".join(f"  {one}\n" for one in variants)
    return f"{head}cases: {cases}\ngates: {gates}\nvariants:\n{named}{more}"


def load_variants(
    folder: Path,
    *variants: str,
    files: Files | None = None,
    plugins: PluginContributions | None = None,
    **parts: str,
) -> Suite:
    """Load the `suite_text` of *variants* and *parts* beside *files*."""
    return load_text(folder, suite_text(*variants, **parts), files, plugins)


def errors_of(load: Callable[..., object], *args: Any, **keys: Any) -> list[str]:
    """Return the errors that *load* raises, those of the suite file without its name."""
    with pytest.raises(SuiteError) as caught:
        load(*args, **keys)
    return [str(error).removeprefix(f"{NAME}:") for error in caught.value.errors]


class Like(str):
    """Equal to each text of this form; ``...`` stands for any text, as in doctests."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        parts = map(re.escape, self.split("..."))
        return isinstance(other, str) and bool(re.fullmatch(".*".join(parts), other, re.DOTALL))

    def __ne__(self, other: object) -> bool:
        return not self == other
