"""Calls and their fingerprints: changed by what can change a reply, and by nothing else."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from ftgate_testing.suite_files import load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.requests import request_groups as plan
from pytest_ftgate.requests.request import Adapter, distinct_requests, group_by_adapter
from pytest_ftgate.skills.answers import answer_end_of
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.draft import PluginContributions

CLAUDE = "one: {provider: anthropic, model: m}"
UNGATED = "one: {provider: anthropic, model: m, gated: false}\n  two: {like: one}"
LOCAL = "one: {provider: llamacpp, model: m.gguf}"
TOP_K = "one: {provider: llamacpp, model: m.gguf, extra: {top_k: 1}}"
TUNED = "one: {provider: llamacpp, model: m.gguf, adapter: a.gguf}"
FUNCTION = 'one: {provider: python, function: "answers:reply"}'
RECORDED = "one: {provider: recorded, replies: r.jsonl}"
HOUSE = "one: {provider: house, model: m}"
HOUSE_TUNED = "one: {provider: house, model: m, adapter: a.gguf}"
OPENAI = "one: {provider: openai-compatible, model: m}"
SERVED = "one: {provider: openai-compatible, model: m, base: n}"
SERVED_TUNED = SERVED.replace("base", "adapter: a.gguf, base")
AGENT = 'one: {provider: anthropic, model: m, tools: ["shop:look"]}'
OF_ONE_TEST = (FUNCTION, CLAUDE, RECORDED)
FILES = {
    "m.gguf": "weights",
    "a.gguf": "GGUF adapter",
    "p.md": "Be kind.\n",
    "r.jsonl": '{"id": "a", "text": "b"}\n',
    "answers.py": "def reply(case):\n    return 'b'\n",
    "t.jsonl": '{"input": "q", "expected": "r"}\n',
    "shop.py": 'def look(id: str):\n    """Look."""\n    import stock\ndef find(id: str): ...\n',
    "stock.py": "LEFT = 3\n",
}
CASES = ("{id: a, input: hello, expected: b}",)


def suite(folder, *variants, cases=CASES, more="", **files):
    """Load a suite; *files* replace those of FILES, with ``__`` for the dot."""
    there = FILES | {name.replace("__", "."): text for name, text in files.items()}
    listed = "".join(f"\n  - {case}" for case in cases)
    house = PluginContributions(providers=["house"])
    return load_variants(folder, *variants, files=there, plugins=house, cases=listed, head=more)


def asks(folder, variant, environ=None, **rest):
    found = suite(folder, variant, **rest)
    return plan.task_requests(
        found, next(iter(found.variants.values())), environ or {}, found.repeats or 1
    )


def fingerprint(folder, variant, environ=None, **rest):
    return asks(folder, variant, environ, **rest)[0].request.fingerprint


# What changes a fingerprint ------------------------------------------------------------------

PROMPT = "prompt: p.md\n"
SHOTS = "one: {provider: anthropic, model: m, examples: {from: t.jsonl}}"
SCHEMA = "one: {provider: llamacpp, model: m.gguf, response_schema: true}"
CHOICE = "reply: {format: {choice: [b, c]}}\n"
OTHER = {"a__gguf": "GGUF other adapter"}


def more(variant, keys):
    """Return *variant* with further *keys*."""
    return f"{variant[:-1]}, {keys}}}"


def one_case(more="", key="a", said="hello", expected="b"):
    return {"cases": (f"{{id: {key}, input: {said}, expected: {expected}{more}}}",)}


AT_X = more(CLAUDE, 'base_url: "http://x"')
SERVER = "one: {provider: openai-compatible, model: m}"
TWO_FUNCTIONS = {"answers__py": "def reply(c): ...\ndef other(c): ...\n"}
NORTH = more(HOUSE, "options: {region: north}")
TOLD = FILES["shop.py"].replace("Look", "Search")
#: What differs, and two variants, each with what else the suite and its files have.
CHANGES = {
    "the model": (CLAUDE, CLAUDE.replace("model: m", "model: n")),
    "the provider": (CLAUDE, CLAUDE.replace("anthropic", "llamacpp").replace("m}", "m.gguf}")),
    "the prompt": ((CLAUDE, {"more": PROMPT}), (CLAUDE, {"more": PROMPT, "p__md": "Be terse.\n"})),
    "whether there is a prompt": (CLAUDE, (CLAUDE, {"more": PROMPT})),
    "the user message": (CLAUDE, (CLAUDE, {"more": 'user: "Q: {{ input }}"\n'})),
    "the input": (CLAUDE, (CLAUDE, one_case(said="bye"))),
    "the examples": (SHOTS, (SHOTS, {"t__jsonl": '{"input": "q", "expected": "other"}'})),
    "whether there are examples": (CLAUDE, SHOTS),
    "the weights": (LOCAL, (LOCAL, {"m__gguf": "other weights"})),
    "the adapter": (TUNED, (TUNED, OTHER)),
    "whether there is an adapter": (LOCAL, TUNED),
    "the adapter of a plugin's provider": (HOUSE_TUNED, (HOUSE_TUNED, OTHER)),
    "the scale of a plugin's provider": (HOUSE_TUNED, more(HOUSE_TUNED, "scale: 0.5")),
    "the adapter on a server": (SERVED_TUNED, (SERVED_TUNED, OTHER)),
    "whether a server has an adapter": (SERVED, SERVED_TUNED),
    "the scale": (TUNED, more(TUNED, "scale: 0.5")),
    "the temperature": (CLAUDE, more(CLAUDE, "temperature: 0.5")),
    "the options": (NORTH, NORTH.replace("north", "south")),
    "whether there is extra": (LOCAL, TOP_K),
    "the extra": (TOP_K, TOP_K.replace("top_k: 1", "top_k: 2")),
    "the name of a provider from elsewhere": (HOUSE, CLAUDE),
    "the seed": (LOCAL, more(LOCAL, "seed: 7")),
    "the stop words": (CLAUDE, more(CLAUDE, "stop: [x]")),
    "the effort": (CLAUDE, more(CLAUDE, "effort: low")),
    "the length": (CLAUDE, more(CLAUDE, "max_tokens: 9")),
    "the suite's length": (CLAUDE, (CLAUDE, {"more": "reply: {max_tokens: 9}\n"})),
    "whether it is constrained": ((LOCAL, {"more": CHOICE}), (SCHEMA, {"more": CHOICE})),
    "the constraint": ((SCHEMA, {"more": CHOICE}), (SCHEMA, {"more": CHOICE.replace("c]", "d]")})),
    "the address": (CLAUDE, AT_X),
    "the function's name": (FUNCTION, (FUNCTION.replace("reply", "other"), TWO_FUNCTIONS)),
    "the function's source": (FUNCTION, (FUNCTION, {"answers__py": "def reply(case): ...\n"})),
    "the recorded file": (RECORDED, (RECORDED, {"r__jsonl": '{"id": "a", "text": "other"}\n'})),
    "whether there are tools": (CLAUDE, AGENT),
    "which tools there are": (AGENT, AGENT.replace("look", "find")),
    "how many tools there are": (AGENT, AGENT.replace('look"', 'look", "shop:find"')),
    "what is told of a tool": (AGENT, (AGENT, {"shop__py": TOLD})),
    "what a tool imports from beside it": (AGENT, (AGENT, {"stock__py": "LEFT = 4\n"})),
    "how often it may be asked": (AGENT, more(AGENT, "max_turns: 2")),
    "the values of a case for a function": (FUNCTION, (FUNCTION, one_case(", vars: {t: z}"))),
}
OTHER_NAME = {"more": "prompt: q.md\n", "q__md": FILES["p.md"]}
B_GGUF, AT_HERE = {"b__gguf": FILES["a.gguf"]}, {"environ": {"HERE": "http://x"}}
SAME = {
    "the variant's name": (CLAUDE, CLAUDE.replace("one:", "two:")),
    "whether it is gated": (CLAUDE, UNGATED),
    "whether it is asked in a batch": (CLAUDE, more(CLAUDE, "batch: true")),
    "the slots": (LOCAL, more(LOCAL, "slots: 3")),
    "the threads": (LOCAL, more(LOCAL, "threads: 3")),
    "the place of the case": (CLAUDE, (CLAUDE, {"more": "# a comment\n\n"})),
    "the name of the key's variable": (CLAUDE, more(CLAUDE, "api_key_env: KEY")),
    "the id of the case": (CLAUDE, (CLAUDE, one_case(key="z"))),
    "what is expected": (CLAUDE, (CLAUDE, one_case(expected="c"))),
    "the tags": (CLAUDE, (CLAUDE, one_case(", tags: [x]"))),
    "the name of the prompt's file": ((CLAUDE, {"more": PROMPT}), (CLAUDE, OTHER_NAME)),
    "the name of the weights' file": (LOCAL, (LOCAL.replace("m.", "n."), {"n__gguf": "weights"})),
    "the name of the adapter's file": (TUNED, (TUNED.replace("a.gguf", "b.gguf"), B_GGUF)),
    "a format that nothing is held to": (CLAUDE, (CLAUDE, {"more": CHOICE})),
    "the price": (CLAUDE, more(CLAUDE, "usd_per_1k: 3")),
    "greedy sampling said or not": (LOCAL, more(LOCAL, "temperature: 0")),
    "where the address stands": (AT_X, (more(CLAUDE, "base_url_env: HERE"), AT_HERE)),
}


@pytest.mark.slow
@every_row(
    ("what", "both", "distinct"),
    [
        *((what, both, 2) for what, both in CHANGES.items()),
        *((what, both, 1) for what, both in SAME.items()),
    ],
)
def test_a_fingerprint_changes_with_what_can_change_a_reply_alone(tmp_path, what, both, distinct):
    found = set()
    for number, one in enumerate(both):
        variant, rest = one if isinstance(one, tuple) else (one, {})
        folder = tmp_path / str(number)
        folder.mkdir()
        found.add(fingerprint(folder, variant, **rest))

    assert len(found) == distinct


def test_a_request_holds_the_settings_of_the_machine_and_the_tools(tmp_path):
    (local,) = asks(tmp_path, more(LOCAL, "slots: 3, threads: 2"))
    (agent,) = asks(tmp_path, more(AGENT, "max_turns: 2"))

    assert local.request.runtime == {"slots": 3, "threads": 2}
    assert [(tool.name, tool.description) for tool in agent.request.tools] == [("look", "Look.")]
    assert (agent.request.max_turns, agent.request.steps) == (2, ())


# Secrets -------------------------------------------------------------------------------------


@every_row(
    "address", ["https://me:hunter2@api.example:8443/v2", "https://hunter2@api.example:8443/v2"]
)
@every_row("by_name", [True, False])
def test_credentials_in_an_address_reach_neither_the_request_nor_its_fingerprint(
    tmp_path, address, by_name
):
    written = "base_url_env: HERE" if by_name else f'base_url: "{address}"'
    variant = more(CLAUDE, written)
    plain = more(CLAUDE, 'base_url: "https://api.example:8443/v2"')

    (ask,) = asks(tmp_path, variant, {"HERE": address})

    assert ask.request.base_url == "https://api.example:8443/v2"
    assert "hunter2" not in repr(ask.request)
    assert ask.request.fingerprint == fingerprint(tmp_path, plain)


@every_row(
    ("environ", "told"),
    [
        ({"HERE": "http://127.0.0.1:PORT"}, "^HERE: no address: Port .* write it as http"),
        (
            {"HERE": "http://me:hush@a http://b"},
            "^HERE: one text is one address; put a load balancer",
        ),
        ({"HERE": ""}, "^HERE is not set; set it to the address"),
        ({}, "^HERE is not set; set it to the address"),
    ],
)
def test_an_address_that_the_environment_does_not_have_is_told_by_name(tmp_path, environ, told):
    with pytest.raises(ConfigurationError, match=told):
        asks(tmp_path, more(CLAUDE, "base_url_env: HERE"), environ)


# Calls ---------------------------------------------------------------------------------------


def test_a_request_holds_prompt_examples_and_case_in_this_order(tmp_path):
    (ask,) = asks(tmp_path, SHOTS, more=PROMPT)

    assert ask.request.messages == (
        ("system", "Be kind."),
        ("user", "q"),
        ("assistant", "r"),
        ("user", "hello"),
    )


def test_a_case_of_several_turns_is_asked_as_it_stands(tmp_path):
    case = "{messages: [{role: user, content: hi}, {role: assistant, content: yes?}], expected: b}"
    (ask,) = asks(tmp_path, CLAUDE, cases=(case,))

    assert ask.request.messages == (("user", "hi"), ("assistant", "yes?"))


def test_a_case_may_say_how_long_its_reply_may_be(tmp_path):
    cases = ("{input: a, expected: b, max_tokens: 7}", "{input: c, expected: d}")
    found = asks(tmp_path, more(CLAUDE, "max_tokens: 9"), cases=cases)

    assert [ask.request.max_tokens for ask in found] == [7, 9]


def test_a_constraint_is_the_first_format_that_a_provider_can_hold_to(tmp_path):
    more = "reply: {format: [{regex: b}, {choice: [b, c]}]}\n"
    (ask,) = asks(tmp_path, SCHEMA, more=more)

    assert ask.request.constraint == {"choice": ["b", "c"]}


def test_only_providers_that_answer_without_a_prompt_are_given_the_case(tmp_path):
    given = {v: asks(tmp_path, v)[0].request.case is not None for v in (CLAUDE, FUNCTION, RECORDED)}

    assert given == {CLAUDE: False, FUNCTION: True, RECORDED: True}


@every_row(
    ("template", "message"),
    [
        ("{{ input.__class__ }}", "access to attribute '__class__'"),
        ("{{ input + 1 }}", "TypeError"),
        ("{{ tone }}", "'tone' is undefined"),
    ],
)
def test_a_prompt_that_fails_for_a_case_is_an_error_at_the_case(tmp_path, template, message):
    cases = ("{input: a, expected: b, vars: {tone: kind}}", "{input: c, expected: d}")

    with pytest.raises(SuiteError) as caught:
        asks(tmp_path, CLAUDE, more=PROMPT, cases=cases, p__md=template)

    (fault,) = caught.value.errors
    assert fault.line == (4 if "tone" in template else 3)
    assert f'variant "one": the prompt fails for this case: {message}' in fault.message


TWO = ("{id: a, input: x, expected: b}", "{id: b, input: y, expected: b}")
#: What differs is scored, and not sent.
ALIKE = ("{id: a, input: x, expected: b, vars: {n: 1}}", "{id: b, input: x, expected: b}")


@every_row(
    ("more", "cases"),
    [
        ('user: "Sort {{ input }}"\n', TWO),
        ('user: "Sort"\nprompt: i.md\n', TWO),
        ('user: "Sort"\n', ALIKE),
        ('user: "Sort"\n', TWO[:1]),
    ],
)
def test_inputs_may_reach_the_requests_in_any_way(tmp_path, more, cases):
    assert len(asks(tmp_path, CLAUDE, more=more, cases=cases, i__md="{{ input }}")) == len(cases)


def test_inputs_that_reach_no_request_are_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="all 2 cases send the same request, without"):
        asks(tmp_path, CLAUDE, more='user: "Sort {input}"\n', cases=TWO)


def test_weights_that_are_not_here_are_unavailable(tmp_path):
    with pytest.raises(ConfigurationError, match=r'model "none\.gguf": there is no such GGUF file'):
        asks(tmp_path, LOCAL.replace("m.gguf", "none.gguf"))


@every_row(("keys", "shown"), [
    ("base_url_env: HERE", "https://h/…"),
    ("base_url: https://h/written", "https://h/written"),
    ("base_url_env: PLAIN", "https://h/v1"),
    ("max_tokens: 3", "https://h/…"),
])  # fmt: skip
def test_the_path_of_an_address_is_shown_only_where_the_suite_has_written_it(tmp_path, keys, shown):
    environ = {"HERE": "https://me:pw@h/hooks/T0?q", "PLAIN": "https://h/v1"}
    environ["OPENAI_BASE_URL"] = "https://h/hooks/T1"

    (asked,) = asks(tmp_path, more(OPENAI, keys), environ)

    assert asked.request.shown_url == shown


# What is asked once --------------------------------------------------------------------------


def test_identical_requests_of_two_variants_and_of_two_cases_are_one(tmp_path):
    cases = ("{id: a, input: hi, expected: b}", "{id: b, input: hi, expected: c}")
    variants = (CLAUDE, "two: {like: one}", "three: {like: one, temperature: 1}")
    found = suite(tmp_path, *variants, cases=cases)
    every = [ask for v in found.variants.values() for ask in plan.task_requests(found, v, {})]

    assert len(every) == 6
    assert [call.sampling for call in distinct_requests(every)] == [{}, {"temperature": 1.0}]


@every_row(
    ("variant", "times"),
    [
        (CLAUDE, 3),
        (more(CLAUDE, "temperature: 0"), 3),
        (FUNCTION, 3),
        (more(LOCAL, "temperature: 0.7"), 3),
        (LOCAL, 1),
        (more(LOCAL, "temperature: 0"), 1),
        (RECORDED, 1),
    ],
)
def test_repeats_are_asked_only_of_what_could_answer_otherwise(tmp_path, variant, times):
    found = asks(tmp_path, variant, more="repeats: 3\n")

    assert [ask.repeat for ask in found] == list(range(times))
    assert len(distinct_requests(found)) == times


def test_recorded_replies_are_repeats_as_far_as_the_file_has_them(tmp_path):
    rows = '{"id": "a", "text": "b"}\n{"id": "a", "text": "c"}\n{"id": "z", "text": "b"}\n'
    cases = (*CASES, "{id: z, input: more, expected: b}")

    found = asks(tmp_path, RECORDED, more="repeats: 3\n", cases=cases, r__jsonl=rows)

    assert [(ask.case.id, ask.repeat) for ask in found] == [("a", 0), ("a", 1), ("z", 0)]


# Bases, skills and probes --------------------------------------------------------------------


@every_row(("variant", "model"), [(TUNED, "m.gguf"), (more(CLAUDE, "base: n"), "n")])
def test_the_base_is_the_model_without_what_was_tuned(tmp_path, variant, model):
    tuned = suite(tmp_path, variant).variants["one"]
    base = plan.base_variant(tuned)

    assert (base.name, base.model, base.tuned, base.gated) == ("base of one", model, False, False)
    assert (base.provider, base.sampling) == (tuned.provider, tuned.sampling)


def test_the_base_of_an_adapter_is_asked_what_an_untuned_variant_is_asked(tmp_path):
    found = suite(tmp_path, TUNED, LOCAL.replace("one:", "two:"))
    base = plan.task_requests(found, plan.base_variant(found.variants["one"]), {})

    assert distinct_requests(base) == distinct_requests(
        plan.task_requests(found, found.variants["two"], {})
    )


def test_skills_are_asked_without_what_the_product_adds(tmp_path):
    local = SHOTS.replace("anthropic, model: m", "llamacpp, model: m.gguf")
    full = local.replace("}}", "}, response_schema: true, max_tokens: 900, temperature: 0.5}")
    row = '{"input": "q", "expected": "c"}'
    found = suite(tmp_path, full, more=PROMPT + CHOICE, t__jsonl=row)
    case, *_ = cases = skill_cases(("logic",))
    first, *_ = made = plan.skill_requests(found, found.variants["one"], cases, {})

    assert len(made) == len(cases)
    assert first.request.messages == (case.messages or (("user", case.input),))
    assert (first.request.constraint, first.request.sampling) == (None, {"temperature": 0.5})
    assert first.request.max_tokens == (case.max_tokens or plan.SKILL_TOKENS)


def test_a_short_answer_of_a_skill_ends_the_reply_where_the_provider_can_end_it(tmp_path):
    found = suite(tmp_path, LOCAL, CLAUDE.replace("one:", "two:"))
    cases = skill_cases(("arithmetic", "code_writing", "summarising"))

    def made(variant, *, thinks=False):
        asked = plan.skill_requests(found, found.variants[variant], cases, {}, thinks=thinks)
        ends = {(one.case.skill, one.request.ends_at) for one in asked}
        return ends, {one.fingerprint for one in asked}

    ends, fingerprints = made("one")
    # A sum that is worked out in steps has its answer at the end.
    stated, worked = ("arithmetic", "sentence"), ("arithmetic", "")
    assert ends == {stated, worked, ("code_writing", "code"), ("summarising", "")}
    # Where the model thinks, nothing is known of the end of its reply.
    for variant, thinks in (("one", True), ("two", True), ("two", False)):
        assert {end for _, end in made(variant, thinks=thinks)[0]} == {""}
    both = fingerprints & made("one", thinks=True)[1]
    ended = [one for one in cases if answer_end_of(one.score.kind, one.score.value)]
    assert len(both) == len(cases) - len(ended)
    assert made("two")[1] == made("two", thinks=True)[1]


THINKING = ["openai/gpt-oss-20b", "qwq:32b", "Qwen/Qwen3-4B-Thinking-2507", "deepseek-r1:8b"]
THINKING += ["'ft:o4-mini:acme'", "tickets-v3, base: magistral-small"]
OF_CLAUDE = [("m, effort: low", True), ("m, thinking: {type: adaptive}", True)]
OF_CLAUDE += [("deepseek-r1, thinking: {type: disabled}", False)]


@every_row(
    ("provider", "model", "thinks"),
    [
        *(("openai-compatible", model, True) for model in THINKING),
        *(("openai-compatible", m, False) for m in ("gpt-4o", "r12-tuned", "rethinking-4b")),
        *(("anthropic", *known) for known in OF_CLAUDE),
    ],
)
def test_some_models_are_known_to_think_before_any_reply(tmp_path, provider, model, thinks):
    found = suite(tmp_path, f"one: {{provider: {provider}, model: {model}}}")

    assert plan.is_known_to_think(found.variants["one"]) is thinks


def test_room_to_think_comes_on_top_of_the_limit_of_each_case_for_models_alone(tmp_path):
    found = suite(tmp_path, CLAUDE, FUNCTION.replace("one:", "two:"))
    model, function = found.variants.values()
    cases = skill_cases(("logic",))
    roomy = plan.with_room(found, model, cases, 100)
    limits = [(case.max_tokens or plan.SKILL_TOKENS) + 100 for case in cases]

    assert [case.max_tokens for case in roomy] == limits
    assert plan.with_room(found, model, cases, 0) is cases
    assert plan.with_room(found, function, cases, 100) is cases


def test_skills_are_asked_without_the_grammar_of_the_product(tmp_path):
    extra = "{top_k: 1, guided_choice: [b], structured_outputs: {choice: [b]}, grammar: x}"
    variant = f"one: {{provider: openai-compatible, model: m, extra: {extra}}}"
    found = suite(tmp_path, variant)
    (request, *_) = plan.skill_requests(found, found.variants["one"], found.cases, {})

    assert request.request.extra == {"top_k": 1}


@every_row("count", [1, 59, 60, 61, 100, 119, 372])
def test_probes_are_spread_over_all_cases_and_each_is_a_new_request(tmp_path, count):
    cases = tuple(f"{{input: q{n}, expected: b}}" for n in range(count))
    first = asks(tmp_path, CLAUDE, cases=cases)
    second = plan.probe_requests(first)
    places = [int(ask.case.input[1:]) for ask in second]
    gaps = {b - a for a, b in pairwise(places)}

    assert len(second) == min(count, plan.PROBE_COUNT)
    assert places[0] == 0
    assert places[-1] >= count - count / len(second) - 1
    assert max(gaps, default=1) - min(gaps, default=1) <= 1
    assert not {a.request.fingerprint for a in first} & {a.request.fingerprint for a in second}
    assert {ask.request.repeat for ask in second} == {1}


def test_nothing_needs_no_probes():
    assert plan.probe_requests(()) == ()


@every_row(
    ("keys", "looked_up"),
    [("", "claude-haiku-5-5"), (", price_model: claude-opus-5-5", "claude-opus-5-5")],
)
def test_a_listed_base_has_a_price_of_its_own_and_a_declared_one_is_shared(
    tmp_path, keys, looked_up
):
    tuned = CLAUDE.replace("m}", f"tuned, base: claude-haiku-5-5{keys}}}")

    base = plan.base_variant(suite(tmp_path, tuned).variants["one"])

    assert base.tariff.model == looked_up


def test_a_fingerprint_stays_what_it_was_so_that_old_caches_are_still_found(tmp_path):
    found = fingerprint(tmp_path, CLAUDE, more=PROMPT)

    assert found == "2bd992f2019b9b31eb0b4bc5cbf249ec34f6a06ad36fe44ab36a8332ee20a933"


def test_functions_alone_are_asked_for_a_single_test_and_under_other_fingerprints(tmp_path):
    variants = [v.replace("one:", f"{name}:") for name, v in zip("abc", OF_ONE_TEST, strict=True)]
    shared = suite(tmp_path, *variants)
    own = shared.for_test("test_it.py::test_it", reads_cache=False)

    asked = {
        variant: [plan.task_requests(one, one.variants[variant], {})[0] for one in (shared, own)]
        for variant in "abc"
    }

    changed = {name for name, (one, other) in asked.items() if one != other}
    assert changed == {"a"}
    before, after = asked["a"]
    assert before.fingerprint != after.fingerprint
    assert (after.request.only_for, after.request.cache_key) == ("test_it.py::test_it", "")


def test_a_test_may_use_the_cached_reply_to_the_request_that_gates_send(tmp_path):
    shared = suite(tmp_path, FUNCTION)
    own = shared.for_test("test_it.py::test_it", reads_cache=True)
    (before,), (after,) = (
        plan.task_requests(one, one.variants["one"], {}) for one in (shared, own)
    )

    assert before.fingerprint != after.fingerprint
    assert after.request.cache_key == before.fingerprint
    # A repetition is another request, which another reply answers.
    again = [one.request.repeated("again").cache_key for one in (before, after)]
    assert again[0] == again[1] != before.fingerprint


def test_a_suite_without_functions_is_the_same_for_every_test(tmp_path):
    found = suite(tmp_path, CLAUDE, RECORDED.replace("one", "two"))

    assert found.for_test("test_it.py::test_it", reads_cache=False) is found


def test_equal_groups_of_requests_have_the_same_key(tmp_path):
    cases = ("{id: a, input: hello, expected: b}", "{id: b, input: hi}")
    first, second = (plan.Workload(asks(tmp_path, CLAUDE, cases=cases)) for _ in range(2))

    assert first is not second
    assert first.key == second.key == deepcopy(first).key
    assert plan.Workload.of(first) is first
    assert plan.Workload.of(list(first)).key == first.key


def test_other_requests_and_another_order_have_another_key(tmp_path):
    cases = ("{id: a, input: hello, expected: b}", "{id: b, input: hi}")
    group = plan.Workload(asks(tmp_path, CLAUDE, cases=cases))
    keys = {plan.Workload.of(part).key for part in ((), group, group[:1], group[1:], group[::-1])}

    assert len(keys) == 5


def test_a_workload_that_another_model_must_answer_has_another_key(tmp_path):
    # Both share their fingerprints, but the check of the served model differs.
    found = suite(tmp_path, HOUSE)
    variant = found.variants["one"]
    plain, named = (
        plan.Workload(plan.task_requests(found, one, {}))
        for one in (variant, replace(variant, served_model="m-2"))
    )

    assert [one.request.fingerprint for one in plain] == [one.request.fingerprint for one in named]
    assert plain.key != named.key


# The order, which spares the weights a change of their adapter --------------------------------


@pytest.fixture
def of(call):
    """Make a request with an adapter, or with none."""

    def made(adapter: str, number: int = 0):
        weights = Adapter(path=Path(adapter), scale=1.0, sha256=adapter) if adapter else None
        return call(f"{adapter}{number}", adapter=weights)

    return made


def names(requests) -> list[str]:
    return [request.messages[0][1] for request in requests]


def test_requests_with_one_adapter_follow_each_other_in_their_own_order(of):
    mixed = [of(adapter, number) for number in range(3) for adapter in ("", "a", "b")]

    told = ["0", "1", "2", "a0", "a1", "a2", "b0", "b1", "b2"]
    assert names(group_by_adapter(mixed)) == told


def test_requests_go_on_with_the_adapter_of_the_last_request_before_them(of):
    ordered = group_by_adapter([of("", 1), of("a", 1), of("b", 1)], after=[of(""), of("a")])

    assert names(ordered) == ["a1", "1", "b1"]


# What a base is called -----------------------------------------------------------------------


@every_row("others, expected", [
    ((), "base"),
    (("two: {like: one, scale: 0.5}",), "base"),
    (("two: {like: one, model: n.gguf}",), "base m.gguf"),
    (("two: {like: one, base_replies: r.jsonl}",), "base m.gguf"),
    (("two: {provider: llamacpp, model: n.gguf}",), "base"),
])  # fmt: skip
def test_a_base_is_named_where_the_suite_has_fine_tunes_of_several(tmp_path, others, expected):
    found = suite(tmp_path, TUNED, *others, n__gguf="other weights")

    assert plan.base_label(found, found.variants["one"]) == expected
