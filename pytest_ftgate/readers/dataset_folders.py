"""Rows of a folder of Hugging Face `datasets`, as a repository of the Hub has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.imports import read_records, read_text_below
from pytest_ftgate.readers.table import read_parquet

#: The splits that evaluate a model, the likeliest first.
_SPLITS = ("test", "validation", "valid", "val", "dev", "eval", "train")
_FILES = (".parquet", ".jsonl", ".json", ".csv")
#: What the library writes about the data, beside them.
_ABOUT = ("dataset_dict.json", "dataset_info.json", "state.json")
#: Folders of save_to_disk hold Arrow files alone.
_SAVED = 'of save_to_disk save a split with dataset.to_parquet("test.parquet")'


class FolderRows(NamedTuple):
    """The rows of one split, and the names of all."""

    rows: tuple[Mapping[str, Any], ...]
    split: str
    splits: tuple[str, ...]


def read_dataset_folder(folder: Path) -> FolderRows:
    """Return the rows of the split of *folder* that evaluates a model, such as ``test``.

    Raises:
        ConfigurationError: the folder has no data, or they cannot be read.
    """
    splits = _declared(folder) or _named(folder)
    if not splits:
        kinds = ", ".join(_FILES)
        raise ConfigurationError(f"{folder}: a folder without {kinds}; name a file; {_SAVED}")
    split = next((name for name in _SPLITS if name in splits), next(iter(splits)))
    rows = (row for path in splits[split] for row in read_data_file(path))
    return FolderRows(tuple(rows), split, tuple(splits))


def _declared(folder: Path) -> dict[str, list[Path]]:
    """Return the files that the card of a repository names: ``configs`` in README.md."""
    splits: dict[str, list[Path]] = {}
    for entry in _card_entries(folder / "README.md"):
        patterns = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        names = [path.relative_to(folder).as_posix() for path in _data_files(folder)]
        found = [name for name in names if any(fnmatch(name, str(one)) for one in patterns)]
        if found:
            splits[str(entry["split"])] = [folder / name for name in found]
    return splits


def _card_entries(card: Path) -> list[Mapping[str, Any]]:
    """Return the splits and paths of the default configuration of a card."""
    text = read_text_below(card.parent, card.name) if card.is_file() else ""
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    try:
        keys = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{card}: its head is not YAML: {error}") from error
    configs = keys.get("configs") if isinstance(keys, Mapping) else None
    if not isinstance(configs, list) or not configs:
        return []
    try:
        config = next((one for one in configs if one.get("default")), configs[0])
        written = config["data_files"]
        entries = written if isinstance(written, list) else [{"split": "train", "path": written}]
        return [{"split": entry["split"], "path": entry["path"]} for entry in entries]
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{card}: configs have no split and path: {error}") from error


def _data_files(folder: Path) -> list[Path]:
    """Return the files of data; of a symbolic link that leads out of *folder* none."""
    paths = (path for path in folder.rglob("*") if path.suffix in _FILES and path.is_file())
    found = sorted(path for path in paths if path.name not in _ABOUT)
    return [path for path in found if path.resolve().is_relative_to(folder.resolve())]


def _named(folder: Path) -> dict[str, list[Path]]:
    """Return the files by the split in their names: test.csv, data/train-00000-of-00001.parquet."""
    splits: dict[str, list[Path]] = {}
    for path in _data_files(folder):
        words = re.split(r"[^a-z]+", path.relative_to(folder).as_posix().lower())
        name = next((split for split in _SPLITS if split in words), "")
        if name or path.suffix != ".json":  # such as the settings of a tokenizer
            splits.setdefault(name or "train", []).append(path)
    return splits


def read_data_file(path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the rows of one file of data.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    return read_parquet(path, str(path)) if path.suffix == ".parquet" else read_records(path)
