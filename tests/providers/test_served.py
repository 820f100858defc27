"""A server of one's own: what it does wrong in the user's words, and adapters that it loads."""

from __future__ import annotations

import json
import socket

import pytest
from ftgate_testing.asking import ask_all
from ftgate_testing.tables import every_row

from pytest_ftgate.adapters.lora import adapter_sha256
from pytest_ftgate.errors import ProviderRejected, ReplyError, RetryableError
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter


@pytest.fixture
def hosted():
    return "openai-compatible"


@pytest.fixture
def error(made, together, api):
    """Ask the server once; return the error."""

    def caught(path: str = "/v1", **changes) -> ReplyError:
        where = {"base_url": f"{api.url}{path}", **changes}
        with pytest.raises(ReplyError) as found:
            together([made(model="qwen", **where)])
        return found.value

    return caught


def test_a_local_port_that_refuses_connections_is_not_tried_again(error):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        found = error(base_url=url)

    assert isinstance(found, ProviderRejected)
    assert str(found) == (
        f"nothing answers at {url} (connection refused): start the server of qwen, or correct the "
        "address in base_url or in the variable of base_url_env"
    )


BAD_KEY, NOT_LOADED = (b'{"error": {"message": "%s"}}' % text for text in (b"bad key", b"loading"))
BARE, PAGE = b"Internal Server Error", b"<!doctype html><html>hi</html>"
TEN = [f"m{number}" for number in range(10)]
AT, NO_V1 = "({url}/v1, model qwen)", "{url} does not end in /v1, as most do"
OF_A_KEY = "the key is that of TEAM_KEY"
OF_NO_KEY = "no key was sent: name the variable that holds it in api_key_env"
OF_EIGHT = f"the server lists {', '.join(TEN[:8])}, …: correct model"
NO_REPLY = "{url} answered with a web page, not with a reply of qwen; correct base_url"
#: The status and the body of an answer, the models that are listed, the request, and what is said.
HINTS = [
    (401, BAD_KEY, (), {}, f"401 bad key {AT}; {OF_A_KEY}"),
    (403, BAD_KEY, (), {}, f"403 bad key {AT}; {OF_A_KEY}"),
    (401, BAD_KEY, (), {"api_key_env": ""}, f"401 bad key {AT}; {OF_NO_KEY}"),
    (404, BARE, TEN, {}, f"404 Internal Server Error {AT}; {OF_EIGHT}"),
    (500, BARE, TEN, {}, f"500 Internal Server Error {AT}; {OF_EIGHT}"),
    (404, NOT_LOADED, ["qwen"], {}, f"404 loading {AT}"),
    (404, PAGE, (), {"path": ""}, f"404 with a web page ({{url}}, model qwen); {NO_V1}"),
    (200, PAGE, (), {"path": ""}, f"{NO_REPLY}; {NO_V1}"),
]


@every_row("hint", HINTS)
def test_an_error_names_the_address_and_what_to_write(error, api, hint):
    status, body, listed, changes, told = hint
    api.pages["/v1/models"] = {"data": [{"id": name} for name in listed]} if listed else None
    api.raw(body, status)

    raised = error(**changes)
    final = getattr(raised, "rejection", None) or raised
    assert str(final) == told.format(url=api.url)


AGAIN, END = RetryableError, ProviderRejected


def bare(api):
    api.raw(b"Internal Server Error", 500)


def told(api):
    api.error(500, "out of memory")


def whole(api):
    api.completion()


@every_row(
    ("texts", "answers", "found"),
    [
        ("aaa", [bare] * 3, [AGAIN, AGAIN, END]),
        ("aba", [bare] * 3, [AGAIN, AGAIN, END]),
        # Each was sent once.
        ("abc", [bare] * 3, [AGAIN] * 3),
        ("aaaa", [whole, bare, bare, bare], [Reply, *[AGAIN] * 3]),
        ("aaa", [told] * 3, [AGAIN] * 3),
    ],
)
def test_a_server_that_only_fails_without_a_word_is_given_up_after_three_attempts(
    made, api, texts, answers, found
):
    for answer in answers:
        answer(api)

    results = ask_all(open_openai, [made(text) for text in texts], keep_errors=True)

    assert all(map(isinstance, results, found)), results


def test_a_server_that_loads_its_model_is_waited_for(error, api):
    api.raw(json.dumps({"error": {"code": 503, "message": "Loading model"}}).encode(), 503)
    found = error()

    assert isinstance(found, RetryableError)
    assert found.loading
    assert "503 Loading model" in str(found)


def test_a_reply_without_a_text_says_which_server_and_model_sent_it(error, api):
    choice = {"message": {"role": "assistant", "content": None}, "finish_reason": None}
    api.raw(json.dumps({"choices": [choice]}).encode())
    found = error()

    assert isinstance(found, RetryableError)
    assert str(found).startswith("the body has neither content nor finish_reason: ")
    assert str(found).endswith(f" ({api.url}/v1, model qwen)")


# Adapters, in the protocol of vLLM ---------------------------------------------------------------

BASE = {"id": "base", "root": "/models/base", "parent": None}


@pytest.fixture
def adapter(tmp_path):
    """Write an adapter of rank 12 as trainers do."""
    folder = tmp_path / "my out"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 12, "lora_alpha": 24, "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_text("weights")
    return Adapter(path=folder, scale=1.0, sha256=adapter_sha256(folder))


@pytest.fixture
def listed(api):
    """Let the server load adapters; return the models that it lists."""
    models = [BASE]

    def load(body):
        models.append({"id": body["lora_name"], "root": body["lora_path"], "parent": "base"})
        return b"Success: LoRA adapter added successfully."

    def unload(body):
        models[:] = [model for model in models if model["id"] != body["lora_name"]]
        return b"Success: LoRA adapter removed successfully."

    def chat(body):
        choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}
        return {"model": body["model"], "choices": [choice]}

    api.pages |= {"/v1/models": {"data": models}, "/v1/chat/completions": chat}
    api.pages |= {"/v1/load_lora_adapter": load, "/v1/unload_lora_adapter": unload}
    return models


@pytest.fixture
def tuned(made, listed, adapter):
    def make(text: str = "hello", **changes):
        return made(text, **{"model": "tickets", "api_key_env": "", "adapter": adapter, **changes})

    return make


@pytest.fixture
def sent(api):
    """Return the bodies that came to the paths with a word in them."""

    def bodies(word: str) -> list[dict]:
        posts = [path for path in api.paths if "lora" in path or "chat" in path]
        return [body for path, body in zip(posts, api.requests, strict=True) if word in path]

    return bodies


def test_a_folder_is_loaded_once_asked_by_its_name_and_unloaded_at_the_end(
    tuned, adapter, listed, sent
):
    replies = ask_all(open_openai, [tuned("one"), tuned("two")], at_once=True)

    (loaded,) = sent("/load_lora_adapter")
    assert loaded["lora_path"] == str(adapter.path)
    assert loaded["lora_name"].startswith(f"tickets-{adapter.sha256[:8]}-")
    assert [body["model"] for body in sent("chat")] == [loaded["lora_name"]] * 2
    assert listed == [BASE]
    assert [reply.model for reply in replies] == ["tickets"] * 2
    assert replies[0].facts == {"parent": "base", "root": str(adapter.path)}


def test_a_declared_name_of_the_served_model_is_kept(together, tuned):
    (reply,) = together([tuned(served_model="house/tickets")])

    assert reply.model == "house/tickets"


def test_two_runs_never_share_a_loaded_adapter(together, tuned, sent):
    for _ in range(2):
        together([tuned()])

    first, second = (body["lora_name"] for body in sent("/load_lora_adapter"))
    assert first != second


def test_requests_without_a_folder_load_nothing(together, tuned, tmp_path, sent):
    (tmp_path / "a.gguf").write_text("GGUF")
    for adapter in (None, Adapter(path=tmp_path / "a.gguf", scale=1.0, sha256="0")):
        together([tuned(adapter=adapter)])

    assert sent("lora") == []
    assert [body["model"] for body in sent("chat")] == ["tickets"] * 2


@every_row("status", [400, 403, 404])
def test_a_server_that_loads_nothing_is_an_error_with_the_command_that_serves_it(
    together, tuned, api, adapter, sent, status
):
    api.pages.pop("/v1/load_lora_adapter", None)
    api.error(status, "such thing")
    with pytest.raises(ProviderRejected) as raised:
        together([tuned()])

    refused, command, hint = str(raised.value).splitlines()
    why = f"has no model tickets, and loads no adapter ({status} no: such thing)"
    assert refused == f"{api.url}/v1 {why}; serve the adapter:"
    module = f"'tickets={adapter.path}'"
    assert command.strip() == (
        f"vllm serve org/base --enable-lora --lora-modules {module} --max-lora-rank 16"
    )
    assert hint.startswith("or let vLLM load it: VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve")
    assert sent("chat") == []


def test_a_server_that_loads_nothing_may_serve_the_adapter_already(together, tuned, api, listed):
    del api.pages["/v1/load_lora_adapter"]
    api.error(404, "such thing")
    listed.append({"id": "tickets", "root": "/adapters/7", "parent": "base"})

    (reply,) = together([tuned()])

    assert (reply.model, reply.facts["root"]) == ("tickets", "/adapters/7")
    assert len(listed) == 2


def test_an_adapter_that_the_server_does_not_list_after_loading_is_not_proven(together, tuned, api):
    api.pages["/v1/load_lora_adapter"] = lambda _: b"Success"

    with pytest.raises(ProviderRejected, match="does not list the adapter after loading it"):
        together([tuned()])


def test_an_adapter_that_changed_since_the_plan_is_not_loaded(together, tuned, adapter, sent):
    call = tuned()
    (adapter.path / "adapter_model.safetensors").write_text("other weights")

    with pytest.raises(ProviderRejected, match="has changed since the run began"):
        together([call])

    assert sent("lora") == []


def test_a_server_of_adapters_that_is_not_there_is_tried_again(together, tuned):
    with pytest.raises(RetryableError, match="no connection"):
        together([tuned(base_url="http://127.0.0.1:9/v1")])
