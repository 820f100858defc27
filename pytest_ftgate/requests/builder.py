"""Build the requests of one variant: for cases, for turns, and to read the replies of its base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.requests.request import Adapter, CaseRequest, Request, Tool
from pytest_ftgate.suite.addresses import resolve_base_url
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant, canonical_json, digest
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.templates import (
    PASSAGES,
    TemplateError,
    render_template,
    template_variables,
)

if TYPE_CHECKING:
    from pytest_ftgate.requests.retrieval import Passages

#: Fields that a request copies from its variant.
_COPIED = (
    *("provider", "api_version", "function", "replies", "runtime", "extra", "options", "batch"),
    "tariff",
)

#: Stands for the values that differ between the requests of a variant; no setting has this value.
_PLACEHOLDER = "\0hole"


class RequestBuilder:
    """Builds the requests of one variant; computes the parts that they share only once."""

    def __init__(self, suite: Suite, variant: Variant, environ: Mapping[str, str]) -> None:
        self.variant, self.suite = variant, suite
        self.folder = suite.path.parent
        self.provider = provider_spec(variant.provider)
        self.model, self.model_identity = variant.model, variant.model
        self.adapter: Adapter | None = None
        #: The tokens that an adapter's tokenizer adds to those of the model.
        self.added_tokens: Mapping[str, int] = {}
        # A tuned model's training file is for the record only; a classifier is trained on it here.
        self.training_data = variant.training_data if self.provider.classifier else None
        self.sampling = dict(variant.sampling)
        if self.provider.weights:
            self._find_weights()
        if variant.adapter is not None:
            self.adapter = self._find_adapter(variant.adapter)
        self.base_url = resolve_base_url(variant, environ)
        self.tools = self._build_tools()
        self.fingerprint_fields = self._fingerprint_fields()
        self.request_fields = self._request_fields()
        # Schemas and tools are long, so they are serialized once, with placeholders.
        varying = dict.fromkeys(("max_tokens", "messages", "repeat"), _PLACEHOLDER)
        self.fingerprint_frame = canonical_json({**self.fingerprint_fields, **varying}).split(
            canonical_json(_PLACEHOLDER)
        )

    def _find_adapter(self, path: Path) -> Adapter:
        # Before anything is sent: the adapter may not fit the model.
        from pytest_ftgate.adapters.conversion import check_peft, gguf_adapter
        from pytest_ftgate.adapters.lora import adapter_sha256
        from pytest_ftgate.adapters.tokens import check_tokens

        if self.provider.adapter == "gguf":
            gguf_adapter(path, Path(self.model))
        elif self.provider.adapter == "peft":
            check_peft(path, self.model)
        if self.provider.weights and path.is_dir():
            added = check_tokens(path, self.model)
            # llama.cpp reads prompts by the tokens of the model alone.
            if self.provider.adapter == "peft":
                self.added_tokens = added.numbers
        return Adapter(path=path, scale=self.variant.scale, sha256=adapter_sha256(path))

    def _find_weights(self) -> None:
        from pytest_ftgate.weights import (
            check_checkpoint,
            check_quantization,
            find_checkpoint,
            find_weights,
            weights_identity,
        )

        variant = self.variant
        if self.provider.weights == "gguf":
            path = find_weights(variant.model, self.folder)
        else:
            path = find_checkpoint(variant.model, self.folder, variant.revision)
            check_checkpoint(path)
            if "quantization" in variant.options:
                places = variant.runtime.get("places", {})
                check_quantization(path, places.get("quantization", variant.name))
        self.model, self.model_identity = str(path), weights_identity(path)
        # Greedy decoding by default: local replies then have no sampling noise.
        self.sampling.setdefault("temperature", 0.0)

    def _build_tools(self) -> tuple[Tool, ...]:
        if not self.variant.tools:
            return ()
        from pytest_ftgate.requests.tools import build_tool

        return tuple(build_tool(reference, self.folder) for reference in self.variant.tools)

    def _code(self) -> list[str]:
        """Return the digests of the files that decide a reply beside the request itself."""
        variant, files = self.variant, list[Path]()
        if variant.function:
            from pytest_ftgate.suite.function_references import source_files

            files += source_files(variant.function, self.folder)
        if variant.replies:
            from pytest_ftgate.suite.external_cases import files_of_replies

            files += files_of_replies(variant.replies)
        given = dict(variant.runtime.get("files", ()))
        code = _digests([*files, *given.values(), *filter(None, [self.training_data])])
        # A command has the names in its options.
        return [*code, digest([*given])] if given and variant.function else code

    def _fingerprint_fields(self) -> dict[str, Any]:
        """Return the part of the fingerprint input that all requests of the variant share."""
        shared = {
            "provider": self.variant.provider,
            "model": self.model_identity,
            "adapter": (self.adapter.sha256, self.adapter.scale) if self.adapter else None,
            "sampling": self.sampling,
            "constraint": self._constraint(),
            "base_url": self.base_url,
            "function": self.variant.function,
            "code": self._code(),
        }
        optional = {
            "api_version": self.variant.api_version,
            "extra": dict(self.variant.extra),
            "options": dict(self.variant.options),
            "tools": [self._tool_identity(tool) for tool in self.tools],
            "max_turns": self.variant.max_turns if self.tools else 0,
            "added_tokens": dict(self.added_tokens),
        }
        # Absent if empty, so that the fingerprints of all other requests stay the same.
        return shared | {key: value for key, value in optional.items() if value}

    def _request_fields(self) -> dict[str, Any]:
        """Return the request fields that all requests of the variant share."""
        return {
            "model": self.model,
            "sampling": self.sampling,
            "constraint": self.fingerprint_fields["constraint"],
            "tools": self.tools,
            "max_turns": self.variant.max_turns if self.tools else 1,
            "adapter": self.adapter,
            "base_url": self.base_url,
            "hidden_path": self._hidden_path(),
            "api_key_env": self._api_key_env(),
            "served_model": self.variant.served_model,
            "training_data": self.training_data,
            "folder": self.folder,
            "thoughts": self.suite.reply.thoughts,
            **{key: getattr(self.variant, key) for key in _COPIED},
        }

    def _hidden_path(self) -> str:
        """Return the path of the address if it stands in the environment, and is more than /v1."""
        variant = self.variant
        is_written = variant.base_url is not None and variant.base_url_env is None
        path = urlsplit(self.base_url or "").path.rstrip("/").removesuffix("/v1")
        return "" if is_written else path

    def _api_key_env(self) -> str | None:
        """Return the environment variable of the API key; "" if no key may be sent.

        An address that the suite file itself names must not receive a default key.
        """
        variant = self.variant
        address_in_suite = variant.base_url is not None and variant.base_url_env is None
        return variant.api_key_env or ("" if address_in_suite else None)

    def _tool_identity(self, tool: Tool) -> list[Any]:
        """Return everything about a tool that can change a reply: description, schema and code."""
        from pytest_ftgate.suite.function_references import source_files

        code = _digests(source_files(tool.reference, self.folder))
        return [tool.name, tool.description, tool.parameters, code]

    def _constraint(self) -> dict[str, Any] | None:
        if self.variant.schema is not None:
            return {"json_schema": self.variant.schema}
        if not self.variant.constrained:
            return None
        rules = {rule.kind: rule.value for rule in self.suite.reply.format}
        kind = "json_schema" if "json_schema" in rules else "choice"
        return {kind: rules[kind]}

    def messages_for(self, case: Case) -> tuple[Turn, ...]:
        """Return the messages of *case* under the variant's prompt.

        Raises:
            SuiteError: a template cannot be rendered for the case.
            ConfigurationError: the retrieval fails for the case.
        """
        # The prompt of recorded replies is unknown.
        if self.provider.recorded:
            return ()
        values = self._values(case)
        try:
            system = render_template(self.variant.system, values) if self.variant.system else None
            messages = case.messages or (("user", render_template(self.variant.user, values)),)
        except TemplateError as error:
            message = f'variant "{self.variant.name}": the prompt fails for this case: {error}'
            raise SuiteError(self.suite.name, [case.error(message)]) from error
        head = (("system", system),) if system else ()
        return (*head, *self._shots(case), *self._with_passages(case, messages))

    @cached_property
    def _passages(self) -> Mapping[str, Passages]:
        if self.variant.retrieve is None:
            return {}
        from pytest_ftgate.requests.retrieval import retrieve_passages

        return retrieve_passages(self.variant.retrieve, self.suite.cases, self.folder)

    def _values(self, case: Case) -> dict[str, Any]:
        """Return the template variables; retrieved passages override a case's own variable."""
        values = {PASSAGES: "", **case.template_values}
        passages = self._passages.get(case.id)
        return values if passages is None else {**values, PASSAGES: passages}

    def _with_passages(self, case: Case, messages: tuple[Turn, ...]) -> tuple[Turn, ...]:
        """Return *messages* with the passages, unless a template contains them already."""
        templates = (self.variant.system or "", "" if case.messages else self.variant.user)
        if case.id not in self._passages or any(
            PASSAGES in template_variables(text) for text in templates
        ):
            return messages
        from pytest_ftgate.requests.retrieval import prepend_passages

        return prepend_passages(self._passages[case.id], messages)

    def _shots(self, case: Case) -> Iterable[Turn]:
        variant = self.variant
        if not variant.shot_pool:
            return variant.shots
        from pytest_ftgate.suite.few_shot import most_similar

        shots = most_similar(variant.shot_pool, case.input_text, variant.similar_shots)
        return chain.from_iterable(shot.turns for shot in shots)

    def _ownership(self, fingerprint: str) -> dict[str, Any]:
        """Return the fingerprint, and who may use the reply; *fingerprint* is without the test."""
        test = self.suite.only_for if self.provider.calls_code else ""
        if not test:
            return {"fingerprint": fingerprint}
        return {
            "fingerprint": digest([fingerprint, test]),
            "only_for": test,
            "cached_as": fingerprint if self.suite.reads_cache else "",
        }

    def _content(self, case: Case) -> dict[str, Any]:
        """Return everything about *case* that can change a reply without a prompt."""
        names = _READ_BY_RECORDING if self.provider.recorded else _READ
        return {name: getattr(case, name) for name in names}

    def build(
        self, case: Case, messages: tuple[Turn, ...], repeat: int, tokens: int | None = None
    ) -> Request:
        """Return the request that sends *messages* for *case*.

        *repeat* is the index of the reply among several replies to the case, from 0. *tokens* is
        the longest reply if neither case nor variant declares one.
        """
        limit = case.max_tokens or self.variant.max_tokens or tokens or self.suite.reply.max_tokens
        content = messages if self.provider.prompted else self._content(case)
        first, second, third, last = self.fingerprint_frame
        identity = f"{first}{limit}{second}{canonical_json(content)}{third}{repeat}{last}"
        return Request(
            **self._ownership(sha256(identity.encode()).hexdigest()),
            messages=messages,
            max_tokens=limit,
            passages=self._passages.get(case.id, ()),
            case=None if self.provider.prompted else case,
            repeat=repeat,
            **self.request_fields,
        )


def _digests(paths: Sequence[Path]) -> list[str]:
    if not paths:
        return []
    from pytest_ftgate.weights import file_sha256

    return [file_sha256(path) for path in paths]


#: Fields of a case that choose its recorded reply.
_READ_BY_RECORDING = ("id", "skill", "input", "messages")
#: Fields of a case that cannot change the reply of a function or a classifier.
_NOT_READ = (
    *("location", "score", "format", "weight", "must_pass", "must_keep", "folder", "choices"),
)
_READ = tuple(field.name for field in fields(Case) if field.name not in _NOT_READ)


def conversation_request(
    builder: RequestBuilder, case: Case, opening: str | None, later: Sequence[Turn], repeat: int = 0
) -> CaseRequest:
    """Return the request of the next turn of a conversation.

    The first turn is rendered under the variant's prompt like a case, so a conversation that opens
    with the case shares the request of the case. *opening* is the user's first message, or None if
    the case itself is the first message. *later* has the turns since then, first a reply and last a
    user message; it is empty for the first turn. *repeat* is the index of the conversation among
    several about the case, from 0.

    Raises:
        ConfigurationError: the variant can only answer the case itself.
    """
    if not builder.provider.reads_messages and (later or opening is not None):
        raise ConfigurationError(
            f"provider {builder.variant.provider} has one reply to each case, so it cannot converse"
        )
    first = case if opening is None else replace(case, input=opening, messages=())
    messages = (*builder.messages_for(first), *later)
    if later:
        opened = first.messages or (("user", first.input),)
        first = replace(first, input="", messages=(*opened, *later))
    return CaseRequest(case, repeat, builder.build(first, messages, repeat))
