"""Half a character, as JSON can escape one, is replaced wherever text is read."""

from __future__ import annotations

import json
from dataclasses import dataclass

import yaml
from ftgate_testing.tables import every_row

from pytest_ftgate.readers import yaml as reader
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import read_rows
from pytest_ftgate.readers.text import replace_in_fields, replace_in_json, replace_lone_surrogates

HALF = "\ud83d"
TEXTS = {
    "plain": "plain",
    "Gr\u00fc\u00dfe \U0001f600": "Gr\u00fc\u00dfe \U0001f600",
    f"so far {HALF}": "so far \ufffd",
    "\ude00\ud83d": "\ufffd\ufffd",
    "both \ud83d\ude00 halves": "both \U0001f600 halves",
    f"{HALF}\ud83d\ude00": "\ufffd\U0001f600",
}


@every_row("text", TEXTS)
def test_lone_halves_are_replaced_and_all_else_stays(text):
    assert replace_lone_surrogates(text) == TEXTS[text]


def test_all_texts_within_a_value_are_reached():
    value = {f"k{HALF}": [HALF, {"deep": (HALF, 1)}], "n": None, "t": True, "f": 0.5}

    assert replace_in_json(value) == {
        "k\ufffd": ["\ufffd", {"deep": ("\ufffd", 1)}], "n": None, "t": True, "f": 0.5,
    }  # fmt: skip


def test_only_the_named_fields_of_a_dataclass_change():
    @dataclass(frozen=True)
    class Two:
        one: str = HALF
        other: str = HALF

        def __post_init__(self) -> None:
            replace_in_fields(self, "one")

    assert Two() == Two("\ufffd", HALF)


@every_row("suffix", [".jsonl", ".json"])
def test_rows_come_without_halves(tmp_path, suffix):
    row = {"id": f"a{HALF}", "tags": [HALF]}
    path = tmp_path / f"rows{suffix}"
    path.write_text(json.dumps(row if suffix == ".jsonl" else [row]))
    source = Source(tmp_path, path)

    (read,) = read_rows(source, path)

    assert read.value == {"id": "a\ufffd", "tags": ["\ufffd"]}
    assert source.errors == []


def test_yaml_comes_without_halves_whichever_loader_reads_it(monkeypatch):
    text = '"k\\ud83d": "v\\ud83d"'

    (error,) = reader.read_yaml(text, "s.yaml").errors
    monkeypatch.setattr(reader, "_Loader", yaml.SafeLoader)
    slow = reader.read_yaml(text, "s.yaml")

    assert error.message == "not YAML: found invalid Unicode character escape code"
    assert (slow.value, slow.raw) == ({"k\ufffd": "v\ufffd"}, {("k\ufffd",): "v\ufffd"})
