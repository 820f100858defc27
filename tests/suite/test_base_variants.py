"""The base of a variant: a model at the same address, a model elsewhere, or another variant."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.requests.request_groups import base_variant, skill_requests
from pytest_ftgate.suite.loader import load_suite

HEAD = """\
cases: [{input: Where is it, expected: b}]
gates: {accuracy: {min: 0.5}}
variants:
"""
#: Two servers of one model each.
TUNED = 'provider: openai-compatible, model: tuned, base_url: "http://127.0.0.1:8081/v1"'
PLAIN = (
    'plain: {provider: openai-compatible, model: plain, base_url: "http://127.0.0.1:8080/v1", '
    "served_model: plain.gguf, api_key_env: PLAIN_KEY, extra: {top_k: 1}}"
)


def suite(folder, *variants):
    path = folder / "s.ftgate.yaml"
    path.write_text(HEAD + "".join(f"  {variant}\n" for variant in variants), encoding="utf-8")
    return load_suite(path, folder)


def base(folder, *variants):
    return base_variant(suite(folder, *variants).variants["tuned"])


def errors(folder, *variants):
    with pytest.raises(SuiteError) as caught:
        suite(folder, *variants)
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


def test_a_base_that_is_a_variant_is_that_variants_model_at_its_address(tmp_path):
    tuned = f"tuned: {{{TUNED}, served_model: tuned.gguf, temperature: 0, base: plain}}"
    found = base(tmp_path, PLAIN, tuned)

    assert (found.model, found.base_url) == ("plain", "http://127.0.0.1:8080/v1")
    assert (found.served_model, found.api_key_env) == ("plain.gguf", "PLAIN_KEY")
    assert found.extra == {"top_k": 1}
    # How it is asked stays as for the tuned model.
    assert found.sampling == {"temperature": 0}
    assert not found.tuned


def test_the_requests_to_such_a_base_are_those_of_the_variant_itself(tmp_path):
    found = suite(tmp_path, PLAIN, f"tuned: {{{TUNED}, base: plain}}")
    plain, tuned = found.variants.values()
    one, two = (
        skill_requests(found, side, found.cases, {}) for side in (plain, base_variant(tuned))
    )

    assert [item.fingerprint for item in one] == [item.fingerprint for item in two]


def test_a_base_of_no_variants_name_is_a_model_at_the_same_address(tmp_path):
    found = base(tmp_path, PLAIN, f"tuned: {{{TUNED}, api_key_env: KEY, base: other}}")

    assert (found.model, found.base_url) == ("other", "http://127.0.0.1:8081/v1")
    assert found.api_key_env == "KEY"


def test_a_variant_of_the_same_name_wins_over_a_model(tmp_path):
    plain = PLAIN.replace("model: plain", "model: something")

    assert base(tmp_path, plain, f"tuned: {{{TUNED}, base: plain}}").model == "something"


ELSEWHERE = '{model: plain, base_url: "http://127.0.0.1:8080/v1", served_model: p.gguf}'


def test_a_base_elsewhere_has_its_own_address_and_never_gets_the_variants_key(tmp_path):
    keys = "api_key_env: KEY, served_model: t.gguf, extra: {top_k: 2}"
    found = base(tmp_path, f"tuned: {{{TUNED}, {keys}, base: {ELSEWHERE}}}")

    assert (found.model, found.base_url) == ("plain", "http://127.0.0.1:8080/v1")
    assert (found.served_model, found.api_key_env) == ("p.gguf", None)
    assert found.extra == {"top_k": 2}


def test_an_address_in_a_variable_replaces_the_variants_own(tmp_path):
    found = base(tmp_path, f"tuned: {{{TUNED}, base: {{base_url_env: PLAIN_URL}}}}")

    assert (found.model, found.base_url, found.base_url_env) == ("tuned", None, "PLAIN_URL")


def test_an_adapter_that_a_request_turns_off_makes_a_base_of_the_same_model(tmp_path):
    lora = "extra: {lora: [{id: 0, scale: 1}]}, base: {extra: {lora: [{id: 0, scale: 0}]}}"
    found = suite(tmp_path, f"tuned: {{{TUNED}, {lora}}}")
    tuned = found.variants["tuned"]
    sides = [skill_requests(found, side, found.cases, {}) for side in (tuned, base_variant(tuned))]

    assert base_variant(tuned).extra == {"lora": [{"id": 0, "scale": 0}]}
    assert sides[0][0].fingerprint != sides[1][0].fingerprint


ITSELF = "base: it is the model itself; give it a model, an address or extra of its own"
ERRORS = [
    ("{}", ITSELF),
    ("{model: tuned, served_model: x}", ITSELF),
    (
        "{model: x, extra: {stream: true}}",
        "base: extra: stream is set by pytest-ftgate; replies are read as a whole; remove it",
    ),
    (
        '{base_url: "http://127.0.0.1:PORT/v1"}',
        (
            "base: no address: Port could not be cast to integer value as 'PORT'; write it as "
            "http://localhost:8080/v1"
        ),
    ),
    (
        "{base_url: 'localhost:8001/v1'}",
        (
            "base: the address does not begin with http:// or https://; write "
            "http://localhost:8001/v1"
        ),
    ),
    ("{model: x, modle: y}", 'unknown key "modle"; did you mean "model"?'),
    ("3", 'base is 3, but text is wanted here: write "3"'),
    (
        "claude",
        (
            "base: variant claude has provider anthropic; a base has the provider of its variant: "
            "openai-compatible"
        ),
    ),
    ("twin", "base: variant twin has the same model at the same address; name the untuned one"),
]


@every_row(("written", "message"), ERRORS)
def test_a_base_that_cannot_be_one_is_an_error(tmp_path, written, message):
    others = [f"twin: {{{TUNED}}}", "claude: {provider: anthropic, model: m}"]

    assert errors(tmp_path, f"tuned: {{{TUNED}, base: {written}}}", *others) == [
        f'4: variant "tuned": {message}'
    ]


def test_weights_on_this_machine_have_no_address(tmp_path):
    (found,) = errors(
        tmp_path, 'tuned: {provider: llamacpp, model: m, base: {model: n, base_url: "http://x"}}'
    )

    assert "base: base_url means nothing to provider llamacpp" in found


def test_a_merged_model_has_another_file_of_weights_as_its_base(tmp_path):
    merged = "tuned: {provider: llamacpp, model: merged.gguf, base: base.gguf}"

    assert base(tmp_path, merged).model == "base.gguf"
