"""No key in error messages, though servers repeat what they received."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from urllib.parse import quote

from ftgate_testing.tables import every_row

from pytest_ftgate.client.redaction import redact, redact_reply
from pytest_ftgate.errors import ProviderRejected, RetryableError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step, ToolCall

ENVIRON = {"TEAM_KEY": "sk-very-secret", "HOUSE": "open-sesame", "HOME": "/home/me", "A_KEY": "a"}


ASKED = Request(
    fingerprint="f", provider="house", model="m", messages=(), max_tokens=1, sampling={}
)


def redacted(message: str, key_name: str | None = None, **more: str) -> str:
    error = ProviderRejected(message)
    redact(error, ENVIRON, replace(ASKED, api_key_env=key_name, **more))
    return str(error)


@every_row(
    ("said", "left"),
    [
        ("no such key: sk-very-secret!", "no such key: [TEAM_KEY]!"),
        ("bad header: Bearer eyJ0eXAi.x1", "bad header: Bearer [hidden]"),
        ("sent {'authorization': 'Basic bWU6cHc0'}", "sent {'authorization': 'Basic [hidden]'}"),
        ("x-api-key: k-0123456789 is wrong", "x-api-key: [hidden] is wrong"),
        ("Bearer authentication is needed", "Bearer authentication is needed"),
        ("a letter is no secret", "a letter is no secret"),
        ("looked in /home/me", "looked in /home/me"),
    ],
)
def test_keys_are_taken_out_and_nothing_else(said, left):
    assert redacted(said) == left


def test_the_variable_that_a_suite_names_is_secret_whatever_it_is_called():
    assert redacted("said open-sesame", "HOUSE") == "said [HOUSE]"
    assert redacted("said open-sesame") == "said open-sesame"


def test_the_attributes_of_an_error_stay():
    error = RetryableError("sk-very-secret", 7.0)
    redact(error, ENVIRON, ASKED)

    assert (str(error), error.retry_after) == ("[TEAM_KEY]", 7.0)


KEY = 'sk-"0"/very+secret'
FORMS = [
    *(KEY, KEY[::-1], KEY.encode().hex(), quote(KEY, safe=""), b64encode(KEY.encode()).decode()),
    b64encode(f"Bearer {KEY}\n".encode()).decode(),
    urlsafe_b64encode(f"x{KEY}".encode()).decode(),
]


@every_row("form", FORMS)
def test_a_key_is_taken_out_of_a_reply_however_the_server_repeats_it(call, form):
    step = Step("", (ToolCall(name="look", arguments={"header": form}, id="c1"),))
    said = Reply(text=f"got {form}!", thought=form, facts={"x": form}, steps=(step,), seconds=1.5)

    clean = redact_reply(said, call(api_key_env="TEAM"), {"TEAM": KEY})

    (use,) = clean.steps[0].calls
    places = (clean.text, clean.thought, clean.facts["x"], use.arguments["header"])
    assert all("[TEAM]" in text for text in places)
    assert re.fullmatch("got .*!", clean.text)
    assert form not in repr(clean)
    assert clean.seconds == 1.5
    error = ProviderRejected(form)
    redact(error, {"TEAM": KEY}, replace(ASKED, api_key_env="TEAM"))
    assert "[TEAM]" in str(error)


@every_row(
    ("provider", "name", "left"),
    [
        ("anthropic", "TEAM", "[TEAM], abracadabra, [ANTHROPIC_API_KEY]"),
        ("anthropic", None, "open-sesame, abracadabra, [ANTHROPIC_API_KEY]"),
        ("llamacpp", None, "open-sesame, abracadabra, hocus-pocus"),
    ],
)
def test_only_keys_that_were_sent_are_taken_out_of_a_reply(call, provider, name, left):
    environ = {"TEAM": "open-sesame", "OTHER_KEY": "abracadabra"}
    environ["ANTHROPIC_API_KEY"] = "hocus-pocus"
    said = Reply(text="open-sesame, abracadabra, hocus-pocus")

    assert redact_reply(said, call(provider=provider, api_key_env=name), environ).text == left


def test_what_a_program_says_of_its_keys_is_taken_out_whatever_they_are_called():
    asked = replace(ASKED, provider="command", options={"keys": ["PGPASS"]})
    error = ProviderRejected("no login with open-sesame")
    redact(error, {"PGPASS": "open-sesame"}, asked)

    assert str(error) == "no login with [PGPASS]"


@every_row(("path", "said", "left"), [
    ("/hooks/T0", "https://h:1/hooks/T0/v1 is no /hooks/T0", "https://h:1/…/v1 is no /…"),
    ("/a", "https://h:1/a/v1 has no /api", "https://h:1/…/v1 has no /api"),
    ("", "https://h:1/v1 is busy", "https://h:1/v1 is busy"),
])  # fmt: skip
def test_the_path_of_an_address_of_the_environment_is_taken_out(path, said, left):
    address = {"base_url": f"https://h:1{path}/v1", "hidden_path": path}

    assert redacted(said, **address) == left
    assert replace(ASKED, **address).shown_url == left.split()[0]
