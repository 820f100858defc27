"""Tools: what a model is told of a function, and which functions cannot be told of."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.requests.tools import build_tool

HEAD = """\
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import Annotated

from pydantic import BaseModel, Field


class Carrier(Enum):
    POST = "post"
    COURIER = "courier"


class Item(BaseModel):
    sku: str
    count: int = 1


@dataclass
class Place:
    town: str


class Opaque:
    pass


"""


def told(folder, code):
    """Return the tool that a piece of code defines under the name ``use``."""
    (folder / "shop_tools.py").write_text(HEAD + code, "utf-8")
    return build_tool("shop_tools:use", folder)


TEXT = {"type": "string"}
SIGNATURES = {
    "a: str": TEXT,
    "a: list[str]": {"type": "array", "items": TEXT},
    "a: str | None": {"anyOf": [TEXT, {"type": "null"}]},
    "a: Annotated[str, Field(description='so')]": {**TEXT, "description": "so"},
    "*, a: str": TEXT,
}


@every_row(("signature", "schema"), SIGNATURES.items())
def test_an_argument_that_must_be_given_is_described_by_its_type(tmp_path, signature, schema):
    assert told(tmp_path, f"def use({signature}): ...").parameters == {
        "type": "object",
        "properties": {"a": schema},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_an_argument_with_a_default_may_be_left_out(tmp_path):
    schema = told(tmp_path, "def use(a: str, b: int = 3, *, c: str | None = None): ...").parameters

    assert schema["required"] == ["a"]
    assert [schema["properties"][name]["default"] for name in "bc"] == [3, None]


@every_row(
    ("kind", "schema"),
    [
        ("Carrier", {"type": "string", "enum": ["post", "courier"]}),
        ("Item", {"type": "object", "required": ["sku"]}),
        ("Place", {"type": "object", "required": ["town"]}),
    ],
)
def test_a_type_of_the_teams_own_is_described_beside_the_arguments(tmp_path, kind, schema):
    found = told(tmp_path, f"def use(a: {kind}): ...").parameters

    assert found["properties"]["a"] == {"$ref": f"#/$defs/{kind}"}
    assert schema.items() <= found["$defs"][kind].items()


@every_row("start", ["def", "async def"])
def test_a_function_without_arguments_takes_an_empty_object(tmp_path, start):
    schema = {"type": "object", "properties": {}, "additionalProperties": False}

    assert told(tmp_path, f"{start} use(): ...").parameters == schema


def test_names_that_mean_something_to_pydantic_are_arguments_like_others(tmp_path):
    schema = told(tmp_path, "def use(json: str, model_dump: str, _private: str): ...").parameters

    assert schema["required"] == ["json", "model_dump", "_private"]


def test_annotations_written_as_text_are_read_where_the_function_stands(tmp_path):
    for folder, values in (("one", "first"), ("two", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shop_kinds.py").write_text(
            "from __future__ import annotations\nfrom enum import Enum\n"
            f"class Kind(Enum):\n    ONLY = '{values}'\n"
            "def use(kind: Kind): ...\n"
        )

    found = [build_tool("shop_kinds:use", tmp_path / folder) for folder in ("one", "two")]

    enums = [one.parameters["$defs"]["Kind"]["enum"] for one in found]
    assert enums == [["first"], ["second"]]


def test_a_decorated_function_is_described_by_its_own_signature(tmp_path):
    code = (
        "def logged(f):\n    @wraps(f)\n    def inner(*a, **k):\n        return f(*a, **k)\n"
        "    return inner\n\n@logged\ndef use(a: str): ...\n"
    )

    assert told(tmp_path, code).parameters["required"] == ["a"]


# Docstrings ----------------------------------------------------------------------------------

SAID = '''
def use(order_id: str, note: str = ""):
    """Pay an order back.

    It is paid to the card it came from.

    {}
    """
'''
GOOGLE = """\
Args:
        order_id: the number of the order,
            digits alone.
        note: shown to the customer.

    Returns:
        Nothing that matters."""
SPHINX = """\
:param order_id: the number of the order, digits alone.
    :param note: shown to the customer."""
NUMPY = """\
Parameters
    ----------
    order_id : str
        the number of the order, digits alone.
    note : str
        shown to the customer."""


@every_row("arguments", [GOOGLE, SPHINX, NUMPY])
def test_a_docstring_tells_what_the_function_and_its_arguments_are(tmp_path, arguments):
    found = told(tmp_path, SAID.format(arguments))
    properties = found.parameters["properties"]

    assert found.description == "Pay an order back.\n\nIt is paid to the card it came from."
    assert properties["order_id"]["description"] == "the number of the order, digits alone."
    assert properties["note"]["description"] == "shown to the customer."


def test_what_an_annotation_says_of_an_argument_goes_before_the_docstring(tmp_path):
    code = (
        "def use(a: Annotated[str, Field(description='mine')]):\n"
        '    """Do.\n\n    Args:\n        a: theirs.\n    """\n'
    )

    assert told(tmp_path, code).parameters["properties"]["a"]["description"] == "mine"


def test_a_function_without_a_docstring_is_described_by_its_name(tmp_path):
    found = told(tmp_path, "def use(a: str): ...")

    assert (found.name, found.description, found.reference) == ("use", "", "shop_tools:use")


# What cannot be a tool -----------------------------------------------------------------------

WRONG = {
    "def use(a): ...": "does not say what a is; annotate it: a: str",
    "def use(*a: str): ...": r"takes \*a, which no schema can describe; name each argument",
    "def use(**a: str): ...": r"takes \*\*a, which no schema can describe; name each argument",
    "def use(a: str, /): ...": "takes a by position alone, but a model names arguments; remove /",
    "def use(a: Opaque): ...": "its arguments have no JSON Schema: .*Opaque.*; annotate them with",
    "def use(a: 'Nowhere'): ...": "its arguments have no JSON Schema: name 'Nowhere' is not def",
    "use = 3": 'has no function "use"',
    "class use: ...": r"is no function; a tool is one: def look_up\(order_id: str\)",
    "def other(): ...": 'has no function "use"',
    "import nowhere_at_all": "install its package, or name the folder that holds it",
}


@every_row(("code", "message"), WRONG.items())
def test_what_no_model_can_use_is_a_configuration_error_with_what_to_write(tmp_path, code, message):
    with pytest.raises(ConfigurationError, match=f"shop_tools.*{message}"):
        told(tmp_path, code)
