"""YAML with the line of every value; values that YAML would misread are errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pytest_ftgate.errors import Diagnostic
from pytest_ftgate.readers.text import replace_lone_surrogates

#: The keys and indices from the top of a document to a value.
KeyPath = tuple[str | int, ...]

# The C loader is about eight times as fast; PyYAML may have been built without it.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: The most values that all aliases of a file may repeat: a few lines can stand for billions.
_MAX_REPEATED = 100_000
_REPEATS = f"its aliases repeat more than {_MAX_REPEATED:,} values; write out what is needed"
#: The most characters of a value in a message.
_MAX_SHOWN = 60
_TAG = "tag:yaml.org,2002:"
_PLAIN_BOOLS = {"true", "false", "True", "False", "TRUE", "FALSE"}


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file.

    Attributes:
        path: the file, for messages.
        value: the parsed value.
        lines: the line of each key and item, counted from 1.
        raw: the text of each scalar as written.
        errors: errors in the file.
    """

    path: str
    value: Any
    lines: Mapping[KeyPath, int]
    raw: Mapping[KeyPath, str]
    errors: tuple[Diagnostic, ...] = ()

    def line(self, key_path: KeyPath) -> int:
        """Return the line of *key_path*, or of the nearest value around it."""
        while key_path not in self.lines and key_path:
            key_path = key_path[:-1]
        return self.lines.get(key_path, 1)


class _TooManyRepeatedError(Exception):
    """Aliases repeat too many values; the argument is the line of one of them."""


@dataclass(slots=True)
class _NodeReader:
    """Turns the nodes of one document into values; *parents* are the nodes around the current."""

    path: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    raw: dict[KeyPath, str] = field(default_factory=dict)
    errors: list[Diagnostic] = field(default_factory=list)
    parents: list[Node] = field(default_factory=list)
    seen: set[Node] = field(default_factory=set)
    repeated: int = 0

    def value(self, node: Node, key_path: KeyPath) -> Any:
        self.repeated += node in self.seen
        self.seen.add(node)
        if self.repeated > _MAX_REPEATED:
            raise _TooManyRepeatedError(node.start_mark.line + 1)
        self.lines.setdefault(key_path, node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return self.scalar(node, key_path)
        if node in self.parents:
            message = f"{_key_prefix(key_path)}an anchor contains itself; write the values out"
            self.add_error(self.lines[key_path], message)
            return None
        self.parents.append(node)
        value = self.collection(node, key_path)
        self.parents.pop()
        return value

    def collection(self, node: Node, key_path: KeyPath) -> Any:
        if isinstance(node, SequenceNode):
            return [self.value(child, (*key_path, i)) for i, child in enumerate(node.value)]
        return self.mapping(node, key_path) if isinstance(node, MappingNode) else None

    def mapping(self, node: MappingNode, key_path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node)
            line = key_node.start_mark.line + 1
            if key in values:
                first = self.lines[(*key_path, key)]
                message = f'key "{key}" appears here twice (first in line {first}); keep one'
                self.add_error(line, message)
                continue
            self.lines[(*key_path, key)] = line
            values[key] = self.value(value_node, (*key_path, key))
        return values

    def key(self, node: Node) -> str:
        line = node.start_mark.line + 1
        if not isinstance(node, ScalarNode):
            self.add_error(line, "a key must be plain text")
            return str(node.start_mark.line)
        if node.tag != f"{_TAG}str" and not node.style:
            self.add_error(line, f'the key {node.value} is not text to YAML; write "{node.value}"')
        return replace_lone_surrogates(str(node.value))

    def scalar(self, node: ScalarNode, key_path: KeyPath) -> Any:
        node.value = replace_lone_surrogates(node.value)
        self.raw[key_path] = node.value
        line, prefix = self.lines[key_path], _key_prefix(key_path)
        misreading = _misreading(node)
        if misreading:
            self.add_error(line, f"{prefix}{misreading}")
            return node.value
        try:
            return _constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            shown = repr(node.value[:_MAX_SHOWN]) + "…" * (len(node.value) > _MAX_SHOWN)
            self.add_error(line, f"{prefix}{shown} cannot be read; quote it")
            return node.value

    def add_error(self, line: int, message: str) -> None:
        self.errors.append(Diagnostic(self.path, line, message))


_constructor = SafeConstructor()


def _key_prefix(key_path: KeyPath) -> str:
    return f"{key_path[-1]}: " if key_path and isinstance(key_path[-1], str) else ""


def _misreading(node: ScalarNode) -> str | None:
    """Return how YAML would misread a plain scalar, or None if its value is what one sees."""
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if node.style:
        return None
    if kind == "bool" and text not in _PLAIN_BOOLS:
        value = str(_constructor.construct_yaml_bool(node)).lower()
        remedy = f'write "{text}" for the text, or {value}'
        return f"YAML reads the bare word {text} as {value}: {remedy}"
    if kind == "timestamp":
        return f'YAML reads {text} as a date: write "{text}"'
    odd = "_" in text or ":" in text or (text.lstrip("+-").startswith("0") and len(text) > 1)
    if kind in ("int", "float") and odd and not _is_plain_decimal(text):
        number = _constructor.construct_object(node)
        return f'YAML reads {text} as the number {number}: write "{text}" or the plain number'
    return None


def _is_plain_decimal(text: str) -> bool:
    return text.lstrip("+-").split(".")[0] == "0" and "_" not in text and ":" not in text


class _CoreLoader(_Loader):  # type: ignore[misc]
    """Reads plain values by YAML 1.2: ``yes`` and ``1:30`` are texts, ``010`` is ten."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}


for _name, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", [*"tTfF"]),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", [*"-+0123456789"]),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", None),
    ("float", r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", [*"-+."]),
    ("merge", r"<<$", ["<"]),
):
    first = _first or [*"-+.0123456789"]
    _CoreLoader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(_pattern), first)


def _whole_number(loader: Any, node: ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0 if text[:2] in ("0o", "0x") else 10)


_CoreLoader.add_constructor(f"{_TAG}int", _whole_number)


def load_yaml(text: str, *, core: bool = False) -> Any:
    """Return the value of a YAML file of another tool, as YAML 1.1 reads it, or 1.2 with *core*.

    Raises:
        yaml.YAMLError: it is no YAML, or its aliases repeat too much.
        RecursionError: it nests too deeply.
    """
    loader = (_CoreLoader if core else _Loader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        # The loader shares what aliases repeat. What copies its value later does not.
        if repeated := _node_beyond(node):
            raise yaml.MarkedYAMLError(problem=_REPEATS, problem_mark=repeated.start_mark)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _node_beyond(top: Node) -> Node | None:
    """Return the node at which aliases below *top* have repeated too many, or None."""
    seen, repeated, left = set[Node](), 0, [top]
    while left:
        node = left.pop()
        repeated += node in seen
        if repeated > _MAX_REPEATED:
            return node
        seen.add(node)
        if isinstance(node, MappingNode):
            left += [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            left += node.value
    return None


def read_yaml(text: str, path: str) -> Document:
    """Return *text* parsed, with all errors in it; *path* is its file, for messages."""
    reader, line, message = _NodeReader(path), 0, "the file is empty"
    try:
        node = yaml.compose(text, _Loader)
        if node is not None:
            value = reader.value(node, ())
            return Document(path, value, reader.lines, reader.raw, tuple(reader.errors))
    except _TooManyRepeatedError as error:
        line = error.args[0]
        message = _REPEATS
    except RecursionError:
        message = "not YAML: nested too deeply"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        message = f"not YAML: {error.problem}{_hint(text, line, str(error.problem))}"
    except yaml.YAMLError as error:
        message = f"not YAML: {error}"
    return Document(path, None, {}, {}, (Diagnostic(path, line, message),))


#: The most characters of a line in a hint.
_MAX_QUOTED = 40


def _hint(text: str, line: int, problem: str) -> str:
    """Return the usual cause of a *problem* before *line*, where reading stopped, or ""."""
    written = "".join(text.splitlines()[line - 1 : line])
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return "; the line begins with a tab: indent with spaces"
    # What was expected is mostly there, but further to the left or to the right.
    if ("expected" not in problem and "not allowed" not in problem) or not written.strip():
        return ""
    shown = written.strip()[:_MAX_QUOTED]
    return f'; check the indentation of "{shown}", and the brackets and quotes before it'
