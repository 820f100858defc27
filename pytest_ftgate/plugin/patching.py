"""Which fixtures may have patched the function of a ``python`` variant, and which of them stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from inspect import signature, unwrap
from pathlib import Path
from types import CodeType
from typing import Any, Literal, get_args

import pytest

from pytest_ftgate.plugin.progress import live_progress
from pytest_ftgate.plugin.state import session_key, settings_key
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.providers import provider_spec

_Fixture = pytest.FixtureDef[Any]
_Scope = Literal["session", "package", "module", "class"]

#: Fixtures of pytest-mock whose patches outlive the fixture that asks for them.
_MOCKERS = ("class_mocker", "module_mocker", "package_mocker", "session_mocker")
#: How pytest names the fixtures that it makes of setup_module, setup_method, setUpClass and so on.
_SETUPS = ("_xunit_", "_unittest_")
_SITES = frozenset(["site-packages", "dist-packages"])
_PYTEST, _OURS = "_pytest", "pytest_ftgate"
#: The scopes of fixtures that still stand when another file is tested.
_WIDE = ("package", "session")
#: The most fixtures that a message names.
_MAX_NAMED = 3

patching_key = pytest.StashKey["PatchingFixtures"]()


def finish_calls(config: pytest.Config) -> None:
    """Wait for the functions that are being called, before a test may patch them."""
    session = config.stash[session_key]
    if session.replies.pending_calls:
        with live_progress(config):
            session.finish_calls()


class PatchingFixtures:
    """A plugin that knows which fixtures may have patched a function, and which of them stand."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        plugins = (plugin for plugin, _ in config.pluginmanager.list_plugin_distinfo())
        names = [getattr(plugin, "__name__", "") for plugin in plugins]
        #: The packages that are installed as plugins, from wherever their files are.
        self._installed = {_PYTEST, _OURS, *(name.partition(".")[0] for name in names)}
        #: What stands, with the node at whose end it is undone.
        self._standing: dict[_Fixture, pytest.Item | pytest.Collector] = {}
        #: The test that is being set up or runs.
        self._item: pytest.Item | None = None
        config.stash[patching_key] = self
        config.stash[session_key].replies.call_error = self._call_error

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before a test patches anything, wait for the functions that are being called."""
        self._item, nodes = item, item.listchain()
        # pytest does not report the end of a fixture that it could not even call.
        self._standing = {one: node for one, node in self._standing.items() if node in nodes}
        # The gates of suites patch nothing.
        if type(item).__module__.partition(".")[0] != _OURS:
            finish_calls(self._config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: _Fixture, request: pytest.FixtureRequest) -> None:
        """Note that a fixture stands, even if it fails halfway."""
        if self._may_patch(fixturedef):
            self._standing[fixturedef] = request.node

    def pytest_fixture_post_finalizer(self, fixturedef: _Fixture) -> None:
        """Note that a fixture is undone."""
        self._standing.pop(fixturedef, None)

    @property
    def any_stands(self) -> bool:
        """Whether a fixture stands that may have patched a function."""
        return bool(self._standing)

    def of_item(self, item: pytest.Item) -> list[_Fixture]:
        """Return the fixtures of *item* that may patch a function, before they are set up too.

        Those of pytest and of installed plugins count only if the test names them: plugins have
        fixtures that apply to every test, and pytest-django's use monkeypatch.
        """
        named = {*_names_in(item)}
        return [
            fixture
            for fixture in _fixtures_of(item)
            if self._may_patch(fixture) or (fixture.argname in named and _is_for_patches(fixture))
        ]

    def of_running_test(self) -> tuple[str, bool]:
        """Return the node id of the test that runs, and whether a fixture of it may patch."""
        if self._item is None:
            return "", bool(self._standing)
        # A fixture of its own may be one that it has fetched by name.
        fetched = any(one.scope == "function" for one in self._standing)
        return self._item.nodeid, fetched or bool(self.of_item(self._item))

    def outlives_its_test(self, item: pytest.Item, files: Collection[Path]) -> bool:
        """Return True if a fixture of *item* may stand when tests of other items run.

        A fixture of a module or a class counts only if these tests are in the same file, one of
        *files*.
        """
        fixtures = (one for one in _fixtures_of(item) if one.scope != "function")
        scopes = {one.scope for one in fixtures if self._may_patch(one)}
        return not scopes.isdisjoint(_WIDE) or (bool(scopes) and item.path in files)

    def names(self, fixtures: Collection[_Fixture]) -> str:
        """Return the names of *fixtures* with the files of those that the project defines."""
        named = [self._name(fixture) for fixture in [*fixtures][:_MAX_NAMED]]
        return ", ".join([*named, *["…"] * (len(fixtures) > _MAX_NAMED)])

    def _name(self, fixture: _Fixture) -> str:
        if fixture.argname.startswith(_SETUPS):
            # Such as _xunit_setup_module_fixture_tests.test_it.
            kind, _, owner = fixture.argname.partition("_fixture_")
            return f"{kind.split('_', 2)[2]} of {owner}"
        code = _code_of(fixture)
        if code is None or self._is_installed(fixture):
            return fixture.argname
        file, root = Path(code.co_filename), self._config.rootpath
        shown = file.relative_to(root) if file.is_relative_to(root) else file
        return f"{fixture.argname} ({shown.as_posix()}:{code.co_firstlineno})"

    def _may_patch(self, fixture: _Fixture) -> bool:
        name = fixture.argname
        return name in _MOCKERS or name.startswith(_SETUPS) or not self._is_installed(fixture)

    def _is_installed(self, fixture: _Fixture) -> bool:
        code = _code_of(fixture)
        is_in_site = code is not None and not _SITES.isdisjoint(Path(code.co_filename).parts)
        return is_in_site or _package_of(fixture) in self._installed

    def _call_error(self, request: Request) -> str:
        """Return why the function of *request* must not be called now, or ""."""
        # What only one test may use is made under its fixtures on purpose.
        if not self._standing or request.only_for or not provider_spec(request.provider).calls_code:
            return ""
        from pytest_ftgate.plugin.cases import shell_word

        node = self._item.nodeid if self._item else ""
        file = node.partition("::")[0]
        alone = node if file.endswith(".py") else file
        return (
            f"{request.function} is not called while fixtures of other tests stand, which may have "
            f"patched it: {self.names(self._standing)}; run it alone:\n    pytest --ftgate "
            f"{shell_word(self._config.stash[settings_key].typed(alone))}"
        )


def _fixtures_of(item: pytest.Item) -> Iterator[_Fixture]:
    """Yield the fixtures that *item* takes, named ones and those that apply by themselves."""
    # pytest tells them to plugins only when they are set up.
    info = getattr(item, "_fixtureinfo", None)
    for definitions in info.name2fixturedefs.values() if info else ():
        # The nearest definition overrides the others.
        yield definitions[-1]


def variant_scope(item: pytest.Item) -> _Scope | None:
    """Return the widest scope of the fixtures of *item* that take ``variant``; None for a test's.

    Such a fixture, which may start a server, is set up anew whenever the variant changes.
    """
    scopes = {one.scope for one in _fixtures_of(item) if "variant" in one.argnames}
    return next((scope for scope in get_args(_Scope) if scope in scopes), None)


def _names_in(item: pytest.Item) -> Iterator[str]:
    """Yield the fixtures that the function of *item* names, as parameters or by usefixtures."""
    if not isinstance(item, pytest.Function):
        return
    yield from signature(unwrap(item.function)).parameters
    params = item.callspec.params if hasattr(item, "callspec") else {}
    for mark in item.iter_markers("usefixtures"):
        # anyio marks its tests with a fixture of its own, which has parameters.
        yield from (str(name) for name in mark.args if name not in params)


def _is_for_patches(fixture: _Fixture) -> bool:
    """Return True if a test that asks for *fixture*, of pytest or a plugin, may do so to patch."""
    return fixture.argname == "monkeypatch" or _package_of(fixture) not in (_PYTEST, _OURS)


def _code_of(fixture: _Fixture) -> CodeType | None:
    code: CodeType | None = getattr(unwrap(fixture.func), "__code__", None)
    return code


def _package_of(fixture: _Fixture) -> str:
    """Return the package that defines *fixture*."""
    return str(getattr(unwrap(fixture.func), "__module__", "")).partition(".")[0]
