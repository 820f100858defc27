"""The marks of one test function: values, lines, and placeholder parameters."""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Literal, NoReturn

import pytest
from pydantic import BaseModel, ConfigDict

from pytest_ftgate.gates.design import Look
from pytest_ftgate.readers.memory import reads_once
from pytest_ftgate.readers.source import Count, Share
from pytest_ftgate.readers.yaml import KeyPath
from pytest_ftgate.suite.declaration import MaxDrop
from pytest_ftgate.suite.draft import SuiteSource
from pytest_ftgate.suite.model import Case, Suite, Variant


class Metric(BaseModel):
    """The limits of one of several scores that a function returns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_drop: MaxDrop = None
    min: Share | None = None
    evidence: Literal["statistics", "point"] = "statistics"


class Mark(BaseModel):
    """The arguments of ``@pytest.mark.ftgate``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    suite: str | os.PathLike[str] | None = None
    cases: Any = None
    variants: Any = None
    prompt: str | os.PathLike[str] | None = None
    max_drop: MaxDrop = None
    min: Share | None = None
    repeats: Count | None = None
    tags: str | tuple[str, ...] = ()
    evidence: Literal["statistics", "point"] = "statistics"
    metrics: dict[str, Metric] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLocation:
    """The position of a marked function.

    Attributes:
        name: the name of the function in its module, with its classes.
        lines: the line of each argument of its marks.
    """

    session: pytest.Session
    source: SuiteSource
    function: FunctionType
    name: str
    lines: Mapping[KeyPath, int]

    def line(self, *where: str) -> int:
        """Return the line of an argument, or of the nearest mark."""
        return self.lines.get(where, self.lines[()])

    def add_error(self, key: str, message: str) -> None:
        """Add an error at one of the arguments."""
        self.source.add_error(self.line(key), message)

    def find_file(self, path: str) -> Path:
        """Return the file *path*, relative to the nearest of `search_folders` that has it."""
        paths = [folder / path for folder in self.search_folders]
        return next((found for found in paths if found.exists()), paths[0])

    @property
    def search_folders(self) -> list[Path]:
        """The folder of the test file and those above it, up to the root directory."""
        # A root directory beside the test is that of another package.
        top = Path(os.path.commonpath([self.folder, self.source.root]))
        return [path for path in (self.folder, *self.folder.parents) if path.is_relative_to(top)]

    @property
    def folder(self) -> Path:
        """The folder of the test file."""
        return self.source.path.parent


#: The name of the positional argument of the mark.
SUITE = "suite"

_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def argument_lines(function: Callable[..., Any]) -> dict[KeyPath, int]:
    """Return the line of each argument of the marks on *function*, its classes and its module.

    The key ``()`` holds the line of the nearest mark, or of the function if it has none itself.
    """
    code = inspect.unwrap(function).__code__
    lines: dict[KeyPath, int] = {(): code.co_firstlineno}
    for scope in _scopes_around(Path(code.co_filename), code.co_firstlineno):
        for mark in _marks_on(scope):
            lines[()] = mark.lineno
            lines |= [((SUITE,), argument.lineno) for argument in mark.args[:1]]
            for keyword in mark.keywords:
                if keyword.arg:
                    lines |= _nested_lines((keyword.arg,), keyword.lineno, keyword.value)
    return lines


def _scopes_around(path: Path, line: int) -> Sequence[_Scope]:
    """Return the scopes around the function that starts at *line*, the module first."""
    try:
        module = _parsed(path)
    except (OSError, SyntaxError, ValueError):
        return ()
    return _scope_path(module, line)


@reads_once(files=16)
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _scope_path(scope: _Scope, line: int) -> Sequence[_Scope]:
    for child in scope.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
        if first == line and not isinstance(child, ast.ClassDef):
            return (scope, child)
        if first <= line <= (child.end_lineno or first):
            return (scope, *_scope_path(child, line))
    return (scope,)


def _marks_on(scope: _Scope) -> Iterator[ast.Call]:
    """Yield the marks of *scope* itself: its decorators, or its ``pytestmark``."""
    expressions: list[ast.expr] = [] if isinstance(scope, ast.Module) else [*scope.decorator_list]
    if isinstance(scope, ast.Module | ast.ClassDef):
        expressions += [
            node.value
            for node in scope.body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        ]
    for node in (node for expression in expressions for node in ast.walk(expression)):
        if isinstance(node, ast.Call) and _last_name(node.func) in ("ftgate", "gate"):
            yield node


def _last_name(expression: ast.expr) -> str:
    """Return ``ftgate`` for ``pytest.mark.ftgate``."""
    if isinstance(expression, ast.Name):
        return expression.id
    return expression.attr if isinstance(expression, ast.Attribute) else ""


def _nested_lines(where: KeyPath, line: int, value: ast.expr) -> dict[KeyPath, int]:
    """Return the line of *value*, and of the literals inside it."""
    lines = {where: line}
    if isinstance(value, ast.Dict):
        for key, member in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                lines |= _nested_lines((*where, key.value), key.lineno, member)
    elif isinstance(value, ast.List | ast.Tuple):
        for index, member in enumerate(value.elts):
            lines |= _nested_lines((*where, index), member.lineno, member)
    return lines


#: The parameters of a marked function that the plugin sets.
PARAMETERS = ("case", "reply", "ask", "variant", "log_score")


def set_parameters(item: pytest.Function) -> list[str]:
    """Return the parameters of *item* that each run of the function gets anew."""
    own = "variant" in item.callspec.params and not isinstance(
        item.callspec.params["variant"], Variant
    )
    return [name for name in (*PARAMETERS, "subtests") if name != "variant" or not own]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedFunction:
    """A test function with its marks resolved.

    Attributes:
        suite: the suite whose cases the variants answer.
        function_suite: the suite that the gate sees: its cases, scored by the function. It has one
            gate by its kind, or one of each metric by its name.
        variants: the variants that are evaluated.
        look: the cases that are used, and the repeats of each.
        planned: True if the function takes replies, which are requested before it runs.
        metrics: the names of the scores that the function returns; empty for a single one.
    """

    suite: Suite
    function_suite: Suite
    variants: tuple[Variant, ...]
    look: Look
    planned: bool
    metrics: tuple[str, ...] = ()


class Placeholder:
    """The value of ``case``, ``reply`` and ``ask`` in fixtures, which are set up once.

    ``variant`` is known there, and needs no placeholder.

    Attributes:
        ftgate_function: the marked function.
        ftgate_variant: the variant of the item.
        ftgate_metric: the score that the item evaluates; "" for the only one.
        ftgate_case: the only case of the item, or None for a gate.
    """

    def __init__(
        self, name: str, function: MarkedFunction, variant: Variant, metric: str, case: Case | None
    ) -> None:
        self._name, self.ftgate_metric, self.ftgate_case = name, metric, case
        self.ftgate_function, self.ftgate_variant = function, variant

    def __getattr__(self, name: str) -> NoReturn:
        __tracebackhide__ = True
        raise AttributeError(
            f"{self._name}.{name} is not known here: a fixture is set up once for all cases of a "
            "test marked with ftgate; read it in the test function itself"
        )

    def __repr__(self) -> str:
        # Reports such as Allure's list it as the parameter of the test.
        return self.ftgate_variant.name
