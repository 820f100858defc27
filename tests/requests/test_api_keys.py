"""A key goes to its provider, and to the hosts that the repository lists for it."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.api_keys import key_use
from pytest_ftgate.requests.request import Request
from pytest_ftgate.settings import KeyRule

OPENAI, ANTHROPIC, BEDROCK = "openai-compatible", "anthropic", "bedrock"
EVIL = "https://evil.example/v1"


def call(**changes) -> Request:
    sent = {"provider": OPENAI, "model": "m", **changes}
    return Request(fingerprint="f", messages=(), max_tokens=1, sampling={}, **sent)


def refusal(rules=(), environ=(), *, safe=False, **changes):
    """Return why the key of a request must not be sent, or ""."""
    use = key_use(call(**changes), dict(environ))
    return use and use.error([KeyRule.read(rule) for rule in rules], dict(environ), safe=safe)


@every_row("provider", [OPENAI, ANTHROPIC, BEDROCK])
def test_a_key_goes_to_no_address_that_only_a_suite_names(provider):
    name = "AWS_BEARER_TOKEN_BEDROCK" if provider == BEDROCK else "HOME"
    why = refusal(provider=provider, base_url=EVIL, api_key_env=name)

    assert why.startswith(f"{name} would go to evil.example, which the configuration does not list")
    assert why.endswith(f"add to pytest.ini: ftgate_keys = {name}@evil.example")


def test_the_configuration_lists_which_key_a_host_may_receive():
    sent = {"base_url": "https://llm.team.example:8443/v1", "api_key_env": "TEAM_KEY"}

    assert refusal(["TEAM_KEY@llm.team.example"], **sent) == ""
    assert refusal(["TEAM_KEY@LLM.team.example:8443"], **sent) == ""
    assert refusal(["TEAM_KEY@llm.team.example"], safe=True, **sent) == ""
    assert refusal(["TEAM_KEY@llm.team.example:443"], **sent)
    assert refusal(["OTHER@llm.team.example"], **sent)
    assert refusal(["TEAM_KEY@team.example"], **sent)
    assert refusal(["TEAM_KEY@llm.team.example.evil.example"], **sent)


def test_a_rule_may_name_the_variable_that_holds_the_address():
    sent = {"base_url": "http://127.0.0.1:8000/v1", "api_key_env": "VLLM_KEY"}
    rules = ["VLLM_KEY@$VLLM_URL"]

    assert refusal(rules, {"VLLM_URL": "http://127.0.0.1:8000/v1"}, **sent) == ""
    assert refusal(rules, {"VLLM_URL": "http://127.0.0.1:9000/v1"}, **sent)
    assert refusal(rules, {}, **sent)


@every_row(
    ("url", "refused"),
    [("http://llm.example/v1", True), ("http://127.0.0.1:1/v1", False), ("http://[::1]/v1", False),
     ("http://localhost/v1", False), ("http://127.0.0.1.evil.example/v1", True)],
)  # fmt: skip
def test_a_key_goes_over_plain_http_to_this_machine_alone(url, refused):
    host = url.partition("//")[2].partition("/")[0]
    why = refusal([f"KEY@{host}"], base_url=url, api_key_env="KEY")

    assert bool(why) is refused
    assert not refused or why == f"KEY would go to {host} over plain http; write https"


def test_a_provider_gets_its_key_without_a_rule():
    assert refusal() == ""
    assert refusal(api_key_env="MY_OPENAI") == ""
    assert refusal(base_url="https://api.openai.com/v1", api_key_env="MY_OPENAI") == ""
    assert refusal(provider=ANTHROPIC) == ""
    groq = "https://api.groq.com/openai/v1"
    assert refusal(base_url=groq, api_key_env="GROQ_API_KEY", safe=True) == ""
    assert refusal(base_url=groq, api_key_env="AWS_SECRET_ACCESS_KEY")


def test_the_environment_may_pair_a_key_with_an_address():
    gateway = {"ANTHROPIC_BASE_URL": "http://gateway:4000"}
    sent = {"provider": ANTHROPIC, "base_url": "http://gateway:4000"}

    assert refusal(environ=gateway, **sent) == ""
    assert "over plain http" in refusal(environ=gateway, safe=True, **sent)


def test_safe_mode_sends_a_provider_its_own_key_alone():
    assert refusal(safe=True) == ""
    assert refusal(safe=True, api_key_env="AWS_SECRET_ACCESS_KEY")


@every_row("key", ["sk-1\n", "sk-1\r\nX-Other: a", "\x00"])
def test_a_key_that_no_header_can_hold_is_sent_nowhere(key):
    why = refusal(environ={"OPENAI_API_KEY": key})

    assert why == ("OPENAI_API_KEY has a line break or another control character; set it without")
    assert refusal(environ={"OPENAI_API_KEY": "sk-1"}) == ""


def test_requests_without_a_key_need_no_rule():
    # A default key never goes to an address that a suite names.
    assert not key_use(call(provider=OPENAI, base_url=EVIL, api_key_env=""), {})
    assert not key_use(call(provider=OPENAI, base_url=EVIL), {})
    assert not key_use(call(provider="llamacpp"), {})
