"""Functions that a suite names as ``module:function``."""

from __future__ import annotations

import ast
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from modulefinder import ModuleFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_ftgate.errors import Unavailable, did_you_mean

__all__ = ["form_fault", "function", "reference_fault", "source_files"]


@lru_cache(maxsize=64)
def _module(name: str, folder: Path) -> ModuleType:
    beside = folder / f"{name.replace('.', '/')}.py"
    # A module beside the suite is meant, even where another of its name can be imported.
    if beside.is_file():
        spec = spec_from_file_location(name, beside)
        if spec and spec.loader:
            module = module_from_spec(spec)
            sys.modules.setdefault(name, module)
            spec.loader.exec_module(module)
            return module
    return importlib.import_module(name)


def function(reference: str, folder: Path) -> Callable[..., Any]:
    """Return the function that *reference* names, from a file beside the suite or the path.

    Raises:
        Unavailable: the module cannot be imported, or has no such function.
    """
    name, _, attribute = reference.partition(":")
    try:
        module = _module(name, folder)
    except ImportError as error:
        raise Unavailable(
            f"{reference}: {error}; put {name}.py beside the suite, or install its package"
        ) from error
    except KeyboardInterrupt:
        raise
    # BaseException, since a module that skips or exits must not take its gate with it.
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        raise Unavailable(f"{reference}: {name} breaks while it is imported: {what}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        near = did_you_mean(attribute, dir(module))
        raise Unavailable(f'{reference}: {name} has no function "{attribute}"{near}')
    return found  # type: ignore[no-any-return]


def source_files(reference: str, folder: Path) -> tuple[Path, ...]:
    """Return the file of the function's module, and those beside it that it imports.

    Found without running them, so that what is installed elsewhere is left out.

    Raises:
        Unavailable: there is no such module.
    """
    name = reference.partition(":")[0]
    file = folder / f"{name.replace('.', '/')}.py"
    if not file.is_file():
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:
            spec = None
        if spec is None:
            raise Unavailable(
                f"{reference}: there is no module {name}; put {name}.py beside the suite, "
                "or install its package"
            )
        file = Path(spec.origin) if spec.origin else file
    if not file.is_file():
        return ()
    finder = ModuleFinder(path=[str(file.parent)])
    finder.run_script(str(file))
    found = {Path(str(f)) for m in finder.modules.values() if (f := getattr(m, "__file__", None))}
    return tuple(sorted({file, *found}))


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
