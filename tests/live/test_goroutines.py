# SPDX-License-Identifier: BSD-2-Clause
"""What Go programs send requests for, by their goroutines: no header field says it. The program has
the id of the request that it serves in the path of what it asks for, so the truth is known."""
import re
import shutil
import subprocess

import pytest

from programs import Missing
from tiers import Backend, Links, Middle, load

REQUESTS = 600
# How many the handler of each path sends for one request.
SENDS = {"direct": 1, "fan": 2, "group": 3, "late": 1, "pool": 1}


@pytest.fixture(scope="module", autouse=True)
def go():
    """A Go whose programs the library knows."""
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    said = subprocess.run(["go", "version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    minor = int(re.search(r"go1\.(\d+)", said)[1])
    if not 21 <= minor <= 26:
        pytest.skip(f"not on this machine: the library knows nothing of Go 1.{minor}")


@pytest.fixture
def chain(programs, cgroup, watch, tmp_path):
    """chain(how, ...): the Links of a load on paths of that kind."""
    def run(how, clients=12, requests=REQUESTS, build=""):
        backend = Backend()
        try:
            middle = Middle(programs, "go-fan" + build, cgroup, tmp_path, backend)
        except Missing as reason:
            backend.stop()
            pytest.skip(str(reason))
        watching = watch(cgroup, args=["--goroutines"])
        try:
            done = load(middle.port, clients, requests, path=f"/{how}/")
            watching.wait((1 + SENDS[how]) * requests, timeout=10)
        finally:
            backend.stop()
        assert len(done) == requests
        assert all(backend.ids[number] == SENDS[how] for number in done)
        links = Links(watching.stop())
        watching.check_sums((1 + SENDS[how]) * requests)
        assert len(links.sent) == SENDS[how] * requests
        links.report(f"go{build} {how}, {clients} clients")
        assert not links.wrong["goroutine"], links.errors[:2]
        return links
    return run


@pytest.mark.parametrize("clients", [1, 12, 64])
def test_same_goroutine(chain, clients):
    """net/http's server calls the handler, which asks through net/http's client."""
    links = chain("direct", clients=clients)
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 95 // 100


@pytest.mark.parametrize("build", ["-stripped", "-cgo"])
def test_builds(chain, build):
    """Without symbols, position independent, with a C library's startup code in front."""
    if build != "-stripped" and not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    links = chain("direct", build=build)
    assert not sum(links.wrong.values())
    assert links.right["goroutine"] >= REQUESTS * 95 // 100


@pytest.mark.parametrize("clients", [12, 64])
@pytest.mark.parametrize("how", ["fan", "group"])
def test_started(chain, how, clients):
    """Goroutines that the handler starts and waits for."""
    links = chain(how, clients=clients)
    assert not sum(links.wrong.values())
    assert links.right["started"] >= len(links.sent) * 95 // 100


@pytest.mark.parametrize("clients", [1, 12])
def test_outlives_its_request(chain, clients):
    """A goroutine that asks when its request is answered, and the connection perhaps has the next
    one: no link to that."""
    links = chain("late", clients=clients, requests=200)
    assert not sum(links.wrong.values())


def test_workers(chain):
    """A pool that the first request starts: who works for whom is not known, and no certain kind
    says so."""
    links = chain("pool")
    assert not links.right["goroutine"]
