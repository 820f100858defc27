"""The tokens that a trainer has added to those of a base model, read from files alone.

A token is the number of a row of the embedding. An adapter fits where both sides mean the same by
each number that both have: what is beyond the base's tokens changes nothing until it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.adapters.chat_template import SAMPLE_CHATS, folder_template, special_tokens
from pytest_ftgate.adapters.lora import WEIGHTS_FILE
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.weights import weights_name
from pytest_ftgate.weights_file import gguf_tokens, json_object_or_empty, safetensors_shapes

#: The file with all tokens of a tokenizer, and the most bytes that it may have.
_FILE, _MOST_JSON = "tokenizer.json", 64_000_000
#: Files that list the added tokens alone, by name or by number.
_ADDED_FILE, _CONFIG_FILE = "added_tokens.json", "tokenizer_config.json"
#: The matrices with a row for each token, by parts of their names.
_EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings")
#: Parts of the names of those that an adapter adds to such a matrix.
_ADDITIONS = ("lora_", "trainable_tokens", "token_adapter")
#: The most digits of a token's number.
_DIGITS = 9
#: The most tokens that a message names.
_NAMED = 3
#: The type of a GGUF file's rows that stand for no token.
_UNUSED = 5
#: What stands for a free row where no type tells it.
_FILLER = re.compile(r"\[PAD\d+\]")
#: What a GGUF file writes in place of a space.
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a tokenizer.

    Attributes:
        numbers: the number of each token, by its text.
        added: the texts of those that stand beside the vocabulary, such as special ones.
        is_whole: False if the vocabulary is not known.
        is_gguf: True if they come from a GGUF file, which writes spaces in another way.
    """

    numbers: Mapping[str, int]
    added: frozenset[str] = frozenset()
    is_whole: bool = True
    is_gguf: bool = False

    def spelling(self, text: str) -> str:
        """Return *text* as it is compared with texts of another tokenizer."""
        return text.replace(_SPACE, " ").strip() if self.is_gguf else text


def model_vocabulary(numbers: Mapping[str, int]) -> Vocabulary:
    """Return the tokens *numbers* of a model that was loaded, without those that fill free rows."""
    return Vocabulary({text: n for text, n in numbers.items() if not _FILLER.fullmatch(text)})


@dataclass(frozen=True, slots=True)
class AddedTokens:
    """What an adapter's tokenizer adds to that of its base.

    Attributes:
        numbers: the number of each token that the base does not have, by its text.
        written: those that the chat template of the training writes, or that end its replies.
        rows: how many rows the embedding of the base has; 0 if that is not known.
    """

    numbers: Mapping[str, int] = field(default_factory=dict[str, int])
    written: tuple[str, ...] = ()
    rows: int = 0

    @property
    def rowless(self) -> list[str]:
        """The tokens without a row of the embedding."""
        return [name for name, number in self.numbers.items() if 0 < self.rows <= number]


def token_names(names: Iterable[str]) -> str:
    """Return *names* as a message has them: the first of them, in quotes."""
    found = [*names]
    return ", ".join(map(repr, found[:_NAMED])) + ", …" * (len(found) > _NAMED)


def conflicts(own: Mapping[str, int], base: Vocabulary) -> list[str]:
    """Return the tokens of *own* that *base* numbers otherwise, or whose number is of another."""
    texts = {number: text for text, number in base.numbers.items()}
    found = (
        text
        for text, number in own.items()
        if base.numbers.get(text, number) != number
        or base.spelling(texts.get(number, text)) != base.spelling(text)
    )
    return sorted(found, key=own.__getitem__)


def check_tokens(adapter: Path, model: str) -> AddedTokens:
    """Return what the tokenizer in the folder *adapter* adds to that of the weights *model*.

    *model* is the folder of a checkpoint or a GGUF file. What no file tells is not checked.

    Raises:
        ConfigurationError: the two contradict each other, or a token that the adapter writes has no
            row in the embedding of the base.
    """
    with suppress(OSError):
        return _check_tokens(adapter, Path(model), (_states(adapter), _states(Path(model))))
    return AddedTokens()


def _states(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return the names, the sizes and the times of the files that are read at *path*."""
    patterns = ("*token*", "vocab.json", "*.jinja", "config.json", WEIGHTS_FILE)
    files = [path] if path.is_file() else [f for pattern in patterns for f in path.glob(pattern)]
    found = ((file.name, file.stat()) for file in files)
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in found))


@lru_cache(maxsize=64)
def _check_tokens(adapter: Path, model: Path, states: object) -> AddedTokens:
    del states  # The cache's key: a file may change while this process runs.
    name, rows = weights_name(str(model)), _embedding_rows(model)
    _check_rows(adapter, rows, name)
    own, base = _read_tokens(adapter), _read_tokens(model)
    # The vocabularies of GGUF files have some tokens under other names.
    compared = {text: own.numbers[text] for text in own.added} if base.is_gguf else own.numbers
    if other := conflicts(compared, base):
        raise ConfigurationError(f"adapter {adapter.name}: {conflict_message(other, name)}")
    known = {base.spelling(text) for text in base.numbers}
    new = {text: n for text, n in compared.items() if base.spelling(text) not in known}
    numbers = new if base.is_whole else {}
    added = AddedTokens(numbers, _written(adapter, numbers), rows)
    if unusable := [text for text in added.rowless if text in added.written]:
        raise ConfigurationError(
            f"adapter {adapter.name}: its training wrote {token_names(unusable)}, for which the "
            f"embedding of {name} has no row (it has {rows:,}), and the adapter brings none; save "
            "the adapter again with save_embedding_layers=True, or train it without new tokens"
        )
    return added


def conflict_message(other: Sequence[str], name: str) -> str:
    """Return what to do about the tokens *other*, which contradict those of the model *name*."""
    count = f"{len(other):,} token{'s' * (len(other) != 1)}"
    return (
        f"its tokenizer contradicts that of {name} in {count} ({token_names(other)}); name the "
        "model that it was trained on, or give new tokens of the training numbers of their own"
    )


def _check_rows(adapter: Path, rows: int, name: str) -> None:
    """Raise an error if *adapter* brings an embedding of another size than *rows*.

    Raises:
        ConfigurationError: it does.
    """
    shapes = safetensors_shapes(adapter / WEIGHTS_FILE).items()
    own = next(
        (
            shape[0]
            for tensor, shape in shapes
            if any(part in tensor for part in _EMBEDDINGS)
            and not any(part in tensor for part in _ADDITIONS)
            and len(shape) > 1
        ),
        rows,
    )
    if rows and own != rows:
        raise ConfigurationError(
            f"adapter {adapter.name}: its training resized the embedding to {own:,} rows, and that "
            f"of {name} has {rows:,}; load the base, model.resize_token_embeddings({own}), put the "
            "adapter on it, merge_and_unload, save it with the adapter's tokenizer, and write that "
            "as model and the base as base"
        )


def _read_tokens(path: Path) -> Vocabulary:
    """Return the tokens at *path*, a folder or a GGUF file, as far as files tell them."""
    if path.is_file():
        texts, types = gguf_tokens(path)
        free = {number for number, kind in enumerate(types) if kind == _UNUSED}
        named = {text: number for number, text in enumerate(texts) if number not in free}
        return Vocabulary(named, is_whole=bool(named), is_gguf=True)
    whole = json_object_or_empty(path / _FILE, _MOST_JSON)
    words = _mapping(whole.get("model")).get("vocab")
    words = words or json_object_or_empty(path / "vocab.json", _MOST_JSON)
    if isinstance(words, list):
        # A piece and its score.
        pieces = (item[0] if isinstance(item, list) and item else None for item in words)
        pairs: Iterable[tuple[Any, Any]] = ((piece, number) for number, piece in enumerate(pieces))
    else:
        pairs = _mapping(words).items()
    numbers, added = _numbered(pairs), _numbered(_added(path, whole))
    return Vocabulary({**numbers, **added}, frozenset(added), is_whole=bool(numbers))


def _added(path: Path, whole: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the text and the number of each token beside the vocabulary of the tokenizer at *path*.

    *whole* is the content of its largest file.
    """
    rows = whole.get("added_tokens")
    for row in rows if isinstance(rows, list) else ():
        yield _mapping(row).get("content"), _mapping(row).get("id")
    yield from json_object_or_empty(path / _ADDED_FILE, _MOST_JSON).items()
    config = json_object_or_empty(path / _CONFIG_FILE, _MOST_JSON)
    decoder = _mapping(config.get("added_tokens_decoder"))
    for number, row in decoder.items():
        if number.isdecimal() and len(number) <= _DIGITS:
            yield _mapping(row).get("content"), int(number)


def _numbered(pairs: Iterable[tuple[Any, Any]]) -> dict[str, int]:
    return {text: n for text, n in pairs if isinstance(text, str) and type(n) is int}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _embedding_rows(model: Path) -> int:
    """Return how many tokens the embedding of *model* has rows for; 0 if that is not known."""
    if model.is_file():
        return len(gguf_tokens(model)[0])
    config = json_object_or_empty(model / "config.json", _MOST_JSON)
    rows = _mapping(config.get("text_config")).get("vocab_size") or config.get("vocab_size")
    return rows if type(rows) is int else 0


def _written(adapter: Path, numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Return those of *numbers* that prompts of the training have, or that end its replies."""
    template = folder_template(adapter, "") if numbers else None
    prompts = [template.render(chat, {}) or "" for chat in SAMPLE_CHATS] if template else []
    end = special_tokens(adapter).get("eos_token")
    return tuple(text for text in numbers if text == end or any(text in one for one in prompts))
