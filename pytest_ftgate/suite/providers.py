"""What is known about each provider, one entry a provider; no other module branches on names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

_PROMPT_KEYS = (
    *("model", "prompt", "user", "examples", "response_schema", "retrieve", "tools", "max_turns"),
    *("max_tokens", "stop", "temperature", "top_p"),
)
_RUNTIME_KEYS = ("adapter", "scale", "slots", "threads", "context")
_ADDRESS_KEYS = ("base_url", "base_url_env", "served_model")
#: Prices per token, which need the token counts of a reply.
_PRICE_KEYS = ("usd_per_1m_input", "usd_per_1m_output", "usd_per_1m_cached", "price_model")
#: Keys that some providers would ignore. Every provider reads the other keys.
_RESTRICTED_KEYS = (
    *(*_PROMPT_KEYS, *_RUNTIME_KEYS, *_ADDRESS_KEYS),
    *("seed", "effort", "thinking", "api_version", "batch", "api_key_env"),
    *("function", "replies", "base_replies", *_PRICE_KEYS, "options"),
)
#: Keys that providers from plugins do not read.
_PACKAGE_KEYS = (*_RUNTIME_KEYS, "function", "replies", "batch")
_MODEL_KEYS = (*_PROMPT_KEYS, "base_replies", *_PRICE_KEYS)
_HOSTED_KEYS = (*_MODEL_KEYS, *_ADDRESS_KEYS, "effort")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """The facts about one provider. The defaults are those of a provider from a plugin.

    Attributes:
        module: its module in ``providers``, which defines ``open_MODULE``; "" for a plugin's.
        batch_module: the module in ``providers`` that sends its batches; "" if it has none.
        required: the keys of a variant that it requires.
        reads: the restricted keys that it reads.
        hosted: True if it sends requests to a server.
        local: True if its model, if any, runs on this machine.
        prompted: True if it answers a prompt, False if it answers the case itself.
        reads_messages: True if it can answer other messages than those of the suite's cases.
        recorded: True if its replies come from a file and no request is sent.
        classifier: True if it trains a classifier on ``training_data`` and has no language model.
        model_is_file: True if ``model`` names a file of weights.
        deterministic: True if equal requests have equal replies on every day; the temperature of a
            request and a file with several replies to a case are the exceptions.
        concurrency: the number of requests in flight at the start.
        max_concurrency: the largest number that the rate limiter may try; 0 for *concurrency*.
        context: the default context of one request, prompt and reply, in tokens; 0 if the server
            sets it.
        seller: the seller of its models in the public price list; "" if nothing is listed.
        any_server: True if servers of all kinds share its API. Its base URL is then the seller,
            and may be an address of the user's own.
        base_url_variable: the variable that its SDK reads for the base URL.
        adds_v1: True if it adds ``/v1`` to the base URL.
        sdk_variables: the prefixes of the variables that its SDK reads by itself.
        model_affixes: a regular expression for the parts that it adds to the names of models.
        remote: True if it profits from other machines; others only read files.
        thought_switch: the line of a variant that switches the thinking of its model off.
    """

    module: str = ""
    batch_module: str = ""
    required: tuple[str, ...] = ()
    reads: tuple[str, ...] = tuple(key for key in _RESTRICTED_KEYS if key not in _PACKAGE_KEYS)
    hosted: bool = False
    local: bool = False
    prompted: bool = True
    reads_messages: bool = True
    recorded: bool = False
    classifier: bool = False
    model_is_file: bool = False
    deterministic: bool = False
    concurrency: int = 16
    max_concurrency: int = 0
    context: int = 0
    seller: str = ""
    any_server: bool = False
    base_url_variable: str = ""
    adds_v1: bool = False
    sdk_variables: tuple[str, ...] = ()
    model_affixes: str = ""
    remote: bool = True
    thought_switch: str = ""


#: Switches thinking off in the chat templates that know it.
_TEMPLATE_SWITCH = "extra: {chat_template_kwargs: {enable_thinking: false}}"
_API_SWITCH = "thinking: {type: disabled}"

#: The provider of the recorded replies of a variant's base.
RECORDED = "recorded"
#: The package's own providers by name, in the order of messages and of the suite's schema.
PROVIDERS: Mapping[str, ProviderSpec] = {
    "anthropic": ProviderSpec(
        module="anthropic",
        batch_module="anthropic_batches",
        required=("model",),
        reads=(*_HOSTED_KEYS, "thinking", "api_version", "api_key_env", "batch"),
        hosted=True,
        concurrency=8,
        max_concurrency=128,
        seller="anthropic",
        base_url_variable="ANTHROPIC_BASE_URL",
        adds_v1=True,
        sdk_variables=("ANTHROPIC_",),
        thought_switch=_API_SWITCH,
    ),
    "bedrock": ProviderSpec(
        module="anthropic",
        required=("model",),
        reads=(*_HOSTED_KEYS, "thinking", "api_version"),
        hosted=True,
        concurrency=8,
        max_concurrency=128,
        seller="aws",
        base_url_variable="ANTHROPIC_BEDROCK_BASE_URL",
        sdk_variables=("ANTHROPIC_", "AWS_"),
        model_affixes=r"^([a-z-]+\.)?anthropic\.|-v\d+(:\d+)?$",
        thought_switch=_API_SWITCH,
    ),
    "classical": ProviderSpec(
        module="local",
        required=("training_data",),
        reads=(),
        local=True,
        prompted=False,
        reads_messages=False,
        classifier=True,
        deterministic=True,
        concurrency=1,
        remote=False,
    ),
    "llamacpp": ProviderSpec(
        module="llamacpp",
        required=("model",),
        reads=(*_MODEL_KEYS, *_RUNTIME_KEYS, "seed"),
        local=True,
        model_is_file=True,
        deterministic=True,
        concurrency=8,
        context=2048,
        thought_switch=_TEMPLATE_SWITCH,
    ),
    "openai-compatible": ProviderSpec(
        module="openai",
        required=("model",),
        reads=(*_HOSTED_KEYS, "seed", "api_key_env"),
        hosted=True,
        concurrency=8,
        max_concurrency=64,
        seller="openai",
        any_server=True,
        base_url_variable="OPENAI_BASE_URL",
        sdk_variables=("OPENAI_",),
        thought_switch=_TEMPLATE_SWITCH,
    ),
    # An async function runs at the concurrency of a plugin's provider.
    "python": ProviderSpec(
        module="local",
        required=("function",),
        reads=("function", "base_replies"),
        local=True,
        prompted=False,
        concurrency=1,
    ),
    RECORDED: ProviderSpec(
        module="recorded",
        required=("replies",),
        reads=("replies", "base_replies", *_PRICE_KEYS),
        prompted=False,
        reads_messages=False,
        recorded=True,
        deterministic=True,
        concurrency=64,
        remote=False,
    ),
}
PLUGIN_PROVIDER = ProviderSpec()


def provider_spec(name: str | None) -> ProviderSpec:
    """Return the facts about the provider *name*; the defaults for one from a plugin."""
    return PROVIDERS.get(name or "", PLUGIN_PROVIDER)


def reads_key(provider: str | None, key: str) -> bool:
    """Return True if *provider* reads *key*."""
    return key not in _RESTRICTED_KEYS or key in provider_spec(provider).reads


def misplaced_keys(provider: str, written_keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each of *written_keys* that *provider* does not read, with a message."""
    for key in _RESTRICTED_KEYS:
        if key in written_keys and not reads_key(provider, key):
            readers = _join_names(_readers(key))
            yield key, f"{key} means nothing to provider {provider}, only to {readers}; remove it"


def _readers(key: str) -> list[str]:
    """Return the providers that read *key*, the hosted ones first if they all do."""
    readers = {name: spec for name, spec in PROVIDERS.items() if key in spec.reads}
    if all(key in spec.reads for spec in PROVIDERS.values() if spec.hosted):
        return sorted(readers, key=lambda name: not readers[name].hosted)
    return list(readers)


def _join_names(names: Sequence[str]) -> str:
    *first, last = names or ("providers from elsewhere",)
    return f"{', '.join(first)} and {last}" if first else last
