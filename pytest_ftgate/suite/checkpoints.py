"""The checkpoints of a training that a variant names by a glob: a variant for each of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from os.path import relpath
from pathlib import Path, PurePath
from typing import NamedTuple

from pytest_ftgate.paths import exists, is_folder
from pytest_ftgate.readers.source import is_glob, real_path
from pytest_ftgate.suite.declaration import DeclaredVariant
from pytest_ftgate.suite.draft import VariantLocation
from pytest_ftgate.suite.model import Checkpoint, Suite, Variant
from pytest_ftgate.suite.overrides import glob_paths
from pytest_ftgate.suite.providers import provider_spec

_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*$)")
#: A number that is no step: epoch 1.5 comes after epoch 1.25.
_FRACTION = re.compile(r"[0-9]\.[0-9]+(?=[^0-9]*$)")
#: What a name may hold in node ids, in ``-k``, and in the figures of trackers.
_NAME = re.compile(r"[\w.+-]+")
_ONE_TRAINING = "a glob names the checkpoints of one training, such as out/checkpoint-*"


class FoundCheckpoint(NamedTuple):
    """A checkpoint of the variant *checkpoint.of*, with the keys that it changes."""

    checkpoint: Checkpoint
    changes: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the variant for this checkpoint."""
        return f"{self.checkpoint.of}-{self.checkpoint.label}"


def find_checkpoints(
    location: VariantLocation, merged: DeclaredVariant
) -> tuple[FoundCheckpoint, ...] | None:
    """Return the checkpoints of the variant at *location*, in the order of their steps.

    *merged* has its keys with the inherited ones. The result is None if it names a single model,
    and empty after an error was added.
    """
    spec = provider_spec(merged.provider)
    key, pattern = ("adapter", merged.adapter) if merged.adapter else ("model", merged.model)
    folder = location.source.path.parent
    if not pattern or not is_glob(pattern) or (key == "model" and not spec.weights):
        return None
    if exists(folder / pattern):  # a name with brackets
        return None
    search = _Search(location, key, pattern, PurePath(pattern).parts)
    labels = search.labels()
    last = len(labels) - 1
    # A server knows each adapter by a name of its own.
    serves = key == "adapter" and spec.adapter == "served"
    return tuple(
        FoundCheckpoint(
            Checkpoint(of=location.name, label=label, step=_step(label), decides=number == last),
            {key: path} | ({"model": f"{merged.model}-{label}"} if serves else {}),
        )
        for number, (label, path) in enumerate(sorted(labels.items(), key=lambda x: _step(x[0])))
    )


def _step(label: str) -> int:
    number = _NUMBER.search(label)
    return int(number[0]) if number else -1


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for what *pattern* matches, which is written at *key*; *parts* are its own."""

    location: VariantLocation
    key: str
    pattern: str
    parts: tuple[str, ...]

    def labels(self) -> dict[str, str]:
        """Return the path of each checkpoint by its label; none after an error was added."""
        pairs = [] if self.problem() else sorted(self.found())
        found = dict(pairs)
        shapes = {_NUMBER.sub("N", label, count=1) for label in found}
        names = self.location.suite.declared.variants
        if odd := next((label for label in found if not _NAME.fullmatch(label)), ""):
            self.add_error(f"{odd!r} cannot be a part of a name; write letters, digits and . _ + -")
        elif odd := next((label for label in found if _step(label) < 0), ""):
            self.add_error(f"{odd} has no step, a number in its name; {self.narrower(odd)}")
        elif odd := next(filter(_FRACTION.search, found), ""):
            self.add_error(f"{odd} has a fraction, and steps are whole numbers; rename it")
        elif len(shapes) > 1:
            several = " and ".join(sorted(found, key=len)[:: max(1, len(found) - 1)])
            self.add_error(f"it matches {several}; {_ONE_TRAINING}")
        elif twice := _of_one_step(pairs):
            self.add_error(f"{' and '.join(twice)} are one step; {_ONE_TRAINING}")
        elif taken := {f"{self.location.name}-{label}" for label in found} & names.keys():
            self.add_error(f"a variant is called {min(taken)} already; rename it")
        else:
            return found
        return {}

    def found(self) -> Iterator[tuple[str, str]]:
        """Yield the label and the path of what matches."""
        folder, is_absolute = self.location.source.path.parent, Path(self.pattern).is_absolute()
        for path in glob_paths(folder, self.pattern):
            own = PurePath(path).parts[-len(self.parts) :]
            named = (part for part, wild in zip(own, self.parts, strict=True) if is_glob(wild))
            label = "-".join(named).removesuffix(".gguf")
            yield label, path if is_absolute else relpath(path, folder)

    def problem(self) -> bool:
        """Add an error if nothing can be searched, or nothing is found; return whether it is so."""
        source = self.location.source
        fixed = next(number for number, part in enumerate(self.parts) if is_glob(part))
        folder = real_path(source.path.parent / Path(*self.parts[:fixed]))
        shown = source.display_path(folder)
        if "**" in self.parts:
            self.add_error(f"** takes in folders of any depth; {_ONE_TRAINING}")
        elif ".." in self.parts[fixed:]:
            self.add_error(f"no .. may follow a wildcard; {_ONE_TRAINING}")
        elif source.safe and self.leads_outside(fixed):
            self.add_error(f"it leads outside {source.root}; --ftgate-safe does not allow it")
        elif not glob_paths(source.path.parent, self.pattern):
            what = "" if is_folder(folder) else ", which is no folder"
            self.add_error(f"nothing matches it (looked in {shown}/{what})")
        else:
            return False
        return True

    def leads_outside(self, fixed: int) -> bool:
        """Return whether the pattern, or a link that it matches, leads outside the root.

        *fixed* is the number of parts before the first wildcard. An error does not
        say what lies behind such a link.
        """
        source = self.location.source
        folder = source.path.parent
        ends = range(fixed + 1, len(self.parts) + 1)
        patterns = (str(Path(*self.parts[:end])) for end in ends)
        found = (path for pattern in patterns for path in glob_paths(folder, pattern))
        paths = chain([folder / Path(*self.parts[:fixed])], map(Path, found))
        return any(not real_path(path).is_relative_to(source.root) for path in paths)

    def narrower(self, odd: str) -> str:
        """Return how a glob leaves *odd* out, which has no step."""
        if self.pattern.endswith("-*"):
            return f'write "{self.pattern.removesuffix("*")}[0-9]*", or remove {odd}'
        return _ONE_TRAINING

    def add_error(self, message: str) -> None:
        self.location.add_error(self.key, f"{self.key}: {self.pattern}: {message}")


def _of_one_step(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return two paths of *pairs*, labels with paths, whose labels have the same step; or []."""
    by_step = defaultdict[int, list[str]](list)
    for label, path in pairs:
        by_step[_step(label)].append(path)
    return next((paths[:2] for paths in by_step.values() if len(paths) > 1), [])


def with_chosen(suite: Suite, names: tuple[str, ...]) -> Suite:
    """Return *suite* with the build going by the checkpoints that a run selects by *names*.

    Where they name none of a training, it goes by the last one.
    """
    chosen = {one.declared_name for one in suite.variants.values() if one.name in names}
    variants = {
        name: _deciding(one, decides=name in names)
        if one.checkpoint and one.declared_name in chosen
        else one
        for name, one in suite.variants.items()
    }
    return replace(suite, variants=variants)


def _deciding(variant: Variant, *, decides: bool) -> Variant:
    checkpoint = variant.checkpoint
    return replace(variant, checkpoint=checkpoint and replace(checkpoint, decides=decides))


def only_deciding(suite: Suite) -> Suite:
    """Return *suite* with one checkpoint of each training: that by which the build goes."""
    return replace(suite, variants={k: v for k, v in suite.variants.items() if v.decides})
