"""No key in error messages, though servers repeat what they received."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

from ftgate_testing.tables import every_row

from pytest_ftgate.client.redaction import redact, redact_reply
from pytest_ftgate.errors import ProviderRejected, RetryableError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step, ToolCall

ENVIRON = {"TEAM_KEY": "sk-very-secret", "HOUSE": "open-sesame", "HOME": "/home/me", "A_KEY": "a"}


def redacted(message: str, key_name: str | None = None) -> str:
    error = ProviderRejected(message)
    redact(error, ENVIRON, key_name)
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
    redact(error, ENVIRON)

    assert (str(error), error.retry_after) == ("[TEAM_KEY]", 7.0)


KEY = 'sk-"0"/very+secret'
FORMS = {
    "plain": KEY,
    "reversed": KEY[::-1],
    "base64": b64encode(KEY.encode()).decode(),
    "base64 of a header": b64encode(f"Bearer {KEY}\n".encode()).decode(),
    "base64 for addresses": urlsafe_b64encode(f"x{KEY}".encode()).decode(),
    "hexadecimal": KEY.encode().hex(),
    "percent": quote(KEY, safe=""),
}


def request_with(key_name: str | None = "TEAM", provider: str = "anthropic") -> Request:
    return Request(
        fingerprint="f",
        provider=provider,
        model="m",
        messages=(),
        max_tokens=1,
        sampling={},
        api_key_env=key_name,
    )


@every_row("form", FORMS.values())
def test_a_key_is_taken_out_of_a_reply_however_the_server_repeats_it(form):
    step = Step("", (ToolCall(name="look", arguments={"header": form}, id="c1"),))
    said = Reply(text=f"got {form}!", thought=form, facts={"x": form}, steps=(step,), seconds=1.5)

    clean = redact_reply(said, request_with(), {"TEAM": KEY})

    assert "[TEAM]" in clean.text
    assert clean.text.startswith("got ")
    assert clean.text.endswith("!")
    assert form not in repr(clean)
    assert "[TEAM]" in clean.thought
    assert "[TEAM]" in clean.facts["x"]
    assert "[TEAM]" in clean.steps[0].calls[0].arguments["header"]
    assert clean.seconds == 1.5
    error = ProviderRejected(form)
    redact(error, {"TEAM": KEY}, "TEAM")
    assert "[TEAM]" in str(error)


def test_only_keys_that_were_sent_are_taken_out_of_a_reply():
    environ = {
        "TEAM": "open-sesame",
        "OTHER_KEY": "abracadabra",
        "ANTHROPIC_API_KEY": "hocus-pocus",
    }
    said = Reply(text="open-sesame, abracadabra, hocus-pocus")

    def text(name, provider="anthropic"):
        return redact_reply(said, request_with(name, provider), environ).text

    assert text("TEAM") == "[TEAM], abracadabra, [ANTHROPIC_API_KEY]"
    assert text(None) == "open-sesame, abracadabra, [ANTHROPIC_API_KEY]"
    assert redact_reply(said, request_with(None, "llamacpp"), environ) is said
