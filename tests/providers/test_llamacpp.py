"""llama.cpp with real weights: what it answers, what holds its replies, what goes wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from struct import pack

import gguf
import jsonschema_rs
import numpy as np
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate import weights
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import ConfigurationError, RequestRejected
from pytest_ftgate.providers import llamacpp
from pytest_ftgate.providers.llamacpp import (
    LlamaCppProvider,
    open_llamacpp,
    parse_prompted,
    prompted_messages,
    prompted_schema,
)
from pytest_ftgate.providers.openai import chat_messages, chat_tools, closed_object
from pytest_ftgate.requests.request import Adapter, Step, Tool, ToolCall

MODEL = str(weights.find_weights("smollm2-135m", Path()))
SMALL = {"slots": 2, "threads": 1, "context": 192}
RANK, WIDTH, KEYS = 4, 576, 192


def write_adapter(path: Path, strength: float) -> Adapter:
    """Write a LoRA that pushes the values of every layer at random; one of no strength is none."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for layer in range(30):
        name = f"blk.{layer}.attn_v.weight"
        down = random.normal(0, 0.1, (RANK, WIDTH))
        up = random.normal(0, 0.1, (KEYS, RANK)) * strength
        writer.add_tensor(f"{name}.lora_a", down.astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", up.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Adapter(path=path, scale=1.0, sha256=weights.file_sha256(path))


@pytest.fixture(scope="module")
def strong(tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapters") / "strong.gguf", 5.0)


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapters") / "silent.gguf", 0.0)


@pytest.fixture(scope="module")
def local(call):
    """Make a call to the model, which is greedy."""

    def make(text: str = "Name three colours.", **changes):
        greedy = {"provider": "llamacpp", "model": MODEL, "sampling": {"temperature": 0.0}}
        return call(text, **{**greedy, "runtime": SMALL, **changes})

    return make


@pytest.fixture(scope="module")
def provider(local, strong, silent):
    """Load the model once, with both adapters."""
    provider = open_llamacpp([local(adapter=strong), local(adapter=silent)], {})
    yield provider
    RUNNER.run(provider.close())


@pytest.fixture(scope="module")
def plain(local):
    """Load the model without any adapter."""
    provider = open_llamacpp([local()], {})
    yield provider
    RUNNER.run(provider.close())


#: One loop for all tests, as the engine has one.
RUNNER = asyncio.Runner()


@pytest.fixture(scope="module", autouse=True)
def _loop():
    # A new one each time: xdist may give a process the tests of this file in two parts.
    RUNNER.__init__()
    with RUNNER:
        yield


def replies(provider, *calls):
    async def together():
        return await asyncio.gather(*map(provider.generate, calls))

    return RUNNER.run(together())


@pytest.fixture
def ask(provider):
    return partial(replies, provider)


def test_a_question_is_answered_in_free_text_or_cut_at_its_limit(ask, local):
    reply, cut = ask(local("Who wrote Hamlet?", max_tokens=24), local("Sing.", max_tokens=4))
    assert len(reply.text.split()) > 3
    assert reply.usage["input"] > 10
    assert 0 < reply.usage["output"] <= 24
    assert reply.seconds > 0
    assert (cut.stop, cut.usage["output"]) == ("length", 4)


def test_a_reply_ends_with_its_answer_and_is_else_the_same_as_without_an_end(ask, local):
    question = local("Who wrote Hamlet?", max_tokens=32)
    # No block of code ends in the reply.
    whole, ended, streamed = (
        replace(ask(replace(question, ends_at=end))[0], seconds=0.0)
        for end in ("", "sentence", "code")
    )

    assert whole.text.startswith(f"{ended.text} ")
    assert (ended.text[-1], ended.stop) == (".", "end")
    assert 0 < ended.usage["output"] < whole.usage["output"] == 32
    assert streamed == whole


def test_prompts_that_differ_from_those_of_the_training_are_a_fact(ask, local, strong, silent):
    folder = silent.path.parent
    template = "<|im_start|>system\nYou are a helpful AI assistant named Smol<|im_end|>\n"
    (folder / "adapter_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text(template, "utf-8")

    other, unknown, base = ask(
        *(local("Hi", max_tokens=1, adapter=one) for one in (silent, strong, None))
    )

    assert other.facts["chat template differs"].startswith(
        'after " AI assistant named Smol" the server writes "LM, trained by Hugging Face<|im_end|>'
    )
    assert {*unknown.facts} == {*base.facts} == {"chat template sha256"}


def test_a_greedy_reply_is_the_same_however_many_are_asked_at_once(ask, local):
    call = local("Count to five.", max_tokens=8)
    (alone,) = ask(call)
    together = ask(call, local("Sing.", max_tokens=8), call)
    assert {together[0].text, together[2].text} == {alone.text}


def test_repeats_of_a_sampled_request_differ_and_each_can_be_had_again(ask, local):
    hot = {"sampling": {"temperature": 1.5}, "max_tokens": 12}
    first, second = local(repeat=0, **hot), local(repeat=1, **hot)
    texts = [ask(call)[0].text for call in (first, second, first)]
    assert texts[0] == texts[2] != texts[1]


@pytest.mark.parametrize(
    "labels",
    [["refund", "shipping"], ['the "other" one', "back\\slash"], ["Rückgabe\n", "Größe"]],
    ids=["plain", "quoted", "unicode"],
)
def test_a_choice_holds_the_reply_to_a_label(ask, local, labels):
    (reply,) = ask(local("Tell me a joke.", constraint={"choice": labels}, max_tokens=24))
    # The engine trims the whitespace around what a model says.
    assert reply.text in [label.strip() for label in labels]


def test_a_schema_holds_the_reply_to_json_of_that_shape(ask, local):
    schema = closed_object({"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}})
    (reply,) = ask(local("Tell me a joke.", constraint={"json_schema": schema}, max_tokens=48))
    value = json.loads(reply.text)
    assert isinstance(value["ok"], bool)
    assert value["kind"] in ("a", "b")


@every_row(
    ("text", "changes", "told"),
    [
        ("Hello", {"constraint": {"json_schema": {"type": "nonsense"}}}, "nonsense"),
        ("word " * 400, {}, "set context: above 192 tokens on the variant"),
        ("word " * 400, {"ends_at": "code"}, "set context: above 192 tokens on the variant"),
    ],
)
def test_a_schema_that_is_none_and_a_prompt_too_long_are_refused(ask, local, text, changes, told):
    with pytest.raises(RequestRejected, match=told):
        ask(local(text, **changes))


def test_an_adapter_changes_the_reply_of_the_requests_that_name_it_and_of_no_other(
    ask, local, strong
):
    with_it, without = local(adapter=strong, max_tokens=8), local(max_tokens=8)
    (before,) = ask(without)
    (tuned,) = ask(with_it)
    together = ask(with_it, without)
    (after,) = ask(without)
    assert tuned.text != before.text
    assert [reply.text for reply in together] == [tuned.text, before.text]
    assert after.text == before.text


def test_an_adapter_of_no_strength_or_scale_gives_the_replies_of_the_base(
    ask, local, silent, strong
):
    adapters = (None, silent, replace(strong, scale=0.0))
    base, *others = ask(*(local(adapter=one, max_tokens=8) for one in adapters))
    assert [reply.text for reply in others] == [base.text] * 2


def test_an_open_model_serves_its_adapters_at_any_scale_and_no_other(provider, local, strong):
    assert provider.serves(local(adapter=replace(strong, scale=0.5)))
    assert not provider.serves(local(adapter=replace(strong, sha256="0" * 64)))
    assert not provider.serves(local(model="another.gguf"))


NO_WEIGHTS = [("nowhere.gguf", "cannot be read"), ("page.gguf", "is cut off or no GGUF file")]


@every_row(("name", "why"), NO_WEIGHTS)
def test_weights_that_are_not_there_or_are_none_are_unavailable(local, tmp_path, name, why):
    (tmp_path / "page.gguf").write_bytes(b"<html>" * 100)
    with pytest.raises(ConfigurationError, match=rf"{name} {why}"):
        open_llamacpp([local(model=str(tmp_path / name))], {})


def test_an_adapter_that_is_not_there_is_unavailable(local, tmp_path, strong):
    missing = replace(strong, path=tmp_path / "nowhere.gguf")
    with pytest.raises(ConfigurationError, match=r"nowhere\.gguf cannot be read"):
        open_llamacpp([local(adapter=missing)], {})


@pytest.mark.slow
def test_what_an_adapter_was_asked_before_leaves_no_trace_in_the_replies_of_the_base(
    provider, plain, local, strong
):
    prompts = [f"Tell me a fact about the number {n}." for n in range(2, 5)]
    calls = [local(prompt, max_tokens=8) for prompt in prompts]

    replies(provider, *(replace(call, adapter=strong) for call in calls))

    found = [reply.text for reply in replies(provider, *calls)]
    assert found == [reply.text for reply in replies(plain, *calls)]


def test_workers_of_one_machine_share_its_cores(local, monkeypatch):
    started = []
    monkeypatch.setattr(LlamaCppProvider, "_start", lambda self, threads: started.append(threads))
    monkeypatch.setattr(llamacpp, "usable_cores", lambda: 8)
    for environ in ({}, {"PYTEST_XDIST_WORKER_COUNT": "4"}, {"PYTEST_XDIST_WORKER_COUNT": "64"}):
        asyncio.run(open_llamacpp([local(runtime={})], environ).close())
    assert started == [8, 2, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="the wheels elsewhere have no libgomp")
@every_row("variable", [None, "active"])
def test_threads_soon_sleep_while_they_wait_unless_the_user_says_otherwise(
    variable, tmp_path, monkeypatch
):
    # libgomp prints its settings when it is loaded. The engine loads it, then finds no weights.
    code = """
import os, sys
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.providers.llamacpp import open_llamacpp
from pytest_ftgate.requests.request import Request
request = Request(fingerprint="f", provider="llamacpp", model="none.gguf", messages=(),
                  max_tokens=2, sampling={})
before = dict(os.environ)
try:
    open_llamacpp([request], {})
except ConfigurationError:
    print(dict(os.environ) == before)
"""
    (tmp_path / "none.gguf").write_bytes(pack("<4sIQQ", b"GGUF", 3, 0, 0))
    monkeypatch.setenv("OMP_DISPLAY_ENV", "verbose")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if variable:
        monkeypatch.setenv("OMP_WAIT_POLICY", variable)

    command = [sys.executable, "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)

    assert process.stdout.strip() == "True"
    assert ("GOMP_SPINCOUNT = '1000'" in process.stderr) == (variable is None)


def test_the_anthropic_sdk_reads_the_replies_of_the_engines_own_messages_api(
    plain, local, cache, monkeypatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    address = plain._server.listening_address
    other = {"provider": "anthropic", "model": "any", "base_url": address, "api_key_env": "KEY"}
    fits, too_long = local(max_tokens=12, **other), local("word " * 400, **other)
    engine = Engine(cache, {"KEY": "local"})
    answers = engine.wait([fits, too_long])
    engine.close()
    reply, refused = answers[fits.fingerprint], answers[too_long.fingerprint]
    (direct,) = replies(plain, local(max_tokens=12))
    assert (reply.text, reply.stop, reply.usage["output"]) == (direct.text, "length", 12)
    assert isinstance(refused, RequestRejected)
    assert "context size" in str(refused)


USE_AND_LEAVE = """
import sys, time
from pathlib import Path
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.requests.request import Request
request = Request(fingerprint="f", provider="llamacpp", model=sys.argv[1],
                  messages=(("user", "hi"),),
                  max_tokens=2, sampling={}, runtime={"slots": 1, "threads": 1, "context": 64})
for run in ("closed", "open"):
    engine = Engine(Cache(Path(f"{run}.sqlite"), run=run, clock=time.time), {})
    print(type(engine.wait([request])["f"]).__name__)
    if run == "closed":
        engine.close()
"""


def test_a_process_that_used_the_engine_ends_cleanly_closed_or_open(start_python):
    process = start_python(USE_AND_LEAVE, MODEL)
    said, _ = process.communicate(timeout=60)
    assert (said.split()[-2:], process.returncode) == (["Reply"] * 2, 0)


# Tools ---------------------------------------------------------------------------------------

LOOKUP = Tool(
    name="lookup_order",
    description="Tell where an order is.",
    parameters=closed_object({"order_id": {"type": "string"}}),
    reference="local_shop:lookup_order",
)
#: ChatML with a place for tools; the model's own template has none.
TEMPLATE = """\
{%- if tools %}<|im_start|>system
Use a function: <tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools><|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{%- for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{%- endfor %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def shown(number: str) -> tuple[tuple[str, str], ...]:
    """Return an example of a use, as it is written: so small a model has to see some."""
    use = {"name": "lookup_order", "arguments": {"order_id": number}}
    said = f"<tool_call>\n{json.dumps(use)}\n</tool_call>"
    return ("user", f"Where is order {number}?"), ("assistant", said)


@pytest.fixture(scope="module")
def tooled(tmp_path_factory):
    """Write the weights once more, with a template that knows tools."""
    path = tmp_path_factory.mktemp("weights") / "tooled.gguf"
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", MODEL, path]
    subprocess.run([*command, "--chat-template", TEMPLATE], check=True, capture_output=True)
    return str(path)


@pytest.fixture
def talk(tmp_path, cache):
    """Let the model use the tools of a shop until it answers."""
    code = "def lookup_order(order_id: str):\n    return f'{order_id} was shipped'\n"
    (tmp_path / "local_shop.py").write_text(code, "utf-8")
    own = {"max_turns": 2, "folder": tmp_path, "runtime": {**SMALL, "context": 1024}}

    def talked(call):
        engine = Engine(cache, {})
        (reply,) = engine.wait([replace(call, **own)]).values()
        engine.close()
        return reply

    return talked


def test_a_model_whose_template_knows_no_tools_gets_them_in_the_prompt(talk, local):
    # A weak model may write a string without end, so the number is fixed.
    order_id = {"type": "string", "enum": ["17"]}
    parameters = {**LOOKUP.parameters, "properties": {"order_id": order_id}}
    call = local(
        "Use lookup_order: where is order 17?",
        tools=(replace(LOOKUP, parameters=parameters),),
        constraint={"choice": ["shipped", "lost"]},
        max_tokens=60,
    )
    reply = talk(call)

    assert reply.text in ("shipped", "lost")
    assert all(use.name == "lookup_order" and not use.failed for use in reply.tool_calls)


def test_tools_go_to_a_template_that_knows_them_and_no_schema_beside_them(
    provider, local, monkeypatch
):
    monkeypatch.setitem(provider._properties["chat_template_caps"], "supports_tools", True)
    asked = local(tools=(LOOKUP,))

    sent = provider._payload(asked)

    assert (sent["tools"], sent["messages"]) == (chat_tools(asked), chat_messages(asked))
    with pytest.raises(RequestRejected, match="remove response_schema or tools"):
        provider._payload(replace(asked, constraint={"choice": ["a"]}))


@pytest.mark.heavy
def test_a_model_whose_template_knows_tools_uses_them_until_it_answers(talk, local, tooled):
    call = local(
        model=tooled,
        messages=(*shown("31"), *shown("52"), ("user", "Where is order 17?")),
        tools=(LOOKUP,),
        max_tokens=48,
    )
    reply = talk(call)

    use = reply.tool_calls[0]
    assert (use.name, use.arguments) == ("lookup_order", {"order_id": "17"})
    assert (use.result, use.failed) == ("17 was shipped", False)
    assert reply.text or len(reply.steps) == 2


# Tools told in words ------------------------------------------------------------------------------

WORDS = {"words": {"type": "string", "description": "what to look for"}}
SEARCH = Tool(
    name="search",
    description="Look up\n words.",
    parameters=closed_object(WORDS),
    reference="a:search",
)
USE = ToolCall(name="search", arguments={"words": "parcel"}, result="late")


@pytest.fixture
def searching(call):
    def make(**changes):
        turns = (("system", "Be brief."), ("user", "Where is it?"))
        return call(messages=turns, tools=(SEARCH,), max_turns=3, **changes)

    return make


def test_the_tools_stand_in_the_system_prompt_with_their_arguments(searching):
    first, second = prompted_messages(searching())

    assert first["content"].startswith("Be brief.\n\nYou can use these tools:\n")
    assert "- search(words: string, what to look for): Look up words.\n" in first["content"]
    assert second == {"role": "user", "content": "Where is it?"}


def test_earlier_tool_calls_are_shown_with_their_results(searching):
    failed = ToolCall(name="search", arguments={"words": "x"}, result="no such word", failed=True)
    *_, a, b, c, d = prompted_messages(searching(steps=(Step("", (USE,)), Step("", (failed,)))))

    assert json.loads(a["content"]) == {"tool": "search", "arguments": {"words": "parcel"}}
    assert b == {"role": "user", "content": "search returned: late"}
    assert json.loads(c["content"])["arguments"] == {"words": "x"}
    assert d == {"role": "user", "content": "search failed: no such word"}


TURNS = [
    ({"tool": "search", "arguments": {"words": "a"}}, True, False),
    ({"tool": "other", "arguments": {"words": "a"}}, False, False),
    ({"tool": "search", "arguments": {}}, False, False),
    ({"answer": "refund"}, True, True),
    ({"answer": "nothing of the kind"}, False, False),
]


@every_row(("said", "first", "last"), TURNS)
def test_a_turn_is_a_use_or_an_answer_and_the_last_one_an_answer(searching, said, first, last):
    held = {"constraint": {"choice": ["refund", "other"]}}
    begun = prompted_schema(searching(**held))
    ended = prompted_schema(searching(**held, steps=(Step("", (USE,)), Step("", (USE,)))))

    assert jsonschema_rs.is_valid(begun, said) is first
    assert jsonschema_rs.is_valid(ended, said) is last


def test_without_a_constraint_an_answer_is_any_text(searching):
    held = prompted_schema(searching())

    assert jsonschema_rs.is_valid(held, {"answer": "anything"})
    assert not jsonschema_rs.is_valid(held, {"answer": 3})


ANSWERS = {'{"answer": "refund"}': "refund", '{"answer": {"label": "a"}}': '{"label": "a"}'}
ANSWERS['{"answer": "ref'] = '{"answer": "ref'


@every_row(("text", "answer"), ANSWERS.items())
def test_an_answer_is_read_and_one_that_was_cut_off_is_left_as_it_is(text, answer):
    assert parse_prompted(text) == (answer, None)


def test_a_use_is_read():
    text, step = parse_prompted('{"tool": "search", "arguments": {"words": "parcel"}}')

    assert (text, step.calls) == ("", (replace(USE, result=None),))
