"""Functions that a suite names as ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_ftgate.errors import Unavailable, did_you_mean

__all__ = ["function", "source_file"]


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
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise Unavailable(f"{reference}: {name} breaks while it is imported: {what}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        near = did_you_mean(attribute, dir(module))
        raise Unavailable(f'{reference}: {name} has no function "{attribute}"{near}')
    return found  # type: ignore[no-any-return]


def source_file(reference: str, folder: Path) -> Path | None:
    """Return the file that the function's module was read from, where there is one.

    Raises:
        Unavailable: as for *function*.
    """
    function(reference, folder)
    file = _module(reference.partition(":")[0], folder).__file__
    return Path(file) if file else None
