"""JavaScript that decides on a reply: its simple forms, as checks that a suite can show."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pytest_ftgate.readers import checks
from pytest_ftgate.readers.checks import ReplyCheck

_TEXT = r"(?:'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
_LITERAL = rf"(?P<literal>{_TEXT}|-?\d+(?:\.\d+)?|true|false|null)"
_OUTPUT = r"(?:output|String\(output\)|\(output\))(?:\.trim\(\))?"
_FIELD = rf"JSON\.parse\({_OUTPUT}\)(?P<path>(?:\.[A-Za-z_]\w*|\[{_TEXT}\])+)"
_PATTERN = r"/(?P<pattern>(?:\[(?:[^\]\\]|\\.)*\]|\\.|[^/\\\[])+)/(?P<flags>[a-z]*)"
_BOUND = r"\s*(?P<sign>[<>]=?|===?)\s*(?P<number>\d+)"
#: ``const data = JSON.parse(output); return ...``
_NAMED_JSON = re.compile(
    rf"(?:const|let|var)\s+(?P<name>\w+)\s*=\s*JSON\.parse\({_OUTPUT}\)\s*[;\n]\s*", re.DOTALL
)
_VARIABLE = re.compile(rf"context\.vars(?:\.(?P<name>\w+)|\[(?P<quoted>{_TEXT})\])")
#: ``condition ? 1 : 0``
_CHOICE = re.compile(r"(.+)\?\s*(?:1|true)\s*:\s*(?:0|false)", re.DOTALL)
#: Quoted texts and patterns, within which nothing is code.
_QUOTED = re.compile(
    rf"{_TEXT}|(?<=[(,=!&|:;\s])/(?![/*])(?:\[(?:[^\]\\]|\\.)*\]|\\.|[^/\\\[\n])+/"
)


def readable_checks(code: str, variables: Mapping[str, Any]) -> list[ReplyCheck] | None:
    """Return the checks that *code* makes of ``output``, or None if any part is of no known form.

    *variables* are those of the test, which the code reads as ``context.vars``.
    """
    code = re.sub(r"^return\b", "", _without_name(code.strip().rstrip("; \n"))).strip()
    choice = _CHOICE.fullmatch(code)
    parts = _conjuncts(_with_values(choice[1] if choice else code, variables))
    try:
        made = [_check(part) for part in parts or ()]
    except ValueError:
        # A text with an escape that only JavaScript has.
        return None
    if not made or None in made:
        return None
    found = [one for several in made for one in several or ()]
    return list({json.dumps(one): one for one in found}.values())


#: How a function begins, up to its body.
_HEAD = re.compile(
    r"(?:async\s+)?(?:function\b\s*\w*\s*\([^()]*\)|(?:\w+|\([^()]*\))\s*=>)\s*(?P<body>\{)?"
)


def is_whole_function(code: str) -> bool:
    """Return True if *code* is one function, with nothing behind it that calls it."""
    match = _HEAD.match(code)
    if not match:
        return False
    bare = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), code)[match.end() :].rstrip("; \n")
    if not match["body"]:
        return not re.search(r";|\breturn\b", bare)
    depth = 1
    for position, character in enumerate(bare):
        depth += (character == "{") - (character == "}")
        if not depth:
            return not bare[position + 1 :].strip()
    return False


def _without_name(code: str) -> str:
    """Return *code* with ``JSON.parse(output)`` in place of the name that it gives to it."""
    match = _NAMED_JSON.match(code)
    if not match:
        return code
    rest = re.sub(r"^return\b\s*", "", code[match.end() :])
    named = re.sub(rf"(?<![\w.'\"]){match['name']}(?=[.\[])", "JSON.parse(output)", rest)
    # Code that never reads the name still fails where the reply is no JSON.
    return code if named == rest else named


def _with_values(code: str, variables: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["name"] or match["quoted"][1:-1]
        known = variables.get(name)
        return json.dumps(known, ensure_ascii=False) if isinstance(known, str | int) else match[0]

    return _VARIABLE.sub(value, code)


def _conjuncts(code: str) -> list[str] | None:
    """Return the parts of *code* between ``&&``, or None if it is more than such parts."""
    # Only what is outside of quotes is code; positions stay as they are.
    bare = _QUOTED.sub(lambda match: "_" * len(match[0]), f" {code}")[1:]
    if re.search(r"\|\||\?|=>|;|`|\{|\bfunction\b|//|/\*", bare):
        return None
    parts, start, depth = list[str](), 0, 0
    for position, character in enumerate(bare):
        depth += (character in "([") - (character in ")]")
        if depth < 0:
            return None
        if not depth and bare.startswith("&&", position):
            parts.append(code[start:position])
            start = position + 2
    return None if depth else [*parts, code[start:]]


def _check(code: str) -> list[ReplyCheck] | None:
    """Return the checks that one part without ``&&`` makes, or None."""
    code = code.strip()
    while re.fullmatch(r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", code):
        inner = _conjuncts(code[1:-1])
        if inner is None:
            return None
        code = code[1:-1].strip()
        if len(inner) > 1:
            found = [_check(part) for part in inner]
            return None if None in found else [one for part in found for one in part or ()]
    for pattern, make in _FORMS:
        if match := re.fullmatch(pattern, code):
            made = make(match)
            # JSON.parse throws where the reply is more than JSON.
            strict = [checks.json_form()] if "JSON.parse" in code else []
            return None if made is None else [made, *strict]
    return None


# One maker for each form: it returns the check, or None if the form cannot be kept.

_Made = ReplyCheck | None


def _literal(written: str) -> Any:
    """Return the value of a literal.

    Raises:
        ValueError: it has an escape that JSON does not have.
    """
    if written[0] not in "'\"":
        return json.loads(written)
    body = written[1:-1].replace("\\'", "'")
    if written[0] == "'":
        body = re.sub(r'(?<!\\)"', r"\"", body)
    return json.loads(f'"{body}"')


def _path(written: str) -> list[str]:
    keys = re.findall(rf"\.(\w+)|\[({_TEXT})\]", written)
    return [name or _literal(quoted) for name, quoted in keys]


def _includes(match: re.Match[str]) -> _Made:
    text, case = _literal(match["literal"]), not match["lower"]
    if not isinstance(text, str) or not text or (not case and text != text.lower()):
        return None
    make = checks.avoided if match["not"] else checks.contained
    return make([text], case=case)


def _edge(match: re.Match[str]) -> _Made:
    text = checks.escaped(str(_literal(match["literal"])))
    found = f"^{text}" if match["edge"] == "starts" else f"{text}$"
    return checks.matching(found, inverse=bool(match["not"]))


def _pattern(match: re.Match[str]) -> _Made:
    return checks.matching(match["pattern"], match["flags"], inverse=bool(match["not"]))


def _length(match: re.Match[str]) -> _Made:
    sign, number = match["sign"], int(match["number"])
    low = number + (sign == ">") if sign[0] in ">=" else None
    high = number - (sign == "<") if sign[0] in "<=" else None
    # A reply of no words has one in JavaScript, whose limits below 2 say little.
    unit = "words" if match["words"] else "characters"
    return None if high == 0 else checks.sized(unit, low, high)


def _equal(match: re.Match[str]) -> _Made:
    text = _literal(match["literal"])
    is_text = isinstance(text, str) and text.strip()
    return checks.equal(text, inverse=match["sign"][0] == "!") if is_text else None


def _field(match: re.Match[str]) -> _Made:
    path, value = _path(match["path"]), _literal(match["literal"])
    if match["sign"][0] == "=":
        return checks.field_value(path, value)
    return checks.field_schema(path, {"not": {"const": value}}, required=False)


def _listed(match: re.Match[str]) -> _Made:
    values = [_literal(one[0]) for one in re.finditer(_LITERAL, match["list"])]
    if match["path"]:
        return checks.field_schema(_path(match["path"]), {"enum": values})
    texts = [one.strip() for one in values if isinstance(one, str) and one.strip()]
    if len(texts) != len(values):
        return None
    return ReplyCheck({"regex": f"^(?:{'|'.join(map(checks.escaped, texts))})$"}, "exact", texts)


def _typed(match: re.Match[str]) -> _Made:
    kinds = {one: one for one in ("array", "string", "number", "boolean")}
    types = {**kinds, "object": ["object", "array", "null"]}.get(match["type"] or "array")
    if types is None or match["sign"] == "!==":
        return None
    return checks.field_schema(_path(match["path"] or match["path2"]), {"type": types})


def _present(match: re.Match[str]) -> _Made:
    return checks.field_schema(_path(match["path"]), {})


_TYPE = rf"typeof\s+{_FIELD}\s*(?P<sign>[!=]==)\s*['\"](?P<type>\w+)['\"]"
_LIST = rf"\[(?P<list>\s*{_TEXT}(?:\s*,\s*{_TEXT})*\s*,?\s*)\]"
_FIELD_2 = _FIELD.replace("<path>", "<path2>")
_NOT = r"(?P<not>!\s*)?"
_FORMS: tuple[tuple[str, Callable[[re.Match[str]], _Made]], ...] = (
    (rf"{_NOT}{_OUTPUT}(?P<lower>\.toLowerCase\(\))?\.includes\({_LITERAL}\)", _includes),
    (rf"{_NOT}{_OUTPUT}\.(?P<edge>starts|ends)With\({_LITERAL}\)", _edge),
    (rf"{_NOT}{_PATTERN}\.test\({_OUTPUT}\)", _pattern),
    (rf"(?P<not>){_OUTPUT}\.match\({_PATTERN}\)\s*!==?\s*null", _pattern),
    (rf"{_OUTPUT}(?P<words>\.split\(/\\s\+/\)(?:\.filter\(Boolean\))?)?\.length{_BOUND}", _length),
    (rf"{_OUTPUT}\s*(?P<sign>[!=]==?)\s*{_LITERAL}", _equal),
    (rf"{_FIELD}\s*(?P<sign>[!=]==)\s*{_LITERAL}", _field),
    (rf"{_LIST}\.includes\((?:{_FIELD}|{_OUTPUT})\)", _listed),
    (rf"{_TYPE}|(?P<array>Array\.isArray)\({_FIELD_2}\)", _typed),
    (rf"{_FIELD}\s*!==\s*undefined", _present),
)


def code_after(transform: str, code: str) -> str:
    """Return JavaScript that first replaces ``output`` by *transform*, then decides by *code*."""
    return f"output = {_called(transform)};\nreturn {_called(code)};"


def _called(code: str) -> str:
    """Return *code* as one expression: code of several lines is the body of a function."""
    code = code.strip().rstrip("; ")
    if "\n" not in code and not re.match(r"(?:const|let|var|return|if|try)\b", code):
        return f"({code})"
    if not re.search(r"\breturn\b", code):
        # After declarations the last expression counts.
        code = re.sub(r";\s*([^;]+)$", r"; return \1", code)
    return f"(function (output, context) {{\n{code}\n}})(output, context)"


_STRING = "(typeof output === 'string' ? output : JSON.stringify(output))"


def text_code(kind: str, value: Any) -> str | None:
    """Return JavaScript for an assertion of promptfoo about the text of ``output``, or None.

    None also for a value that promptfoo refuses, such as an empty text.
    """
    base = kind.removeprefix("not-")
    if base == "is-json":
        form = _IS_JSON if base == kind else f"!{_IS_JSON}"
        return form.replace("TEXT", _STRING) if value in (None, "", True, False) else None
    is_list = base.endswith(("-any", "-all"))
    known = list if is_list else str if base in ("regex", "starts-with") else str | int | float
    if not isinstance(value, known) or isinstance(value, bool) or (not value and not is_list):
        return None
    output = f"{_STRING}.toLowerCase()" if base.startswith("ic") else _STRING
    value = _lowered(value) if base.startswith("ic") else value
    form = _TEXT_CODE.get(base.removeprefix("i") if base.startswith("ic") else base, "")
    value = value if isinstance(value, list) else str(value)
    code = form.format(output=output, value=json.dumps(value, ensure_ascii=False))
    return (f"!({code})" if kind.startswith("not-") else code) if code else None


def _lowered(value: Any) -> Any:
    return [*map(_lowered, value)] if isinstance(value, list) else str(value).lower()


_IS_JSON = "(() => { try { JSON.parse(TEXT); return true } catch { return false } })()"
_TEXT_CODE: Mapping[str, str] = {
    "contains": "{output}.includes({value})",
    "contains-any": "{value}.some((text) => {output}.includes(text))",
    "contains-all": "{value}.every((text) => {output}.includes(text))",
    "equals": "{output} === {value}",
    "regex": "new RegExp({value}).test({output})",
    "starts-with": "{output}.startsWith({value})",
    "ends-with": "{output}.endsWith({value})",
}
