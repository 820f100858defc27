"""A classifier that learns from the training file: the floor that a language model must beat."""

from __future__ import annotations

import asyncio
import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.providers.local import open_local
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

ROWS = {
    "refund": ["money back", "my money please", "return the money", "pay me back", "money gone"],
    "login": ["cannot sign in", "sign in fails", "no sign in", "sign me in", "sign in broken"],
}


def row(label: str, text: str) -> str:
    return json.dumps({"input": text, "expected": label})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(row(label, text) for label, own in ROWS.items() for text in own))
    return path


@pytest.fixture
def asked(call, file):
    def make(text: str = "I want my money back"):
        case = Case(id="a", location="c:1", input=text, score=Rule("exact"))
        return call(provider="classical", case=case, training_data=file)

    return make


def labels_of(*requests) -> list[str]:
    """Return the labels of *requests* by one classifier."""
    replies = asyncio.run(open_local(requests, {}).generate_many(requests))
    return [reply.text for reply in replies]


def test_a_case_gets_the_label_that_its_words_speak_for(asked):
    assert labels_of(asked("my money"), asked("sign in now")) == ["refund", "login"]


def test_it_learns_from_conversations_and_passes_over_what_is_not_to_be_followed(asked, file):
    def said(label, text, weight=1):
        answer = {"role": "assistant", "content": label, "weight": weight}
        return json.dumps({"messages": [{"role": "user", "content": text}, answer]})

    good = [said(label, text) for label, own in ROWS.items() for text in own]
    bad = [said("login", text, weight=0) for text in ROWS["refund"] * 3]
    file.write_text("\n".join([*good, *bad]))

    assert labels_of(asked("my money")) == ["refund"]


def test_it_serves_the_requests_of_its_own_file_alone(asked, call, tmp_path):
    provider = open_local([asked()], {})

    assert provider.serves(asked("another text"))
    assert not provider.serves(call(provider="classical", training_data=tmp_path / "other.jsonl"))


def test_an_edited_file_is_learned_from_again(asked, file):
    first = labels_of(asked("money"))
    swapped = (
        file.read_text().replace("refund", "?").replace("login", "refund").replace("?", "login")
    )
    file.write_text(swapped + "\n")

    assert (first, labels_of(asked("money"))) == (["refund"], ["login"])


def test_a_label_with_too_few_rows_is_named(asked, file):
    file.write_text(f"{file.read_text()}\n{row('praise', 'well done')}")

    with pytest.raises(ConfigurationError, match='3 rows of each label: "praise" has 1; add rows'):
        open_local([asked()], {})


@every_row(
    ("text", "told"),
    [
        (row("refund", "one") + "\n" + row("login", "two"), '"refund" has 1, "login" has 1; add'),
        ("\n".join(row("refund", f"text {i}") for i in range(9)), "two labels, and .* have 1"),
        ("{}", "train.jsonl:1: this row has no keys; a training row is"),
        ("no json", "train.jsonl:1: not JSON: .*; a training row is"),
    ],
)
def test_a_file_that_teaches_nothing_is_named(asked, file, text, told):
    file.write_text(text)

    with pytest.raises(ConfigurationError, match=told):
        open_local([asked()], {})
