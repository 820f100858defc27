"""Replies to a test of promptfoo, drawn from what its assertions name."""

from __future__ import annotations

import json
import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: The most replies to one test.
MOST = 18
_QUOTED = re.compile(r"""(['"`])((?:\\.|(?!\1)[^\\\n])*)\1""")
_PATTERN = re.compile(
    r"(?<![\w/)])/((?:\\.|\[[^\]\n]*\]|[^/\\\n*\[])(?:\\.|\[[^\]\n]*\]|[^/\\\n\[])*)/[a-z]*"
)
_FIELD = re.compile(r"""\.(\w+)\s*===?\s*(true|false|null|-?[\d.]+|'[^']*'|"[^"]*")""")
_LIST = re.compile(r"isArray\(\w+\.(\w+)\)")
_KEY = re.compile(r"""(?:\.(\w+)|\.get\(["'](\w+)["']|["'](\w+)["']\s+in\s)""")
_METHODS = frozenset(
    {
        *("includes", "toLowerCase", "toUpperCase", "length", "test", "trim", "parse", "some"),
        *("every", "map", "filter", "split", "match", "vars", "output", "stringify", "isArray"),
        *("join", "keys", "values", "indexOf", "startsWith", "endsWith", "replace", "push"),
        *("find", "forEach", "slice", "reason", "score", "pass"),
    }
)
_FILLER = "A sentence that says nothing in particular stands here. " * 60


def replies_to(test: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the replies to *test*, whose files are looked for in *folder*."""
    wanted, unwanted, objects = list[str](), list[str](), list[Any]()
    for assertion in _assertions(test.get("assert") or ()):
        kind, value = str(assertion.get("type", "")), _value(assertion.get("value"), folder)
        if kind.startswith("not-"):
            unwanted += _texts(kind, value)
        elif kind.removeprefix("contains-").removeprefix("is-") in ("json", "valid-json"):
            objects.append(_instance(value if isinstance(value, Mapping) else {}))
        elif kind in ("javascript", "python"):
            wanted += _literals(str(value))
            objects += [found] if (found := _object(str(value))) else []
        else:
            wanted += _texts(kind, value)
            objects += [value] if isinstance(value, Mapping | list) and kind == "equals" else []
    wanted, unwanted = [*dict.fromkeys(filter(None, wanted))], [*filter(None, unwanted)]
    values = [str(v) for v in (test.get("vars") or {}).values() if isinstance(v, str | int | float)]
    drawn = [*_variants(wanted[:25], unwanted[:5], objects[:3]), *values[:4]]
    return [*dict.fromkeys(text for text in drawn if len(text) < 20_000)][:MOST]


def _variants(wanted: list[str], unwanted: list[str], objects: list[Any]) -> Iterator[str]:
    everything = "\n".join(wanted)
    yield from (everything, "", "The answer is not known.")
    for value in objects:
        written = json.dumps(value)
        yield from (written, f"```json\n{written}\n```", f"Here it is: {written} Done.")
    if objects:
        yield from ("{}", json.dumps({"text": everything}))
    if wanted:
        yield from (everything.upper(), everything.lower(), f"{wanted[0]}\n", f" {wanted[0]} more")
        yield "\n".join(text[:-1] for text in wanted)
        yield "\n".join(f"pre{text}post" for text in wanted)
        yield from ("\n".join(wanted[1:]), "\n".join(wanted[:-1]), wanted[-1])
    for text in unwanted:
        yield from (f"{everything} {text}", f"{everything} {text.swapcase()}")
    yield from (f"{everything} {_FILLER}", "Yes. " * 8 + everything)


def _assertions(written: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    for one in written:
        if isinstance(one, Mapping) and one.get("type") == "assert-set":
            yield from _assertions(one.get("assert") or ())
        elif isinstance(one, Mapping):
            yield one


def _value(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or not value.startswith("file://"):
        return value
    path = re.sub(r"(\.\w+):\w+$", r"\1", value.removeprefix("file://"))
    try:
        text = (folder / path).read_text("utf-8")
        return json.loads(text) if path.endswith(".json") else text[:30_000]
    except (OSError, ValueError):
        return ""


def _texts(kind: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if kind.endswith(("-any", "-all")) and isinstance(value, str):
        values = [part.strip() for part in value.split(",")]
    if kind.endswith("regex"):
        return [text for one in values if (text := matching(str(one)))]
    if kind.endswith(("rubric", "g-eval", "closedqa", "factuality", "latency", "cost")):
        return []
    return [str(one) for one in values if isinstance(one, str | int | float)]


def _literals(code: str) -> list[str]:
    texts = [text for _, text in _QUOTED.findall(code) if len(text) < 200]
    samples = [text for pattern in _PATTERN.findall(code)[:20] if (text := matching(pattern))]
    return [*samples, *texts][:30]


def _object(code: str) -> dict[str, Any]:
    names = [next(filter(None, found)) for found in _KEY.findall(code)]
    found: dict[str, Any] = {name: "text" for name in names if name not in _METHODS}
    found |= {name: ["text"] for name in _LIST.findall(code)}
    for name, literal in _FIELD.findall(code):
        quoted = literal[:1] in "'\""
        try:
            found[name] = literal[1:-1] if quoted else json.loads(literal)
        except ValueError:
            continue
    return found if "JSON" in code or "json" in code else {}


def _instance(schema: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a value that *schema* allows, as far as its commonest keywords say."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if depth == 0 or "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    items = schema.get("items")
    inner = items if isinstance(items, Mapping) else {"type": "string"}
    if kind == "object":
        properties = schema.get("properties") or {}
        names = [*properties, *(n for n in schema.get("required") or () if n not in properties)]
        return {name: _instance(properties.get(name) or {}, depth + 1) for name in names}
    if kind == "array":
        return [_instance(inner, depth + 1) for _ in range(schema.get("minItems") or 1)]
    low = schema.get("minimum", 1 if schema.get("maximum", 1) >= 1 else schema.get("maximum"))
    text = "x" * max(schema.get("minLength") or 0, 1)
    text = matching(schema["pattern"]) or text if "pattern" in schema else text
    return {"string": text, "boolean": True, "null": None}.get(kind, low)


def matching(pattern: str) -> str:
    """Return a text that *pattern* matches, in the forms that occur; "" for another."""
    try:
        return "".join(_sample(parser.parse(pattern)))
    except (re.error, ValueError, OverflowError, RecursionError):
        return ""


def _sample(tree: Any) -> Iterator[str]:
    for code, value in tree:
        if code is codes.LITERAL:
            yield chr(value)
        elif code is codes.NOT_LITERAL:
            yield "x" if value != ord("x") else "y"
        elif code is codes.ANY:
            yield "a"
        elif code is codes.IN:
            yield _member(value)
        elif code is codes.BRANCH:
            yield from _sample(value[1][0])
        elif code is codes.SUBPATTERN:
            yield from _sample(value[3])
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            for _ in range(max(value[0], min(1, value[1]))):
                yield from _sample(value[2])


_CLASSES = {
    codes.CATEGORY_DIGIT: "7",
    codes.CATEGORY_WORD: "w",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_NOT_DIGIT: "n",
    codes.CATEGORY_NOT_WORD: "-",
    codes.CATEGORY_NOT_SPACE: "s",
}


def _member(members: Any) -> str:
    code, value = members[0]
    if code is codes.NEGATE:
        excluded = {chr(v) for c, v in members[1:] if c is codes.LITERAL}
        return next(text for text in "a0 -_~" if text not in excluded)
    if code is codes.CATEGORY:
        return _CLASSES[value]
    return chr(value[0] if code is codes.RANGE else value)
