"""How far a reader walks from the start of one accuracy gate to its verdict, in one or more trees.

    python benchmarks/walk.py [--tuned] TREE [TREE ...]

A TREE is a checkout, or TREE:FUNCTION where not ``evaluate_gate`` evaluates a gate. Each runs a
suite of two variants over a stub, the second time under a profile of the main thread.

module: one with a called function.
step: a call of one function of the package by another, at its first time; loops add none. What lies
    between them, as ``functools``, is left out, and a generator is a caller only.
climb: a step against the order of the package, by a callback or on an object handed over: into a
    room right of the caller's, or into a module that imports the caller's, by whatever way.
return: a step into another module than that of the step before, which an earlier step was in.
names: the different functions among the first 400 calls.
"""

import gc
import inspect
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

FIRST_CALLS, LABELS = 400, ("billing", "refund")
SUITE = """\
reply: {{format: {{choice: [billing, refund]}}}}
variants: {{current: {{provider: stub, model: one}}, draft: {{provider: stub, model: two{}}}}}
gates: {{accuracy: {{min: 0.5, max_drop: 0.3}}}}
cases:
"""


class Tree:
    """The modules of a checkout, by the rules in its tests; the package is imported from there."""

    def __init__(self, root: Path) -> None:
        sys.path[:0] = [str(root), str(root / "tests")]
        self.rules: Any = import_module("test_architecture")
        self.names = {str(path): name for name, path in self.rules.modules().items()}

    @cache  # noqa: B019 - there is one tree
    def reached(self, module: str) -> frozenset[str]:
        """Return the modules that *module* imports, and those that these import."""
        ours = {self.rules.inside(name) for _, name in self.rules.imports(module)} - {module}
        ours &= {*self.names.values()}
        return frozenset(ours).union(*map(self.reached, ours))

    def climbs(self, caller: str, callee: str) -> bool:
        """Return True if *caller* calls against the order of the package."""
        is_right = self.rules.rank(callee) > self.rules.rank(caller)
        return is_right or caller in self.reached(callee)


def calls_of_gate(tree: Tree, start: str, run: Any) -> list[tuple[str, ...]]:
    """Return the calls while *start* runs: module and function of the caller and the callee."""
    calls, top, names = list[tuple[str, ...]](), list[FrameType](), tree.names

    def noted(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "return" and frame in top:
            sys.setprofile(None)
        elif event == "call" and code.co_filename in names and top:
            caller = frame.f_back
            while caller and caller.f_code.co_filename not in names:
                caller = caller.f_back
            is_part = code.co_name.startswith("<") and code.co_name != "<lambda>"
            if caller and not is_part and not code.co_flags & inspect.CO_GENERATOR:
                both = ((names[one.co_filename], one.co_qualname) for one in (caller.f_code, code))
                calls.append(sum(both, ()))
        elif event == "call" and code.co_filename in names and code.co_name == start:
            top.append(frame)

    sys.setprofile(noted)
    run()
    return calls


def walk(tree: Tree, start: str, suite: str) -> str:
    """Return the figures of one walk."""
    from pytest_ftgate import Provider, Reply, evaluate

    class Stub(Provider):
        async def generate(self, request: Any) -> Reply:
            said, label = request.messages[-1][1], LABELS[len(request.messages[-1][1]) % 2]
            return Reply(text=label if said.startswith("Ticket ") else f"{request.model}: {said}")

    def run() -> None:
        with tempfile.TemporaryDirectory() as name:
            inputs = [f"Ticket {'x' * n}" for n in range(1, 41)]
            rows = [f"  - {{input: {it}, expected: {LABELS[len(it) % 2]}}}\n" for it in inputs]
            Path(name, "s.ftgate.yaml").write_text("".join([suite, *rows]), "utf-8")
            found = evaluate(f"{name}/s.ftgate.yaml", providers={"stub": Stub}, variants=["draft"])
            assert len(found.verdicts) == 1, str(found)

    run()
    gc.collect()  # else what the first run has made would spare some calls at times
    calls = calls_of_gate(tree, start, run)
    assert calls, f"no function {start} was called; name another one as TREE:FUNCTION"
    steps = [*dict.fromkeys(calls)]
    path = [module for module, _ in groupby(step[2] for step in steps)]
    climbs = sum(tree.climbs(before, after) for before, _, after, _ in steps if before != after)
    names = len({call[2:] for call in calls[:FIRST_CALLS]})
    told = f"{len({*path})} modules, {len(steps)} steps, {climbs} climbs, "
    return told + f"{len(path) - len({*path})} returns, {names} names in {FIRST_CALLS} calls"


if __name__ == "__main__":
    tuned, trees = "--tuned" in sys.argv, [one for one in sys.argv[1:] if one != "--tuned"]
    for given in trees:
        if len(trees) > 1:  # each has a process of its own, which imports one package of the name
            subprocess.run([sys.executable, __file__, *["--tuned"] * tuned, given], check=True)
        else:
            root, _, start = (given if ":" in given else f"{given}:evaluate_gate").partition(":")
            line = walk(Tree(Path(root).resolve()), start, SUITE.format(", base: base" * tuned))
            print(f"{given}: {line}")
