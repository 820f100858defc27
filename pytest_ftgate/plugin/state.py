"""Keys under which the plugin keeps its state in pytest's stash, and what marks mean."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_ftgate.errors import Diagnostic, EngineError, FtgateError, file_like
from pytest_ftgate.settings import Settings

if TYPE_CHECKING:
    from pytest_ftgate.runner.session import Session


class AcceptedGate(NamedTuple):
    """What a run with ``--ftgate-accept`` accepts of one gate.

    Attributes:
        suite: the name of its suite.
        name: the key in the accepted record.
        serves: the variant in production, or "".
        cases: the values of each case.
        limits: the default limit of the gate, by its name; empty if it declares one.
        exam: what decides the gate, as JSON; its cases stand with the first gate of a process.
    """

    suite: str
    name: str
    serves: str
    cases: Mapping[str, Any]
    limits: Mapping[str, float]
    exam: Mapping[str, Any]


#: Of a process: what it accepts, by node id.
_accepted_key = pytest.StashKey[dict[str, AcceptedGate]]()
settings_key = pytest.StashKey[Settings]()
#: The session of the run, with ``--ftgate``.
session_key: pytest.StashKey[Session] = pytest.StashKey()
#: Of a run in which options or a plugin left out tests: the node ids of the gates among them.
left_out_key = pytest.StashKey[list[str]]()
#: True once the run has collected a function that is marked as a gate.
marked_key = pytest.StashKey[bool]()
#: Of a process: True once it has waited so long for replies that it shows what it waits for.
begun_key = pytest.StashKey[bool]()
#: Why this process, or a worker, has ended with an internal error.
broken_key = pytest.StashKey[str]()
#: True if the traceback of the internal error is in the report of a test, or was shown.
shown_key = pytest.StashKey[bool]()
#: Of a collector: the errors of marks below it.
errors_key = pytest.StashKey[list[Diagnostic]]()


#: A key that a suite has at its top.
_SUITE_KEY = re.compile(rb"^[\"']?(?:cases|variants|gates)[\"']?[ \t]*:", re.MULTILINE)
#: The bytes in which such a key is looked for.
_LOOKED_AT = 100_000


def is_misnamed(path: Path) -> bool:
    """Return True if *path* is almost named as a suite: its name must end in .ftgate.yaml.

    ``ftgate.yaml`` alone may be a file of another tool, unless it has keys of a suite.
    """
    name = path.name.lower()
    if name in ("ftgate.yml", "ftgate.yaml"):
        return _has_suite_key(path)
    is_right = path.suffixes[-2:] == [".ftgate", ".yaml"]
    return name.endswith((".ftgate.yml", ".ftgate.yaml")) and not is_right


def _has_suite_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(_SUITE_KEY.search(file.read(_LOOKED_AT).removeprefix(BOM_UTF8)))
    except OSError:
        return False


def evaluates_nothing(config: pytest.Config) -> bool:
    """Return True if the options of *config* ask to evaluate no gate."""
    # --setup-plan implies --setup-only.
    options = ("collectonly", "setuponly", "showfixtures", "show_fixtures_per_test")
    only_looks = any(config.getoption(name, default=False) for name in options)
    settings = config.stash[settings_key]
    return only_looks or settings.plan or bool(settings.cases)


def only_shows_setup(config: pytest.Config) -> bool:
    """Return True if pytest only shows how tests are set up (``--setup-only``)."""
    return bool(config.getoption("setuponly", default=False))


def set_up(
    config: pytest.Config,
    evaluate: Callable[[], None],
    error_text: Callable[[FtgateError | EngineError], str],
) -> None:
    """Call *evaluate* in the setup of an item; fail with *error_text* if it raises an error."""
    if only_shows_setup(config):
        return
    error: FtgateError | EngineError | None = None
    try:
        evaluate()
    except (FtgateError, EngineError) as raised:
        error = raised
    # Within the handler, pytest would show the error as well, with the same text.
    if error is not None:
        pytest.fail(error_text(error), pytrace=False)


def takes_whole_project(config: pytest.Config) -> bool:
    """Return True if the command line of *config* leaves out no part of the project."""
    started_at_root = config.invocation_params.dir == config.rootpath
    source, sources = config.args_source, pytest.Config.ArgsSource
    everything = source is sources.TESTPATHS or (
        source is sources.INVOCATION_DIR and started_at_root
    )
    return everything and left_out_key not in config.stash


def verbosity_of(config: pytest.Config) -> int:
    """Return the verbosity of a run: 0 without pytest's terminal plugin, which has the option.

    ``Config.get_verbosity`` of pytest 8.2 needs that plugin.
    """
    return int(getattr(config.option, "verbose", 0))


def leaves_out(config: pytest.Config, node: str) -> bool:
    """Return True if the command line of *config* may leave out the gate with the id *node*."""
    if left_out_key in config.stash or any("::" in arg for arg in config.args):
        return True
    # A marked function is a gate of its suite, but lies in a file of its own.
    file = (config.rootpath / node.partition("::")[0]).resolve()
    start = config.invocation_params.dir
    is_named = any(file.is_relative_to(Path(start, arg).resolve()) for arg in config.args)
    return file.suffix == ".py" and not is_named


def accepted_of(config: pytest.Config) -> dict[str, AcceptedGate]:
    """Return what the gates of this process accept, by node id."""
    return config.stash.setdefault(_accepted_key, {})


def uses_fixture(item: pytest.Item) -> bool:
    """Return True if *item* takes the fixture ``ftgate``."""
    return "ftgate" in getattr(item, "fixturenames", ())


def is_marked_as_gate(item: pytest.Item) -> bool:
    """Return True if *item* is marked to be a gate, whether it is one or cannot be."""
    if any(mark.name == "ftgate" for mark in _marks_of(item)):
        return True
    # In a marked class or module, some tests may take no reply.
    takes_reply = {"reply", "ask"} & {*getattr(item, "fixturenames", ())}
    return bool(takes_reply) and item.get_closest_marker("ftgate") is not None


def _marks_of(item: pytest.Item) -> Iterable[pytest.Mark]:
    """Return the marks on the function of *item* itself."""
    function = getattr(item, "obj", None)
    # pytest 9 finds no mark on a static method outside a class.
    if isinstance(function, staticmethod):
        return getattr(function.__func__, "pytestmark", ())
    return item.own_markers


def unfound_suites(config: pytest.Config) -> Iterator[str]:
    """Yield what to write for each argument that names a file which pytest does not collect."""
    settings = config.stash[settings_key]
    for argument in config.args:
        name, _, gate = argument.partition("::")
        path = Path(config.invocation_params.dir, name)
        is_suite = any(path.match(glob) for glob in settings.files)
        is_gone = settings.enabled and is_suite and not path.exists()
        if is_gone and (hint := file_like(path)):
            yield f"file or directory not found: {name}{hint}"
        if not path.is_file() or path.suffix not in (".yaml", ".yml"):
            continue
        if not settings.enabled and (is_suite or is_misnamed(path)):
            yield f"{name} is a suite: add --ftgate"
        elif settings.enabled and is_suite and gate:
            shown = f"pytest --ftgate --collect-only -q {name}"
            yield f"{name} has no gate {gate}; its gates: {shown}"
        elif settings.enabled and not is_suite:
            right = suite_name_like(path)
            yield f"{name} is not read: the name of a suite ends in .ftgate.yaml, as {right}"


def suite_name_like(path: Path) -> str:
    """Return the name that the suite in *path* should have."""
    stem = re.sub(r"\.(ftgate\.)?ya?ml$", "", path.name, flags=re.IGNORECASE)
    return f"{stem}.ftgate.yaml"
