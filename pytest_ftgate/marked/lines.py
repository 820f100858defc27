"""Where the arguments of a function's marks stand, so that a fault names its line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.suite.yaml import Where

__all__ = ["SUITE", "lines_of"]

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
