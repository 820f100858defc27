"""What answers on this machine: a team's own function, and a classifier of its rows."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import ConfigurationError, ProviderRejected, RequestRejected
from pytest_ftgate.providers.local import open_local
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SOURCE = """
import asyncio, sys, time
import pytest

running = most = 0

def shout(case):
    return case.input.upper()

async def together(case):
    global running, most
    running += 1
    most = max(most, running)
    for _ in range(2000):
        if most < 4:
            await asyncio.sleep(0.001)
    running -= 1
    return str(most)

def alone(case):
    global running, most
    running += 1
    most = max(most, running)
    time.sleep(0.001)
    running -= 1
    return str(most)

def several(cases):
    return [f"{case.input} of {len(cases)}" for case in cases]

async def several_async(cases):
    return several(cases)

def too_few(cases):
    return ["one"]

def breaks_for_all(cases):
    raise KeyError("price")

def number(case):
    return 7

def breaks(case):
    raise KeyError("price")

def exits(case):
    sys.exit("bye")

def fails(case):
    pytest.fail("not so")

def subscripts(case):
    return case["input"]

def gets(case):
    return case.get("input")

def imports(case):
    import no_such_helper
"""


@pytest.fixture
def asked(call, tmp_path, cache, request):
    """Ask a function of a module that lies beside the suite, through the engine."""
    # One name a test: what Python has imported once it does not read again.
    module = f"pipeline_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{module}.py").write_text(SOURCE)

    def ask(name: str, *inputs: str) -> list:
        cases = [Case(id=i, location="c:1", input=i, score=Rule("exact")) for i in inputs]
        calls = [call(case=c, function=f"{module}:{name}", folder=tmp_path) for c in cases]
        engine = Engine(cache, {})
        answers = engine.wait(calls)
        engine.close()
        return [answers[c.fingerprint] for c in calls]

    return ask


def test_the_function_is_given_the_case_and_its_text_is_the_reply(asked):
    replies = asked("shout", "one", "two")
    assert [reply.text for reply in replies] == ["ONE", "TWO"]
    assert all(reply.seconds > 0 for reply in replies)


def test_an_async_function_answers_several_cases_at_once(asked):
    assert [reply.text for reply in asked("together", *"abcd")] == ["4"] * 4


def test_a_plain_function_never_runs_twice_at_once(asked):
    assert [reply.text for reply in asked("alone", *"abcdefgh")] == ["1"] * 8


@pytest.mark.parametrize("name", ["several", "several_async"])
def test_a_function_that_takes_cases_gets_several_at_once(asked, name):
    assert [reply.text for reply in asked(name, *"abc")] == ["a of 3", "b of 3", "c of 3"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("too_few", "it must return a list with a text for each of them"),
        ("number", "number returned int; it must return text"),
    ],
)
def test_a_function_that_returns_no_texts_ends_the_variant(asked, name, said):
    answers = asked(name, "one", "two")
    assert answers[0] is answers[1]
    assert isinstance(answers[0], ProviderRejected)
    assert said in str(answers[0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks", "KeyError: 'price'"),
        ("breaks_for_all", "KeyError: 'price'"),
        ("exits", "SystemExit: bye"),
        ("fails", "Failed: not so"),
        (
            "subscripts",
            "TypeError: 'Case' object is not subscriptable; a case is an object: write case.input",
        ),
        ("gets", "AttributeError: 'Case' object has no attribute 'get'; a case is an object"),
        ("imports", "ModuleNotFoundError: No module named 'no_such_helper'; import it at the top"),
    ],
)
def test_whatever_a_function_raises_refuses_its_request(asked, name, said):
    answers = asked(name, "one", "two")
    assert [type(answer) for answer in answers] == [RequestRejected, RequestRejected]
    assert f":{name} raised {said}" in str(answers[0])


def test_a_function_that_a_test_replaces_in_its_module_is_the_one_that_is_called(
    call, tmp_path, cache, monkeypatch
):
    (tmp_path / "replaced_here.py").write_text("def answer(case):\n    return 'real'\n")
    calls = [call(n, function="replaced_here:answer", folder=tmp_path) for n in ("a", "b", "c")]
    engine = Engine(cache, {})

    replies = [engine.wait(calls[:1])]
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["replaced_here"], "answer", lambda case: "fake")
        replies.append(engine.wait(calls[1:2]))
    replies.append(engine.wait(calls[2:]))
    engine.close()

    texts = [results[one.fingerprint].text for one, results in zip(calls, replies, strict=True)]
    assert texts == ["real", "fake", "real"]


def test_a_function_that_is_not_there_is_unavailable_with_the_near_name(asked):
    (answer,) = asked("shuot", "one")
    assert isinstance(answer, ConfigurationError)
    assert 'did you mean "shout"?' in str(answer)


# A classifier that learns from the training file --------------------------------------------------

ROWS = {
    "refund": ["money back", "my money please", "return the money", "pay me back", "money gone"],
    "login": ["cannot sign in", "sign in fails", "no sign in", "sign me in", "sign in broken"],
}


def row(label: str, text: str) -> str:
    return json.dumps({"input": text, "expected": label})


LEARNED = "\n".join(row(label, text) for label, own in ROWS.items() for text in own)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(LEARNED)
    return path


@pytest.fixture
def classified(call, file):
    def make(text: str = "I want my money back"):
        case = Case(id="a", location="c:1", input=text, score=Rule("exact"))
        return call(provider="classical", case=case, training_data=file)

    return make


def labels_of(*requests) -> list[str]:
    """Return the labels of *requests* by one classifier."""
    replies = asyncio.run(open_local(requests, {}).generate_many(requests))
    return [reply.text for reply in replies]


def test_a_case_gets_the_label_that_its_words_speak_for(classified):
    assert labels_of(classified("my money"), classified("sign in now")) == ["refund", "login"]


def test_it_learns_from_conversations_and_passes_over_what_is_not_to_be_followed(classified, file):
    def said(label, text, weight=1):
        answer = {"role": "assistant", "content": label, "weight": weight}
        return json.dumps({"messages": [{"role": "user", "content": text}, answer]})

    good = [said(label, text) for label, own in ROWS.items() for text in own]
    bad = [said("login", text, weight=0) for text in ROWS["refund"] * 3]
    file.write_text("\n".join([*good, *bad]))

    assert labels_of(classified("my money")) == ["refund"]


def test_it_serves_the_requests_of_its_own_file_alone(classified, call, tmp_path):
    provider = open_local([classified()], {})

    assert provider.serves(classified("another text"))
    assert not provider.serves(call(provider="classical", training_data=tmp_path / "other.jsonl"))


def test_an_edited_file_is_learned_from_again(classified, file):
    first = labels_of(classified("money"))
    text = file.read_text().replace("refund", "?").replace("login", "refund")
    file.write_text(text.replace("?", "login") + "\n")

    assert (first, labels_of(classified("money"))) == (["refund"], ["login"])


@every_row(
    ("text", "told"),
    [
        (
            f"{LEARNED}\n{row('praise', 'well done')}",
            '3 rows of each label: "praise" has 1; add rows',
        ),
        (row("refund", "one") + "\n" + row("login", "two"), '"refund" has 1, "login" has 1; add'),
        ("\n".join(row("refund", f"text {i}") for i in range(9)), "two labels, and .* have 1"),
        ("{}", "train.jsonl:1: this row has no keys; a training row is"),
        ("no json", "train.jsonl:1: not JSON: .*; a training row is"),
    ],
)
def test_a_file_that_teaches_nothing_is_named(classified, file, text, told):
    file.write_text(text)

    with pytest.raises(ConfigurationError, match=told):
        open_local([classified()], {})
