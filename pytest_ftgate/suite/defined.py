"""Whether a function that a suite names is there: its file is read, and never run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pytest_ftgate.errors import did_you_mean

__all__ = ["form_fault", "reference_fault"]

#: What may give a module names that do not stand in it.
_ANYTHING = ("*", "__getattr__", "exec", "globals", "vars")


def form_fault(reference: str) -> str | None:
    """Say how *reference* should be written, or return None where it is ``module:function``."""
    module, _, name = reference.partition(":")
    if module and name.isidentifier() and not module.endswith(".py"):
        return None
    # "bots.worse", "bots.py:worse" and "bots:worse()" are what is written instead.
    guess = reference.replace(".py:", ":").removesuffix("()").replace("/", ".")
    if ":" not in guess:
        guess = ":".join(guess.rpartition(".")[::2])
    usable = guess != reference and form_fault(guess) is None
    return f'"{reference}" is no function; write {guess if usable else "module:function"}'


def reference_fault(reference: str, folder: Path) -> str | None:
    """Say why *reference* cannot be used, or return None where it may be.

    A module that is no file in *folder* is left to the import at run time.

    Args:
        reference: as the suite has it, ``module:function``.
        folder: of the suite.
    """
    wrong = form_fault(reference)
    if wrong:
        return wrong
    module, _, name = reference.partition(":")
    file = folder / f"{module.replace('.', '/')}.py"
    if not file.is_file():
        return None
    try:
        found = _names_in(file, file.stat().st_mtime_ns)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        told = error.msg if isinstance(error, SyntaxError) else error
        return f"{reference}: {file.name}{line} is not Python: {told}"
    if name in found or not found.isdisjoint(_ANYTHING):
        return None
    return f'{reference}: {file.name} has no "{name}"{did_you_mean(name, found)}'


@lru_cache(maxsize=64)
def _names_in(file: Path, changed: int) -> frozenset[str]:
    del changed  # only there so that an edited file is read again
    with warnings.catch_warnings():
        # What Python thinks of the file's style is told when it is imported.
        warnings.simplefilter("ignore")
        return frozenset(_names(ast.parse(file.read_bytes(), file.name)))


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a module has once it is imported, and the calls that may add others."""
    for child in ast.iter_child_nodes(node):
        match child:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.Lambda():
                pass
            case ast.alias(name=name, asname=other):
                yield other or name.partition(".")[0]
            case ast.Name(id=name, ctx=ctx) if isinstance(ctx, ast.Store) or name in _ANYTHING:
                yield name
            case _:
                yield from _names(child)
