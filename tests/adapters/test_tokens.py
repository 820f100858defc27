"""The tokens that a trainer added: which ones fit the base, and which ones no base could serve."""

from __future__ import annotations

import json

import gguf
import pytest
from ftgate_testing.suite_files import Like
from ftgate_testing.tables import every_row
from ftgate_testing.token_files import (
    BASE,
    ROWS,
    TEMPLATE,
    write_adapter,
    write_model,
    write_tokenizer,
)

from pytest_ftgate.adapters.tokens import Vocabulary, check_tokens, conflicts, token_names
from pytest_ftgate.errors import ConfigurationError


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "tiny")


@pytest.fixture
def adapter(tmp_path):
    return write_adapter(tmp_path / "tuned")


def error_of(adapter, model) -> str:
    with pytest.raises(ConfigurationError) as raised:
        check_tokens(adapter, str(model))
    return str(raised.value)


def test_a_pad_token_in_a_spare_row_or_beyond_all_rows_changes_nothing(adapter, model):
    write_tokenizer(adapter, {"<pad>": ROWS - 1, "<mask>": ROWS})

    added = check_tokens(adapter, str(model))

    assert added.numbers == {"<pad>": ROWS - 1, "<mask>": ROWS}
    assert (added.written, added.rows, added.rowless) == ((), ROWS, ["<mask>"])


def test_a_token_in_a_spare_row_may_be_written_and_may_end_replies(adapter, model):
    write_tokenizer(adapter, {"<me>": 4, "<end>": 5}, template=f"<me>{TEMPLATE}", end="<end>")

    assert check_tokens(adapter, str(model)).written == ("<me>", "<end>")


OTHER = "its tokenizer contradicts that of tiny in"
NAMED = "name the model that it was trained on, or give new tokens of the training numbers of t..."
NO_ROW = (
    "for which the embedding of tiny has no row (it has 6), and the adapter brings none; save..."
)


@every_row("written, message", [
    ({"words": {**BASE, "b": 2, "a": 3}}, f"{OTHER} 2 tokens ('b', 'a'); {NAMED}"),
    ({"added": {"<pad>": 3}}, f"{OTHER} 1 token ('<pad>'); {NAMED}"),
    ({"added": {"b": 5}}, f"{OTHER} 1 token ('b'); {NAMED}"),
    ({"added": {"<me>": 6}, "template": f"<me>{TEMPLATE}"}, f"its training wrote '<me>', {NO_ROW}"),
    ({"added": {"<end>": 7}, "end": "<end>"}, f"its training wrote '<end>', {NO_ROW}"),
])  # fmt: skip
def test_what_contradicts_the_base_or_has_no_row_is_named(adapter, model, written, message):
    write_tokenizer(adapter, **written)

    assert error_of(adapter, model) == Like(f"adapter tuned: {message}")


@every_row(
    "tensor", ["base_model.model.model.embed_tokens.weight", "base_model.model.lm_head.weight"]
)
def test_a_resized_embedding_says_how_to_merge_it(tmp_path, model, tensor):
    grown = write_adapter(tmp_path / "grown", {tensor: (ROWS + 1, 2)})
    same = write_adapter(tmp_path / "same", {tensor: (ROWS, 2)})

    assert error_of(grown, model) == Like(
        "adapter grown: its training resized the embedding to 7 rows, and that of tiny has 6; load "
        "the base, model.resize_token_embeddings(7), put the adapter on it, merge_and_unload, ..."
    )
    assert check_tokens(same, str(model)).numbers == {}


@every_row(
    "tensor", ["embed_tokens.lora_embedding_A", "embed_tokens.token_adapter.trainable_tokens_delta"]
)
def test_matrices_beside_an_embedding_resize_nothing(tmp_path, model, tensor):
    assert (
        check_tokens(write_adapter(tmp_path / "tuned", {tensor: (4, 2)}), str(model)).rows == ROWS
    )


def test_tokens_are_read_from_the_files_of_slow_tokenizers_too(adapter, model):
    decoder = {"2": {"content": "a"}, "5": {"content": "<pad>"}, "x": {"content": "y"}, "6": 1}
    (adapter / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    (adapter / "added_tokens.json").write_text(json.dumps({"<sep>": 4, "odd": "4"}))

    assert check_tokens(adapter, str(model)).numbers == {"<sep>": 4, "<pad>": 5}


def test_pieces_with_scores_are_numbered_in_their_order(adapter, model):
    pieces = [[piece, -1.0] for piece in [*BASE, "<pad>"]]
    (adapter / "tokenizer.json").write_text(json.dumps({"model": {"vocab": pieces}}))

    assert check_tokens(adapter, str(model)).numbers == {"<pad>": 4}


BROKEN = {"model": {"vocab": [3, [[]]]}, "added_tokens": [3, {"id": 4, "content": []}, {"id": "x"}]}


@every_row("damage", ["[]", "{", json.dumps(BROKEN), ""])
def test_a_file_that_tells_nothing_is_no_error(adapter, model, damage):
    (adapter / "tokenizer.json").write_text(damage)
    decoder = {"9" * 5_000: {"content": "x"}, "4": {"content": {}}, "5": []}
    (adapter / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))

    assert check_tokens(adapter, str(model)).numbers == {}


def test_a_base_with_an_unknown_vocabulary_lacks_nothing(adapter, model):
    write_tokenizer(adapter, {"<pad>": 4})
    (model / "tokenizer.json").unlink()

    assert check_tokens(adapter, str(model)).numbers == {}
    (model / "vocab.json").write_text(json.dumps(BASE))
    assert check_tokens(adapter, str(model)).numbers == {"<pad>": 4}


def write_gguf(path, texts, types) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_tells_its_tokens_and_its_free_rows(adapter, tmp_path):
    path = tmp_path / "m.gguf"
    write_gguf(path, ["<s>", "</s>", "\u2581a", "b", "[PAD4]"], [3, 3, 4, 1, 5])
    write_tokenizer(adapter, {" a": 2, "<pad>": 4}, {**BASE, "a": 7, "not compared": 3})

    added = check_tokens(adapter, str(path))

    assert (added.numbers, added.rows) == ({"<pad>": 4}, 5)
    write_tokenizer(adapter, {"<pad>": 3})
    assert error_of(adapter, path) == Like(
        "adapter tuned: its tokenizer contradicts that of m.gguf in 1 token ('<pad>'); ..."
    )


def test_a_gguf_file_that_tells_no_tokens_lacks_none(adapter, tmp_path):
    write_gguf(tmp_path / "m.gguf", [], [])
    write_tokenizer(adapter, {"<pad>": 4}, end="<pad>")

    assert check_tokens(adapter, str(tmp_path / "m.gguf")).numbers == {}


def test_a_changed_file_is_read_again(adapter, model):
    write_tokenizer(adapter, {"<pad>": 4})
    assert check_tokens(adapter, str(model)).numbers == {"<pad>": 4}

    write_tokenizer(adapter, {"<other>": 5})
    assert check_tokens(adapter, str(model)).numbers == {"<other>": 5}


def test_a_message_names_few_tokens():
    other = conflicts({f"t{n}": n for n in range(9)}, Vocabulary({f"u{n}": n for n in range(4)}))

    assert token_names(other) == "'t0', 't1', 't2', …"
    assert token_names(other[:1]) == "'t0'"
