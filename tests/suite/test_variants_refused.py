"""Variants that cannot be used: each mistake is one error at its line, with what to write."""

from __future__ import annotations

from ftgate_testing.suite_files import PEFT, Like, errors_of, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.providers import PROVIDERS

FILES = {
    "t.jsonl": '{"input": "q", "expected": "a"}\n',
    "broken.jsonl": '{"input": "q", "expected": "a"}\n{',
    "a.gguf": "GGUF",
    "ia3/adapter_config.json": '{"peft_type": "IA3"}',
    "ia3/adapter_model.safetensors": "weights",
    "empty/adapter_model.safetensors": "weights",
    "docs/a.md": "A.",
    "docs/d.png": b"\x89PNG",
    "deep.json": '{"a": ' * 101 + "1" + "}" * 101,
    "list.json": "[]",
    "p.md": "Hello\nSpeak {{ toen }}\n",
    "if.md": "Hello\n{% if %}\n",
    **PEFT,
}
MODEL = "provider: anthropic, model: m"
LOCAL = "provider: llamacpp, model: m"
COMPATIBLE = "openai-compatible"
SERVER = f"provider: {COMPATIBLE}, model: m"
PYTHON = 'provider: python, function: "a:b"'
RETRIEVE = f"{MODEL}, retrieve: {{from: "


def errors(folder, *variants, files=FILES, **parts):
    house = PluginContributions(providers=["house"])
    return errors_of(load_variants, folder, *variants, files=files, plugins=house, **parts)


NO_MODEL = "has no untuned model to compare with; write base_replies: and a file of its replies"
NO_PROVIDER = f"provider is missing; one of {', '.join([*PROVIDERS, 'house'])}"
TOGETHER = "base_url: https://api.together.xyz/v1, api_key_env: TOGETHER_API_KEY"
OF_PLUGINS = "options means nothing to provider {}, only to providers of plugins; {}"
ITSELF = "is the model itself; name the tuned model"
GOES_INTO_EXTRA = "; a setting of the server itself goes into extra: {{{0}: …}}"
HERE = "provider: transformers, model: m"
PLACES = "write a GPU, such as 0, or cpu for each part of the model"
DEEP = f"{'{a: ' * 101}1{'}' * 101}"
SET = "extra: {0} is set by pytest-ftgate; write it as the variant's {1}"
BATCHED = "a batch is sent once, so it has no turns for tools; remove batch or tools"
#: The keys of a variant, and what is told of them in its line.
REFUSED = [
    ("provider: antropic, model: m", 'unknown provider "antropic"; did you mean "anthropic"?'),
    ("model: m", NO_PROVIDER),
    *(
        (f"{HERE}, load: {{device_map: {written}}}", f"device_map: {PLACES}")
        for written in ("{}", "{a: disk}", "{a: -1}", "{a: true}", '{a: "0"}', "{a: 1.5}")
    ),
    (f"{HERE}, load: {{device_map: all}}",
     Like("device_map is \"all\", but must be one of 'auto', 'bal...")),
    (f"{HERE}, load: {{device_map: auto, device: cpu}}",
     "device_map says where each part of the model goes; remove device"),
    (f"{HERE}, load: {{quantization: q4}}",
     "quantization is \"q4\", but must be one of 'nf4' or 'int8'"),
    (f"{HERE}, load: {{dtyp: float32}}", 'unknown key "dtyp"; did you mean "dtype"?'),
    (f"{HERE}, load: {{torch_dtype: float32}}", 'unknown key "torch_dtype"; write dtype'),
    (f"{HERE}, load: {{trust_remote_code: true}}",
     'unknown key "trust_remote_code"; code that a model brings is never run: remove it'),
    (f"{HERE}, load: cpu", 'load must be a mapping of keys to values, not "cpu"'),
    # The code of a repository is no name.
    (f"{HERE}, load: {{attention: a/b}}",
     Like("attention is \"a/b\", but must be one of 'eager', 'sdpa', ...")),
    # A server or an API is answered by the keys for it.
    *(
        (f"provider: {name}, model: m", f'unknown provider "{name}"; for {name} write {keys}')
        for name, keys in (
            ("ollama", f"provider: {COMPATIBLE}, base_url: http://127.0.0.1:11434/v1"),
            ("OpenAI", f"provider: {COMPATIBLE}"),
            ("together_ai", f"provider: {COMPATIBLE}, {TOGETHER}"),
        )
    ),
    # Keys.
    (f"{MODEL}, modle: n", 'unknown key "modle"; did you mean "model"?'),
    (f"{MODEL}, temperature: hot", 'temperature must be a number, not "hot"'),
    (f"{MODEL}, max_tokens: 0", "max_tokens is 0, but must be greater than or equal to 1"),
    (f"{MODEL}, seed: 1.5", "seed must be a whole number, not 1.5"),
    (f"{MODEL}, stop: [1]", 'stop is 1, but text is wanted here: write "1"'),
    *(
        (
            f"{MODEL}, effort: {effort}",
            (
                f"effort: {effort} means nothing to provider anthropic; "
                "write low, medium, high, xhigh or max"
            ),
        )
        for effort in ("none", "minimal")
    ),
    (f"{MODEL}, compared: false", "compared: this is the baseline, so remove compared: false"),
    (f"{MODEL}, response_schema: true",
     "response_schema needs a reply.format of json_schema with provider anthropic"),
    *(
        (f"{SERVER}, response_schema: {name}", f"response_schema: {name} is no schema; {told}")
        for name, told in (
            ("deep.json", "it nests deeper than 100 levels; ..."),
            ("list.json", "one is a JSON object"),
        )
    ),
    (f"{MODEL}, options: {{a: 1}}", OF_PLUGINS.format("anthropic", "remove it")),
    (f"{SERVER}, options: {{top_k: 1}}", OF_PLUGINS.format(COMPATIBLE, "write extra")),
    (f"{SERVER}, thinking: {{type: disabled}}",
     (f"thinking means nothing to provider {COMPATIBLE}, only to anthropic and bedrock; "
     "write effort")),
    (f"{MODEL}, system_prompt: p.md",
     'unknown key "system_prompt"; the system prompt is a file: write prompt: FILE'),
    (f"{SERVER}, api_key: sk-1",
     ('unknown key "api_key"; a key in a file gets committed: put it into a variable, and '
     "name that in api_key_env")),
    # Addresses.
    (f'{SERVER}, base_url: "127.0.0.1:8000/v1"',
     "the address does not begin with http:// or https://; write http://127.0.0.1:8000/v1"),
    (f'{SERVER}, base_url: "http://127.0.0.1:PORT/v1"',
     ("no address: Port could not be cast to integer value as 'PORT'; write it as "
     "http://localhost:8080/v1")),
    (f'{SERVER}, base_url: "http://a/v1, http://b/v1"',
     "one text is one address; put a load balancer before the servers"),
    (f"{SERVER}, base_url: ['http://a/v1', 'http://b/v1']",
     "base_url must be text, not a list; put a load balancer before the servers"),
    (f"{SERVER}, base: {{model: n, base_url: ['http://a/v1']}}",
     "base_url must be text, not a list; put a load balancer before the servers"),
    *(
        (
            f'{SERVER}, base_url: "{url}"',
            f"variables are not read here; write base_url_env: {name}, with the address in {name}",
        )
        for url, name in (("${URL}", "URL"), ("http://${HOST}:8000/v1", "HOST"))
    ),
    # Files and templates.
    ("provider: recorded, replies: no.jsonl", "replies: no.jsonl does not exist (looked in ./)"),
    # Fine-tunes that make no sense.
    (f"{MODEL}, training_data: t.jsonl",
     "training_data needs an adapter or a base; add one, or remove training_data"),
    (f"{MODEL}, base: m", f'base "m" {ITSELF}'),
    (f"{LOCAL}, adapter: a.gguf, base: n",
     "base: with an adapter the base is the model without it; remove base"),
    (f"{PYTHON}, base: m", f"base: provider python {NO_MODEL}"),
    # Adapters.
    (f"{LOCAL}, adapter: t.jsonl",
     ("adapter: t.jsonl is neither a GGUF file nor the folder in which a trainer saves an "
     "adapter (adapter_config.json, adapter_model.safetensors)")),
    (f"{LOCAL}, adapter: ia3", "adapter: ia3 cannot be used as an adapter: its peft..."),
    (f"{SERVER}, base: llama, adapter: empty",
     "adapter: empty has no adapter_config.json; name the..."),
    (f"{SERVER}, adapter: out",
     "adapter without base: name its untuned model at the same server, base: NAME"),
    # Settings of a server.
    *(
        (f"{SERVER}, extra: {{{key}: 1}}", SET.format(key, own))
        for key, own in (
            ("model", "model"),
            ("max_tokens", "max_tokens"),
            ("reasoning_effort", "effort"),
        )
    ),
    (f"{SERVER}, extra: {{stream: true}}",
     "extra: stream is set by pytest-ftgate; replies are read as a whole; remove it"),
    (f"{SERVER}, extra: {{response_format: {{type: json_object}}}}",
     "extra: response_format is set by pytest-ftgate; write response_schema: true"),
    *(
        (f"{LOCAL}, extra: {{{written}}}", f"...{told}...")
        for written, told in (
            (f"grammar: '{'(' * 30_000}'", "grammar: its brackets nest deeper than 100 levels"),
            (f"grammar: '{'x' * 1_000_001}'", "grammar: it has more than 1,000,000 characters"),
            ("grammar: 'a{1,999999999}'", "grammar: a part is repeated more than 10,000 times"),
            (f"json_schema: {DEEP}", "json_schema: it nests deeper than 100 levels"),
            (f"guided_json: {DEEP}", "guided_json: it nests deeper than 100 levels"),
        )
    ),
    (f"{LOCAL}, extra: {{lora: [{{id: 0, scale: 1}}]}}",
     "...write it as the variant's adapter and scale"),
    *(
        (f"{SERVER}, {key}: 1.1", f'unknown key "{key}"{GOES_INTO_EXTRA.format(key)}')
        for key in ("repetition_penalty", "top_k", "min_p")
    ),
    (f"{SERVER}, extra_body: {{top_k: 3}}",
     'unknown key "extra_body"; settings of the server itself go into extra: {…}'),
    # Tools.
    *(
        (f'{MODEL}, tools: ["{written}"]', f'tools: "{written}" is no function; write ...')
        for written in ("lookup", "shop.lookup", "a:b-c")
    ),
    (f'{MODEL}, tools: ["shop:lookup", "other:lookup"]',
     "tools: 2 have the name lookup; rename one, since models call by name"),
    (f'{MODEL}, tools: ["shop:none", "shop:lookup"]',
     "...a tool cannot be called none, which cases expect where none is called..."),
    # Batches.
    (f'{MODEL}, tools: ["a:b"], batch: true', BATCHED),
    (f"{SERVER}, base: llama, base_url: 'http://h/v1', adapter: out, batch: true",
     "a batch may outlive the run that loads the adapter; remove batch or adapter"),
    # Retrieval.
    (f"{RETRIEVE}[]}}", "retrieve: from is an empty list; name a file or a glob"),
    (f"{MODEL}, retrieve: 'docs/*.md'",
     '...docs/*.md" is no module:function; for files write retrieve: {from:...'),
]  # fmt: skip


@every_row(("keys", "message"), REFUSED)
def test_a_variant_that_cannot_be_used_is_one_error_with_what_to_write(tmp_path, keys, message):
    assert errors(tmp_path, f"one: {{{keys}}}") == [Like(f'4: variant "one": {message}')]


ONE = f"one: {{{MODEL}}}"
CHUNKED = f"{MODEL}, retrieve: {{from: docs/a.md, chunk: 19, top: 0}}"
#: Variants, and all that is told of them.
TOLD = [
    ([f"current: {{{MODEL}}}", "b: {like: curent}"],
     ['5: variant "b": like: there is no variant "curent"; did you mean "current"?']),
    (["a: {like: b}", "b: {like: a}"], ['4: variant "a": like: a -> b -> a is a circle',
     '5: variant "b": like: b -> a -> b is a circle']),
    # Reports, node ids and commands have it in one line.
    (
        [f'"a\\e[31m\\nb": {{{MODEL}}}', f'" ": {{{MODEL}}}'],
        [
            f"{line}: variant {name!r}: write a name in one line of printable characters"
            for line, name in ((4, "a\x1b[31m\nb"), (5, " "))
        ],
    ),
    # An inherited mistake is told once, where it stands.
    ([f"one: {{{MODEL}, max_turns: 2}}", "two: {like: one}"],
     [Like('4: variant "one": max_turns without tools: without tools there is one turn; rem...')]),
    ([f"one: {{{MODEL}, base: n, training_data: broken.jsonl}}", "two: {like: one, model: o}"],
     [Like("broken.jsonl:2: not JSON: ...")]),
    # A key that contradicts an inherited one is told where it stands.
    ([f'one: {{{MODEL}, tools: ["a:b"]}}', "two: {like: one, batch: true}"],
     [f'5: variant "two": {BATCHED}']),
    ([f"one: {{{MODEL}, batch: true}}", 'two: {like: one, tools: ["a:b"]}'],
     [f'5: variant "two": {BATCHED}']),
    ([f"one: {{{MODEL}, retrieve: {{form: a.md}}}}"], ['4: variant "one": "from" is missing',
     '4: variant "one": unknown key "form"; did you mean "from"?']),
    ([f"one: {{{CHUNKED}}}"],
     ['4: variant "one": chunk is 19, but must be greater than or equal to 20',
     '4: variant "one": top is 0, but must be greater than or equal to 1']),
    (
        [f"one: {{{RETRIEVE}'/docs/*.md'}}}}"],
        [Like("4: retrieve: from: /docs/*.md is no glob: Non-relative patterns are ...")],
    ),
    # A file is told of at its own line.
    ([f"one: {{{MODEL}, prompt: p.md}}"], ['p.md:2: no case has "toen"; did you mean "tone"?']),
    ([f"one: {{{MODEL}, prompt: if.md}}"], [Like("if.md:2: not a template: ...")]),
    ([f"one: {{{RETRIEVE}docs/d.png}}}}"],
     ["docs/d.png:1: retrieve: the file is not UTF-8 from here on: save it as UTF-8"]),
]  # fmt: skip


@every_row(("variants", "told"), TOLD)
def test_what_is_wrong_with_variants_is_told_once_where_it_stands(tmp_path, variants, told):
    assert errors(tmp_path, *variants) == told


def test_a_file_of_cases_with_their_answers_cannot_be_retrieved_from(tmp_path):
    (found,) = errors(tmp_path, f"one: {{{RETRIEVE}t.jsonl}}}}", cases="t.jsonl")

    assert found.endswith("retrieve: t.jsonl contains cases with their answers; leave it out")


@every_row(("provider", "key"), [(p, k) for p, spec in PROVIDERS.items() for k in spec.required])
@every_row("written", ["", ", {key}: null", ", {key}: "])
def test_what_a_provider_cannot_do_without_is_named(tmp_path, provider, key, written):
    variant = f"one: {{provider: {provider}{written.format(key=key)}}}"

    assert errors(tmp_path, variant) == [f'4: variant "one": provider {provider} needs {key}']


HOSTED = "anthropic, bedrock, bedrock-converse and openai-compatible"
FOREIGN = [
    ("anthropic", "adapter", "a.gguf", "llamacpp, openai-compatible and transformers"),
    ("anthropic", "seed", "2", "llamacpp, openai-compatible and transformers"),
    ("anthropic", "load", "{dtype: float32}", "transformers"),
    ("anthropic", "threads", "2", "llamacpp"),
    ("llamacpp", "load", "{device_map: auto}", "transformers"),
    ("house", "load", "{attention: sdpa}", "transformers"),
    ("llamacpp", "base_url", "http://localhost", HOSTED),
    ("llamacpp", "api_key_env", "KEY", "anthropic and openai-compatible"),
    ("llamacpp", "effort", "low", "anthropic, bedrock and openai-compatible"),
    *(
        (name, "batch", "true", "anthropic and openai-compatible")
        for name in ("bedrock", "llamacpp", "house")
    ),
    # A provider of a plugin is not told what only one of ours can do.
    ("house", "slots", "2", "command, llamacpp and transformers"),
    ("house", "function", '"a:b"', "python"),
    ("house", "replies", "a.gguf", "recorded"),
    # Nor is one without a prompt or a model of its own told what only a model can do.
    ('python, function: "a:b"', "tools", '["shop:lookup"]', "..."),
    ('python, function: "a:b"', "retrieve", '"a:c"', "..."),
]


@every_row(("provider", "key", "value", "only"), FOREIGN)
def test_a_key_of_another_provider_is_refused_and_not_ignored(tmp_path, provider, key, value, only):
    name, _, given = provider.partition(", ")
    keys = f"provider: {name}, {given or 'model: m'}, {key}: {value}"

    assert errors(tmp_path, f"one: {{{keys}}}") == [
        Like(f'4: variant "one": {key} means nothing to provider {name}, only to {only}; remove it')
    ]


SECRETS = [
    ("api_key: abc", "api_key"),
    ("headers: {Authorization: x}", "headers.Authorization"),
    ("opts: {list: [{access-token: x}]}", "opts.list.access-token"),
    ("note: sk-proj-0123456789abcdefghij", "note"),
    ("header: Bearer 0123456789abcdef", "header"),
]


@every_row(("written", "place"), SECRETS)
def test_a_credential_is_no_extra_and_is_not_repeated(tmp_path, written, place):
    (found,) = errors(tmp_path, f"one: {{{SERVER}, extra: {{{written}}}}}")

    assert f"extra: {place} looks like a credential" in found
    assert "0123456789" not in found


# What cases expect of tools ------------------------------------------------------------------

TOOLS = f'one: {{{MODEL}, tools: ["shop:lookup"]}}'


def expecting(expected):
    return {"cases": f"[{{input: a, expected: {expected}}}]", "more": "reply: {score: tool_call}\n"}


CALL = "{name: lookup, arguments: {a: 1}}"


@every_row("expected", ["lookup", "none", "{name: none}", CALL, "[none, {name: lookup}]"])
def test_a_case_may_expect_a_tool_of_a_variant_or_none(tmp_path, expected):
    assert load_variants(tmp_path, TOOLS, **expecting(expected)).cases


NO_TOOL = 'expected "lokup" is a tool of no variant; did you mean "lookup"?'


@every_row(
    ("expected", "told"),
    [
        *((expected, NO_TOOL) for expected in ("lokup", "{name: lokup}", "[none, lokup]")),
        ("3", 'expected is the number 3, but tool_call reads text: write "3"'),
    ],
)
def test_a_case_that_expects_what_is_no_tool_of_a_variant_is_an_error(tmp_path, expected, told):
    assert errors(tmp_path, TOOLS, **expecting(expected)) == [f"1: {told}"]


def test_where_no_variant_has_tools_any_may_be_expected(tmp_path):
    assert load_variants(tmp_path, ONE, **expecting("lookup")).cases


def test_a_tool_that_names_no_function_is_not_missed_by_cases_as_well(tmp_path):
    variant = TOOLS.replace("shop:lookup", "shop.lookup")

    (error,) = errors(tmp_path, variant, **expecting("lookup"))

    assert "is no function" in error
