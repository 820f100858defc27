"""What servers say and show of themselves, held against what a suite declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ftgate.gates.identity import (
    facts,
    held,
    lineage,
    notices,
    sampled,
    seeded,
    served_model,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, Ask, Call
from pytest_ftgate.requests.workload import same_seed
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 3}, "pattern": {"enum": ["a"]}},
    "required": ["n"],
    "additionalProperties": False,
}
WORDS = "a reply of quite a few words"


def asked(replies, **changes):
    """Return an ask for each reply, and the answers to them."""
    usual = {"provider": "x", "model": "m", "messages": (), "max_tokens": 1, "sampling": {}}
    asks, answers = [], {}
    for index, reply in enumerate(replies):
        name = f"{index}"
        call = Call(fingerprint=name, **{**usual, **changes})
        asks.append(Ask(Case(id=name, where="c:1", score=Rule("exact")), 0, call))
        answers[name] = Reply(text=reply) if isinstance(reply, str) else reply
    return asks, answers


def served(name, **changes):
    return served_model(*asked([Reply(text="", model=name)], **changes)).outcome


@pytest.mark.parametrize("name", ["m", "m-20261001", "m-2026-10-01", "m-latest", None])
def test_a_model_answers_for_itself_under_its_dated_names(name):
    assert served(name) is Outcome.PASSED


def test_a_model_of_another_name_is_invalid_unless_the_suite_says_that_it_is_called_so():
    assert served("gateway/m") is Outcome.INVALID
    assert served("gateway/m", served_as="gateway/m") is Outcome.PASSED
    assert served("m", served_as="gateway/m") is Outcome.INVALID


def test_what_a_server_calls_the_model_behind_an_arn_is_its_own_affair():
    assert (
        served("claude-3-haiku", model="arn:aws:bedrock:x:1:provisioned-model/a") is Outcome.PASSED
    )


@pytest.mark.parametrize("region", ["us.", "eu.", "global.", ""])
def test_at_bedrock_a_model_answers_under_its_plain_name(region):
    declared = f"{region}anthropic.claude-3-haiku-20240307-v1:0"

    assert served("claude-3-haiku-20240307", model=declared, provider="bedrock") is Outcome.PASSED
    assert served("claude-3-opus-20240229", model=declared, provider="bedrock") is Outcome.INVALID


def test_two_versions_of_a_fine_tune_are_two_models():
    assert served("tickets-v8", model="tickets-v7") is Outcome.INVALID


@pytest.mark.parametrize(
    ("parent", "outcome"),
    [("base", Outcome.PASSED), ("other", Outcome.INVALID), ("", Outcome.PASSED)],
)
def test_a_parent_that_the_server_lists_must_be_the_declared_base(parent, outcome):
    asks, answers = asked([Reply(text="", facts={"parent": parent} if parent else {})])

    assert lineage("base", asks, answers).outcome is outcome


def holds(texts, constraint):
    return held(*asked(texts, constraint=constraint))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"n": 1}', True),
        ('{"n": 7}', True),
        ('{"n": 1, "pattern": "a"}', True),
        ('{"n": 1, "pattern": "b"}', False),
        ('{"n": "one"}', False),
        ('```json\n{"n": 1}\n```', False),
        ("The number is 1.", False),
    ],
    ids=[
        "whole",
        "value-left-to-the-model",
        "named-like-a-keyword",
        "enum",
        "type",
        "fence",
        "prose",
    ],
)
def test_a_schema_in_force_is_not_broken_in_what_servers_promise(text, kept):
    found = holds([text], {"json_schema": SCHEMA})

    assert found.outcome is (Outcome.PASSED if kept else Outcome.INVALID)


LOOSENED = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "not": {"pattern": "^x"}},
        "n": {"oneOf": [{"type": "integer", "maximum": 5}, {"type": "integer", "minimum": 6}]},
    },
}


def test_what_is_right_is_not_refused_for_a_bound_that_was_taken_out():
    assert holds(['{"label": "a", "n": 3}'], {"json_schema": LOOSENED}).outcome is Outcome.PASSED
    assert holds(['{"label": "a", "n": "b"}'], {"json_schema": LOOSENED}).outcome is Outcome.INVALID


def test_labels_in_force_are_not_broken():
    assert holds(["a", "b"], {"choice": ["a", "b"]}).outcome is Outcome.PASSED
    assert holds(["a", "B!"], {"choice": ["a", "b"]}).outcome is Outcome.INVALID


def test_a_rare_slip_of_an_engine_is_said_and_blocks_nothing():
    slips = holds([*(["a"] * 39), "c"], {"choice": ["a", "b"]})

    assert slips.outcome is Outcome.INCONCLUSIVE
    assert "1 of 40" in slips.sentence


@pytest.mark.parametrize("stop", ["length", "refusal"])
def test_a_reply_that_is_not_whole_says_nothing_of_a_schema(stop):
    assert holds([Reply(text='{"n', stop=stop)], {"json_schema": SCHEMA}).outcome is Outcome.PASSED


def repeated(texts, temperature=0.7):
    asks, answers = asked(texts * 2, sampling={"temperature": temperature})
    half = len(texts)
    paired = [Ask(asks[i % half].case, i // half, one.call) for i, one in enumerate(asks)]
    return sampled(paired, answers).outcome


def test_a_temperature_under_which_all_repeats_are_the_same_shows_no_effect():
    texts = [f"{WORDS} {n}" for n in range(30)]

    assert repeated(texts) is Outcome.INCONCLUSIVE
    assert repeated(texts[:29]) is Outcome.PASSED
    assert repeated(["label"] * 30) is Outcome.PASSED
    assert repeated(texts, temperature=0) is Outcome.PASSED


def drawn(second):
    """Ask ten calls with a seed, and again; the second replies are *second*."""
    asks, answers = asked([f"{n}" for n in range(10)], sampling={"seed": 3, "temperature": 1.0})
    first, again = same_seed(asks)
    told = {ask.call.fingerprint: Reply(text=text) for ask, text in zip(again, second, strict=True)}
    return seeded(first, again, answers | told)


def test_a_seed_under_which_nothing_repeats_itself_shows_no_effect():
    found = drawn(["other"] * 10)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.sentence == "seed 3 shows no effect: none of 10 replies asked twice is the same"


def test_a_seed_under_which_some_replies_repeat_themselves_is_at_work():
    assert drawn(["0", *["other"] * 9]).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "sampling", [{"seed": 3}, {"temperature": 1.0}, {"seed": 3, "temperature": 0.0}]
)
def test_nothing_is_asked_twice_where_no_seed_could_show(sampling):
    asks, _ = asked(["a"], sampling=sampling)

    assert same_seed(asks) == ((), ())


def test_what_was_not_taken_and_when_a_model_retires_is_said_once():
    reply = Reply(text="", unsent=("temperature",), facts={"retires": "2027-01-22"})
    found = list(notices(*asked([reply, reply]), ["temperature"]))

    assert [one.outcome for one in found] == [Outcome.INCONCLUSIVE] * 2
    assert [one.sentence for one in found] == [
        "m takes no temperature; the replies came without it",
        "m retires on 2027-01-22",
    ]


def test_a_record_knows_what_answered_and_how_but_not_where_local_weights_lie():
    adapter = Adapter(path=Path("/home/me/a.gguf"), scale=0.5, sha256="abc")
    reply = Reply(text="", model="served", unsent=("seed",), facts={"adapter rank": "8"})
    told = facts(
        *asked(
            [reply],
            provider="llamacpp",
            model="/home/me/m.gguf",
            sampling={"temperature": 0.0},
            adapter=adapter,
        )
    )

    assert told == {
        "provider": "llamacpp",
        "model": "m.gguf",
        "served as": "served",
        "sampling": "temperature 0.0",
        "not taken": "seed",
        "adapter": "a.gguf x 0.5",
        "adapter sha256": "abc",
        "adapter rank": "8",
    }
    assert "/home/me" not in json.dumps(told)


def test_a_record_of_nothing_is_empty():
    assert facts([], {}) == {}
