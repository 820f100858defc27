"""Variants: inheritance, what each provider needs and understands, files and examples."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.declaration import DeclaredVariant
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.few_shot import most_similar
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.providers import PLUGIN_PROVIDER, PROVIDERS

HEAD = """\
cases: [{input: Where is it, expected: b, vars: {tone: kind}}]
gates: {accuracy: {min: 0.5}}
variants:
"""

NO_MODEL = "has no untuned model to compare with; write base_replies: and a file of its replies"


def loaded(folder, variants, head=HEAD, others=(), **files):
    """Load a suite with *variants*, one a line from line 4 on; ``__`` in a file name is its dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    path = folder / "s.ftgate.yaml"
    path.write_text(head + "".join(f"  {one}\n" for one in variants), encoding="utf-8")
    return load_suite(path, folder, PluginContributions(providers=others)).variants


def errors(folder, *variants, head=HEAD, **files):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, variants, head, **files)
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


CLAUDE = "one: {provider: anthropic, model: m}"
TRAIN = "\n".join(json.dumps({"input": f"q{i}", "expected": f"a{i}"}) for i in range(10))
EXAMPLES = "{provider: anthropic, model: m, examples: {from: t.jsonl, shots: 2}}"


# Inheritance ---------------------------------------------------------------------------------


def test_a_variant_takes_the_keys_of_the_one_it_is_like_and_keeps_its_own(tmp_path):
    found = loaded(
        tmp_path,
        [
            "one: {provider: anthropic, model: m, temperature: 0.5, max_tokens: 9}",
            "two: {like: one, model: n}",
            "three: {like: two, temperature: 0}",
        ],
    )

    assert [v.model for v in found.values()] == ["m", "n", "n"]
    assert [v.sampling["temperature"] for v in found.values()] == [0.5, 0.5, 0]
    assert {v.max_tokens for v in found.values()} == {9}


def test_a_variant_may_be_like_one_that_stands_below_it(tmp_path):
    assert loaded(tmp_path, ["two: {like: one}", CLAUDE])["two"].model == "m"


@every_row("key", ["gated", "compared"])
def test_whether_it_is_gated_or_compared_is_not_inherited(tmp_path, key):
    found = loaded(tmp_path, [CLAUDE, f"other: {{like: one, {key}: false}}", "two: {like: other}"])

    assert [getattr(v, key) for v in found.values()] == [True, False, True]


def test_the_baseline_cannot_be_left_uncompared(tmp_path):
    with pytest.raises(SuiteError, match="this is the baseline, so remove compared: false"):
        loaded(tmp_path, ["one: {provider: anthropic, model: m, compared: false}"])


def test_what_only_another_provider_understands_is_not_inherited(tmp_path):
    local = "one: {provider: llamacpp, model: m.gguf, adapter: a.gguf, threads: 2, max_tokens: 5}"
    found = loaded(
        tmp_path, [local, "two: {like: one, provider: anthropic, model: m}"], a__gguf="GGUF"
    )

    assert (found["two"].adapter, found["two"].tuned, found["two"].runtime) == (None, False, {})
    assert found["two"].max_tokens == 5


@every_row(
    ("variants", "told"),
    [
        (["a: {like: a}"], ['4: variant "a": like: a -> a is a circle']),
        (
            [CLAUDE.replace("one", "current"), "b: {like: curent}"],
            ['5: variant "b": like: there is no variant "curent"; did you mean "current"?'],
        ),
        (
            ["a: {like: b}", "b: {like: a}"],
            [
                '4: variant "a": like: a -> b -> a is a circle',
                '5: variant "b": like: b -> a -> b is a circle',
            ],
        ),
    ],
)
def test_a_like_that_names_no_variant_or_leads_in_a_circle_is_refused(tmp_path, variants, told):
    assert errors(tmp_path, *variants) == told


# Providers -----------------------------------------------------------------------------------


MODEL = "provider: anthropic, model: m"
COMPATIBLE = "openai-compatible"
SERVER = f"provider: {COMPATIBLE}"
NO_PROVIDER = f"provider is missing; one of {', '.join(PROVIDERS)}"
TOGETHER = "base_url: https://api.together.xyz/v1, api_key_env: TOGETHER_API_KEY"
WRITE = "write effort"
OF_PLUGINS = "options means nothing to provider {}, only to providers of plugins; {}"
#: The keys of a variant, and what is told of them in its line.
REFUSED = [
    ("provider: antropic, model: m", 'unknown provider "antropic"; did you mean "anthropic"?'),
    ("model: m", NO_PROVIDER),
    ("provider: , model: m", NO_PROVIDER),
    ("provider: recorded, replies: r.jsonl", "replies: r.jsonl does not exist (looked in ./)"),
    (f'{MODEL}, user: "{{{{ toen }}}}"', 'user: no case has "toen"; did you mean "tone"?'),
    (
        f"{MODEL}, response_schema: true",
        "response_schema needs a reply.format of json_schema with provider anthropic",
    ),
    # A server or an API is answered by the keys for it.
    *(
        (f"provider: {name}, model: m", f'unknown provider "{name}"; for {name} write {keys}')
        for name, keys in (
            ("ollama", f"{SERVER}, base_url: http://127.0.0.1:11434/v1"),
            ("OpenAI", SERVER),
            ("together_ai", f"{SERVER}, {TOGETHER}"),
        )
    ),
    (f"{MODEL}, options: {{a: 1}}", OF_PLUGINS.format("anthropic", "remove it")),
    (f"{SERVER}, model: m, options: {{top_k: 1}}", OF_PLUGINS.format(COMPATIBLE, "write extra")),
    (
        f"{SERVER}, model: m, thinking: {{type: disabled}}",
        f"thinking means nothing to provider {COMPATIBLE}, only to anthropic and bedrock; {WRITE}",
    ),
    # Fine-tunes that make no sense.
    (
        "provider: anthropic, model: m, training_data: t.jsonl",
        "training_data needs an adapter or a base; add one, or remove training_data",
    ),
    (
        "provider: anthropic, model: m, base: m",
        'base "m" is the model itself; name the tuned model',
    ),
    (
        "provider: llamacpp, model: m, adapter: a.gguf, base: n",
        "base: with an adapter the base is the model without it; remove base",
    ),
    ('provider: python, function: "a:b", base: m', f"base: provider python {NO_MODEL}"),
    ("provider: recorded, replies: t.jsonl, base: m", f"base: provider recorded {NO_MODEL}"),
    # Keys.
    (f"{MODEL}, modle: n", 'unknown key "modle"; did you mean "model"?'),
    (f"{MODEL}, temperature: hot", 'temperature must be a number, not "hot"'),
    (f"{MODEL}, max_tokens: 0", "max_tokens is 0, but must be greater than or equal to 1"),
    (f"{MODEL}, seed: 1.5", "seed must be a whole number, not 1.5"),
    (f"{MODEL}, gated: 1", "gated must be true or false, not 1"),
    (f"{MODEL}, stop: [1]", 'stop is 1, but text is wanted here: write "1"'),
    (f"{MODEL}, prompt: 5", 'prompt is 5, but text is wanted here: write "5"'),
    (
        f"{MODEL}, effort: some",
        (
            "effort is \"some\", but must be one of 'none', 'minimal', 'low', 'medium', 'high', "
            "'xhigh' or 'max'"
        ),
    ),
]


@every_row(("keys", "message"), REFUSED)
def test_a_variant_that_cannot_be_used_is_one_error_with_what_to_write(tmp_path, keys, message):
    assert errors(tmp_path, f"one: {{{keys}}}", t__jsonl=TRAIN, a__gguf="GGUF") == [
        f'4: variant "one": {message}'
    ]


def test_a_user_message_that_is_no_template_is_refused_at_its_line(tmp_path):
    (found,) = errors(tmp_path, f'one: {{{MODEL}, user: "{{{{ input"}}')

    assert found.startswith('4: variant "one": user: not a template: ')


@every_row(("provider", "key"), [(p, k) for p, spec in PROVIDERS.items() for k in spec.required])
@every_row("written", ["", ', {key}: ""', ", {key}: "])
def test_what_a_provider_cannot_do_without_is_named(tmp_path, provider, key, written):
    variant = f"one: {{provider: {provider}{written.format(key=key)}}}"

    assert errors(tmp_path, variant) == [f'4: variant "one": provider {provider} needs {key}']


HOSTED = "anthropic, bedrock, bedrock-converse and openai-compatible"
FOREIGN = [
    ("anthropic", "adapter", "a.gguf", "llamacpp, openai-compatible and transformers"),
    ("anthropic", "seed", "2", "llamacpp, openai-compatible and transformers"),
    ("anthropic", "slots", "2", "llamacpp and transformers"),
    ("anthropic", "dtype", "float32", "transformers"),
    ("llamacpp", "revision", "main", "transformers"),
    ("anthropic", "threads", "2", "llamacpp"),
    ("anthropic", "context", "512", "llamacpp"),
    ("anthropic", "function", '"a:b"', "python"),
    ("anthropic", "replies", "a.gguf", "recorded"),
    ("llamacpp", "base_url", "http://localhost", HOSTED),
    ("llamacpp", "base_url_env", "HERE", HOSTED),
    ("llamacpp", "api_key_env", "KEY", "anthropic and openai-compatible"),
    ("llamacpp", "effort", "low", "anthropic, bedrock and openai-compatible"),
]


@every_row(("provider", "key", "value", "only"), FOREIGN)
def test_a_key_of_another_provider_is_refused_and_not_ignored(tmp_path, provider, key, value, only):
    variant = f"one: {{provider: {provider}, model: m, {key}: {value}}}"

    assert errors(tmp_path, variant, a__gguf="GGUF") == [
        f'4: variant "one": {key} means nothing to provider {provider}, only to {only}; remove it'
    ]


HOUSE = "provider: house, model: m"
ELSEWHERE = [
    ("temperature", "0.5"),
    ("top_p", "0.5"),
    ("seed", "2"),
    ("stop", "[x]"),
    ("effort", "low"),
    ("max_tokens", "9"),
    ("base", "n"),
    ("base_url", "http://localhost"),
    ("base_url_env", "HERE"),
    ("api_key_env", "KEY"),
    ("prompt", "p.md"),
    ("user", '"Q: {{ input }}"'),
    ("options", "{region: north, depth: [1, 2]}"),
]


@every_row(("key", "value"), ELSEWHERE)
def test_a_provider_from_elsewhere_may_be_told_what_any_model_is(tmp_path, key, value):
    found = loaded(tmp_path, [f"one: {{{HOUSE}, {key}: {value}}}"], others=["house"], p__md="Hi")

    assert found["one"].provider == "house"


@every_row("key", ["slots", "function", "replies"])
def test_it_is_not_told_what_only_one_of_ours_can_do(tmp_path, key):
    value = '"a:b"' if key == "function" else 2 if key == "slots" else "a.gguf"
    path = tmp_path / "s.ftgate.yaml"
    (tmp_path / "a.gguf").write_text("x")
    path.write_text(f"{HEAD}  one: {{{HOUSE}, {key}: {value}}}\n")

    with pytest.raises(SuiteError, match=f"{key} means nothing to provider house"):
        load_suite(path, tmp_path, PluginContributions(providers=["house"]))


def test_what_it_alone_understands_is_kept_as_written(tmp_path):
    found = loaded(
        tmp_path, [f"one: {{{HOUSE}, options: {{region: north, depth: [1, 2]}}}}"], others=["house"]
    )

    assert found["one"].options == {"region": "north", "depth": [1, 2]}


@every_row(
    "keys",
    ["provider: llamacpp, model: m, adapter: a.gguf", "provider: anthropic, model: m, base: n"],
)
def test_an_adapter_or_a_base_makes_a_variant_tuned(tmp_path, keys):
    variant = f"one: {{{keys}, training_data: t.jsonl}}"

    assert loaded(tmp_path, [variant], t__jsonl=TRAIN, a__gguf="GGUF")["one"].tuned


def test_an_adapter_that_is_no_gguf_file_is_an_error(tmp_path):
    (error,) = errors(
        tmp_path, "one: {provider: llamacpp, model: m, adapter: t.jsonl}", t__jsonl="x"
    )

    told = (
        "is neither a GGUF file nor the folder in which a trainer saves an adapter "
        "(adapter_config.json, adapter_model.safetensors)"
    )
    assert error == f'4: variant "one": adapter: t.jsonl {told}'


PEFT = {
    "out/adapter_config.json": '{"peft_type": "LORA", "r": 8, "lora_alpha": 16}',
    "out/adapter_model.safetensors": "weights",
}


def peft(folder):
    """Write an adapter as trainers do, and return its folder."""
    (folder / "out").mkdir()
    for name, text in PEFT.items():
        (folder / name).write_text(text)
    return (folder / "out").resolve()


@every_row("written", ["out", "out/", "out/adapter_model.safetensors"])
def test_an_adapter_may_be_the_folder_that_a_trainer_writes(tmp_path, written):
    adapter = peft(tmp_path)
    found = loaded(tmp_path, [f"one: {{provider: llamacpp, model: m, adapter: {written}}}"])

    assert (found["one"].adapter, found["one"].tuned) == (adapter, True)


def test_a_folder_that_llamacpp_cannot_use_is_an_error_with_its_line(tmp_path):
    adapter = peft(tmp_path)
    (adapter / "adapter_config.json").write_text('{"peft_type": "IA3"}')

    (error,) = errors(tmp_path, "one: {provider: llamacpp, model: m, adapter: out}")

    assert error.startswith('4: variant "one": adapter: out cannot be used as an adapter: its peft')


@every_row("written", ["out", "out/adapter_config.json"])
def test_a_plugins_provider_takes_any_adapter_and_its_scale(tmp_path, written):
    peft(tmp_path)
    variant = f"one: {{{HOUSE}, adapter: {written}, scale: 0.5}}"

    found = loaded(tmp_path, [variant], others=["house"])["one"]

    assert (found.adapter, found.scale, found.tuned) == ((tmp_path / written).resolve(), 0.5, True)


SERVED = "provider: openai-compatible, model: tickets-v7, adapter: out"


def test_an_adapter_on_a_server_has_a_name_of_its_own_beside_its_base(tmp_path):
    adapter = peft(tmp_path)
    found = loaded(tmp_path, [f"one: {{{SERVED}, base: llama}}"])["one"]

    assert (found.adapter, found.base, found.tuned) == (adapter, "llama", True)


@every_row(
    ("more", "message"),
    [
        ("", "adapter without base: name its untuned model at the same server, base: NAME"),
        (", base: tickets-v7", 'base "tickets-v7" is the model itself; name the tuned model'),
    ],
)
def test_an_adapter_on_a_server_needs_the_name_of_its_base(tmp_path, more, message):
    peft(tmp_path)
    assert errors(tmp_path, f"one: {{{SERVED}{more}}}") == [f'4: variant "one": {message}']


def test_a_folder_without_an_adapter_is_an_error_on_a_server_too(tmp_path):
    adapter = peft(tmp_path)
    (adapter / "adapter_config.json").unlink()

    (error,) = errors(tmp_path, f"one: {{{SERVED}, base: llama}}")

    assert error.startswith('4: variant "one": adapter: out has no adapter_config.json; name the')


@every_row("spec", [*PROVIDERS.values(), PLUGIN_PROVIDER])
def test_a_provider_that_takes_adapters_reads_the_key(spec):
    assert ("adapter" in spec.reads) == bool(spec.adapter)


def test_an_adapter_may_lie_outside_the_root_for_weights_are_not_committed(tmp_path):
    root = tmp_path / "repo"
    root.mkdir()
    adapter = tmp_path / "a.gguf"
    adapter.write_text("GGUF")

    found = loaded(root, ["one: {provider: llamacpp, model: m, adapter: ../a.gguf}"])

    assert found["one"].adapter == adapter.resolve()


@every_row(
    ("key", "written"),
    [
        ("replies", "one: {provider: recorded, replies: ../r.jsonl}"),
        (
            "training_data",
            "one: {provider: anthropic, model: m, base: n, training_data: ../r.jsonl}",
        ),
    ],
)
def test_any_other_file_outside_the_root_is_refused(tmp_path, key, written):
    root = tmp_path / "repo"
    root.mkdir()
    (tmp_path / "r.jsonl").write_text("")

    assert errors(root, written) == [
        f'4: variant "one": {key}: ../r.jsonl lies outside {root.resolve()}; move it below'
    ]


# Prompts -------------------------------------------------------------------------------------


def test_the_prompt_is_the_file_less_its_last_newline(tmp_path):
    variant = "one: {provider: anthropic, model: m, prompt: p.md}"

    assert (
        loaded(tmp_path, [variant], p__md="Say {{ input }}\n\n")["one"].system
        == "Say {{ input }}\n"
    )


def test_a_prompt_with_an_undefined_name_has_the_line_of_the_prompt(tmp_path):
    variant = "one: {provider: anthropic, model: m, prompt: p.md}"

    assert errors(tmp_path, variant, p__md="Hello\nSpeak {{ toen }}\n") == [
        'p.md:2: no case has "toen"; did you mean "tone"?'
    ]


def test_a_prompt_that_is_no_template_has_the_line_of_the_prompt(tmp_path):
    variant = "one: {provider: anthropic, model: m, prompt: p.md}"
    (found,) = errors(tmp_path, variant, p__md="Hello\n{% if %}\n")

    assert found.startswith("p.md:2: not a template: ")


# Examples ------------------------------------------------------------------------------------


def test_examples_are_shown_as_turns_before_the_case(tmp_path):
    found = loaded(tmp_path, [f"one: {EXAMPLES}"], t__jsonl=TRAIN)

    assert found["one"].shots == (
        ("user", "q0"),
        ("assistant", "a0"),
        ("user", "q1"),
        ("assistant", "a1"),
    )


def test_an_example_of_several_turns_keeps_them(tmp_path):
    messages = [{"role": "user", "content": "hi"}]
    row = json.dumps({"messages": messages, "expected": ["hello", "hey"]})

    assert loaded(tmp_path, [f"one: {EXAMPLES}"], t__jsonl=row)["one"].shots == (
        ("user", "hi"),
        ("assistant", "hello"),
    )


def test_random_examples_are_the_same_for_the_same_seed_and_others_for_another(tmp_path):
    one = "{provider: anthropic, model: m, examples: {from: t.jsonl, choose: random, seed: %d}}"
    found = loaded(tmp_path, [f"a: {one % 1}", f"b: {one % 1}", f"c: {one % 2}"], t__jsonl=TRAIN)

    assert found["a"].shots == found["b"].shots
    assert found["a"].shots != found["c"].shots


LONG = "Please tell me where the parcel is that I ordered on Monday"
OF_LONG = f"cases: [{{input: {LONG}, expected: b}}]\ngates: {{accuracy: {{min: 0.5}}}}\nvariants:\n"
NEARLY = LONG.replace("Please", "Now")


WITH_TONE = f'{EXAMPLES[:-1]}, user: "{{{{ tone }}}}"}}'
#: The variant, the head of the suite, the row of the file, and what is told of the row.
UNSHOWN = [
    *(
        (
            EXAMPLES,
            HEAD,
            {"input": asked, "expected": "b"},
            ":1 is the eval case s.ftgate.yaml:1; remove one",
        )
        for asked in ("Where is it", "where  IS\n it")
    ),
    (
        EXAMPLES,
        OF_LONG,
        {"input": NEARLY, "expected": "b"},
        ":1 is nearly the eval case s.ftgate.yaml:1; remove one",
    ),
    (EXAMPLES, HEAD, {"input": "q"}, ':1 has no "expected", so nothing to show'),
    (WITH_TONE, HEAD, {"input": "q", "expected": "a"}, ":1 cannot be shown: 'tone' is undefined"),
]


@every_row(("variant", "head", "row", "message"), UNSHOWN)
def test_an_example_that_gives_a_case_away_or_cannot_be_shown_is_refused(
    tmp_path, variant, head, row, message
):
    assert errors(tmp_path, f"one: {variant}", head=head, t__jsonl=json.dumps(row)) == [
        f'4: variant "one": example t.jsonl{message}'
    ]


def test_a_file_with_nothing_to_learn_from_is_refused(tmp_path):
    row = json.dumps({"prompt": "q", "completion": "a", "label": False})

    assert errors(tmp_path, f"one: {EXAMPLES}", t__jsonl=row) == [
        '4: variant "one": examples: t.jsonl has no row to learn from'
    ]


@every_row(("written", "answer"), [("shots: 2", "c"), ("shots: 2, choose: similar", "b")])
def test_nearly_the_words_of_a_case_give_nothing_away_with_another_answer_or_unshown(
    tmp_path, written, answer
):
    row = json.dumps({"input": NEARLY, "expected": answer})
    variant = f"one: {EXAMPLES.replace('shots: 2', written)}"

    assert loaded(tmp_path, [variant], head=OF_LONG, t__jsonl=row)["one"]


def said(role, text):
    return {"role": role, "content": text}


def test_an_example_of_one_turn_is_asked_as_the_case_is_and_its_own_prompt_is_not_shown(tmp_path):
    row = {"messages": [said("system", "Be kind."), said("user", "q"), said("assistant", "a")]}
    variant = f'one: {EXAMPLES[:-1]}, user: "Ticket {{{{ input }}}}"}}'

    found = loaded(tmp_path, [variant], t__jsonl=json.dumps(row))

    assert found["one"].shots == (("user", "Ticket q"), ("assistant", "a"))


def test_an_example_of_more_turns_is_shown_as_it_is(tmp_path):
    turns = [said("user", "q"), said("assistant", "which?"), said("user", "r")]
    row = {"messages": [*turns, said("assistant", "a")]}
    variant = f'one: {EXAMPLES[:-1]}, user: "Ticket {{{{ input }}}}"}}'

    found = loaded(tmp_path, [variant], t__jsonl=json.dumps(row))

    assert found["one"].shots == (
        *((one["role"], one["content"]) for one in turns),
        ("assistant", "a"),
    )


def test_a_rejected_answer_is_never_shown(tmp_path):
    rows = [{"prompt": f"q{n}", "completion": "a", "label": n > 2} for n in range(9)]

    found = loaded(tmp_path, [f"one: {EXAMPLES}"], t__jsonl="\n".join(map(json.dumps, rows)))

    assert shown(found["one"].shots) == ["q3", "q4"]


def test_an_example_with_a_label_that_the_suite_does_not_have_is_refused_at_its_line(tmp_path):
    head = f"reply: {{format: {{choice: [a, b]}}}}\n{HEAD}"
    row = '{"text": "q", "label": "c"}'

    (found,) = errors(tmp_path, f"one: {EXAMPLES}", head=head, t__jsonl=row)

    assert (
        found == 't.jsonl:1: expected "c" is not one of the labels of format: choice; labels: a, b'
    )


def test_training_data_is_read_and_its_errors_are_told_once_for_all_variants(tmp_path):
    tuned = "{provider: anthropic, model: m, base: n, training_data: t.jsonl}"
    found = errors(tmp_path, f"one: {tuned}", "two: {like: one, model: o}", t__jsonl=f"{TRAIN}\n{{")

    assert [error.split(": ")[:2] for error in found] == [["t.jsonl:11", "not JSON"]]


LABELLED = "".join(
    f'{{"input": "{said}", "expected": "{label}"}}\n'
    for said, label in [("late parcel", "a"), ("no parcel", "a"), ("refund me", "b"), ("pay", "b")]
)


def shown(found):
    return [text for role, text in found if role == "user"]


def test_examples_are_chosen_for_each_label_in_the_order_of_the_file(tmp_path):
    examples = "examples: {from: t.jsonl, choose: per_label, shots: 1}"
    one = loaded(
        tmp_path, [f"one: {{provider: anthropic, model: m, {examples}}}"], t__jsonl=LABELLED
    )["one"]

    assert shown(one.shots) == ["late parcel", "refund me"]


def test_similar_examples_are_a_pool_from_which_each_case_gets_its_own(tmp_path):
    examples = "examples: {from: t.jsonl, choose: similar, shots: 2}"
    one = loaded(
        tmp_path, [f"one: {{provider: anthropic, model: m, {examples}}}"], t__jsonl=LABELLED
    )["one"]

    found = most_similar(one.shot_pool, "where is my parcel", one.similar_shots)

    assert one.shots == ()
    assert sorted(shot.input_text for shot in found) == ["late parcel", "no parcel"]


def test_an_example_that_is_nearly_the_case_is_not_shown_with_it(tmp_path):
    examples = "examples: {from: t.jsonl, choose: similar, shots: 4}"
    one = loaded(
        tmp_path, [f"one: {{provider: anthropic, model: m, {examples}}}"], t__jsonl=LABELLED
    )["one"]

    found = most_similar(one.shot_pool, "Late parcel!", 4)

    assert "late parcel" not in [shot.input_text for shot in found]


LABELS = """\
reply: {format: {choice: [a, b]}}
cases: [{input: Where is it, expected: b}]
gates: {accuracy: {min: 0.5}}
variants:
"""


@every_row("provider", ["openai-compatible", "llamacpp", "transformers"])
def test_a_provider_that_can_enforce_labels_may_be_asked_to(tmp_path, provider):
    variant = f"one: {{provider: {provider}, model: m, response_schema: true}}"

    assert loaded(tmp_path, [variant], LABELS)["one"].constrained


# Keys ----------------------------------------------------------------------------------------


def test_every_sampling_key_reaches_the_variant(tmp_path):
    shared = "temperature: 0.5, top_p: 0.9, stop: [x]"
    hosted = f"one: {{provider: anthropic, model: m, {shared}, effort: low}}"
    local = f"two: {{provider: llamacpp, model: m, {shared}, seed: 3}}"
    found = loaded(tmp_path, [hosted, local])

    common = {"temperature": 0.5, "top_p": 0.9, "stop": ("x",)}
    assert found["one"].sampling == {**common, "effort": "low"}
    assert found["two"].sampling == {**common, "seed": 3}


def test_every_declared_key_that_is_available_can_be_written():
    later = {n for n, f in DeclaredVariant.model_fields.items() if f.json_schema_extra}

    assert not later & {key for spec in PROVIDERS.values() for key in spec.required}


def test_the_name_of_a_model_may_be_an_address(tmp_path):
    name = "tinker://0123:train:0/sampler_weights/000080"
    served = "{provider: openai-compatible, base_url_env: TUNED_URL, base: org/base, model: "

    assert loaded(tmp_path, [f'one: {served}"{name}"}}'])["one"].model == name
