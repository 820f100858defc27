"""What is known about each provider, one entry a provider; no other module branches on names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal
from urllib.parse import urlsplit

_PROMPT_KEYS = (
    *("model", "prompt", "user", "examples", "response_schema", "retrieve", "tools", "max_turns"),
    *("max_tokens", "stop", "temperature", "top_p"),
)
_ADAPTER_KEYS = ("adapter", "scale")
_RUNTIME_KEYS = ("slots", "threads", "context")
#: Keys of ``load`` that change the replies.
LOADING_KEYS = ("dtype", "device_map", "quantization", "attention")
_ADDRESS_KEYS = ("base_url", "base_url_env", "served_model")
#: Prices per token, which need the token counts of a reply.
_PRICE_KEYS = ("usd_per_1m_input", "usd_per_1m_output", "usd_per_1m_cached", "price_model")
#: Keys that some providers would ignore. Every provider reads the other keys.
_RESTRICTED_KEYS = (
    *(*_PROMPT_KEYS, *_ADAPTER_KEYS, *_RUNTIME_KEYS, "load", *_ADDRESS_KEYS),
    *("seed", "effort", "thinking", "api_version", "batch", "api_key_env"),
    *("function", "files", "replies", "base_replies", "command", *_PRICE_KEYS, "extra", "options"),
    *("format", "uses"),
)
#: Keys that providers from plugins do not read.
_PACKAGE_KEYS = (
    *(*_RUNTIME_KEYS, "load"),
    *("function", "files", "replies", "command", "batch", "extra", "format"),
)
_MODEL_KEYS = (*_PROMPT_KEYS, "base_replies", *_PRICE_KEYS)
_HOSTED_KEYS = (*_MODEL_KEYS, *_ADDRESS_KEYS, "effort")

#: Values of ``effort`` that only some providers read.
OPTIONAL_EFFORTS = ("none", "minimal")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """The facts about one provider. The defaults are those of a provider from a plugin.

    Attributes:
        module: its module in ``providers``, which defines ``open_MODULE``; "" for a plugin's.
        batch_module: the module in ``providers`` that sends its batches, by ``open_BATCH_MODULE``;
            "" if it has none.
        required: the keys of a variant that it requires.
        reads: the restricted keys that it reads.
        hosted: True if it sends requests to a server.
        local: True if its model, if any, runs on this machine.
        prompted: True if it answers a prompt, False if it answers the case itself.
        calls_code: True if it calls a function of the project, which a test may have patched.
        starts_programs: True if it starts a program of the project for each request.
        adapter: how it takes an adapter. ``gguf``: on top of the weights in ``model``, as a GGUF
            file; a trainer's folder is converted. ``peft``: on top of the weights in ``model``, as
            the folder that a trainer writes. ``served``: a server serves it under a name of
            its own, ``model``, and its base under the name ``base``. ``path``: the provider reads
            the file or the folder, and ``model`` is the base. "": it takes none.
        recorded: True if its replies come from a file and no request is sent.
        classifier: True if it trains a classifier on ``training_data`` and has no language model.
        weights: what ``model`` names on this machine. ``gguf``: a GGUF file. ``checkpoint``: a
            folder, a name in the cache of Hugging Face, or a GGUF file. "": none.
        deterministic: True if equal requests have equal replies on every day; the temperature of a
            request and a file with several replies to a case are the exceptions.
        concurrency: the number of requests in flight at the start.
        max_concurrency: the largest number that the rate limiter may try; 0 for *concurrency*.
        context: the default context of one request, prompt and reply, in tokens; 0 if the server
            sets it.
        seller: the seller of its models in the public price list; "" if nothing is listed.
        any_server: True if servers of all kinds share its API. Its base URL is then the seller,
            and may be an address of the user's own.
        url: the address that it uses if nothing names another one; "" if it has several.
        key_variable: the variable of the key that goes there.
        base_url_variable: the variable that its SDK reads for the base URL.
        adds_v1: True if it adds ``/v1`` to the base URL.
        sdk_variables: the prefixes of the variables that its SDK reads by itself.
        model_affixes: a regular expression for the parts that it adds to the names of models.
        enforces: the kinds of format that it can enforce.
        efforts: the values of ``effort`` that it reads besides those that all read.
        thought_switch: the line of a variant that switches the thinking of its model off.
        ends_replies: True if it can end a reply where its answer ends.
    """

    module: str = ""
    batch_module: str = ""
    required: tuple[str, ...] = ()
    reads: tuple[str, ...] = tuple(key for key in _RESTRICTED_KEYS if key not in _PACKAGE_KEYS)
    hosted: bool = False
    local: bool = False
    prompted: bool = True
    calls_code: bool = False
    starts_programs: bool = False
    adapter: Literal["gguf", "peft", "served", "path", ""] = "path"
    recorded: bool = False
    classifier: bool = False
    weights: Literal["gguf", "checkpoint", ""] = ""
    deterministic: bool = False
    concurrency: int = 16
    max_concurrency: int = 0
    context: int = 0
    seller: str = ""
    any_server: bool = False
    url: str = ""
    key_variable: str = ""
    base_url_variable: str = ""
    adds_v1: bool = False
    sdk_variables: tuple[str, ...] = ()
    model_affixes: str = ""
    enforces: tuple[str, ...] = ("choice", "json_schema")
    efforts: tuple[str, ...] = OPTIONAL_EFFORTS
    thought_switch: str = ""
    ends_replies: bool = False

    @property
    def reads_messages(self) -> bool:
        """True if it can answer other messages than those of the suite's cases."""
        return not (self.recorded or self.classifier)


#: A provider that takes no adapter.
_plain = partial(ProviderSpec, adapter="")
#: One of a hosted API that can hold replies to a JSON schema.
_hosted = partial(
    _plain, required=("model",), hosted=True, concurrency=8, enforces=("json_schema",), efforts=()
)
#: Switches thinking off in the chat templates that know it.
_TEMPLATE_SWITCH = "extra: {chat_template_kwargs: {enable_thinking: false}}"
_API_SWITCH = "thinking: {type: disabled}"

#: The provider of the recorded replies of a variant's base.
RECORDED = "recorded"
#: The package's own providers by name, in the order of messages and of the suite's schema.
PROVIDERS: Mapping[str, ProviderSpec] = {
    "anthropic": _hosted(
        module="anthropic",
        batch_module="anthropic_batches",
        reads=(*_HOSTED_KEYS, "thinking", "api_version", "api_key_env", "batch"),
        max_concurrency=128,
        seller="anthropic",
        url="https://api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        base_url_variable="ANTHROPIC_BASE_URL",
        adds_v1=True,
        sdk_variables=("ANTHROPIC_",),
        thought_switch=_API_SWITCH,
    ),
    "bedrock": _hosted(
        module="anthropic",
        reads=(*_HOSTED_KEYS, "thinking", "api_version"),
        max_concurrency=128,
        seller="aws",
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        base_url_variable="ANTHROPIC_BEDROCK_BASE_URL",
        sdk_variables=("ANTHROPIC_", "AWS_"),
        model_affixes=r"^([a-z-]+\.)?anthropic\.|-v\d+(:\d+)?$",
        thought_switch=_API_SWITCH,
    ),
    "bedrock-converse": _hosted(
        module="converse",
        reads=(*_MODEL_KEYS, *_ADDRESS_KEYS, "extra"),
        max_concurrency=64,
        seller="aws",
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        base_url_variable="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        sdk_variables=("AWS_",),
        model_affixes=r"^([a-z-]+\.)?[a-z0-9]+\.|-v\d+(:\d+)?$",
    ),
    "classical": _plain(
        module="local",
        required=("training_data",),
        reads=(),
        local=True,
        prompted=False,
        classifier=True,
        deterministic=True,
        concurrency=1,
    ),
    # Each request is a process, so that "slots" says how many run at once.
    "command": _plain(
        module="command",
        required=("command",),
        reads=("command", "slots", "uses", *_PRICE_KEYS),
        local=True,
        prompted=False,
        starts_programs=True,
        concurrency=1,
    ),
    "llamacpp": ProviderSpec(
        module="llamacpp",
        required=("model",),
        reads=(*_MODEL_KEYS, *_ADAPTER_KEYS, *_RUNTIME_KEYS, "seed", "extra"),
        local=True,
        adapter="gguf",
        weights="gguf",
        deterministic=True,
        concurrency=8,
        context=2048,
        thought_switch=_TEMPLATE_SWITCH,
        ends_replies=True,
    ),
    "openai-compatible": ProviderSpec(
        module="openai",
        batch_module="openai_batches",
        required=("model",),
        reads=(*_HOSTED_KEYS, "adapter", "seed", "api_key_env", "extra", "batch"),
        hosted=True,
        adapter="served",
        concurrency=8,
        max_concurrency=64,
        seller="openai",
        any_server=True,
        url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        base_url_variable="OPENAI_BASE_URL",
        sdk_variables=("OPENAI_",),
        thought_switch=_TEMPLATE_SWITCH,
    ),
    # An async function runs at the concurrency of a plugin's provider.
    "python": _plain(
        module="local",
        required=("function",),
        reads=("function", "files", "base_replies"),
        local=True,
        prompted=False,
        calls_code=True,
        concurrency=1,
    ),
    RECORDED: _plain(
        module="recorded",
        required=("replies",),
        reads=("replies", "format", "uses", "base_replies", *_PRICE_KEYS),
        prompted=False,
        recorded=True,
        deterministic=True,
        concurrency=64,
    ),
    "transformers": ProviderSpec(
        module="transformers",
        required=("model",),
        reads=(
            *("model", "prompt", "user", "examples", "retrieve", "max_tokens", "stop"),
            *("temperature", "top_p", "seed", "slots", "extra", "base_replies", *_PRICE_KEYS),
            *("response_schema", *_ADAPTER_KEYS, "load"),
        ),
        local=True,
        adapter="peft",
        weights="checkpoint",
        deterministic=True,
        concurrency=32,
        efforts=(),
        thought_switch=_TEMPLATE_SWITCH,
        ends_replies=True,
    ),
}
PLUGIN_PROVIDER = ProviderSpec()


def provider_spec(name: str | None) -> ProviderSpec:
    """Return the facts about the provider *name*; the defaults for one from a plugin."""
    return PROVIDERS.get(name or "", PLUGIN_PROVIDER)


def states_cost(provider: str) -> bool:
    """Return True if runs of agents come from *provider*, which may state what they cost."""
    spec = provider_spec(provider)
    return spec.starts_programs or spec.recorded


#: The provider of chat completions.
_SERVED = {"provider": "openai-compatible"}
#: Servers and hosted APIs of chat completions: their usual address, and the variable of the key.
_SERVERS: Mapping[str, tuple[str, str]] = {
    "openai": ("", ""),
    "ollama": ("http://127.0.0.1:11434/v1", ""),
    "vllm": ("http://127.0.0.1:8000/v1", ""),
    "sglang": ("http://127.0.0.1:30000/v1", ""),
    "tgi": ("http://127.0.0.1:8080/v1", ""),
    "mlx": ("http://127.0.0.1:8080/v1", ""),
    "llama-server": ("http://127.0.0.1:8080/v1", ""),
    "lmstudio": ("http://127.0.0.1:1234/v1", ""),
    "localai": ("http://127.0.0.1:8080/v1", ""),
    "litellm": ("http://127.0.0.1:4000/v1", ""),
    "azure": ("https://NAME.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "huggingface": ("https://router.huggingface.co/v1", "HF_TOKEN"),
}
#: Other names of them, and of this package's own providers.
_OTHER_NAMES = {
    "azure-openai": "azure",
    "together-ai": "together",
    "mistralai": "mistral",
    "google": "gemini",
    "hf": "huggingface",
    "lm-studio": "lmstudio",
    "grok": "xai",
    "text-generation-inference": "tgi",
    "llamacpp-server": "llama-server",
    "claude": "anthropic",
    "aws": "bedrock",
    "amazon-bedrock": "bedrock",
    "converse": "bedrock-converse",
    "nova": "bedrock-converse",
    "gguf": "llamacpp",
    "llama.cpp": "llamacpp",
    "llama-cpp": "llamacpp",
    "llama-cpp-python": "llamacpp",
    "hf-transformers": "transformers",
    "peft": "transformers",
    "sklearn": "classical",
    "function": "python",
}


def is_hosted_url(url: str) -> bool:
    """Return True if *url* belongs to a hosted API that serves many models at once."""
    host = urlsplit(url).hostname or ""
    known = {urlsplit(address).hostname or "" for address, key in _SERVERS.values() if key}
    own = {urlsplit(spec.url).hostname for spec in PROVIDERS.values() if spec.any_server}
    return host in {*known, *own} or host.endswith(".openai.azure.com")


def is_known_key(name: str, host: str) -> bool:
    """Return True if *host* is the hosted API that the key *name* is usually for."""
    usual = [(key, address) for address, key in _SERVERS.values()]
    usual += [(spec.key_variable, spec.url) for spec in PROVIDERS.values()]
    return any(key == name and urlsplit(url).hostname == host for key, url in usual if key and host)


def provider_keys(name: str) -> dict[str, str] | None:
    """Return the keys of a variant whose provider is known by the other *name*, or None."""
    plain = _normalised(name)
    known = _OTHER_NAMES.get(plain, plain)
    if known in PROVIDERS:
        return {"provider": known}
    if known not in _SERVERS:
        return None
    url, key = _SERVERS[known]
    keys = {**_SERVED, "base_url": url, "api_key_env": key}
    return {name: value for name, value in keys.items() if value}


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-")


def provider_alias(name: str) -> str:
    """Return what to write for a provider that is known by the other *name*, or ""."""
    keys = provider_keys(name)
    if keys is None:
        return ""
    if _OTHER_NAMES.get(_normalised(name)) in PROVIDERS:
        return f"; write provider: {keys['provider']}"
    return f"; for {name} write {', '.join(f'{key}: {value}' for key, value in keys.items())}"


@dataclass(frozen=True, slots=True)
class FirstVariant:
    """The keys of a variant that a new suite may start with.

    Attributes:
        reason: why it is offered, in a few words.
        is_free: True if its replies cost nothing.
        has_weights: True if it reads weights that the package can download.
    """

    keys: Mapping[str, str | int | bool]
    reason: str
    is_free: bool = False
    has_weights: bool = False


#: The models that a new suite uses where their key is set.
_FIRST_MODELS = {
    "ANTHROPIC_API_KEY": {"provider": "anthropic", "model": "claude-haiku-5-5"},
    "OPENAI_API_KEY": {**_SERVED, "model": "gpt-5.4-mini"},
}
#: The ports of this machine on which servers of chat completions usually listen.
LOCAL_PORTS = (8000, 8080, 11434, 1234)


def first_variants(
    variables: Collection[str], served: Mapping[str, Sequence[str]]
) -> Iterator[FirstVariant]:
    """Yield what a new suite may use here, the best first; the last is the embedded model.

    *variables* are the names of those in the environment, and *served* the models of each server
    that answers on this machine, by base URL.
    """
    for url, models in served.items():
        address = {**_SERVED, "base_url": url, "model": models[0]}
        yield FirstVariant({**address, "temperature": 0}, f"it answers at {url}", is_free=True)
    for name, model in _FIRST_MODELS.items():
        if name in variables:
            yield FirstVariant(model, f"{name} is set")
    for url, name in _SERVERS.values():
        if name in variables:
            keys = {**_SERVED, "base_url": url, "model": "MODEL", "api_key_env": name}
            yield FirstVariant(keys, f"{name} is set; write its name")
    embedded = {"provider": "llamacpp", "model": "smollm2-135m"}
    yield FirstVariant(embedded, "it runs in this process", is_free=True, has_weights=True)


#: The extra of the package that reads weights of each kind, and the module that it installs.
_ENGINES = {"gguf": ("local", "xllamacpp"), "checkpoint": ("transformers", "transformers")}


def weights_engine(provider: str) -> tuple[str, str]:
    """Return the extra and the module that read the weights of *provider*, or twice ""."""
    return _ENGINES.get(provider_spec(provider).weights, ("", ""))


_FLASH_3 = "build it in the folder hopper of github.com/Dao-AILab/flash-attention"
#: Packages that a key or a value of it needs beside those of its provider, and how to get them.
_PACKAGES: Mapping[str, tuple[str, str]] = {
    "device_map": ("accelerate", 'pip install "pytest-ftgate[transformers]"'),
    "quantization": ("bitsandbytes", 'pip install "pytest-ftgate[quantized]"'),
    "flash_attention_2": ("flash-attn", "pip install flash-attn --no-build-isolation"),
    "flash_attention_3": ("flash-attn-3", _FLASH_3),
    "flash_attention_4": ("flash-attn-4", "pip install flash-attn-4"),
}


def missing_package(provider: str, options: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Return what *options* of a variant of *provider* need and is not installed; "" if nothing.

    *places* are the file and the line of each key.
    """
    for key, value in options.items() if provider_spec(provider).weights else ():
        package, remedy = _PACKAGES.get(key) or _PACKAGES.get(str(value)) or ("", "")
        if package and not _is_installed(package):
            place = f"{places[key]}: " if key in places else ""
            return f"{place}{key}: {value} needs {package}: {remedy}"
    return ""


def _is_installed(package: str) -> bool:
    with suppress(PackageNotFoundError):
        return bool(version(package))
    return False


def adapter_variant(base: str, adapter: str) -> Mapping[str, str]:
    """Return the keys of a variant that reads *adapter*, a trainer's folder, on top of *base*."""
    return {"provider": "transformers", "model": base, "adapter": adapter}


def reads_key(provider: str | None, key: str) -> bool:
    """Return True if *provider* reads *key*."""
    return key not in _RESTRICTED_KEYS or key in provider_spec(provider).reads


def misplaced_keys(provider: str, written_keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each of *written_keys* that *provider* does not read, with a message."""
    for key in _RESTRICTED_KEYS:
        if key in written_keys and not reads_key(provider, key):
            readers = _join_names(_readers(key))
            remedy = _INSTEAD.get(key) if reads_key(provider, _INSTEAD.get(key, "")) else None
            remedy = f"write {remedy}" if remedy else "remove it"
            yield key, f"{key} means nothing to provider {provider}, only to {readers}; {remedy}"


#: Keys with the same use at other providers.
_INSTEAD = {"options": "extra", "extra": "options", "thinking": "effort"}


def _readers(key: str) -> list[str]:
    """Return the providers that read *key*, the hosted ones first if they all do."""
    readers = {name: spec for name, spec in PROVIDERS.items() if key in spec.reads}
    if all(key in spec.reads for spec in PROVIDERS.values() if spec.hosted):
        return sorted(readers, key=lambda name: not readers[name].hosted)
    return list(readers)


def _join_names(names: Sequence[str]) -> str:
    *first, last = names or ("providers of plugins",)
    return f"{', '.join(first)} and {last}" if first else last


#: Keys of a request that the product sets -> what to write instead.
_OWN_KEYS: Mapping[str, str] = {
    "model": "write it as the variant's model",
    "messages": "they come from prompt, user and examples",
    "n": "write repeats in the suite",
    "reasoning_effort": "write it as the variant's effort",
    "response_format": "write response_schema: true",
    **dict.fromkeys(("stream", "stream_options"), "replies are read as a whole; remove it"),
    **dict.fromkeys(("functions", "function_call", "tool_choice"), "write tools"),
    **dict.fromkeys(("max_completion_tokens", "n_predict"), "write it as the variant's max_tokens"),
    **{
        key: f"write it as the variant's {key}"
        for key in ("max_tokens", "temperature", "top_p", "seed", "stop", "tools")
    },
}
#: Keys that restrict replies to a grammar. Requests for general skills leave them out.
_RESTRICTING_KEYS = (
    *("structured_outputs", "guided_choice", "guided_json", "guided_regex", "guided_grammar"),
    *("guided_decoding_backend", "guided_whitespace_pattern", "regex", "ebnf"),
    *("grammar", "json_schema"),
)
_SECRET_KEY = re.compile(
    r"api.?key|authorization|password(?!less)|passwd|secret|credential|bearer"
    r"|(access|auth|api|refresh|session|hf).?token",
    re.IGNORECASE,
)
#: Variables of the environment that hold credentials; keys such as eos_token hold none.
SECRET_VARIABLE = re.compile(rf"{_SECRET_KEY.pattern}|_(token|pass)$", re.IGNORECASE)
#: The beginnings of well-known tokens, tokens after the name of their scheme, and addresses with a
#: password.
_SECRET_VALUE = re.compile(
    r"\b(sk|pk|rk|gsk|hf|xai|nvapi|ghp|github_pat|glpat|xox[abp])[-_][\w-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\beyJ[\w-]{10,}\.[\w-]{10,}"
    r"|\b(bearer|basic)\s+\S{8,}"
    r"|://[^\s/@:]*:[^\s/@]+@",
    re.IGNORECASE,
)


def extra_errors(extra: Mapping[str, Any], provider: str | None) -> Iterator[str]:
    """Yield an error for each key of *extra* that the product sets, and for each secret.

    A message never has a value in it.
    """
    own_keys = dict(_OWN_KEYS)
    if provider_spec(provider).weights:
        own_keys["lora"] = "write it as the variant's adapter and scale"
    for key in extra:
        if key in own_keys:
            yield f"extra: {key} is set by pytest-ftgate; {own_keys[key]}"
    if any(key in extra for key in _RESTRICTING_KEYS):
        from pytest_ftgate.suite.grammars import restriction_errors

        yield from restriction_errors(extra, _RESTRICTING_KEYS)
    yield from credential_errors("extra", extra, "api_key_env")


def credential_errors(
    name: str, value: Mapping[str, Any], instead: str, secret_key: re.Pattern[str] = _SECRET_KEY
) -> Iterator[str]:
    """Yield an error if *value* of the key *name* seems to hold a credential, without it.

    A credential is under a key that *secret_key* finds, or looks like one itself.
    """
    if secret := next(_secret_keys(value, secret_key), None):
        yield (
            f"{name}: {secret} looks like a credential, and the suite and the reports show {name}; "
            f"put it into a variable, and name that in {instead}"
        )


def _secret_keys(value: Any, secret_key: re.Pattern[str], path: str = "") -> Iterator[str]:
    """Yield the paths of keys and values that look like credentials."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            key_path = f"{path}.{key}" if path else str(key)
            if secret_key.search(str(key)):
                yield key_path
            else:
                yield from _secret_keys(item, secret_key, key_path)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_keys(item, secret_key, path)
    elif isinstance(value, str) and _SECRET_VALUE.search(value):
        yield path


def without_restrictions(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return *extra* without the keys that restrict replies to a grammar."""
    return {key: value for key, value in extra.items() if key not in _RESTRICTING_KEYS}
