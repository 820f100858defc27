"""Chat templates: how the messages of a request become one text, and where two of them differ.

A model answers well to the text that it was trained on. A server that writes the messages in
another way asks for replies that the training never gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import chain
from os.path import commonprefix
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_ftgate.adapters.lora import CONFIG_FILE, LoraConfig
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.weights import find_checkpoint
from pytest_ftgate.weights_file import check_gguf, json_object_or_empty

#: The key of ``extra`` that goes to the chat template.
TEMPLATE_OPTIONS = "chat_template_kwargs"
#: What to do about a GGUF file with another chat template.
TEMPLATE_REMEDY = (
    "write the template of the training into the model: gguf-new-metadata --chat-template-file "
    "chat_template.jinja MODEL.gguf NEW.gguf"
)
#: The files of a tokenizer that hold its chat template and its special tokens.
_TEMPLATE_FILE, _TOKENIZER_FILE = "chat_template.jinja", "tokenizer_config.json"
_TOKENS_FILE = "special_tokens_map.json"
_LARGEST_TEMPLATE = 1_000_000
#: How much of each text a message shows, and how much of what stands before the difference.
_SHOWN, _SHOWN_BEFORE = 48, 24

#: The messages of a chat: the role and the text of each.
Chat = Sequence[tuple[str, str]]
#: Chats that show what templates do differently: a missing or a given system prompt, white space,
#: and earlier turns.
SAMPLE_CHATS: tuple[Chat, ...] = (
    (("user", "What is 2 + 2?"),),
    (("system", "Answer in one word."), ("user", "  What is the capital of France?\n")),
    (("user", "Hello!"), ("assistant", "Hello."), ("user", "Who are you?")),
)


class _Generation(Extension):
    """``{% generation %}``, which marks what an assistant wrote and changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - the API of Jinja

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(value: Any, indent: int | None = None, **options: Any) -> str:
    # Jinja's own filter escapes HTML.
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().astimezone().strftime(layout)


@lru_cache(maxsize=32)
def _compile(text: str) -> Template:
    """Compile a chat template as transformers does."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    return environment.from_string(text)


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A chat template, with the special tokens that it may name.

    Attributes:
        source: the file that it comes from, as messages name it.
    """

    text: str
    source: str
    tokens: Mapping[str, str] = field(default_factory=dict[str, str])

    def render(self, chat: Chat, options: Mapping[str, Any]) -> str | None:
        """Return the prompt of *chat*; None if the template refuses the chat, or is broken.

        *options* are further variables, such as ``enable_thinking``.
        """
        messages = [{"role": role, "content": text} for role, text in chat]
        values = {"messages": messages, "tools": None, "documents": None, **self.tokens, **options}
        # A template is a program: what can go wrong in it is open.
        with suppress(Exception):
            return _compile(self.text).render(add_generation_prompt=True, **values)
        return None

    def difference(self, prompts: Iterable[tuple[str | None, str | None]]) -> str:
        """Return the first difference in *prompts*: of a server, and of this template; or ""."""
        for served, trained in prompts:
            if served is None or trained is None:
                continue
            # Some servers leave it to the tokenizer to add the first token.
            if served not in (trained, trained.removeprefix(self.tokens.get("bos_token", ""))):
                return _difference(served, trained, self.source)
        return ""


def _difference(served: str, trained: str, source: str) -> str:
    start = len(commonprefix([served, trained]))  # noqa: RUF071 - the unit is the character
    before = served[max(0, start - _SHOWN_BEFORE) : start]
    place = f"after {json.dumps(before, ensure_ascii=False)}" if before else "at the start"
    return (
        f"{place} the server writes {_shown(served[start:])}, and the template of the training "
        f"({source}) {_shown(trained[start:])}"
    )


def _shown(text: str) -> str:
    if not text:
        return "nothing more"
    cut = text[:_SHOWN] + "…" * (len(text) > _SHOWN)
    return json.dumps(cut, ensure_ascii=False)


def trained_template(adapter: Path) -> ChatTemplate | None:
    """Return the chat template with which *adapter* was trained; None if it is not known.

    Trainers save it in the folder of the adapter. If they did not, it is that of the base, if the
    base lies on this machine.
    """
    folder = adapter if adapter.is_dir() else adapter.parent
    if not (folder / CONFIG_FILE).is_file():
        return None
    own = folder_template(folder, f"{folder.name}/")
    if own is not None:
        return own
    with suppress(ConfigurationError, OSError):
        config = LoraConfig.read(folder)
        base = find_checkpoint(config.base, folder, config.values.get("revision"))
        if base.is_dir():
            return folder_template(base, f"{config.base}/")
    return None


def folder_template(folder: Path, prefix: str) -> ChatTemplate | None:
    """Return the chat template of the tokenizer in *folder*, or None if it has none.

    *prefix* stands before the name of the file in messages.
    """
    values, tokens = json_object_or_empty(folder / _TOKENIZER_FILE), special_tokens(folder)
    path = folder / _TEMPLATE_FILE
    with suppress(OSError, ValueError):
        if path.stat().st_size <= _LARGEST_TEMPLATE:
            return ChatTemplate(path.read_text("utf-8"), f"{prefix}{path.name}", tokens)
    text = values.get("chat_template")
    if isinstance(text, list):
        named = {row.get("name"): row.get("template") for row in text if isinstance(row, Mapping)}
        text = named.get("default")
    if not isinstance(text, str):
        return None
    return ChatTemplate(text, f"{prefix}{_TOKENIZER_FILE}", tokens)


def file_difference(model: Path, trained: ChatTemplate | None, options: Mapping[str, Any]) -> str:
    """Return where the prompts for the weights *model* differ from those of the training; or "".

    The template of *model* is rendered here, as llama.cpp does in most cases.
    """
    own = weights_template(model)
    if own is None or trained is None or own.text == trained.text:
        return ""
    chats = [(own.render(chat, options), trained.render(chat, options)) for chat in SAMPLE_CHATS]
    found = trained.difference(chats)
    remedy = f"copy that template into {model.name}" if model.is_dir() else TEMPLATE_REMEDY
    return f"{found}; {remedy}" if found else ""


def weights_template(path: Path) -> ChatTemplate | None:
    """Return the chat template of the weights at *path*, a GGUF file or a folder, or None."""
    if path.is_dir():
        return folder_template(path, f"{path.name}/")
    with suppress(OSError):
        return _gguf_template(path, path.stat().st_mtime_ns)
    return None


@lru_cache(maxsize=8)
def _gguf_template(path: Path, changed: int) -> ChatTemplate | None:
    del changed  # The cache's key: a file may change while this process runs.
    with suppress(ConfigurationError, ImportError, OSError, ValueError, KeyError, IndexError):
        from gguf import GGUFReader

        check_gguf(path)
        reader = GGUFReader(path)
        prefix, words = "tokenizer.ggml.", reader.get_field("tokenizer.ggml.tokens")
        text = reader.get_field("tokenizer.chat_template")
        if text is None:
            return None
        tokens = dict[str, str]()
        for name in ("bos", "eos"):
            number = reader.get_field(f"{prefix}{name}_token_id")
            if words is not None and number is not None:
                tokens[f"{name}_token"] = str(words.contents(int(number.contents())))
        return ChatTemplate(str(text.contents()), path.name, tokens)
    return None


def special_tokens(folder: Path) -> dict[str, str]:
    """Return the special tokens of the tokenizer in *folder*, by names such as ``eos_token``."""
    tokens = {}
    objects = (json_object_or_empty(folder / file) for file in (_TOKENS_FILE, _TOKENIZER_FILE))
    for name, value in chain.from_iterable(found.items() for found in objects):
        content = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(content, str):
            tokens[name] = content
    return tokens
