"""The files that a configuration of another tool names: texts, documents, rows and templates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import read_delimited, read_parquet, read_rows
from pytest_ftgate.readers.text import json_or_text, replace_in_json, text_of
from pytest_ftgate.readers.yaml import load_yaml

_TEMPLATE = re.compile(r"""\{\{-?\s*((?:'[^']*'|"[^"]*"|[^'"{}])+?)\s*-?\}\}""")
_IS_COSTLY = re.compile(r"\*|\d{5}")


def read_text_below(folder: Path, written: str) -> str:
    """Return the text of the file *written*, of the project that *folder* is a part of.

    It must lie below *folder*, the working folder, or the repository of *folder*.

    Raises:
        ConfigurationError: it does not, or cannot be read.
    """
    path = (folder / written).resolve()
    tops = [folder.resolve(), Path.cwd()]
    tops += [top for top in tops[0].parents if (top / ".git").exists()][:1]
    if ".git" in path.parts or not any(path.is_relative_to(top) for top in tops):
        raise ConfigurationError(
            f"{written} lies outside the folder of the file; type import in one above both"
        )
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{written} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{written} is not text in UTF-8") from error


def parse_document(text: str, name: str, *, core: bool = False) -> Any:
    """Return the value of a YAML or JSON document; with *core* by YAML 1.2.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        is_json = name.endswith(".json")
        return replace_in_json(json.loads(text) if is_json else load_yaml(text, core=core))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{name}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}: it cannot be read: {error}") from error


#: How a file begins that Git LFS has not downloaded.
_POINTER = b"version https://git-lfs"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of data; cells of a CSV that hold JSON are parsed.

    Raises:
        ConfigurationError: a row is broken, with its line; or the file was not downloaded.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ConfigurationError(f"{path} is a pointer of Git LFS: git lfs pull gets the file")
    if path.suffix == ".parquet":
        return read_parquet(path, str(path))
    source = Source(root=path.parent, path=path)
    if path.suffix == ".csv":
        cells = read_delimited(source, path, source.read_lines(path, 0, "cases"))
        # Other texts that are JSON, such as a number, stay texts.
        rows = [
            {k: json_or_text(v) if v[0] in '{["' else v for k, v in row.value.items() if v}
            for row in cells
        ]
    else:
        rows = [{**row.value} for row in read_rows(source, path) if isinstance(row.value, Mapping)]
    if source.errors:
        raise ConfigurationError(str(source.errors[0]))
    return rows


def filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return *value* with the expressions in its texts evaluated, such as ``{{ name | upper }}``.

    An expression that fails stays as it is.
    """
    if isinstance(value, list):
        return [filled(item, variables) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    return _TEMPLATE.sub(lambda match: _evaluated(match, variables), value)


def _evaluated(match: re.Match[str], variables: Mapping[str, Any]) -> str:
    name = match[1].removeprefix("vars.")
    if name in variables:
        return text_of(variables[name]) or ""
    from jinja2 import TemplateError

    # A short expression of a stranger can make a text that no memory holds.
    if _IS_COSTLY.search(match[1]):
        return match[0]
    try:
        return str(_templates().from_string(match[0]).render({**variables, "vars": variables}))
    # Expressions of others raise any error.
    except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return match[0]


@cache
def _templates() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters["dump"] = environment.filters["tojson"]
    return environment
