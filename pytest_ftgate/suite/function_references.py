"""Load and check the functions that a suite names as ``module:function``."""

from __future__ import annotations

import ast
import importlib
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from modulefinder import ModuleFinder
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.paths import is_file
from pytest_ftgate.readers.memory import reads_once

#: Held while a module is imported: engine and tests may need it at once.
_importing = RLock()
#: The key in ``sys.modules`` of each file that was imported under another name than its own.
_keys: dict[Path, str] = {}


def _import_module(name: str, folder: Path) -> ModuleType:
    file = folder / f"{name.replace('.', '/')}.py"
    # A module next to the suite takes precedence over an installed one of the same name.
    if not is_file(file):
        return importlib.import_module(name)
    with _importing:
        key = _key_of(name, file)
        return sys.modules[key] if key else _import_file(name, file, folder)


@contextmanager
def _folder_on_path(folder: Path) -> Generator[None]:
    """Let modules beside the suite be imported, after all others and only meanwhile."""
    entry = str(folder)
    sys.path.append(entry)
    try:
        yield
    finally:
        # The last one: it may stand further ahead by the host's choice.
        sys.path.reverse()
        with suppress(ValueError):
            sys.path.remove(entry)
        sys.path.reverse()


#: The files beside suites that modules of suites have imported by a name of the import path.
_beside: dict[str, Path] = {}


def _require_own(file: Path, name: str, folder: Path) -> None:
    """Raise an ImportError if *file* has imported what lies beside another suite by the same name.

    Two suites would share it without a word, since Python imports each name once.
    """
    for path in {*imported_files(file, name, folder)} - {file}:
        key = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        origin = getattr(sys.modules.get(key), "__file__", None)
        if origin is None:
            continue
        if Path(origin) == path:
            _beside[key] = path
        elif _beside.get(key) == Path(origin):
            raise ImportError(f"{key} is that of another suite, {origin}; rename one of them")


def _key_of(name: str, file: Path) -> str:
    """Return the key of the module that a test or a suite has imported from *file*, or "".

    A second copy would miss what fixtures have patched in the first.
    """
    likely_first = (name, _keys.get(file, name), *sys.modules)
    found = next((key for key in likely_first if _is_of_file(key, file)), "")
    if found:
        _keys[file] = found
    return found


def _is_of_file(key: str, file: Path) -> bool:
    origin = getattr(sys.modules.get(key), "__dict__", {}).get("__file__")
    # The names are compared first: to resolve the paths of all modules takes long.
    if not isinstance(origin, str) or Path(origin).name != file.name:
        return False
    return Path(origin).resolve() == file.resolve()


def _import_file(name: str, file: Path, folder: Path) -> ModuleType:
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    module = module_from_spec(spec)
    # Suites in two folders may name modules alike.
    key = str(file) if name in sys.modules else name
    sys.modules[key] = module
    try:
        with _folder_on_path(folder):
            spec.loader.exec_module(module)
        _require_own(file, name, folder)
    except BaseException:
        sys.modules.pop(key, None)
        raise
    return module


def import_file(path: Path) -> ModuleType:
    """Return the module in the file *path*; modules beside it can be imported from it.

    Raises:
        ConfigurationError: it breaks while it is imported.
    """
    folder = str(path.parent)
    with _importing:
        sys.path.insert(0, folder)
        try:
            return _import_module(path.stem, path.parent)
        except KeyboardInterrupt:
            raise
        # BaseException: a module that calls pytest.skip or sys.exit must not end the run.
        except BaseException as error:
            cause = f"{type(error).__name__}: {error}"
            raise ConfigurationError(f"{path} breaks while it is imported: {cause}") from error
        finally:
            sys.path.remove(folder)


def without_static(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function below ``@staticmethod``, which hides outside a class whether it is async.

    Any other function is returned as it is.
    """
    return function.__func__ if isinstance(function, staticmethod) else function


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """Return the function that *reference*, ``module:function``, names.

    A module in *folder*, that of the suite, takes precedence over an installed one.

    Raises:
        ConfigurationError: the module cannot be imported, or has no such function.
    """
    return function_finder(reference, folder)()


def function_finder(reference: str, folder: Path) -> Callable[[], Callable[..., Any]]:
    """Return what finds the function of `load_function` in its module: tests may replace it there.

    Raises:
        ConfigurationError: the module cannot be imported. The finder raises it if the module has no
            such function.
    """
    name, _, attribute = reference.partition(":")
    try:
        module = _import_module(name, folder)
    except ImportError as error:
        raise ConfigurationError(f"{reference}: {_import_problem(name, folder, error)}") from error
    except KeyboardInterrupt:
        raise
    # BaseException: a module that calls pytest.skip or sys.exit must not end the run.
    except BaseException as error:
        cause = f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"{reference}: {name} breaks while it is imported: {cause}"
        ) from error

    def find() -> Callable[..., Any]:
        function = getattr(module, attribute, None)
        if not callable(function):
            hint = did_you_mean(attribute, dir(module))
            raise ConfigurationError(f'{reference}: {name} has no function "{attribute}"{hint}')
        return without_static(function)

    return find


#: What to do about a module that is found neither beside the suite nor installed.
IMPORT_REMEDY = (
    "install its package, or name the folder that holds it in pytest's configuration, such as "
    "pythonpath = ."
)


def _import_problem(name: str, folder: Path, error: ImportError) -> str:
    """Return why the module *name* cannot be imported, and what to do about it."""
    file = folder / f"{name.replace('.', '/')}.py"
    if not is_file(file):
        return f"{error}; put {name}.py beside the suite, or install its package"
    if not isinstance(error, ModuleNotFoundError):
        return f"{name} breaks while it is imported: {error}"
    return f"{file.name} imports what is not found here: {error}; {IMPORT_REMEDY}"


_OWN_PACKAGE = __name__.partition(".")[0]


def source_files(reference: str, folder: Path) -> tuple[Path, ...]:
    """Return the file of the function's module, and the files next to it that it imports.

    The files are found without running them. Installed packages are left out. *reference* is
    ``module:function``, and *folder* that of the suite.

    Raises:
        ConfigurationError: there is no such module.
    """
    name = reference.partition(":")[0]
    file = folder / f"{name.replace('.', '/')}.py"
    if not is_file(file):
        spec = None
        with suppress(ModuleNotFoundError):
            spec = find_spec(name)
        if spec is None:
            raise ConfigurationError(
                f"{reference}: there is no module {name}; put {name}.py beside the suite, "
                "or install its package"
            )
        file = Path(spec.origin) if spec.origin else file
    if not is_file(file):
        return ()
    if name.startswith(f"{_OWN_PACKAGE}.") or "site-packages" in file.parts:
        return (file,)
    is_package = file.name == "__init__.py"
    return imported_files(file, name, file.parents[name.count(".") + is_package])


@reads_once(files=64)
def imported_files(file: Path, name: str, root: Path) -> tuple[Path, ...]:
    """Return *file* of the module *name*, and what it imports from the folder *root*."""
    finder = ModuleFinder(path=[str(root)])
    try:
        finder.import_hook(name)
    except (ImportError, AttributeError):  # as a folder that is no package is, or a name alone
        with suppress(ImportError):
            finder.run_script(str(file))
    modules = finder.modules.values()
    imported = {Path(str(f)) for module in modules if (f := getattr(module, "__file__", None))}
    return tuple(sorted({file, *imported}))


#: Names in the source of a module that may define further names at run time.
_DYNAMIC_NAMES = ("*", "__getattr__", "exec", "globals", "vars")


def reference_syntax_error(reference: str) -> str | None:
    """Return how to write *reference* instead, or None if it is ``module:function``."""
    module, _, name = reference.partition(":")
    if module and name.isidentifier() and not module.endswith(".py"):
        return None
    # Correct the usual mistakes: "bots.worse", "bots.py:worse" and "bots:worse()".
    guess = reference.replace(".py:", ":").removesuffix("()").replace("/", ".")
    if ":" not in guess:
        guess = ":".join(guess.rpartition(".")[::2])
    is_valid = guess != reference and reference_syntax_error(guess) is None
    return f'"{reference}" is no function; write {guess if is_valid else "module:function"}'


def reference_error(reference: str, folder: Path) -> str | None:
    """Return why *reference*, ``module:function``, cannot be used, or None if no error is found.

    Only a module in *folder*, that of the suite, is checked. Others are first imported during the
    run.
    """
    if message := reference_syntax_error(reference):
        return message
    module, _, name = reference.partition(":")
    file = folder / f"{module.replace('.', '/')}.py"
    if not is_file(file):
        return None
    try:
        defined = _defined_names(file)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        cause = error.msg if isinstance(error, SyntaxError) else error
        return f"{reference}: {file.name}{line} is not Python: {cause}"
    if name in defined or not defined.isdisjoint(_DYNAMIC_NAMES):
        return None
    return f'{reference}: {file.name} has no "{name}"{did_you_mean(name, defined)}'


@reads_once(files=64)
def _defined_names(file: Path) -> frozenset[str]:
    with warnings.catch_warnings():
        # The import reports the same warnings later.
        warnings.simplefilter("ignore")
        return frozenset(_iter_names(ast.parse(file.read_bytes(), file.name)))


def _iter_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a module defines, and the dynamic names that it uses."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield child.name
            case ast.Lambda():
                pass
            case ast.alias(name=name, asname=alias):
                yield alias or name.partition(".")[0]
            case ast.Name(id=name, ctx=ctx) if isinstance(ctx, ast.Store) or name in _DYNAMIC_NAMES:
                yield name
            case _:
                yield from _iter_names(child)
