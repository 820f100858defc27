"""The same suite on a Ray cluster, also one that loses a node, and a team's own provider there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest
from ftgate_testing.chat_server import Said, chat_server

pytest.importorskip("ray", reason='Ray is not installed: pip install "pytest-ftgate[ray]"')

from ray.cluster_utils import Cluster

DEADLINE = 120
AWAY = "-oftgate_engine=ray"
#: Answers rightly, and notes in which program, and of which cluster.
HOUSE = """\
import sys
from pathlib import Path
import ray
from pytest_ftgate import Provider, Reply

SEEN = Path(__file__).with_name("seen.txt")

class House(Provider):
    async def generate(self, request):
        with SEEN.open("a") as stream:
            cluster = ray.get_runtime_context().gcs_address
            stream.write(f"{Path(sys.argv[0]).name} {cluster}\\n")
        number = int(request.messages[-1][1].split()[1].strip(":"))
        return Reply(text=("billing", "refund")[number % 2])

def pytest_ftgate_providers():
    return {"house": House}
"""


def answer(request) -> Said:
    """Answer after a while; wrongly for every tenth ticket where the model is *worse*."""
    time.sleep(0.03)
    number = int(request["messages"][-1]["content"].split()[1].strip(":"))
    wrong = request["model"] == "worse" and number % 10 == 0
    return Said(("billing", "refund")[(number + wrong) % 2])


@pytest.fixture(scope="module")
def cluster():
    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield running
    running.shutdown()


@pytest.fixture
def judged(desk, cluster, monkeypatch):
    """Judge the suites of the desk in another process; return what it said and its verdicts."""
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def run(*args: str, during=lambda: None) -> tuple[str, list[str]]:
        report = desk.path("junit.xml")
        words = ("-m", "pytest", "-W", "error", "--ftgate", f"--junitxml={report}")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(
            [sys.executable, *words, *args], cwd=desk.pytester.path, **pipes
        ) as process:
            during()
            said, _ = process.communicate(timeout=DEADLINE)
        told = ET.parse(report).iter("property")
        return said, sorted(str(one.get("value")) for one in told if one.get("name") == "ftgate")

    return run


def test_a_cluster_that_loses_a_node_reaches_the_verdicts_of_one_machine(desk, cluster, judged):
    desk.cases = 200
    node = cluster.add_node(num_cpus=2)
    with chat_server(answer) as server:
        at = f"provider: openai-compatible, base_url: {server.url}/v1"
        variants = {name: f"{{{at}, model: {name}}}" for name in ("current", "worse")}
        desk.suite_of(variants, "{accuracy: {min: 0.8, max_drop: 0.05}, format: {min: 0.9}}")

        def lose():
            end = time.monotonic() + DEADLINE
            while len(server.requests) < 60 and time.monotonic() < end:
                time.sleep(0.01)
            cluster.remove_node(node, allow_graceful=False)

        said, away = judged(AWAY, "--ftgate-cache=away/l.sqlite", during=lose)
        _, here = judged("--ftgate-cache=here/l.sqlite")

    assert len(here) == 4
    assert away == here
    assert "400 replies: 0 cached, 400 requested" in said


@pytest.fixture
def housed(desk):
    """A desk whose suite asks the team's own provider."""
    desk.path("conftest.py").write_text(HOUSE, "utf-8")
    desk.suite_of({"current": "{provider: house, model: m}"})
    return desk


def test_the_configuration_may_choose_the_cluster_where_the_provider_of_a_conftest_works(
    housed, cluster, judged
):
    housed.path("pytest.ini").write_text("[pytest]\nftgate_engine = ray\n")

    said, verdicts = judged()

    assert len(verdicts) == 1
    assert "100 replies: 0 cached, 100 requested" in said
    seen = housed.path("seen.txt").read_text().splitlines()
    assert len(seen) == housed.cases
    assert set(seen) == {f"default_worker.py {cluster.address}"}


def test_without_an_address_no_cluster_that_runs_here_is_joined(
    housed, cluster, judged, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS")

    said, _ = judged(AWAY)

    assert "100 replies: 0 cached, 100 requested" in said
    assert cluster.address not in housed.path("seen.txt").read_text()


def test_a_cluster_that_is_not_there_is_an_error_of_the_gate(housed, judged, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")

    said, verdicts = judged(AWAY)

    assert verdicts == []
    assert "no Ray cluster at 127.0.0.1:9" in said
