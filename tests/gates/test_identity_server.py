"""What servers report and what their replies show, compared with what a suite declares."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ftgate_testing.tables import every_row

from pytest_ftgate.gates.identity import (
    IdentityResult,
    check_constraint,
    check_parent_model,
    check_seed,
    check_served_model,
    check_temperature,
    identity_facts,
    server_notices,
)
from pytest_ftgate.gates.notes import IdentityNote, note, text_note
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, CaseRequest, Request
from pytest_ftgate.requests.request_groups import same_seed_requests
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 3}, "pattern": {"enum": ["a"]}},
    "required": ["n"],
    "additionalProperties": False,
}
WORDS = "a reply of quite a few words"
TEXTS = [f"{WORDS} {n}" for n in range(30)]
PASSED = IdentityResult(Outcome.PASSED)


def unproven(kind, **values):
    return IdentityResult(Outcome.INCONCLUSIVE, note(kind, **values))


def invalid(kind, **values):
    return IdentityResult(Outcome.INVALID, note(kind, **values))


def requests_and_results(replies, **changes):
    """Return a request for each reply, and the results."""
    defaults = {"provider": "x", "model": "m", "messages": (), "max_tokens": 1, "sampling": {}}
    requests = [Request(fingerprint=f"{n}", **{**defaults, **changes}) for n in range(len(replies))]
    results = [Reply(text=reply) if isinstance(reply, str) else reply for reply in replies]
    case_requests = [
        CaseRequest(Case(id=one.fingerprint, location="c:1", score=Rule("exact")), 0, one)
        for one in requests
    ]
    return case_requests, {f"{n}": result for n, result in enumerate(results)}


def served(name, **changes):
    return check_served_model(
        *requests_and_results([Reply(text="", model=name)], **changes)
    ).outcome


def test_a_model_of_another_name_is_invalid_unless_the_suite_declares_it():
    assert served("gateway/m") is Outcome.INVALID
    assert served("gateway/m", served_model="gateway/m") is Outcome.PASSED
    assert served("m", served_model="gateway/m") is Outcome.INVALID

    assert served("tickets-v8", model="tickets-v7") is Outcome.INVALID
    assert served("claude-haiku-5", model="claude-haiku-5-5") is Outcome.INVALID


ARN = "arn:aws:bedrock:x:1:provisioned-model/a"


@every_row(
    ("names", "changes"),
    [
        (["a", "b"], {"model": ARN}),
        (["a"], {"model": ""}),
        (["m", "m-latest", "m-20261001", "m-2026-10-01", None], {}),
        ([None], {}),
    ],
)
def test_a_server_may_report_the_declared_model_or_none_and_any_where_none_is_known(names, changes):
    replies = [Reply(text="", model=name) for name in names]

    assert check_served_model(*requests_and_results(replies, **changes)) == PASSED


def test_another_model_that_a_server_reports_is_named():
    replies = [Reply(text="", model=name) for name in ("m", "n")]

    assert check_served_model(*requests_and_results(replies)) == IdentityResult(
        Outcome.INVALID,
        text_note(
            "another model answered: n, declared m; if that is the same model, set served_model: n"
        ),
    )


@every_row("region", ["us.", "eu.", "global.", ""])
def test_at_bedrock_a_model_answers_under_its_plain_name(region):
    declared = f"{region}anthropic.claude-3-haiku-20240307-v1:0"

    assert served("claude-3-haiku-20240307", model=declared, provider="bedrock") is Outcome.PASSED
    assert served("claude-3-opus-20240229", model=declared, provider="bedrock") is Outcome.INVALID


@every_row(
    ("parents", "result"),
    [
        (["base"], PASSED),
        (["base-latest", "", "base"], PASSED),
        ([""], PASSED),
        (
            ["base", "other", "more"],
            invalid(IdentityNote.OTHER_PARENT, parent="more", base="base-2026-01-01"),
        ),
    ],
)
def test_a_parent_that_the_server_lists_must_be_the_declared_base(parents, result):
    replies = [Reply(text="", facts={"parent": name} if name else {}) for name in parents]

    found = check_parent_model("base-2026-01-01", *requests_and_results(replies))

    assert found == result


def constraint_identity(texts, constraint):
    return check_constraint(*requests_and_results(texts, constraint=constraint))


LOOSENED = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "not": {"pattern": "^x"}},
        "n": {"oneOf": [{"type": "integer", "maximum": 5}, {"type": "integer", "minimum": 6}]},
    },
}


def test_a_rare_error_of_an_engine_is_reported_and_blocks_nothing():
    rare, common = (
        constraint_identity([*(["a"] * right), "c"], {"choice": ["a", "b"]}) for right in (19, 18)
    )

    assert rare == unproven(IdentityNote.BROKEN_SCHEMA, broken=1, of=20, whole=True)
    assert common == invalid(IdentityNote.IGNORED_SCHEMA, broken=1, of=19, whole=True)


#: A schema, and a reply that breaks it by a bound alone.
BEYOND_A_BOUND = [
    ({"minimum": 5}, "3"),
    ({"maximum": 2}, "3"),
    ({"exclusiveMinimum": 3}, "3"),
    ({"exclusiveMaximum": 3}, "3"),
    ({"multipleOf": 2}, "3"),
    ({"minLength": 2}, '"a"'),
    ({"maxLength": 2}, '"abc"'),
    ({"pattern": "^x"}, '"abc"'),
    ({"format": "date"}, '"abc"'),
    ({"minItems": 2}, "[1]"),
    ({"maxItems": 2}, "[1, 2, 3]"),
    ({"uniqueItems": True}, "[1, 1]"),
    ({"minProperties": 2}, '{"a": 1}'),
    ({"maxProperties": 0}, '{"a": 1}'),
    ({"contains": {"type": "string"}}, "[1]"),
    ({"not": {"type": "integer", "maximum": 2}}, "3"),
    ({"if": {"minimum": 9}, "then": {"type": "integer"}, "else": {"type": "string"}}, "3"),
    ({"oneOf": [{"maximum": 5}, {"minimum": 6}]}, "3"),
]


@every_row(("schema", "text"), BEYOND_A_BOUND)
@every_row("place", ["itself", "properties", "patternProperties", "$defs", "definitions", "items"])
def test_a_bound_that_no_server_promises_may_be_broken_wherever_it_stands(schema, text, place):
    places = {
        "itself": (schema, text),
        "properties": ({"properties": {"pattern": schema}}, f'{{"pattern": {text}}}'),
        "patternProperties": ({"patternProperties": {"pattern": schema}}, f'{{"pattern": {text}}}'),
        "$defs": ({"$ref": "#/$defs/not", "$defs": {"not": schema}}, text),
        "definitions": ({"$ref": "#/definitions/if", "definitions": {"if": schema}}, text),
        "items": ({"items": schema}, f"[{text}]"),
    }
    whole, reply = places[place]

    assert constraint_identity([reply], {"json_schema": whole}).outcome is Outcome.PASSED


@every_row(
    ("whole", "text", "kept"),
    [
        (SCHEMA, '{"n": 1}', True),
        # The bound is left to the model.
        (SCHEMA, '{"n": 7}', True),
        # A property may have the name of a keyword.
        (SCHEMA, '{"n": 1, "pattern": "a"}', True),
        (SCHEMA, '{"n": 1, "pattern": "b"}', False),
        (SCHEMA, '{"n": "one"}', False),
        (SCHEMA, '```json\n{"n": 1}\n```', False),
        (LOOSENED, '{"label": "a", "n": 3}', True),
        (LOOSENED, '{"label": "a", "n": "b"}', False),
        ({"patternProperties": {"format": {"type": "string"}}}, '{"format": 1}', False),
        ({"$ref": "#/$defs/not", "$defs": {"not": {"type": "string"}}}, "1", False),
        ({"$ref": "#/definitions/if", "definitions": {"if": {"type": "null"}}}, "1", False),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "1", False),
        ({"enum": [{"default": 1}, {"oneOf": 2}]}, '{"default": 1}', True),
        ({"enum": [{"default": 1}, {"oneOf": 2}]}, "{}", False),
        ({"const": {"pattern": "a"}}, '{"pattern": "a"}', True),
        ({"const": {"pattern": "a"}}, "{}", False),
        ({"type": "array", "items": {"type": "integer"}}, f"{'[' * 5000}{']' * 5000}", False),
    ],
)
def test_what_a_server_promises_of_a_schema_holds(whole, text, kept):
    identity = constraint_identity([text], {"json_schema": whole})

    assert (identity.outcome is Outcome.PASSED) is kept


def test_only_the_requests_with_a_constraint_are_held_to_it():
    held, results = requests_and_results(["a", "no"], constraint={"choice": ["a"]})
    free = replace(held[1], request=replace(held[1].request, constraint=None))

    assert check_constraint(held, results).outcome is Outcome.INVALID
    assert check_constraint([held[0], free], results) == PASSED


@every_row(
    ("text", "constraint", "kept"),
    [
        ("The number is", {"json_schema": SCHEMA}, False),
        (' {"n', {"json_schema": SCHEMA}, True),
        ("", {"json_schema": SCHEMA}, True),
        ("[1, ", {"json_schema": {"type": "array"}}, True),
        ('{"n', {"json_schema": {"type": "array"}}, False),
        ("The number", {"json_schema": {"anyOf": [{}]}}, True),
        ("The lab", {"choice": ["refund", "login"]}, False),
        (" ref", {"choice": ["refund", "login"]}, True),
        ('{"label": "ref', {"choice": ["refund", "login"]}, True),
    ],
)
def test_a_reply_that_was_cut_off_is_broken_if_no_whole_one_begins_so(text, constraint, kept):
    whole = "refund" if "choice" in constraint else "[]"
    replies = [Reply(text=text, stop="length"), Reply(text=whole), Reply(text="", stop="refusal")]
    schema = constraint.get("json_schema", {})
    if schema.get("type") == "object":
        replies[1] = Reply(text='{"n": 1}')

    assert constraint_identity(replies, constraint) == (
        PASSED if kept else invalid(IdentityNote.IGNORED_SCHEMA, broken=1, of=2, whole=False)
    )


def repeated(texts, temperature=0.7):
    case_requests, results = requests_and_results(texts * 2, sampling={"temperature": temperature})
    half = len(texts)
    paired = [
        CaseRequest(case_requests[i % half].case, i // half, case_request.request)
        for i, case_request in enumerate(case_requests)
    ]
    return check_temperature(paired, results)


def test_a_temperature_shows_no_effect_where_thirty_cases_repeat_alike_and_none_differs():
    assert repeated(TEXTS) == unproven(IdentityNote.NO_TEMPERATURE, temperature=0.7, cases=30)
    assert repeated(TEXTS[:29]) == PASSED
    assert repeated(["four words are few"] * 30) == PASSED
    assert repeated(["five words are not few"] * 30) != PASSED
    assert repeated(TEXTS, temperature=0) == PASSED


def test_cases_without_a_repeat_or_with_a_constraint_show_nothing_of_a_temperature():
    once, results = requests_and_results(TEXTS, sampling={"temperature": 0.7})
    held, other = (
        [replace(one, request=replace(one.request, **change)) for one in once]
        for change in ({"constraint": {"choice": ["a"]}}, {"fingerprint": "other"})
    )
    results |= {"other": Reply(text=f"{WORDS} more")}

    assert check_temperature([*once, *once], results).outcome is Outcome.INCONCLUSIVE
    for requests in (once, [*held, *held], [*once, *once[1:]], [*once, other[0], *once[1:]]):
        assert check_temperature(requests, results) == PASSED


def drawn(second):
    """Check requests with a seed, and their repetitions with the replies *second*."""
    case_requests, results = requests_and_results(
        [f"{n}" for n in range(len(second))], sampling={"seed": 3, "temperature": 1.0}
    )
    first, again = same_seed_requests(case_requests)
    repeated = {
        case_request.request.fingerprint: Reply(text=text)
        for case_request, text in zip(again, second, strict=True)
    }
    return check_seed(first, again, results | repeated)


def test_five_repeated_replies_that_all_differ_show_no_effect_of_a_seed():
    assert drawn(["other"] * 5) == unproven(IdentityNote.NO_SEED, seed=3, requests=5)

    assert drawn(["0", "1", *["other"] * 8]) == PASSED

    assert drawn(["other"] * 4) == PASSED


def test_a_request_without_a_reply_is_no_evidence_on_a_seed():
    first, results = requests_and_results([f"{n}" for n in range(6)], sampling={"seed": 3})
    again = [
        replace(one, request=replace(one.request, fingerprint=f"again {n}"))
        for n, one in enumerate(first)
    ]
    results |= {f"again {n}": Reply(text="other") for n in range(1, 6)}

    assert check_seed(first, again, results).outcome is Outcome.INCONCLUSIVE
    del results["5"]
    assert check_seed(first, again, results) == PASSED


@every_row("sampling", [{"seed": 3}, {"temperature": 1.0}, {"seed": 3, "temperature": 0.0}])
def test_no_request_is_repeated_if_no_seed_could_have_an_effect(sampling):
    case_requests, _ = requests_and_results(["a"], sampling=sampling)

    assert same_seed_requests(case_requests) == ((), ())


@every_row(
    ("setting", "kind"),
    [
        ("temperature", IdentityNote.REJECTED),
        # A tool that the model must use takes the place of a format.
        ("output_config", IdentityNote.REPLACED),
        ("response_format", IdentityNote.REPLACED),
    ],
)
def test_a_rejected_setting_that_is_declared_and_a_retirement_are_reported_once(setting, kind):
    reply = Reply(text="", unsent=(setting, "top_k"), facts={"retires": "2027-01-22"})
    notices = list(server_notices(*requests_and_results([reply, reply]), [setting]))

    assert notices == [
        unproven(kind, model="m", setting=setting),
        unproven(IdentityNote.RETIRES, model="m", date="2027-01-22"),
    ]
    assert [*server_notices([], {}, [setting])] == []
    assert identity_facts([], {}) == {}


def test_a_record_has_the_model_and_its_settings_but_not_the_folder_of_weights():
    adapter = Adapter(path=Path("/home/me/a.gguf"), scale=0.5, sha256="abc")
    reply = Reply(text="", model="served", unsent=("seed",), facts={"adapter rank": "8"})
    declared = {"provider": "llamacpp", "model": "/home/me/m.gguf", "adapter": adapter}
    facts = identity_facts(
        *requests_and_results([reply], **declared, sampling={"temperature": 0.0})
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


def test_a_record_has_all_that_a_variant_declares_of_its_server():
    replies = [
        Reply(text="", model="m-2", unsent=("seed",)),
        Reply(text="", model="m-1", unsent=("min_p", "seed"), facts={"retires": "2027-01-22"}),
    ]
    facts = identity_facts(
        *requests_and_results(
            replies,
            provider="azure",
            model="org/m",
            base_url="https://name.openai.azure.com/hooks/T0",
            hidden_path="/hooks/T0",
            api_version="2026-10-01",
            sampling={"temperature": 0.5, "top_p": 1},
            extra={"b": 1, "a": [2]},
        )
    )

    assert facts == {
        "provider": "azure",
        "model": "org/m",
        "address": "https://name.openai.azure.com/…",
        "API version": "2026-10-01",
        "served as": "m-1, m-2",
        "sampling": "temperature 0.5, top_p 1",
        "extra": '{"a": [2], "b": 1}',
        "not taken": "min_p, seed",
        "retires": "2027-01-22",
    }
