"""Variants: what they inherit, and what is read of their keys."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.suite_files import PEFT, Like, errors_of, load_variants, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.model import Retrieval
from pytest_ftgate.suite.variants import with_batching

HOUSE = PluginContributions(providers=["house"])
TRAIN = "".join(f"{json.dumps({'input': f'q{i}', 'expected': f'a{i}'})}\n" for i in range(10))
FILES = {"t.jsonl": TRAIN, "a.gguf": "GGUF", "r.jsonl": "", "docs/a.md": "A.", **PEFT}
MODEL = "provider: anthropic, model: m"
SERVER = "provider: openai-compatible, model: m"
LOCAL = "provider: llamacpp, model: m"
ONE = f"one: {{{MODEL}}}"


def loaded(folder, *variants, files=FILES, plugins=HOUSE, **parts):
    return load_variants(folder, *variants, files=files, plugins=plugins, **parts)


def one(folder, keys, **more):
    return loaded(folder, f"one: {{{keys}}}", **more).variants["one"]


def errors(folder, *variants, **more):
    return errors_of(loaded, folder, *variants, **more)


# Inheritance ---------------------------------------------------------------------------------

EXTRA = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}
LOADED = f"one: {{{LOCAL}.gguf, adapter: a.gguf, threads: 2, max_tokens: 5}}"
#: The variants, and the value of a field of each.
INHERITED = [
    ([ONE, "two: {like: one, model: n}", "three: {like: two}"], "model", ["m", "n", "n"]),
    (["two: {like: one}", ONE], "model", ["m", "m"]),
    ([f"one: {{{MODEL}, temperature: 1}}", "two: {like: one}", "c: {like: two, temperature: 0}"],
     "sampling", [{"temperature": 1}, {"temperature": 1}, {"temperature": 0}]),
    # Whether it is gated or compared is its own affair.
    *(
        ([ONE, f"b: {{like: one, {key}: false}}", "c: {like: b}"], key, [True, False, True])
        for key in ("gated", "compared")
    ),
    # What the other provider does not understand stays behind, and all else does not.
    *(
        ([LOADED, "two: {like: one, provider: anthropic, model: m}"], key, values)
        for key, values in (("runtime", [{"threads": 2}, {}]), ("tuned", [True, False]))
    ),
    ([LOADED, "two: {like: one, provider: anthropic, model: m}"], "max_tokens", [5, 5]),
    ([f"one: {{{MODEL}, batch: true}}", "two: {like: one, provider: bedrock}"], "batch",
     [True, False]),
    ([f'one: {{{MODEL}, tools: ["a:b"]}}', "two: {like: one}"], "tools", [("a:b",)] * 2),
    ([f'one: {{{MODEL}, tools: ["a:b"], max_turns: 3}}', "two: {like: one}"], "max_turns", [3, 3]),
    ([f'one: {{{MODEL}, retrieve: "a:b"}}', "two: {like: one}", "three: {like: one, retrieve: }"],
     "retrieve", [Retrieval(function="a:b"), Retrieval(function="a:b"), None]),
    ([f"one: {{{SERVER}, extra: {json.dumps(EXTRA)}}}", "two: {like: one, model: n}",
     "three: {like: one, extra: {min_p: 0.1}}", "four: {like: one, provider: anthropic}"], "extra",
     [EXTRA, EXTRA, {"min_p": 0.1}, {}]),
]  # fmt: skip


@every_row(("variants", "key", "values"), INHERITED)
def test_a_variant_takes_the_keys_of_the_one_it_is_like_and_keeps_its_own(
    tmp_path, variants, key, values
):
    found = loaded(tmp_path, *variants).variants

    assert [getattr(variant, key) for variant in found.values()] == values


# Keys ----------------------------------------------------------------------------------------

SHARED = "temperature: 0.5, top_p: 0.9, stop: [x]"
COMMON = {"temperature": 0.5, "top_p": 0.9, "stop": ("x",)}
SERVED_NAME = "tinker://0123:train:0/sampler_weights/000080"
LORA = {"lora": [{"id": 0, "scale": 1}]}
STOPS = {"min_tokens": 3, "skip_special_tokens": False, "stop_token_ids": [2]}
READ = [
    (f"{MODEL}, {SHARED}, effort: low", "sampling", {**COMMON, "effort": "low"}),
    (f"{LOCAL}, {SHARED}, seed: 3", "sampling", {**COMMON, "seed": 3}),
    (f"{SERVER}, effort: minimal", "sampling", {"effort": "minimal"}),
    (f"{SERVER}, effort: none", "sampling", {"effort": "none"}),
    # The name of a model may be an address.
    (f'provider: openai-compatible, model: "{SERVED_NAME}"', "model", SERVED_NAME),
    # A batch and tools are had only where they are written.
    (MODEL, "batch", False),
    (f"{MODEL}, batch: true", "batch", True),
    (f'{MODEL}, tools: ["shop:a", "pkg.shop:b"]', "tools", ("shop:a", "pkg.shop:b")),
    (f'{MODEL}, tools: ["shop:a"]', "max_turns", 8),
    (f'{MODEL}, retrieve: "pkg.mod:find"', "retrieve", Retrieval(function="pkg.mod:find")),
    # Only a server is told by extra which adapters to use, and words about tokens are no secrets.
    (f"{SERVER}, extra: {json.dumps(LORA)}", "extra", LORA),
    (f"{SERVER}, extra: {json.dumps(STOPS)}", "extra", STOPS),
    ("provider: house, options: {depth: [1, 2]}", "options", {"depth": [1, 2]}),
    # The prompt is the file less its last newline.
    (f"{MODEL}, prompt: p.md", "system", "Say {{ input }}\n"),
]


@every_row(("keys", "field", "value"), READ)
def test_a_key_is_read_as_it_is_written(tmp_path, keys, field, value):
    files = {**FILES, "p.md": "Say {{ input }}\n\n"}

    assert getattr(one(tmp_path, keys, files=files), field) == value


ELSEWHERE = [
    *("temperature: 0.5", "top_p: 0.5", "seed: 2", "stop: [x]", "effort: low", "max_tokens: 9"),
    *("base: n", "base_url: http://localhost", "base_url_env: HERE", "api_key_env: KEY"),
    *("prompt: docs/a.md", 'user: "Q: {{ input }}"'),
]


@every_row("key", ELSEWHERE)
def test_a_provider_from_elsewhere_may_be_told_what_any_model_is(tmp_path, key):
    assert one(tmp_path, f"provider: house, model: m, {key}").provider == "house"


@every_row("provider", ["openai-compatible", "llamacpp", "transformers"])
def test_a_provider_that_can_enforce_labels_may_be_asked_to(tmp_path, provider):
    head = "reply: {format: {choice: [a, b]}}\n"

    keys = f"provider: {provider}, model: m, response_schema: true"
    assert one(tmp_path, keys, more=head).constrained


# Adapters ------------------------------------------------------------------------------------

PLUGINS = "provider: house, model: m, scale: 0.5"


SERVED = "provider: openai-compatible, model: tickets-v7, base: llama"
WEIGHTS, CONFIG = "out/adapter_model.safetensors", "out/adapter_config.json"


@every_row(
    ("keys", "written", "adapter"),
    [
        (f"{LOCAL}, training_data: t.jsonl", "a.gguf", "a.gguf"),
        # Weights are not committed, so that they may lie outside the root.
        (LOCAL, "../out.gguf", "../out.gguf"),
        *((LOCAL, written, "out") for written in ("out", "out/", WEIGHTS)),
        (PLUGINS, "out", "out"),
        (PLUGINS, CONFIG, CONFIG),
        # On a server it has a name of its own beside its base.
        (SERVED, "out", "out"),
    ],
)
def test_an_adapter_is_a_file_or_the_folder_that_a_trainer_writes(tmp_path, keys, written, adapter):
    root = tmp_path / "root"
    write_files(tmp_path, {"out.gguf": "GGUF"})

    found = one(root, f"{keys}, adapter: {written}")

    assert (found.adapter, found.tuned) == ((root / adapter).resolve(), True)
    assert found.scale == (0.5 if keys == PLUGINS else 1)


# Batches -------------------------------------------------------------------------------------


def test_the_option_puts_into_batches_what_can_be(tmp_path):
    suite = loaded(
        tmp_path,
        f"plain: {{{MODEL}}}",
        f'agent: {{{MODEL}, tools: ["a:b"]}}',
        "cloud: {provider: bedrock, model: m}",
        "own: {provider: house, model: m}",
        f"chat: {{{SERVER}}}",
        f"server: {{{SERVER}, base_url: 'http://h/v1'}}",
        "asked: {like: server, batch: true}",
    )

    found = with_batching(suite).variants

    assert [name for name, variant in found.items() if variant.batch] == ["plain", "chat", "asked"]


# Retrieval -----------------------------------------------------------------------------------


@every_row(
    ("written", "files"),
    [
        ("docs/**/*.md", ["docs/a.md", "docs/deep/b.md"]),
        ("docs/c.txt", ["docs/c.txt"]),
        ('["docs/c.txt", "docs/*.md", "docs/a.md"]', ["docs/c.txt", "docs/a.md"]),
    ],
)
def test_files_are_named_by_a_path_a_glob_or_a_list_and_are_read_once(tmp_path, written, files):
    there = dict.fromkeys(("docs/a.md", "docs/deep/b.md", "docs/c.txt", "docs/d.png"), "A.")

    found = one(tmp_path, f"{MODEL}, retrieve: {{from: {written}}}", files=there).retrieve

    assert [str(path.relative_to(tmp_path.resolve())) for path in found.paths] == files
    assert (found.top, found.chunk) == (4, 120)


UNRETRIEVED = 'a template names "passages", but nothing is retrieved; add retrieve: {from: "docs'
RAG = f'rag: {{{MODEL}, retrieve: "a:b"}}'


@pytest.mark.parametrize("key", ["user", "prompt"])
def test_a_template_that_shows_passages_needs_something_to_retrieve(tmp_path, key):
    files = {"p.md": "{{ passages }}"}
    template = f"{key}: {'p.md' if key == 'prompt' else repr('{{ passages }}')}"
    told = [Like(f'4: variant "one": {UNRETRIEVED}...')]

    assert errors(tmp_path, ONE, more=f"{template}\n", files=files) == told
    assert errors(tmp_path, f"one: {{{MODEL}, {template}}}", files=files) == told
    assert loaded(tmp_path, RAG, more=f"{template}\n", files=files)


@every_row(
    ("variants", "cases"),
    [
        # A provider that is never prompted may share the template.
        (['own: {provider: python, function: "a:b"}', RAG], "[{input: q, expected: a}]"),
        # Passages of a case's own.
        ([ONE], "[{input: q, expected: a, vars: {passages: by hand}}]"),
    ],
)
def test_passages_may_stand_in_a_template_that_needs_none(tmp_path, variants, cases):
    assert loaded(tmp_path, *variants, cases=cases, more="user: '{{ passages }}'\n")


# How a checkpoint is loaded -------------------------------------------------------------------


def test_how_a_checkpoint_is_loaded_is_inherited_with_the_lines_of_its_keys(tmp_path):
    variants = loaded(
        tmp_path,
        "base: {provider: transformers, model: m, load: {quantization: nf4, device: cuda}}",
        "tuned:\n    like: base\n    load:\n      device_map: {model: 0, lm_head: cpu}",
        "same: {like: tuned}",
        "there: {like: tuned, provider: openai-compatible}",
    ).variants

    assert [{**variant.options} for variant in variants.values()] == [
        {"quantization": "nf4"},
        {"device_map": {"model": 0, "lm_head": "cpu"}},
        {"device_map": {"model": 0, "lm_head": "cpu"}},
        {},
    ]
    assert [{**variant.runtime} for variant in variants.values()] == [
        {"device": "cuda", "places": {"quantization": "s.ftgate.yaml:4"}},
        {"places": {"device_map": "s.ftgate.yaml:8"}},
        {"places": {"device_map": "s.ftgate.yaml:8"}},
        {},
    ]
