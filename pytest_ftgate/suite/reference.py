"""Functions that a suite names as ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from modulefinder import ModuleFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_ftgate.errors import Unavailable, did_you_mean

__all__ = ["function", "source_files"]


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
