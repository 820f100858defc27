"""Checkpoints and PEFT adapters that Transformers runs in this process, through the product."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ftgate_testing import tickets, tiny_model
from ftgate_testing.answer_files import write_rows
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT
from ftgate_testing.tiny_model import (
    TEMPLATE,
    WORDS,
    answers,
    save_adapter,
    save_model,
    save_tokenizer,
)
from peft import LoraConfig
from transformers import LlamaModel

from pytest_ftgate import ConfigurationError, RequestRejected, evaluate
from pytest_ftgate.adapters.config import config_problem
from pytest_ftgate.providers import generation
from pytest_ftgate.providers.base import open_provider
from pytest_ftgate.requests.request import Request
from pytest_ftgate.weights import find_weights

#: Every eighth ticket of the example.
STEP = 8
SUITE = f"""
prompt: {SYSTEM_PROMPT}
cases: cases.jsonl
reply: {{score: exact, max_tokens: 12}}
variants:
  tuned: {{provider: transformers, model: smollm2-135m, adapter: ADAPTER}}
  served: {{provider: llamacpp, model: smollm2-135m, adapter: ADAPTER}}
gates: {{accuracy: {{min: 0.10}}}}
"""


def test_an_adapter_answers_as_in_llama_cpp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, tmp_path)
    rows = tickets.tickets("tickets.cases.jsonl")[::STEP]
    write_rows(tmp_path / "cases.jsonl", rows)
    adapter = tickets.save_adapter(tmp_path / "narrow", task_type="CAUSAL_LM")
    (tmp_path / "s.ftgate.yaml").write_text(SUITE.replace("ADAPTER", str(adapter)), "utf-8")

    run = evaluate("s.ftgate.yaml")

    texts = {
        name: [result.replies[0].text.strip() for result in scores.results.values()]
        for name, scores in run.scores.items()
    }
    assert run.passed, str(run)
    same = sum(map(str.__eq__, texts["tuned"], texts["served"]))
    assert same >= 0.95 * len(rows)
    assert run.scores["tuned"].correct.mean() > 0.8


def test_replies_keep_to_their_formats_beside_others_that_have_none():
    labels = ["refund", "late delivery", "login"]
    schema = {"type": "object", "properties": {"label": {"enum": labels}}, "required": ["label"]}
    schema["additionalProperties"] = False
    constraints = [{"choice": labels}, {"json_schema": schema}, None]
    model = find_weights("smollm2-135m", Path())
    ask = (("user", "Say something about my parcel, which has not come."),)

    chosen, filled, free = answers(
        [
            request(model, n, messages=ask, max_tokens=24, constraint=constraint)
            for n, constraint in enumerate(constraints)
        ]
    )

    assert (chosen.text in labels, chosen.stop) == (True, "end")
    assert json.loads(filled.text)["label"] in labels
    assert len(free.text) > len("late delivery")
    broken = request(model, messages=ask, constraint={"json_schema": {"type": "nothing"}})
    with pytest.raises(RequestRejected, match="llguidance cannot enforce it"):
        answers([broken])


def test_a_reply_ends_with_its_answer_beside_others_that_go_on():
    model = find_weights("smollm2-135m", Path())
    ask = (("user", "Who wrote Hamlet?"),)

    # No block of code ends in the reply.
    whole, ended, free, other = answers(
        [
            request(model, n, messages=ask, max_tokens=32, ends_at=end)
            for n, end in enumerate(("", "sentence", "code", ""))
        ]
    )

    assert whole.text.startswith(f"{ended.text} ")
    assert (ended.text[-1], ended.stop) == (".", "end")
    assert 0 < ended.usage["output"] < whole.usage["output"] == 32
    assert whole.text == free.text == other.text


# A checkpoint of two layers with random weights: small enough for every fault --------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


def request(model: Path, number: int = 0, folder: Path | None = None, **changes) -> Request:
    text = " ".join(f"w{n}" for n in range(number + 2))
    return tiny_model.request(model, text, folder, **changes)


def chats(model: Path, start: int, folder: Path | None = None) -> list[Request]:
    """Return requests of different lengths that begin with the same words, *start* of them."""
    shared = [f"w{n % 50}" for n in range(start)]
    texts = [" ".join([*shared, *(f"w{n * k % 59}" for k in range(1, 4 + n))]) for n in range(5)]
    return [request(model, n, folder, messages=(("user", text),)) for n, text in enumerate(texts)]


@pytest.mark.parametrize("is_tuned", [False, True])
def test_what_all_prompts_of_a_batch_begin_with_is_read_once_and_changes_no_reply(
    tmp_path, model, monkeypatch, is_tuned
):
    read: list[int] = []
    forward = LlamaModel.forward

    def counting(self, input_ids=None, **options):
        read.append(input_ids.numel())
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(LlamaModel, "forward", counting)
    folder = save_adapter(tmp_path / "adapter", model) if is_tuned else None
    requests = chats(model, start=30, folder=folder)

    together = answers(requests)

    # The rest of the longest is seven words, and each further token is one for each request.
    assert read[:3] == [30, 5 * 7, 5]
    assert [reply.text for reply in together] == [answers([one])[0].text for one in requests]
    # The adapter says one word to everything.
    assert (len({reply.text for reply in together}) > 1) is not is_tuned
    assert [reply.usage["input"] for reply in together] == [33, 34, 35, 36, 37]


@pytest.mark.parametrize("has_other_state", [False, True])
def test_once_half_of_a_batch_has_ended_the_others_go_on_without_it(
    model, monkeypatch, has_other_state
):
    if has_other_state:
        # As if the model kept something from which a part of the rows cannot go on.
        monkeypatch.setattr(generation, "DynamicLayer", None)
    read: list[tuple[int, int]] = []
    forward = LlamaModel.forward

    def counting(self, input_ids=None, **options):
        read.append((*input_ids.shape,))
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(LlamaModel, "forward", counting)
    hot = {"temperature": 1.5, "seed": 5}
    limits = [2, 2, 3, 3, 9, 9, 16, 16]
    requests = [
        request(model, n, max_tokens=limit, sampling=hot if n % 2 else {})
        for n, limit in enumerate(limits)
    ]

    together = answers(requests)

    rows = [count for count, _ in read]
    assert rows == sorted(rows, reverse=True)
    assert set(rows) == {8, 4, 2}
    # What was read is read again only if there is nothing to go on from.
    assert (max(columns for _, columns in read[1:]) > 1) is has_other_state
    alone = [answers([one])[0] for one in requests]
    assert [(reply.text, reply.usage) for reply in together] == [
        (reply.text, reply.usage) for reply in alone
    ]


def test_a_sample_depends_on_its_seed_and_repeat_alone(model):
    hot = {"temperature": 1.5, "seed": 5}
    sampled = [request(model, n, sampling=hot) for n in range(4)]
    again = replace(sampled[2], repeat=1, fingerprint="again")

    texts = [reply.text for reply in answers([*sampled, again])]

    assert answers([sampled[2]])[0].text == texts[2]
    assert texts[4] != texts[2]
    cold = request(model, 2, sampling={"temperature": 1.5, "top_p": 1e-9})
    assert answers([cold])[0].text == answers([request(model, 2)])[0].text


def test_each_request_has_its_own_limit_and_stop_sequences(model):
    whole = answers([request(model)])[0]
    word = whole.text.split()[3]
    requests = [
        request(model),
        request(model, max_tokens=2),
        request(model, sampling={"stop": (word,)}),
    ]

    full, short, stopped = answers(requests)

    assert (full.stop, full.usage["output"]) == ("length", 8)
    assert (short.stop, short.text) == ("length", " ".join(whole.text.split()[:2]))
    assert stopped.stop == "stop"
    assert word not in stopped.text


def test_adapters_share_one_base_and_leave_it_unchanged(model, tmp_path):
    first = save_adapter(tmp_path / "first", model)
    second = save_adapter(tmp_path / "second", model, lora_alpha=32)
    base, one, two, after = (
        request(model),
        request(model, folder=first),
        request(model, folder=second),
        request(model, messages=(("user", "w0 w1"),)),
    )

    texts = [reply.text for reply in answers([base, one, two, after])]

    assert len({*texts[:3]}) == 3
    assert texts[3] == texts[0]
    assert [answers([r])[0].text for r in (base, one, two)] == texts[:3]


def test_a_tuned_variant_is_asked_with_the_template_of_its_adapter(model, tmp_path):
    folder = save_adapter(tmp_path / "own", model)
    save_tokenizer(folder, template="w9 " + TEMPLATE)

    tuned, base = answers([request(model, folder=folder), request(model)])

    assert (tuned.usage["input"], base.usage["input"]) == (3, 2)
    assert tuned.facts["chat template sha256"] != base.facts["chat template sha256"]


def broken_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"no tensors")


def own_code(folder: Path) -> None:
    save_tokenizer(folder)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]})
    change(folder / "tokenizer_config.json", tokenizer_class="T")
    (folder / "evil.py").write_text("raise SystemExit")


def code_of_megatron(folder: Path) -> None:
    change(folder / "adapter_config.json", megatron_config={"a": 1})


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def other_tokens(folder: Path) -> None:
    save_tokenizer(folder, words=[*WORDS[:-1], "other"])


@pytest.mark.parametrize(("damage", "message"), [
    (broken_weights, r"bad: adapter_model.safetensors is damaged \(.*\); copy or save it again"),
    (own_code, r"bad: it needs Python that its repository brings \(auto_map\), which is never run"),
    (code_of_megatron, "bad cannot be used: adapter_config.json: megatron_config makes PEFT impo"),
    (other_tokens, r"its tokenizer contradicts that of tiny in 1 token \('other'\)"),
])  # fmt: skip
def test_a_fault_of_an_adapter_is_one_sentence_with_its_remedy(model, tmp_path, damage, message):
    folder = save_adapter(tmp_path / "bad", model)
    damage(folder)

    with pytest.raises(Exception, match=message):
        answers([request(model, folder=folder)])


def test_an_adapter_of_another_base_is_an_error(model, tmp_path):
    wide = save_model(tmp_path / "wide", width=64)
    by_shape = save_adapter(tmp_path / "by-shape", wide)
    by_name = save_adapter(tmp_path / "by-name", model, base_model_name_or_path="Qwen/Qwen3-8B")
    llama = shutil.copytree(model, tmp_path / "Llama-3.2-1B")

    with pytest.raises(Exception, match="adapter by-shape does not fit the model: size mismatch"):
        answers([request(model, folder=by_shape)])
    with pytest.raises(Exception, match="by-name: it was trained on Qwen/Qwen3-8B"):
        answers([request(llama, folder=by_name)])


def test_what_keeps_a_model_from_loading_is_said_before_anything_is_asked(model, tmp_path):
    broken = shutil.copytree(model, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no tensors")
    silent = shutil.copytree(model, tmp_path / "silent")
    save_tokenizer(silent, template="")
    (silent / "chat_template.jinja").unlink(missing_ok=True)

    with pytest.raises(ConfigurationError, match=r"broken: model.safetensors is damaged \("):
        answers([request(broken)])
    with pytest.raises(ConfigurationError, match="silent: the tokenizer has no chat template; sav"):
        answers([request(silent)])
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match=r"device: cuda, but torch .* finds none here"):
            answers([request(model, runtime={"device": "cuda"})])


def test_a_model_that_needs_code_of_its_own_is_refused_without_the_advice_to_run_it(
    model, tmp_path
):
    own = shutil.copytree(model, tmp_path / "own")
    change(own / "config.json", model_type="mine", auto_map={"AutoConfig": "evil.C"})
    (own / "evil.py").write_text("raise SystemExit")

    with pytest.raises(ConfigurationError) as raised:
        answers([request(own)])

    assert str(raised.value).startswith("own: it needs Python that its repository brings")
    assert "trust_remote_code" not in str(raised.value)


def test_every_key_that_the_installed_peft_writes_is_known_and_its_defaults_are_allowed():
    written = {**LoraConfig(r=8, target_modules=["q_proj"]).to_dict(), "target_modules": ["q_proj"]}

    assert config_problem(written) == ""
    assert [key for key in written if "is no key" in config_problem({key: [{}]})] == []


def test_a_prompt_that_is_too_long_is_an_error_of_its_request_alone(model):
    good, long = request(model), request(model, messages=(("user", "w1 " * 60),), max_tokens=9)

    async def run():
        provider = open_provider([good, long], {}, {})
        results = await asyncio.gather(
            *map(provider.generate, (good, long)), return_exceptions=True
        )
        await provider.close()
        return results

    reply, error = asyncio.run(run())
    assert reply.text
    assert "a prompt of 60 tokens and max_tokens 9 exceed the 64 tokens" in str(error)
