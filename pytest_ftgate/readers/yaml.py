"""YAML with the line of every value; values that YAML misreads are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pytest_ftgate.errors import Fault

__all__ = ["Document", "Where", "read_yaml"]

#: The keys and indices that lead to a value from the top of the document.
Where = tuple[str | int, ...]

# The C loader is about eight times as fast; PyYAML may have been built without it.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TRUTH = {"true", "false", "True", "False", "TRUE", "FALSE"}


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its value, and for each value in it the line and the text as written."""

    path: str
    value: Any
    lines: Mapping[Where, int]
    written: Mapping[Where, str]
    faults: tuple[Fault, ...] = ()

    def line(self, where: Where) -> int:
        """Return the line of *where*, or of the nearest value around it."""
        while where not in self.lines and where:
            where = where[:-1]
        return self.lines.get(where, 1)

    def fault(self, where: Where, message: str) -> Fault:
        """Return *message* as a fault at the line of *where*."""
        return Fault(self.path, self.line(where), message)


@dataclass(slots=True)
class _Reading:
    path: str
    lines: dict[Where, int] = field(default_factory=dict)
    written: dict[Where, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    inside: list[Node] = field(default_factory=list)

    def value(self, node: Node, where: Where) -> Any:
        self.lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return self.scalar(node, where)
        if node in self.inside:
            self.fault(self.lines[where], f"{_named(where)}an anchor holds itself; write it out")
            return None
        self.inside.append(node)
        value = self.nested(node, where)
        self.inside.pop()
        return value

    def nested(self, node: Node, where: Where) -> Any:
        if isinstance(node, SequenceNode):
            return [self.value(child, (*where, i)) for i, child in enumerate(node.value)]
        return self.mapping(node, where) if isinstance(node, MappingNode) else None

    def mapping(self, node: MappingNode, where: Where) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node)
            line = key_node.start_mark.line + 1
            if key in out:
                before = self.lines[(*where, key)]
                self.fault(
                    line, f'key "{key}" stands here twice (first in line {before}); keep one'
                )
                continue
            self.lines[(*where, key)] = line
            out[key] = self.value(value_node, (*where, key))
        return out

    def key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            self.fault(node.start_mark.line + 1, "a key must be plain text")
            return str(node.start_mark.line)
        if node.tag != f"{_TAG}str" and not node.style:
            line = node.start_mark.line + 1
            self.fault(line, f'the key {node.value} is not text to YAML; write "{node.value}"')
        return str(node.value)

    def scalar(self, node: ScalarNode, where: Where) -> Any:
        self.written[where] = node.value
        trap = _trap(node)
        if trap:
            self.fault(self.lines[where], f"{_named(where)}{trap}")
            return node.value
        try:
            return _constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.fault(self.lines[where], f"{_named(where)}{node.value!r} cannot be read; quote it")
            return node.value

    def fault(self, line: int, message: str) -> None:
        self.faults.append(Fault(self.path, line, message))


_constructor = SafeConstructor()


def _named(where: Where) -> str:
    return f"{where[-1]}: " if where and isinstance(where[-1], str) else ""


def _trap(node: ScalarNode) -> str | None:
    """Say how YAML would misread a plain scalar, or return None where it reads what one sees."""
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if node.style:
        return None
    if kind == "bool" and text not in _PLAIN_TRUTH:
        read = str(_constructor.construct_yaml_bool(node)).lower()
        return f'YAML reads the bare word {text} as {read}: write "{text}" for the text, or {read}'
    if kind == "timestamp":
        return f'YAML reads {text} as a date: write "{text}"'
    odd = "_" in text or ":" in text or (text.lstrip("+-").startswith("0") and len(text) > 1)
    if kind in ("int", "float") and odd and not _decimal(text):
        number = _constructor.construct_object(node)
        return f'YAML reads {text} as the number {number}: write "{text}" or the plain number'
    return None


def _decimal(text: str) -> bool:
    return text.lstrip("+-").split(".")[0] == "0" and "_" not in text and ":" not in text


def read_yaml(text: str, path: str) -> Document:
    """Parse *text*; a fault in it never stops the search for further ones.

    Args:
        text: the file's content.
        path: the name that faults carry.
    """
    reading = _Reading(path)
    try:
        node = yaml.compose(text, _Loader)
        value = None if node is None else reading.value(node, ())
    except RecursionError:
        return Document(path, None, {}, {}, (Fault(path, 0, "not YAML: nested too deeply"),))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        told = f"not YAML: {error.problem}{_hint(error.problem)}"
        return Document(path, None, {}, {}, (Fault(path, line, told),))
    except yaml.YAMLError as error:
        return Document(path, None, {}, {}, (Fault(path, 0, f"not YAML: {error}"),))
    if node is None:
        return Document(path, None, {}, {}, (Fault(path, 0, "the file is empty"),))
    return Document(path, value, reading.lines, reading.written, tuple(reading.faults))


def _hint(problem: str | None) -> str:
    tab = problem is not None and "'\\t'" in problem
    return "; a tab stands here: indent with spaces" if tab else ""
