"""Settings of one server: what may be written under ``extra``, and who reads which effort."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite

HEAD = """\
cases: [{input: Where is it, expected: b}]
gates: {accuracy: {min: 0.5}}
variants:
"""
SERVER = "provider: openai-compatible, model: m"


def loaded(folder, variants):
    """Load a suite with *variants*, one a line from line 4 on."""
    path = folder / "s.ftgate.yaml"
    path.write_text(HEAD + "".join(f"  {variant}\n" for variant in variants), encoding="utf-8")
    return load_suite(path, folder).variants


def errors(folder, variant):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, [variant])
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


def test_extra_is_kept_as_written_and_inherited_as_a_whole(tmp_path):
    thinking = "{chat_template_kwargs: {enable_thinking: false}, top_k: 20}"
    found = loaded(
        tmp_path,
        [
            f"one: {{{SERVER}, extra: {thinking}}}",
            "two: {like: one, model: n}",
            "three: {like: one, extra: {min_p: 0.1}}",
            "four: {like: one, provider: anthropic}",
        ],
    )

    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}
    assert [v.extra for v in found.values()] == [extra, extra, {"min_p": 0.1}, {}]


OWN_KEYS = [
    ("model: n", "model is set by pytest-ftgate; write it as the variant's model"),
    ("stream: true", "stream is set by pytest-ftgate; replies are read as a whole; remove it"),
    ("max_tokens: 3", "max_tokens is set by pytest-ftgate; write it as the variant's max_tokens"),
    (
        "reasoning_effort: low",
        "reasoning_effort is set by pytest-ftgate; write it as the variant's effort",
    ),
    (
        "response_format: {type: json_object}",
        "response_format is set by pytest-ftgate; write response_schema: true",
    ),
]


@every_row(("written", "message"), OWN_KEYS)
def test_a_key_that_the_product_sets_is_no_extra(tmp_path, written, message):
    assert errors(tmp_path, f"one: {{{SERVER}, extra: {{{written}}}}}") == [
        f'4: variant "one": extra: {message}'
    ]


def test_only_a_server_is_told_by_extra_which_adapters_to_use(tmp_path):
    lora = "extra: {lora: [{id: 0, scale: 1}]}"
    assert loaded(tmp_path, [f"one: {{{SERVER}, {lora}}}"])["one"].extra

    (found,) = errors(tmp_path, f"one: {{provider: llamacpp, model: m, {lora}}}")
    assert found.endswith("write it as the variant's adapter and scale")


@every_row("key", ["repetition_penalty", "top_k", "min_p"])
def test_a_setting_of_a_server_that_is_written_as_a_key_is_an_extra(tmp_path, key):
    (found,) = errors(tmp_path, f"one: {{{SERVER}, {key}: 1.1}}")

    told = f"; a setting of the server itself goes into extra: {{{key}: …}}"
    assert found.endswith(told)
    assert f'unknown key "{key}"; ' in found
    assert "did you mean" not in found


def test_the_body_that_an_sdk_takes_beside_its_own_keys_is_named_extra(tmp_path):
    (found,) = errors(tmp_path, f"one: {{{SERVER}, extra_body: {{top_k: 3}}}}")

    assert found.endswith("; settings of the server itself go into extra: {…}")


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


def test_words_about_tokens_are_no_credentials(tmp_path):
    written = "{min_tokens: 3, skip_special_tokens: false, stop_token_ids: [2]}"

    assert (
        loaded(tmp_path, [f"one: {{{SERVER}, extra: {written}}}"])["one"].extra["min_tokens"] == 3
    )


@every_row("effort", ["none", "minimal"])
def test_an_effort_that_only_some_servers_read_is_an_error_at_the_others(tmp_path, effort):
    assert loaded(tmp_path, [f"one: {{{SERVER}, effort: {effort}}}"])["one"].sampling == {
        "effort": effort
    }
    assert errors(tmp_path, f"one: {{provider: anthropic, model: m, effort: {effort}}}") == [
        (
            f'4: variant "one": effort: {effort} means nothing to provider anthropic; '
            "write low, medium, high, xhigh or max"
        )
    ]
