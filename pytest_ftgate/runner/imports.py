"""Imports that a run puts off until its requests are sent, or until they are needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from threading import Thread

#: No module of this package: pytest rewrites plugin modules on import, and some versions of CPython
#: cannot compile rewritten code in two threads at once.
_LIBRARIES = ("numpy", "scipy.special")


def start_imports() -> Thread | None:
    """Import the libraries of evaluation in a thread, while the main thread waits.

    Ctrl-C reaches the main thread only, so that it cuts no import in two: NumPy cannot be imported
    again after that. Errors are ignored, since the import where a library is needed raises them.

    Returns:
        The thread, to be joined before any of the libraries is used; None if all are imported.
    """
    modules = [name for name in _LIBRARIES if name not in sys.modules]
    if not modules:
        return None
    thread = Thread(target=_import, args=(modules,), name="ftgate-imports", daemon=True)
    thread.start()
    return thread


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        with suppress(Exception):
            import_module(module)
