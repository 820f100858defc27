"""The marks of one test function: values, lines, and placeholder parameters."""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any, Literal, NoReturn

import pytest
from pydantic import BaseModel, ConfigDict

from pytest_ftgate.gates.looks import Look
from pytest_ftgate.readers.yaml import Where
from pytest_ftgate.suite.declaration import Count, Margin, Share
from pytest_ftgate.suite.model import RateGate, Suite, Variant
from pytest_ftgate.suite.plugins import SuiteSource

__all__ = ["NAMES", "SUITE", "Mark", "Marked", "Place", "Slot", "lines_of"]


class Mark(BaseModel):
    """The arguments of ``@pytest.mark.ftgate``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    suite: str | os.PathLike[str] | None = None
    cases: Any = None
    variants: Any = None
    prompt: str | os.PathLike[str] | None = None
    max_drop: Margin | None = None
    min: Share | None = None
    repeats: Count | None = None
    tags: str | tuple[str, ...] = ()
    evidence: Literal["statistics", "point"] = "statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a marked function stands.

    Attributes:
        name: of the function in its module, with its classes.
        lines: of the arguments of its marks.
    """

    session: pytest.Session
    source: SuiteSource
    function: FunctionType
    name: str
    lines: Mapping[Where, int]

    def line(self, *where: str) -> int:
        """Return the line of an argument, or of the nearest mark."""
        return self.lines.get(where, self.lines[()])

    def say(self, key: str, message: str) -> None:
        """Note a fault at one of the arguments."""
        self.source.say(self.line(key), message)

    def found(self, written: str) -> Path:
        """Return the file that *written* names: beside the test file, or from the root."""
        beside, below = (folder / written for folder in (self.folder, self.source.root))
        return below if below.exists() and not beside.exists() else beside

    @property
    def folder(self) -> Path:
        """The folder of the test file."""
        return self.source.path.parent


#: What the one argument without a keyword is called.
SUITE = "suite"

_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(function: Callable[..., Any]) -> dict[Where, int]:
    """Return the line of each argument of the marks on *function*, its classes and its module.

    ``()`` is the line of the nearest mark, or of the function where its marks stand elsewhere.
    """
    code = inspect.unwrap(function).__code__
    found: dict[Where, int] = {(): code.co_firstlineno}
    for scope in _around(Path(code.co_filename), code.co_firstlineno):
        for mark in _marks(scope):
            found[()] = mark.lineno
            found |= [((SUITE,), one.lineno) for one in mark.args[:1]]
            for keyword in mark.keywords:
                if keyword.arg:
                    found |= _inside((keyword.arg,), keyword.lineno, keyword.value)
    return found


def _around(path: Path, line: int) -> Sequence[_Scope]:
    """Return the scopes around the function that begins at *line*, the module first."""
    try:
        module = _parsed(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError):
        return ()
    return _path_to(module, line)


@lru_cache(maxsize=16)
def _parsed(path: Path, changed: int) -> ast.Module:
    del changed  # only there so that an edited file is read again
    return ast.parse(path.read_bytes())


def _path_to(scope: _Scope, line: int) -> Sequence[_Scope]:
    for child in scope.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
        if first == line and not isinstance(child, ast.ClassDef):
            return (scope, child)
        if first <= line <= (child.end_lineno or first):
            return (scope, *_path_to(child, line))
    return (scope,)


def _marks(scope: _Scope) -> Iterator[ast.Call]:
    """Yield the marks that stand on *scope* itself: its decorators, or its pytestmark."""
    places: list[ast.expr] = [] if isinstance(scope, ast.Module) else [*scope.decorator_list]
    if isinstance(scope, ast.Module | ast.ClassDef):
        places += [
            node.value
            for node in scope.body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        ]
    for node in (node for place in places for node in ast.walk(place)):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and isinstance(called, ast.Attribute):
            yield from [node] if called.attr == "ftgate" else []


def _inside(where: Where, line: int, value: ast.expr) -> dict[Where, int]:
    """Return the line of *value*, and of what stands in it where it is written out."""
    found = {where: line}
    if isinstance(value, ast.Dict):
        for key, one in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found |= _inside((*where, key.value), key.lineno, one)
    elif isinstance(value, ast.List | ast.Tuple):
        for index, one in enumerate(value.elts):
            found |= _inside((*where, index), one.lineno, one)
    return found


#: What a marked function may take beside its fixtures.
NAMES = ("case", "reply", "ask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What the marks of a function come to.

    Attributes:
        suite: whose cases are put to its variants.
        rules: the suite that the function is for the statistics.
        gate: its margins.
        variants: those that it judges.
        look: the cases that it looks at, and how often each is asked.
        planned: it takes replies, which are asked before it is run.
    """

    suite: Suite
    rules: Suite
    gate: RateGate
    variants: tuple[Variant, ...]
    look: Look
    planned: bool


class Slot:
    """The value of ``case``, ``reply`` and ``ask`` that fixtures see.

    Attributes:
        ftgate_marked: the function's marks.
        ftgate_variant: the variant that its item judges.
    """

    def __init__(self, name: str, marked: Marked, variant: Variant) -> None:
        self._name, self.ftgate_marked, self.ftgate_variant = name, marked, variant

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{self._name}.{name} is not known here: a fixture is set up once for all cases of a "
            "test marked with ftgate; read it in the test function itself"
        )

    def __repr__(self) -> str:
        return f"<{self._name} of {self.ftgate_variant.name}>"
