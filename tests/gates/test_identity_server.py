"""What servers report and what their replies show, compared with what a suite declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ftgate.gates.identity import (
    check_constraint,
    check_parent_model,
    check_seed,
    check_served_model,
    check_temperature,
    identity_facts,
    server_notices,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, CaseRequest, Request
from pytest_ftgate.requests.workload import same_seed_requests
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 3}, "pattern": {"enum": ["a"]}},
    "required": ["n"],
    "additionalProperties": False,
}
WORDS = "a reply of quite a few words"


def requests_and_results(replies, **changes):
    """Return a request for each reply, and the results."""
    defaults = {"provider": "x", "model": "m", "messages": (), "max_tokens": 1, "sampling": {}}
    case_requests, results = [], {}
    for index, reply in enumerate(replies):
        name = f"{index}"
        request = Request(fingerprint=name, **{**defaults, **changes})
        case_requests.append(
            CaseRequest(Case(id=name, location="c:1", score=Rule("exact")), 0, request)
        )
        results[name] = Reply(text=reply) if isinstance(reply, str) else reply
    return case_requests, results


def served(name, **changes):
    return check_served_model(
        *requests_and_results([Reply(text="", model=name)], **changes)
    ).outcome


@pytest.mark.parametrize("name", ["m", "m-20261001", "m-2026-10-01", "m-latest", None])
def test_a_model_answers_for_itself_under_its_dated_names(name):
    assert served(name) is Outcome.PASSED


def test_a_model_of_another_name_is_invalid_unless_the_suite_declares_it():
    assert served("gateway/m") is Outcome.INVALID
    assert served("gateway/m", served_model="gateway/m") is Outcome.PASSED
    assert served("m", served_model="gateway/m") is Outcome.INVALID


def test_any_served_model_matches_an_arn():
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
    case_requests, results = requests_and_results(
        [Reply(text="", facts={"parent": parent} if parent else {})]
    )

    assert check_parent_model("base", case_requests, results).outcome is outcome


def constraint_identity(texts, constraint):
    return check_constraint(*requests_and_results(texts, constraint=constraint))


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
def test_an_enforced_schema_is_not_broken_in_what_servers_promise(text, kept):
    identity = constraint_identity([text], {"json_schema": SCHEMA})

    assert identity.outcome is (Outcome.PASSED if kept else Outcome.INVALID)


LOOSENED = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "not": {"pattern": "^x"}},
        "n": {"oneOf": [{"type": "integer", "maximum": 5}, {"type": "integer", "minimum": 6}]},
    },
}


def test_a_valid_reply_is_not_rejected_for_a_removed_bound():
    assert (
        constraint_identity(['{"label": "a", "n": 3}'], {"json_schema": LOOSENED}).outcome
        is Outcome.PASSED
    )
    assert (
        constraint_identity(['{"label": "a", "n": "b"}'], {"json_schema": LOOSENED}).outcome
        is Outcome.INVALID
    )


def test_enforced_labels_are_not_broken():
    assert constraint_identity(["a", "b"], {"choice": ["a", "b"]}).outcome is Outcome.PASSED
    assert constraint_identity(["a", "B!"], {"choice": ["a", "b"]}).outcome is Outcome.INVALID


def test_a_rare_error_of_an_engine_is_reported_and_blocks_nothing():
    identity = constraint_identity([*(["a"] * 39), "c"], {"choice": ["a", "b"]})

    assert identity.outcome is Outcome.INCONCLUSIVE
    assert "1 of 40" in identity.message


@pytest.mark.parametrize("stop", ["length", "refusal"])
def test_an_incomplete_reply_shows_nothing_about_a_schema(stop):
    assert (
        constraint_identity([Reply(text='{"n', stop=stop)], {"json_schema": SCHEMA}).outcome
        is Outcome.PASSED
    )


@pytest.mark.parametrize(
    ("text", "constraint", "outcome"),
    [
        ("The number is", {"json_schema": SCHEMA}, Outcome.INVALID),
        ("", {"json_schema": SCHEMA}, Outcome.PASSED),
        ("The number", {"json_schema": {"anyOf": []}}, Outcome.PASSED),
        ("The lab", {"choice": ["refund", "login"]}, Outcome.INVALID),
        ("ref", {"choice": ["refund", "login"]}, Outcome.PASSED),
        ('{"label": "ref', {"choice": ["refund", "login"]}, Outcome.PASSED),
    ],
)
def test_a_reply_that_was_cut_off_is_broken_if_no_whole_one_begins_so(text, constraint, outcome):
    identity = constraint_identity([Reply(text=text, stop="length")], constraint)

    assert identity.outcome is outcome
    assert identity.message.startswith("the schema is broken in ")


def repeated(texts, temperature=0.7):
    case_requests, results = requests_and_results(texts * 2, sampling={"temperature": temperature})
    half = len(texts)
    paired = [
        CaseRequest(case_requests[i % half].case, i // half, case_request.request)
        for i, case_request in enumerate(case_requests)
    ]
    return check_temperature(paired, results).outcome


def test_a_temperature_with_equal_repeats_only_shows_no_effect():
    texts = [f"{WORDS} {n}" for n in range(30)]

    assert repeated(texts) is Outcome.INCONCLUSIVE
    assert repeated(texts[:29]) is Outcome.PASSED
    assert repeated(["label"] * 30) is Outcome.PASSED
    assert repeated(texts, temperature=0) is Outcome.PASSED


def drawn(second):
    """Check ten requests with a seed, and their repetitions with the replies *second*."""
    case_requests, results = requests_and_results(
        [f"{n}" for n in range(10)], sampling={"seed": 3, "temperature": 1.0}
    )
    first, again = same_seed_requests(case_requests)
    repeated = {
        case_request.request.fingerprint: Reply(text=text)
        for case_request, text in zip(again, second, strict=True)
    }
    return check_seed(first, again, results | repeated)


def test_a_seed_without_equal_replies_shows_no_effect():
    identity = drawn(["other"] * 10)

    assert identity.outcome is Outcome.INCONCLUSIVE
    assert (
        identity.message
        == "seed 3 has no effect: none of 10 repeated requests brought an equal reply"
    )


def test_a_seed_with_some_equal_replies_has_an_effect():
    assert drawn(["0", *["other"] * 9]).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "sampling", [{"seed": 3}, {"temperature": 1.0}, {"seed": 3, "temperature": 0.0}]
)
def test_no_request_is_repeated_if_no_seed_could_have_an_effect(sampling):
    case_requests, _ = requests_and_results(["a"], sampling=sampling)

    assert same_seed_requests(case_requests) == ((), ())


def test_a_rejected_setting_and_a_retirement_are_reported_once():
    reply = Reply(text="", unsent=("temperature",), facts={"retires": "2027-01-22"})
    notices = list(server_notices(*requests_and_results([reply, reply]), ["temperature"]))

    assert [notice.outcome for notice in notices] == [Outcome.INCONCLUSIVE] * 2
    assert [notice.message for notice in notices] == [
        "m takes no temperature; the replies came without it",
        "m retires on 2027-01-22",
    ]


def test_a_record_has_the_model_and_its_settings_but_not_the_folder_of_weights():
    adapter = Adapter(path=Path("/home/me/a.gguf"), scale=0.5, sha256="abc")
    reply = Reply(text="", model="served", unsent=("seed",), facts={"adapter rank": "8"})
    facts = identity_facts(
        *requests_and_results(
            [reply],
            provider="llamacpp",
            model="/home/me/m.gguf",
            sampling={"temperature": 0.0},
            adapter=adapter,
        )
    )

    assert facts == {
        "provider": "llamacpp",
        "model": "m.gguf",
        "served as": "served",
        "sampling": "temperature 0.0",
        "not taken": "seed",
        "adapter": "a.gguf x 0.5",
        "adapter sha256": "abc",
        "adapter rank": "8",
    }
    assert "/home/me" not in json.dumps(facts)


def test_a_record_has_the_scale_of_an_adapter_whatever_the_provider(tmp_path):
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "org/base"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    adapter = Adapter(path=tmp_path, scale=0.5, sha256="abc")

    facts = identity_facts(*requests_and_results([Reply(text="")], adapter=adapter))

    assert facts["adapter scale"] == "0.5 × 16/8 = 1"
    assert facts["adapter base"] == "org/base"


def test_a_record_of_nothing_is_empty():
    assert identity_facts([], {}) == {}
