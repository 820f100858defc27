"""The base of a variant: a model at the same address, a model elsewhere, or another variant."""

from __future__ import annotations

from functools import partial

from ftgate_testing.suite_files import errors_of, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.requests.request_groups import base_variant, skill_requests

#: Two servers of one model each.
TUNED = 'provider: openai-compatible, model: tuned, base_url: "http://127.0.0.1:8081/v1"'
PLAIN = (
    'plain: {provider: openai-compatible, model: plain, base_url: "http://127.0.0.1:8080/v1", '
    "served_model: plain.gguf, api_key_env: PLAIN_KEY, extra: {top_k: 1}}"
)
OTHER = PLAIN.replace("model: plain", "model: something", 1)
ELSEWHERE = '{model: plain, base_url: "http://127.0.0.1:8080/v1", served_model: p.gguf}'
KEYS = "api_key_env: KEY, served_model: t.gguf, extra: {top_k: 2}"
LORA = "extra: {lora: [{id: 0, scale: 1}]}, base: {extra: {lora: [{id: 0, scale: 0}]}}"
PLAIN_URL = "http://127.0.0.1:8080/v1"


def of(**fields):
    return fields


#: The variants before a tuned one, its keys, and fields of its base.
BASES = [
    # A variant's model at its address, asked as the tuned one is.
    ([PLAIN], f"{TUNED}, served_model: tuned.gguf, temperature: 0, base: plain",
     of(model="plain", base_url=PLAIN_URL, served_model="plain.gguf", extra={"top_k": 1})
     | of(api_key_env="PLAIN_KEY", tuned=False, sampling={"temperature": 0})),
    # A variant of the same name wins over a model.
    ([OTHER], f"{TUNED}, base: plain", of(model="something")),
    # A model at the same address.
    ([], f"{TUNED}, api_key_env: KEY, base: other",
     of(model="other", base_url="http://127.0.0.1:8081/v1", api_key_env="KEY")),
    # A model elsewhere never gets the variant's key.
    ([], f"{TUNED}, {KEYS}, base: {ELSEWHERE}",
     of(model="plain", base_url=PLAIN_URL, api_key_env=None, extra={"top_k": 2})
     | of(served_model="p.gguf")),
    # An address in a variable replaces the variant's own.
    ([], f"{TUNED}, base: {{base_url_env: PLAIN_URL}}",
     of(model="tuned", base_url=None, base_url_env="PLAIN_URL")),
    # A request turns the adapter off.
    ([], f"{TUNED}, {LORA}", of(model="tuned", extra={"lora": [{"id": 0, "scale": 0}]})),
    # A merged model has another file of weights.
    ([], "provider: llamacpp, model: merged.gguf, base: base.gguf", of(model="base.gguf")),
]  # fmt: skip


@every_row(("others", "keys", "fields"), BASES)
def test_the_base_is_the_model_at_the_address_that_is_written(tmp_path, others, keys, fields):
    found = base_variant(load_variants(tmp_path, *others, f"tuned: {{{keys}}}").variants["tuned"])

    assert {name: getattr(found, name) for name in fields} == fields


@every_row(("keys", "same"), [(f"{TUNED}, base: plain", True), (f"{TUNED}, {LORA}", False)])
def test_requests_to_a_base_are_those_of_its_variant_and_never_of_the_tuned_one(
    tmp_path, keys, same
):
    suite = load_variants(tmp_path, PLAIN, f"tuned: {{{keys}}}")
    plain, tuned = suite.variants.values()
    sides = (plain, tuned, base_variant(tuned))

    (one,), (two,), (base,) = (skill_requests(suite, side, suite.cases, {}) for side in sides)

    assert (base.fingerprint == one.fingerprint) is same
    assert base.fingerprint != two.fingerprint


ITSELF = "base: it is the model itself; give it a model, an address or extra of its own"
ERRORS = [
    ("{}", ITSELF),
    ("{model: tuned, served_model: x}", ITSELF),
    ("{model: x, extra: {stream: true}}",
     "base: extra: stream is set by pytest-ftgate; replies are read as a whole; remove it"),
    ("{base_url: 'localhost:8001/v1'}",
     ("base: the address does not begin with http:// or https://; write "
     "http://localhost:8001/v1")),
    ("claude",
     ("base: variant claude has provider anthropic; a base has the provider of its variant: "
     "openai-compatible")),
    ("twin", "base: variant twin has the same model at the same address; name the untuned one"),
]  # fmt: skip


@every_row(("written", "message"), ERRORS)
def test_a_base_that_cannot_be_one_is_an_error(tmp_path, written, message):
    others = [f"twin: {{{TUNED}}}", "claude: {provider: anthropic, model: m}"]
    load = partial(load_variants, tmp_path, f"tuned: {{{TUNED}, base: {written}}}", *others)

    assert errors_of(load) == [f'4: variant "tuned": {message}']


def test_weights_on_this_machine_have_no_address(tmp_path):
    base = '{model: n, base_url: "http://x"}'
    tuned = f"tuned: {{provider: llamacpp, model: m, base: {base}}}"

    (found,) = errors_of(load_variants, tmp_path, tuned)

    assert "base: base_url means nothing to provider llamacpp" in found
