"""The rules for the structure of the package, as tests. CONTRIBUTING.md explains them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pytest_ftgate
from pytest_ftgate.suite import gate_kinds
from pytest_ftgate.suite.declaration import DeclaredGates
from pytest_ftgate.suite.model import Gate
from pytest_ftgate.suite.providers import PROVIDERS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pytest_ftgate"
TESTS = ROOT / "tests"

#: A room imports itself and the rooms left of it.
ORDER = (
    *("paths", "errors", "settings", "machine", "processes", "weights_file", "weights", "adapters"),
    *("stats", "readers", "skills"),
    *("suite", "requests", "providers", "cache", "client", "scoring", "gates", "recommend"),
    *("results", "reporting", "hookspecs", "runner", "training", "plugin", "cli"),
)
_MODELS_HERE = ("providers.decoding", "providers.generation", "providers.transformers")
#: The modules that import each SDK.
SDKS = {
    "anthropic": {"providers.anthropic"},
    "ray": {"client.ray"},
    "genai_prices": {"suite.prices"},
    "xllamacpp": {"providers.llamacpp"},
    "torch": {*_MODELS_HERE, "training.memory", "training.processes"},
    "transformers": {*_MODELS_HERE, "training.callback"},
    "peft": {"providers.transformers"},
    "llguidance": {"providers.decoding"},
}
#: Only the plugin imports pytest, and the module whose functions pytest registers as hooks.
PYTEST_ELSEWHERE = {"hookspecs"}
#: What a guest in a process must not do, as code, and the modules that still do it.
FORBIDDEN_CALLS = {"id", "signal.signal"}
FORBIDDEN_NAMES = {"gc", "sys.meta_path", "sys.setswitchinterval"}
TRICKS = {
    # The alarm that ends a scorer which takes too long.
    ("scoring.scorers", "signal.signal"),
    # SIGTERM ends a run like Ctrl-C, while it waits for replies.
    ("plugin.progress", "signal.signal"),
}
#: Names of providers that are words for other things as well: a key, a language, a mode of a run.
OTHER_MEANINGS = {"command", "python", "recorded"}
#: The kinds of gates, as classes and as words of the suite file.
GATE_CLASSES = {
    name
    for name, kind in vars(gate_kinds).items()
    if isinstance(kind, type) and Gate in kind.__mro__
} - {Gate.__name__}
GATE_NAMES = {*DeclaredGates.model_fields}
MOST_LINES = 600
LONGEST_FUNCTION = 30
#: What makes a figure with its interval: one module makes all of them.
FIGURE_CALLS = {
    *("np.quantile", "np.percentile", "np.median"),
    *("quantile_interval", "mean_interval", "ratio_interval"),
}
#: The modules that read the price of one request; the first alone makes a mean of prices.
PRICE_READERS = {
    *("gates.case_cost", "gates.figures", "gates.run_figures", "gates.usage"),
    *("requests.estimate", "requests.reply", "results.collect", "suite.ladder", "suite.prices"),
}
#: The class that gets private methods of another one by its nature: the loop calls the engine back.
CALLED_BACK = {"SchedulerCallbacks"}
EMPTY_WORDS = re.compile(r"manager|helper|utils?(_|$)", re.IGNORECASE)

#: The attributes that hold a finished sentence, and the methods that would take one apart.
SENTENCES = {"next", "message"}
STRING_METHODS = {
    *("split", "rsplit", "partition", "rpartition", "startswith", "endswith", "removeprefix"),
    *("removesuffix", "replace", "find", "index"),
}

#: Words of module names that every Python or machine-learning engineer knows.
COMMON_WORDS = frozenset(re.findall(r"\w+", """
    addresses agent answer anthropic api architecture attempt bench builder callback charts removed
    checkpoints child classification cli client collect compare config converse conversion cost
    creator declaration decoding decorator demo diagnosis doctor draft estimate eval evals
    explain export external facts feasibility file files forgetting generation grammar harbor
    history hooks hookspecs html http import imported imports init inspect item keyboard label
    labelling llamacpp lm loader local log lora machine main maintenance markdown marks
    measures memory number openai page paired pairing paths phrases planner plugin plugins
    power prices processes progress promptfoo proportions ray readers recommend recorded references
    regressions repair reporter reports resampling result results rows rule rules runner runs
    scaffold scoring screen selection self sequential served settings source sqlite state stats
    structured summary swe table tables terminal text transformers ungated usage weights
    wording writer yaml
"""))  # fmt: skip
#: Folders of tests that mirror no room: what they test is named by them.
OTHER_TESTS = {
    *("action", "benchmarks", "docs", "examples", "fuzz", "hostile", "journeys", "mutation"),
    *("nightly", "ftgate_testing", "recorded", "typing", "vectors"),
}

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def name_of(path: Path) -> str:
    """Return ``gates.rates`` for ``pytest_ftgate/gates/rates.py``, and "" for the root."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text("utf-8"))


@cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(name)))


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every import: in functions and under TYPE_CHECKING too."""
    for node in nodes(name):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = inside(full) in modules()
                yield node.lineno, full if is_module or node.module == PACKAGE.name else node.module


def offenders(is_wrong: Callable[[str, str], bool]) -> list[str]:
    return [
        f"{name}:{line} imports {imported}"
        for name in modules()
        for line, imported in imports(name)
        if is_wrong(name, imported)
    ]


def is_ours(imported: str) -> bool:
    return imported.partition(".")[0] == PACKAGE.name


def inside(imported: str) -> str:
    return imported.removeprefix(PACKAGE.name).removeprefix(".")


def rank(module: str) -> int:
    return ORDER.index(module.partition(".")[0])


def definitions(name: str) -> list[Defined]:
    return [node for node in nodes(name) if isinstance(node, Defined)]


def assigned(node: ast.stmt) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


@cache
def type_checking_imports(name: str) -> tuple[ast.ImportFrom, ...]:
    blocks = [node for node in tree(name).body if isinstance(node, ast.If)]
    blocks = [node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING"]
    inner = [node for block in blocks for node in block.body]
    return tuple(node for node in inner if isinstance(node, ast.ImportFrom))


def public_names(name: str) -> set[str]:
    """Return the public names at the top of a module; those of the root are re-exported."""
    re_exported = type_checking_imports(name) if not name else ()
    names = {alias.name for node in re_exported for alias in node.names}
    for node in tree(name).body:
        if isinstance(node, Defined):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names.update(assigned(node))
    return {public for public in names if not public.startswith("_")}


def exported_names(name: str) -> set[str] | None:
    """Return the names in ``__all__``, or None if a module has none."""
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and "__all__" in assigned(node):
            return {text for text in ast.literal_eval(node.value) if not text.startswith("__")}
    return None


_ATTRIBUTES = re.compile(r"^Attributes:\n(?P<rows>(?:    .*\n|\n)+)", re.MULTILINE)


def documented_attributes(node: ast.ClassDef) -> set[str]:
    """Return the names in the section on attributes of a class's docstring."""
    section = _ATTRIBUTES.search((ast.get_docstring(node) or "") + "\n")
    rows = re.findall(r"^    (\w[\w, ]*):", section["rows"], re.MULTILINE) if section else []
    return {attribute.strip() for row in rows for attribute in row.split(",")}


@cache
def classes() -> dict[str, ast.ClassDef]:
    nodes = (node for name in modules() for node in definitions(name))
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def attributes(node: ast.ClassDef) -> set[str]:
    """Return every name that a class or its bases of this package define or assign."""
    inner = [*ast.walk(node)]
    names = {each.name for each in inner if isinstance(each, Defined)}
    names |= {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in inner
        if isinstance(each, ast.Name | ast.Attribute) and isinstance(each.ctx, ast.Store)
    }
    bases = (re.findall(r"\w+", ast.unparse(base)) for base in node.bases)
    for base in (classes().get(name) for of_base in bases for name in of_base):
        names |= attributes(base) if base is not None else set()
    return names


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function without its signature and docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


# The order of rooms and modules ------------------------------------------------------------------


def test_every_module_is_in_a_room_of_the_order():
    assert {name.split(".")[0] for name in modules()} - {"", *ORDER} == set()


def test_a_module_imports_only_its_own_room_and_those_left_of_it():
    def is_right_of(name, imported):
        return bool(name) and is_ours(imported) and rank(inside(imported)) > rank(name)

    assert offenders(is_right_of) == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: {inside(imported) for _, imported in imports(name) if is_ours(imported)} - {name}
        for name in modules()
        if name
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of modules: {' imports '.join(error.args[1][::-1])}")


def test_the_root_of_the_package_imports_no_room_when_it_is_imported():
    # Its public names are loaded at first use; only type checkers follow these imports.
    type_checking = {node.lineno for node in type_checking_imports("")}
    ours = [line for line, imported in imports("") if is_ours(imported)]

    assert [line for line in ours if line not in type_checking] == []


def test_only_the_plugin_imports_pytest():
    def is_pytest(name, imported):
        return imported.partition(".")[0] == "pytest" and not name.startswith("plugin")

    assert {line.partition(":")[0] for line in offenders(is_pytest)} == PYTEST_ELSEWHERE


def test_nothing_imports_private_modules_of_pytest():
    assert offenders(lambda _, imported: imported.split(".")[0] == "_pytest") == []


def test_statistics_import_nothing_else_of_the_package():
    def leaves_stats(name, imported):
        return name.startswith("stats") and is_ours(imported) and ".stats" not in imported

    assert offenders(leaves_stats) == []


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_has_exactly_one_importing_module(sdk):
    importers = {
        name
        for name in modules()
        for _, imported in imports(name)
        if imported.partition(".")[0] == sdk
    }

    assert importers == SDKS[sdk]


def tricks(name: str) -> Iterator[str]:
    """Yield the keys by id() and the changes to the whole process in a module."""
    for node in nodes(name):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
            yield ast.unparse(node.func)
        elif isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in FORBIDDEN_NAMES:
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & (FORBIDDEN_NAMES | FORBIDDEN_CALLS)


def test_nothing_is_keyed_by_id_or_changes_the_process_of_its_host():
    # An id() is lost by copies; collector, import hooks, threads and signals belong to the host.
    assert {(name, trick) for name in modules() for trick in tricks(name)} - TRICKS == set()


def gate_kind_branches(name: str) -> Iterator[str]:
    """Yield the places in a module that branch on the kind of a gate, by class or by name."""
    for node in nodes(name):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            classes = set(re.findall(r"\w+", ast.unparse(node.args[1])))
            if classes & GATE_CLASSES:
                yield f"{name}:{node.lineno} {ast.unparse(node)}"
        elif isinstance(node, ast.Compare):
            texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            holders = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            if texts & GATE_NAMES and holders & {"gate", "gates", "kind"}:
                yield f"{name}:{node.lineno} {ast.unparse(node)}"


def test_kinds_of_gates_are_named_only_where_they_are_declared_and_evaluated():
    # All else reads the attributes of `Gate`, its needs, and the methods of `GateKind`, or asks
    # a function of `suite.gate_kinds` for what only one kind has.
    places = [
        place
        for name in modules()
        if not name.startswith("gates.") and name not in {"suite.gate_kinds", "suite.gates"}
        for place in gate_kind_branches(name)
    ]
    assert len(GATE_CLASSES) > 5
    assert places == []


def own_methods(node: ast.ClassDef) -> set[str]:
    """Return the methods of a class and its bases of this package, without properties."""
    found = {
        each.name
        for each in node.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any("property" in ast.unparse(one) for one in each.decorator_list)
    }
    bases = (classes().get(ast.unparse(base).split("[")[0].split(".")[-1]) for base in node.bases)
    return found.union(*(own_methods(base) for base in bases if base is not None))


def bound_methods(argument: ast.expr) -> Iterator[str]:
    """Yield the private names of ``self`` in *argument* that are handed over, and not called."""
    inner = [*ast.walk(argument)]
    called = [node.func for node in inner if isinstance(node, ast.Call)]
    for node in inner:
        is_own = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
        if is_own and node.attr.startswith("_") and node not in called:
            yield node.attr


def passed_methods(name: str) -> Iterator[str]:
    """Yield the private methods that a module passes to constructors of classes of the package."""
    for owner in (node for node in definitions(name) if isinstance(node, ast.ClassDef)):
        methods = own_methods(owner)
        for call in (node for node in ast.walk(owner) if isinstance(node, ast.Call)):
            taker = ast.unparse(call.func).split(".")[-1]
            if taker not in classes():
                continue
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                passed = methods.intersection(bound_methods(argument))
                yield from (f"{name}:{owner.name}.{method} > {taker}" for method in passed)


def test_no_class_is_made_of_private_methods_of_another_one():
    # What a class needs is a value, or a part with a name and a test of its own. A walk through a
    # call to a stored method ends in a class that its reader has already left.
    found = {place for name in modules() for place in passed_methods(name)}
    called_back = {place for place in found if place.rpartition("> ")[2] in CALLED_BACK}

    assert {place.partition(":")[0] for place in called_back} == {"client.engine"}
    assert sorted(found - called_back) == [], "hand over a value, or a part"


def provider_names(name: str) -> Iterator[str]:
    """Yield the places in a module where it names a provider: in strings other than docstrings."""
    for node in nodes(name):
        place = f"{name}:{getattr(node, 'lineno', 0)} "
        if isinstance(node, ast.Constant) and node.value in {*PROVIDERS} - OTHER_MEANINGS:
            yield place + node.value
        elif isinstance(node, ast.Compare | ast.keyword) and "provider" in ast.unparse(node):
            texts = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
            yield from (place + text for text in sorted(OTHER_MEANINGS & texts))
        elif isinstance(node, ast.Dict | ast.Tuple | ast.List | ast.Set):
            elements = node.keys if isinstance(node, ast.Dict) else node.elts
            texts = {getattr(element, "value", None) for element in elements}
            if len(texts) > 1 and all(text in PROVIDERS for text in texts):
                yield place + ast.unparse(node)


def test_providers_are_named_only_where_their_facts_stand():
    # All else reads `ProviderSpec`: a new provider is an entry there and a module in providers/.
    places = [
        place
        for name in modules()
        if not name.startswith("providers")
        for place in provider_names(name)
    ]

    assert [place for place in places if not place.startswith("suite.providers:")] == []
    assert places


# Sizes and names ---------------------------------------------------------------------------------


def names_in_use(name: str) -> set[str]:
    """Return each name in a module, such as ``np.quantile``."""
    named = (node for node in nodes(name) if isinstance(node, ast.Name | ast.Attribute))
    return {*map(ast.unparse, named)}


def test_one_module_makes_means_and_quantiles_with_their_intervals():
    makers = {
        name
        for name in modules()
        if not name.startswith("stats.") and names_in_use(name) & FIGURE_CALLS
    }

    assert makers == {"gates.figures", "gates.run_figures"}


def test_the_price_of_a_request_is_read_where_one_request_is_priced():
    assert {name for name in modules() if "request_price" in names_in_use(name)} <= PRICE_READERS


def test_modules_stay_under_their_limit():
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}

    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_functions_stay_under_their_limit():
    lengths = {
        f"{name}:{node.lineno} {node.name}": body_lines(node)
        for name in modules()
        for node in definitions(name)
        if not isinstance(node, ast.ClassDef)
    }

    assert {name: length for name, length in lengths.items() if length >= LONGEST_FUNCTION} == {}


def test_every_public_name_of_the_package_can_be_loaded():
    names = exported_names("")

    assert names
    assert {name: getattr(pytest_ftgate, name).__name__ for name in names} == {
        name: name for name in names
    }


def test_a_leading_underscore_alone_tells_what_is_private():
    # Only the package itself has a list of names: elsewhere it would repeat the code.
    with_lists = [name for name in modules() if exported_names(name) is not None]
    imported = offenders(lambda name, full: is_ours(full) and "._" in full)

    assert with_lists == [""]
    assert imported == []


def parsed_sentences(name: str) -> Iterator[str]:
    """Yield the places where a module takes a finished sentence of a verdict apart."""
    for node in nodes(name):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = [node.func.value] if node.func.attr in STRING_METHODS else []
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            parts = node.comparators
        elif isinstance(node, ast.Compare):
            texts = [node.left, *node.comparators]
            parts = [] if any(isinstance(text, ast.Constant) for text in texts) else texts
        for part in parts:
            if isinstance(part, ast.Attribute) and part.attr in SENTENCES:
                yield f"{name}:{node.lineno} {ast.unparse(node)}"


def test_no_fact_travels_inside_a_sentence():
    # A parsed error of a training file gets an example; its kind is not a field yet.
    found = [place for name in modules() for place in parsed_sentences(name)]

    assert [place for place in found if not place.startswith("suite.training_data:")] == []


def test_a_public_name_is_defined_once():
    # Providers share the name of the function that opens them, by protocol.
    names = Counter(text for name in modules() if name for text in public_names(name))
    names -= Counter({"open_provider": 100})

    assert {text for text, count in names.items() if count > 1} == set()


def test_every_documented_attribute_exists():
    missing = {
        name: sorted(documented_attributes(node) - attributes(node))
        for name, node in classes().items()
    }
    assert {name: gone for name, gone in missing.items() if gone} == {}
    assert "first_reply" in documented_attributes(classes()["Conversation"])


def test_no_name_is_empty_of_meaning():
    names = {f"{name}: {node.name}" for name in modules() for node in definitions(name)}
    empty = {text for text in {*names, *modules()} if EMPTY_WORDS.search(text.split(": ")[-1])}

    assert empty == set()


def test_names_of_modules_are_words_of_the_glossary_or_of_the_field():
    pages = (ROOT / "docs" / f"{name}.md" for name in ("glossary", "contributing/words"))
    text = "".join(path.read_text("utf-8") for path in pages)
    terms = " ".join(re.findall(r"\*\*(.+?)\*\*", text)).lower()
    known = COMMON_WORDS | {*re.findall(r"[a-z]+", terms)}
    known |= {f"{word}s" for word in known} | {f"{word}es" for word in known}
    words = {word for name in modules() for part in name.split(".") for word in part.split("_")}

    assert words - known - {""} == set()


# The tests ---------------------------------------------------------------------------------------


def mirrored(path: Path) -> bool:
    """Return True if a test file is named after a module, or after a part of one."""
    stem = path.stem.removeprefix("test_")
    folder = PACKAGE / path.parent.relative_to(TESTS)
    names = [module.stem for module in folder.glob("*.py")] + [folder.name]
    return any(stem == name or stem.startswith(f"{name}_") for name in names)


def test_tests_mirror_the_package():
    files = [path for path in TESTS.rglob("test_*.py") if path.parent != TESTS]
    rooms = [path for path in files if path.relative_to(TESTS).parts[0] not in OTHER_TESTS]
    strangers = {str(path.relative_to(TESTS)) for path in rooms if not mirrored(path)}

    # The published reference values are held against the whole room.
    assert strangers == {"stats/test_vectors.py"}
