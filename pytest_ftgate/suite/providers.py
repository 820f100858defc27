"""The providers in the package, with the keys that each requires and reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pytest_ftgate.suite.declaration import DeclaredVariant

__all__ = ["HOSTED", "LOCAL", "PROMPTLESS", "PROVIDERS", "misplaced_keys", "reads_key"]

#: provider -> its required keys
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("model",),
    "bedrock": ("model",),
    "classical": ("training_data",),
    "llamacpp": ("model",),
    "openai-compatible": ("model",),
    "python": ("function",),
    "recorded": ("replies",),
}
#: Providers that answer a case without a prompt.
PROMPTLESS = ("classical", "python", "recorded")
#: Providers whose model, if any, runs on this machine.
LOCAL = ("classical", "llamacpp", "python")
#: Providers that send requests to a server.
HOSTED = ("anthropic", "bedrock", "openai-compatible")

_MODELS = (*HOSTED, "llamacpp")
_PROMPTED = (
    *("model", "prompt", "user", "examples", "response_schema", "retrieve", "tools", "max_turns"),
    *("max_tokens", "stop", "temperature", "top_p"),
)
_ADDRESS = ("base_url", "base_url_env", "served_model")
#: Prices per token, which need the token counts of a reply.
_TOKEN_PRICES = ("usd_per_1m_input", "usd_per_1m_output", "usd_per_1m_cached", "price_model")
#: key -> the providers that read it, for keys that other providers would ignore
_KEY_PROVIDERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_PROMPTED, _MODELS),
    **dict.fromkeys(("adapter", "scale", "slots", "threads", "context"), ("llamacpp",)),
    **dict.fromkeys(_ADDRESS, HOSTED),
    "seed": ("llamacpp", "openai-compatible"),
    "effort": HOSTED,
    "thinking": ("anthropic", "bedrock"),
    "api_version": ("anthropic", "bedrock"),
    "batch": ("anthropic",),
    "api_key_env": ("anthropic", "openai-compatible"),
    "function": ("python",),
    "replies": ("recorded",),
    "base_replies": (*_MODELS, "python", "recorded"),
    **dict.fromkeys(_TOKEN_PRICES, (*_MODELS, "recorded")),
    "options": (),
}
#: Keys that providers from plugins do not read.
_PACKAGE_KEYS = ("adapter", "scale", "slots", "threads", "context", "function", "replies", "batch")


def reads_key(provider: str | None, key: str) -> bool:
    """Return True if *provider* reads *key*."""
    if provider in PROVIDERS:
        return provider in _KEY_PROVIDERS.get(key, (provider,))
    return key not in _PACKAGE_KEYS


def misplaced_keys(
    variant: DeclaredVariant, written_keys: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield each of *written_keys* that the variant's provider does not read, with a message."""
    provider = str(variant.provider)
    for key, providers in _KEY_PROVIDERS.items():
        if key in written_keys and not reads_key(provider, key):
            readers = _join_names(providers)
            yield key, f"{key} means nothing to provider {provider}, only to {readers}; remove it"


def _join_names(names: Sequence[str]) -> str:
    *first, last = names or ("providers from elsewhere",)
    return f"{', '.join(first)} and {last}" if first else last
