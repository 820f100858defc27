"""How Transformers loads a checkpoint: quantised, split, in batches that fit; and its tokens."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import torch
from ftgate_testing.answer_files import write_rows
from ftgate_testing.tiny_model import (
    TEMPLATE,
    WORDS,
    answers,
    request,
    save_adapter,
    save_model,
    save_tokenizer,
)
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from pytest_ftgate import ConfigurationError, Reply, RequestRejected, evaluate
from pytest_ftgate.providers import generation
from pytest_ftgate.providers.base import open_provider
from pytest_ftgate.requests.request import Request

#: Rows of the embedding beyond the words.
SPARE = 2
ASKED = [" ".join(f"w{n * k % 59}" for k in range(1, 3 + n)) for n in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with spare rows of its embedding, and an adapter."""
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "tiny", width=64, rows=len(WORDS) + SPARE)
    save_adapter(folder / "tuned", folder / "tiny")
    return folder


def results(asked: list[Request]) -> list[Reply | BaseException]:
    """Return the replies of one provider to all of *asked*, or their errors."""

    async def run() -> list[Reply | BaseException]:
        provider = open_provider(asked, {}, {})
        try:
            return await asyncio.gather(*map(provider.generate, asked), return_exceptions=True)
        finally:
            await provider.close()

    return asyncio.run(run())


def texts(folder: Path, **options: object) -> list[str]:
    """Return the replies of the model, then those with the adapter."""
    sides = (None, folder / "tuned")
    asked = [
        request(folder / "tiny", text, side, options=options) for side in sides for text in ASKED
    ]
    replies = answers(asked)
    # Each reply is that of its request alone.
    assert answers([asked[2]])[0].text == replies[2].text
    return [reply.text for reply in replies]


WAYS = (
    {"attention": "eager"},
    {"attention": "sdpa"},
    {"device_map": "auto"},
    {"device_map": "sequential"},
    {"device_map": {"model.embed_tokens": "cpu", "model": "cpu", "lm_head": "cpu"}},
)


@pytest.mark.parametrize("options", WAYS)
def test_where_the_weights_lie_and_how_attention_is_computed_changes_no_reply(folder, options):
    plain = texts(folder)

    assert len({*plain[: len(ASKED)]}) > 1
    assert plain[: len(ASKED)] != plain[len(ASKED) :]
    assert texts(folder, **options) == plain


QUANTISED = {
    "nf4": BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    ),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}


@pytest.mark.parametrize("kind", QUANTISED)
def test_a_quantised_base_and_its_adapter_answer_as_bitsandbytes_and_peft_do(folder, kind):
    found = texts(folder, quantization=kind, dtype="float32")

    model = AutoModelForCausalLM.from_pretrained(
        folder / "tiny",
        dtype="float32",
        quantization_config=QUANTISED[kind],
        device_map={"": "cpu"},
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "tiny")
    expected = [generated(model, tokenizer, text) for text in ASKED]
    tuned = PeftModel.from_pretrained(model, folder / "tuned").eval()
    assert found == [*expected, *(generated(tuned, tokenizer, text) for text in ASKED)]
    assert texts(folder, quantization=kind, dtype="float32", device_map="auto") == found
    assert found != texts(folder) or kind == "int8"


def generated(model, tokenizer, text: str) -> str:
    tokens = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
    mask = torch.ones_like(tokens)
    made = model.generate(
        input_ids=tokens, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=1
    )
    return tokenizer.decode(made[0, tokens.shape[1] :], skip_special_tokens=True)


def test_how_a_model_was_loaded_is_recorded_with_each_reply(folder):
    (reply,) = answers([request(folder / "tiny", options={"quantization": "nf4"})])

    assert {name: reply.facts[name] for name in ("quantization", "dtype")} == {
        "quantization": "nf4",
        "dtype": "float32",
    }


def test_a_checkpoint_that_was_saved_quantised_is_read_as_it_is(tmp_path, folder):
    model = AutoModelForCausalLM.from_pretrained(
        folder / "tiny", quantization_config=QUANTISED["nf4"], device_map={"": "cpu"}
    )
    model.save_pretrained(tmp_path / "tiny")
    save_tokenizer(tmp_path / "tiny")
    shutil.copytree(folder / "tuned", tmp_path / "tuned")

    assert texts(tmp_path) == texts(folder, quantization="nf4", dtype="float32")


def test_an_adapter_on_weights_that_lie_elsewhere_is_an_error_with_what_to_do(folder):
    parts = ("model.embed_tokens", "model.norm", "model.rotary_emb", "model.layers.0", "lm_head")
    # Suites may not name the disk: it stands for memory that is slower than that of a GPU.
    options = {"device_map": {**dict.fromkeys(parts, "cpu"), "model.layers.1": "disk"}}

    with pytest.raises(
        Exception, match=r"on parts of the model that device_map keeps outside of th"
    ):
        answers([request(folder / "tiny", folder=folder / "tuned", options=options)])


NO_GPU = [
    ({"device_map": {"": 0}}, "device_map: torch finds no GPU 0 here; write auto, or cpu for each"),
    ({"attention": "flash_attention_2"},
     "s:4: attention: flash_attention_2 needs flash-attn: pip in"),
]  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("options", "message"), NO_GPU)
def test_what_is_not_there_is_named_before_anything_is_loaded(
    folder, monkeypatch, options, message
):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", None)

    with pytest.raises(ConfigurationError, match=message):
        answers(
            [request(folder / "tiny", options=options, runtime={"places": {"attention": "s:4"}})]
        )


# Batches -----------------------------------------------------------------------------------------


@pytest.fixture
def limited(monkeypatch):
    """Let no batch of more rows than the limit fit, nor a prompt with *w7*; note their sizes."""
    answer, sizes = generation.ChatModel._answer, []

    def limit(most: int):
        def answered(self, pairs):
            sizes.append(len(pairs))
            if len(pairs) > most or any("w7" in one.messages[0][1] for one, _ in pairs):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return answer(self, pairs)

        monkeypatch.setattr(generation.ChatModel, "_answer", answered)
        return sizes

    return limit


def test_a_batch_that_does_not_fit_is_halved_and_the_size_that_fits_is_kept(folder, limited):
    sizes, model = limited(3), folder / "tiny"
    sides = (None, folder / "tuned")
    asked = [request(model, f"w{n} w1", side) for side in sides for n in range(30, 54)]

    assert len(answers(asked)) == 48
    assert sizes == [16, 8, 4, *[2] * 24]


def test_what_was_found_is_told_in_one_sentence():
    batches = generation.BatchSize()
    assert batches.notice == ""
    for size in (16, 8):
        batches.fail(size)
    batches.fit(4, "cuda:0")
    told = batches.notice
    batches.fail(4)
    batches.fit(2, "cuda:0")

    assert (batches.most, batches.notice) == (2, told)
    assert told == (
        "8 requests at once do not fit into the memory of cuda:0: 4 are sent at once from here on "
        "(slots: 4 starts with that)"
    )


def test_a_request_that_does_not_fit_alone_ends_alone_and_halves_no_other_batch(folder, limited):
    sizes, model = limited(99), folder / "tiny"
    asked = [request(model, f"w{n} w1") for n in (*range(40, 44), 7, *range(44, 47))]

    (failed,) = [one for one in results(asked) if isinstance(one, BaseException)]

    assert isinstance(failed, RequestRejected)
    assert str(failed) == (
        "cpu has too little memory for this request alone; write a smaller max_tokens, or "
        "load: {dtype: bfloat16}, {quantization: nf4} or {device_map: auto}"
    )
    assert sizes[-1] >= 2


ROWS = [{"id": f"c{n}", "input": f"w{n} w1", "expected": "w2"} for n in range(20)]
SUITE = """
cases: c.jsonl
user: "{{ input }}"
reply: {score: exact, max_tokens: 4}
variants: {plain: {provider: transformers, model: MODEL}}
gates: {accuracy: {min: 0.01}}
"""


def test_a_run_that_memory_ended_goes_on_where_it_was(folder, tmp_path, monkeypatch, limited):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "c.jsonl", ROWS)
    text = SUITE.replace("MODEL", str(folder / "tiny"))
    (tmp_path / "s.ftgate.yaml").write_text(text, "utf-8")
    limited(5)
    first = evaluate("s.ftgate.yaml")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)

    again = evaluate("s.ftgate.yaml")

    assert "1 of 20 cases got no reply" in str(first)
    assert "20 replies: 19 cached, 1 requested" in str(again)


# Tokens that a trainer added ---------------------------------------------------------------------


@pytest.fixture
def padded(folder, tmp_path):
    """An adapter whose trainer added tokens: how many, its template, and its end token."""

    def padded(added: list[str], template: str = TEMPLATE, **special: str) -> Path:
        path = shutil.copytree(folder / "tuned", tmp_path / "padded", dirs_exist_ok=True)
        save_tokenizer(path, template=template)
        tokenizer = AutoTokenizer.from_pretrained(path)
        tokenizer.add_special_tokens({"additional_special_tokens": added})
        tokenizer.add_special_tokens(special)
        tokenizer.save_pretrained(path)
        return path

    return padded


@pytest.mark.parametrize("beyond", [0, SPARE])
def test_a_pad_token_in_a_spare_row_or_beyond_all_rows_changes_no_reply(folder, padded, beyond):
    adapter = padded([f"<x{n}>" for n in range(beyond)], pad_token="<pad>")
    plain = [request(folder / "tiny", text, folder / "tuned") for text in ASKED]

    replies = answers([request(folder / "tiny", text, adapter) for text in ASKED])

    assert [reply.text for reply in replies] == [reply.text for reply in answers(plain)]
    assert "'<pad>'" in replies[0].facts["added tokens"]


def test_a_token_of_the_training_is_one_token_of_the_prompt_and_ends_replies(folder, padded):
    marked = padded(["<me>"], template=f"<me> {TEMPLATE}")
    (reply,) = answers([request(folder / "tiny", "w0 w1", marked)])
    assert reply.usage["input"] == 3
    word = reply.text.split()[0]

    # The model ends with what it says first.
    (ended,) = answers(
        [request(folder / "tiny", "w0 w1", padded(["<me>"], f"<me> {TEMPLATE}", eos_token=word))]
    )

    assert (ended.text, ended.stop, ended.usage["output"]) == ("", "end", 1)


def test_a_token_without_a_row_is_an_error_of_the_request_that_writes_it(folder, padded):
    adapter = padded([f"<x{n}>" for n in range(SPARE + 1)])
    beyond = request(folder / "tiny", f"w0 <x{SPARE}>", adapter)
    spare = request(folder / "tiny", "w0 <x0>", adapter)

    error, reply = results([beyond, spare])

    assert "its text has the token '<x2>', for which the model's embedding has no row" in str(error)
    assert reply.usage["input"] == 2


def test_an_adapter_that_resized_the_embedding_is_merged_as_the_message_says(
    folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "c.jsonl", ROWS)
    rows = len(WORDS) + SPARE + 1
    grown = AutoModelForCausalLM.from_pretrained(folder / "tiny")
    grown.resize_token_embeddings(rows)
    config = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    peft = get_peft_model(grown, config)
    peft.save_pretrained(tmp_path / "grown")
    save_tokenizer(tmp_path / "grown", words=[*WORDS, *(f"<x{n}>" for n in range(SPARE + 1))])
    shapes = {
        tensor.shape[0]
        for tensor in load_file(tmp_path / "grown/adapter_model.safetensors").values()
    }
    assert rows in shapes
    text = SUITE.replace("MODEL", f"{folder / 'tiny'}, adapter: grown")
    (tmp_path / "s.ftgate.yaml").write_text(text, "utf-8")

    told = str(evaluate("s.ftgate.yaml"))

    assert "resize_token_embeddings(66)" in " ".join(told.split())
    peft.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(tmp_path / "grown").save_pretrained(tmp_path / "merged")
    merged = request(tmp_path / "merged", "w0 <x2>")
    assert answers([merged])[0].usage["input"] == 2
    assert json.loads((tmp_path / "merged/config.json").read_text())["vocab_size"] == rows
