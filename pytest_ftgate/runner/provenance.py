"""Provenance: what decides must show in a diff, and reports name what has changed."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pytest_ftgate.errors import CacheError, FtgateError
from pytest_ftgate.results.history import (
    GitError,
    git_output,
    repository_of,
    require_history,
    tracked_among,
)
from pytest_ftgate.results.run import Change, FileChange, FileChanges
from pytest_ftgate.settings import Settings, short_path
from pytest_ftgate.suite.model import Suite

# What no diff shows -------------------------------------------------------------------------------

#: The ends of the files that SQLite reads together.
_OF_SQLITE = ("", "-wal", "-shm", "-journal")


def require_untracked(
    file: Path,
    start: Path,
    *,
    safe_root: Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> None:
    """Raise if git tracks *file*, which runs write: a commit could put any replies into it.

    The message has the command to type in the folder *start*. *safe_root* is the root directory in
    safe mode: git must know of a file below it. Otherwise *warn* is called with a sentence if git
    fails.

    Raises:
        CacheError: git tracks the file, or in safe mode does not say whether it does.
    """
    if not any(os.path.lexists(f"{file}{end}") for end in _OF_SQLITE):
        return
    shown, resolved = short_path(file, start), file.resolve()
    # Of a link, git may track the link or the file that it leads to.
    places = {(file.absolute().parent.resolve(), file.name), (resolved.parent, resolved.name)}
    unknown, reason = "", "it is in no repository"
    for folder, name in places:
        try:
            if top := repository_of(folder):
                within, reason = folder.relative_to(top), unknown
                names = [(within / f"{name}{end}").as_posix() for end in _OF_SQLITE]
                if tracked := tracked_among(top, names):
                    raise CacheError(_tracked_message(shown, top, tracked, start))
        except GitError as error:
            unknown = reason = str(error)
    if reason and safe_root and resolved.is_relative_to(safe_root.resolve()):
        raise CacheError(
            f"safe mode reads {shown} only if git says that no commit holds it ({reason}); name a "
            "file outside of the root directory with --ftgate-cache=PATH"
        )
    if unknown:
        warn(f"{shown} may come from a commit, as git does not say whether it tracks it: {unknown}")


def _tracked_message(shown: Path, top: Path, names: Iterable[str], start: Path) -> str:
    is_own = repository_of(start.resolve()) == top
    place = [] if is_own else ["-C", str(short_path(top, start))]
    typed = [str(short_path(top / name, start.resolve())) if is_own else name for name in names]
    command = shlex.join(["git", *place, "rm", "--cached", *typed])
    return (
        f"git tracks {shown}, so what it holds may come from a commit and not from a run. Stop "
        f"tracking it:\n    {command}\nand delete it, unless runs of your own have written it"
    )


# What differs from the base branch ----------------------------------------------------------------


def deciding_files(
    suites: Iterable[Suite], root: Path, configuration: Path | None = None
) -> set[str]:
    """Return the files that decide a run of *suites*: what they name, and what lies beside them.

    The *configuration* of pytest and the files ``conftest.py`` above a suite may select its gates.
    All are globs of git, from the top of the repository of *root*; none outside of one.
    """
    top = repository_of(root.resolve())
    if top is None:
        return set()
    paths, globs = {configuration} if configuration else set[Path](), set[str]()
    for suite in suites:
        beside = (suite.path, suite.accepted_path, suite.replies_path)
        above = (folder for folder in suite.path.parents if folder.is_relative_to(root))
        paths |= {*beside, *suite.files, *_modules(suite), *(f / "conftest.py" for f in above)}
        globs |= {f"{_literal(folder)}/{pattern}" for folder, pattern in suite.globs}
    for path in {*paths, *(path.resolve() for path in paths)}:
        own = repository_of(path.parent) or top
        # Of another repository inside, such as a submodule, git knows the commit alone.
        globs.add(_literal(path if own == top else own))
    normal = map(posixpath.normpath, globs)
    inside = f"{_literal(top)}/"
    return {glob.removeprefix(inside) for glob in normal if glob.startswith(inside)}


def _literal(path: Path) -> str:
    """Return a glob that *path* alone matches."""
    return re.sub(r"([*?\[\\])", r"\\\1", path.as_posix())


def _modules(suite: Suite) -> Iterator[Path]:
    """Yield the files of Python that *suite* names functions of; git knows those of the project."""
    from pytest_ftgate.suite.function_references import source_files

    variants = [*suite.variants.values(), *(judge.variant for judge in suite.judges)]
    named = {name for variant in variants for name in (variant.function, *variant.tools) if name}
    named |= {v.retrieve.function for v in variants if v.retrieve and v.retrieve.function}
    cases = [*suite.cases, *suite.holdout]
    rules = [suite.reply.score, *suite.reply.format, *(c.score for c in cases)]
    rules += [rule for case in cases for rule in case.format]
    parts = (part.checked for rule in rules for part in rule.parts)
    named |= {str(part.value) for part in parts if part.kind in ("python", "pydantic")}
    for reference in named:
        with suppress(FtgateError, OSError, SyntaxError, ValueError):
            yield from source_files(reference, suite.path.parent)


def file_changes(
    settings: Settings, files: Collection[str], environ: Mapping[str, str]
) -> FileChanges:
    """Return which of *files* differ from the base branch, and which suites it alone has.

    *files* are those of `deciding_files`. *environ* names the branch that a pull request goes to.
    """
    root = settings.root.resolve()
    top = repository_of(root)
    if not files or top is None:
        return FileChanges(unknown="" if top else "the root directory is in no git repository")
    changes: dict[str, Change] = {}
    within = _literal(root.relative_to(top))
    suites = [posixpath.normpath(f"{within}/**/{glob}") for glob in settings.files]
    try:
        branch, commit = _base_branch(top, environ)
        changes.update(_difference(top, commit, suites, "--diff-filter=D"))
        changes.update(_difference(top, commit, files))
        new = git_output(top, "ls-files", "--others", "--exclude-standard", "-z", *_specs(files))
    except GitError as error:
        return FileChanges(unknown=str(error))
    changes.update((name, "untracked") for name in new.split("\0")[:-1])
    named = {os.path.relpath(top / name, root): change for name, change in changes.items()}
    found = (FileChange(name=Path(name).as_posix(), change=named[name]) for name in sorted(named))
    return FileChanges(branch=branch, commit=commit, files=tuple(found))


def _specs(globs: Iterable[str]) -> list[str]:
    return ["--", *(f":(top,glob){glob}" for glob in globs)]


#: By git's letter, what happened to a file. Each other letter is a change of its kind.
_CHANGES: Mapping[str, Change] = {"A": "added", "D": "deleted"}


def _difference(
    top: Path, commit: str, globs: Collection[str], *options: str
) -> Iterator[tuple[str, Change]]:
    """Yield the name and the change of each tracked file that differs from *commit*."""
    if not globs:
        return
    arguments = ("diff", "--name-status", "--no-renames", "-z", *options, commit)
    fields = git_output(top, *arguments, *_specs(globs)).split("\0")
    for letter, name in zip(fields[:-1:2], fields[1::2], strict=True):
        yield name, _CHANGES.get(letter, "changed")


#: Where GitHub, GitLab and Jenkins name the branch that a pull request goes to.
TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CHANGE_TARGET")
#: Where GitLab has the commit of it that was merged, or that the merge request began at.
_GITLAB_COMMITS = ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "CI_MERGE_REQUEST_DIFF_BASE_SHA")
#: The names of a default branch, the surest first.
_DEFAULTS = (
    *("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master"),
    *("refs/heads/main", "refs/heads/master"),
)


def _base_branch(top: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the base branch, and the last commit of it that HEAD is built on.

    Raises:
        GitError: the branch is not here.
    """
    target = next(filter(None, map(environ.get, TARGETS)), "")
    for name, revision in _requested(target, environ) if target else _default_branches(top):
        with suppress(GitError):
            return name, git_output(top, "merge-base", revision, "HEAD").strip()
    require_history(top)
    if target:
        raise GitError(f"the branch {target} is not here; fetch it (fetch-depth: 0)")
    with suppress(GitError):
        return "the last commit", git_output(top, "rev-parse", "--verify", "HEAD").strip()
    raise GitError("the repository has no commit yet; commit the files first")


def _requested(target: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what the branch *target*, which a request goes to, may be called, the surest first."""
    yield from ((target, commit) for name in _GITLAB_COMMITS if (commit := environ.get(name)))
    # The commit that GitHub checks out merges the request into the branch.
    if environ.get("GITHUB_REF", "").startswith("refs/pull/"):
        yield target, f"{environ.get('GITHUB_SHA')}^1"
    yield target, f"refs/remotes/origin/{target}"


def _default_branches(top: Path) -> Iterator[tuple[str, str]]:
    """Yield the short names and the full ones of the default branches that are here."""
    form = "--format=%(refname)%00%(refname:short)%00%(symref:short)"
    lines = git_output(top, "for-each-ref", form, *_DEFAULTS).splitlines()
    found = {name: (link or short, name) for name, short, link in (x.split("\0") for x in lines)}
    yield from (found[name] for name in _DEFAULTS if name in found)
