"""The keys ``command`` and ``files``: a program that answers cases, and the files that decide.

Such a program is an agent, for example. Its files are copied for it; those of a Python function are
read where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

from pytest_ftgate.paths import is_file
from pytest_ftgate.readers.source import real_path
from pytest_ftgate.suite.declaration import DeclaredCommand, DeclaredVariant
from pytest_ftgate.suite.draft import VariantLocation
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.providers import SECRET_VARIABLE, credential_errors
from pytest_ftgate.suite.templates import TemplateError, render_template

#: The names of programs that read a line of text as commands.
_SHELLS = ("sh", "bash", "zsh", "dash", "fish", "cmd", "cmd.exe", "powershell", "pwsh")
#: Folders that no program needs, and whose files change with every run.
_LEFT_OUT = frozenset({".ftgate", ".git", ".pytest_cache", "__pycache__"})
#: The variable of a template that has the number of the run of a case, from 1.
RUN = "run"


def command_options(location: VariantLocation, declared: DeclaredCommand) -> dict[str, Any]:
    """Return what can change a reply of a command; errors go to the source of *location*."""
    for message in _errors(location, declared):
        location.add_error("command", f"command: {message}")
    return {
        "run": list(declared.run),
        "files": [name for name, _ in given_files(location, declared)],
        "env": dict(declared.env),
        "keys": list(declared.keys),
        "seconds": declared.seconds,
    }


def _errors(location: VariantLocation, declared: DeclaredCommand) -> Iterator[str]:
    program, folder = declared.run[0], location.source.path.parent
    if "{{" in program:
        yield "run: the program cannot be a template; write its name, and templates as arguments"
        return
    if Path(program).stem.lower() in _SHELLS and {"-c", "/c", "/C"} & {*declared.run}:
        yield "run: a shell reads its text as commands; name the program and its arguments"
    is_here = is_file(folder / program)
    if not which(program) and not (is_here and program in declared.files):
        remedy = "name it under files as well" if is_here else "install it, or write its path"
        yield f"run: there is no program {program}; {remedy}"
    yield from credential_errors("env", declared.env, "keys", SECRET_VARIABLE)
    for case in location.suite.cases[:1]:
        try:
            command_arguments(declared.run, case, 0)
        except TemplateError as error:
            yield f"run: {error}"


def given_files(
    location: VariantLocation, declared: DeclaredCommand | DeclaredVariant
) -> tuple[tuple[str, Path], ...]:
    """Return the files that a program or a function is given, each with its path below the suite.

    What the tools of a project keep in its folders is left out. Errors go to *location*.
    """
    source, folder = location.source, location.source.path.parent.resolve()
    keys = "command: files" if isinstance(declared, DeclaredCommand) else "files"
    key = keys.partition(":")[0]
    what, found = f"{location.display_name}: {keys}", dict[str, Path]()
    for written in declared.files:
        path = source.find_file(written, location.line(key), what, folders=True)
        inner = sorted(path.rglob("*")) if path and path.is_dir() else filter(None, [path])
        for file in inner:
            if not file.is_file() or {*file.relative_to(source.root).parts} & _LEFT_OUT:
                continue
            # A link within a folder may lead anywhere.
            if not real_path(file).is_relative_to(folder):
                shown = source.display_path(file)
                message = f"{keys}: {shown} lies outside the folder of the suite; copy it"
                location.add_error(key, message)
                break
            found[file.relative_to(folder).as_posix()] = file
    return tuple(found.items())


def command_arguments(run: tuple[str, ...], case: Case, repeat: int) -> list[str]:
    """Return the program and its arguments for *case*: each stays one argument, whatever it holds.

    Raises:
        TemplateError: an argument cannot be rendered for the case.
    """
    values: Mapping[str, Any] = {**case.template_values, RUN: repeat + 1}
    return [run[0], *(render_template(text, values) if "{" in text else text for text in run[1:])]
