# SPDX-License-Identifier: BSD-2-Clause
"""examples/grafana: every query of the dashboards and alerts, asked of two real Prometheus that
scraped `appmon export` under load: one has classic histograms, one native ones alone."""
import collections
import glob
import json
import math
import os
import re
import shutil
import socket
import subprocess
import time

import pytest
import yaml

from exporting import wait_for
from programs import HERE, free_port, run_client
from test_export import built, export, prometheus  # noqa: F401: fixtures
from test_grpc import built as built_by_go
from test_grpc import grpc_go, needs
from test_resp import redis  # noqa: F401: a fixture

GRAFANA = os.path.join(HERE, "..", "..", "examples", "grafana")
BOARDS = sorted(glob.glob(f"{GRAFANA}/*.json"))
ALERTS = f"{GRAFANA}/alerts.yaml"
PLAN = [("GET", "/hello", 0, "none")] * 6 + [("GET", "/bytes/100", 0, "none")] * 2 \
    + [("GET", "/status/503", 0, "none")] * 2
COMMANDS = ["set a 1"] * 3 + ["get a"] * 6 + ["nosuch a"]
# What a machine's cgroups have only with limits or disks.
NOT_EVERYWHERE = {"container_cpu_throttled_seconds_total", "container_disk_read_bytes_total",
                  "container_disk_written_bytes_total", "container_memory_usage_bytes",
                  "container_processes"}


def load(path):
    with open(path) as f:
        return json.load(f)


def filled(text):
    """A query with Grafana's variables as they are where all is chosen."""
    text = re.sub(r'"\$(machine|application|instance)"', '".*"', text)
    text = text.replace("$__rate_interval", "5m")
    assert "$" not in text, text
    return text


def queries(board):
    return [(f"{panel['type']} {panel['title']}", target["refId"], filled(target["expr"]))
            for panel in board["panels"] for target in panel.get("targets", [])]


def variable_query(variable):
    """The series that a variable takes its values of, and the label that has them."""
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)",
                                   variable["query"]["query"]).groups()
    return filled(selector), label


def names_in(expression):
    """The metrics that it asks for: what is neither a label, nor a function or keyword."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|group_left) \([^)]*\)", " ", expression)
    return set(re.findall(r"\b[a-z]\w*_\w+\b(?! *\()", bare)) \
        | set(re.findall(r"\b[a-z]\w*(?=\{)", expression))


def without_bounds(expression):
    """An alert's expression as long as all is well."""
    return re.sub(r" (>|==) [\d.]+", "", expression)


@pytest.mark.parametrize("path", BOARDS, ids=os.path.basename)
def test_dashboard(path):
    """Panels have numbers of their own and do not overlap; each asks the data source that is chosen."""
    board = load(path)
    assert board["schemaVersion"] == 38 and board["uid"].startswith("appmon-")
    assert len({load(other)["uid"] for other in BOARDS}) == len(BOARDS)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r'"\$(\w+)\\"', json.dumps(board))) <= variables
    panels, taken = board["panels"], set()
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["type"], panel["title"]) for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in ("row", "stat", "table", "timeseries", "heatmap")
        assert (panel["type"] == "row") == ("targets" not in panel)
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        if panel["type"] == "table":
            # Each column that a query makes has a name, which units and order go by.
            names = panel["transformations"][1]["options"]["renameByName"]
            count = len(panel["targets"])
            assert {name for name in names if name.startswith("Value")} == (
                {f"Value #{target['refId']}" for target in panel["targets"]} if count > 1
                else {"Value"})
            assert {override["matcher"]["options"]
                    for override in panel["fieldConfig"]["overrides"]} <= set(names.values())
            assert panel["options"]["sortBy"][0]["displayName"] in names.values()


@pytest.fixture
def grafana_types(programs):
    """grafana_types(path): what Grafana's own types have against a dashboard."""
    needs("go")
    program = f"{programs.directory}/check-dashboards"
    built_by_go(f"{HERE}/grafana", ["go", "build", "-o", program, "."])

    def check(path):
        return subprocess.run([program, path], stderr=subprocess.PIPE, text=True).stderr
    return check


def test_types(grafana_types, tmp_path):
    """Dashboards, panels, options and queries by the types that Grafana generates of its schema."""
    assert [grafana_types(path) for path in BOARDS] == [""] * 4
    board = load(BOARDS[0])
    board["panels"][0]["options"]["colorMode"] = 3
    board["panels"][1]["targets"][0]["exprr"] = board["panels"][1]["targets"][0].pop("expr")
    (tmp_path / "wrong.json").write_text(json.dumps(board))
    wrong = grafana_types(tmp_path / "wrong.json")
    assert "panels[0].options.colorMode: json: cannot unmarshal" in wrong
    assert "panels[1].targets[0].expr: required" in wrong and "unexpected field 'exprr'" in wrong


def test_alerts():
    """promtool: the rules are right, and say of made-up figures what they should."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: prometheus)")
    subprocess.run(["promtool", "check", "rules", ALERTS], check=True)
    subprocess.run(["promtool", "test", "rules", f"{HERE}/grafana-alerts.yaml"], check=True)


def all_queries():
    """Those of the dashboards and alerts, by where they are."""
    found = {(os.path.basename(path), title, ref): expression
             for path in BOARDS for title, ref, expression in queries(load(path))}
    with open(ALERTS) as f:
        for group in yaml.safe_load(f)["groups"]:
            for rule in group["rules"]:
                found["alerts.yaml", rule["alert"], ""] = without_bounds(rule["expr"])
    return found


def scraped(started, expression, expected):
    """Waits until Prometheus has what was sent."""
    wait_for(lambda: started.query(expression).get(()) == expected, 30, f"{expression}: {expected}")


def test_queries(cgroup, start_server, export, programs, prometheus, redis, tmp_path):  # noqa: F811
    """All return data where the exporter has some, and ask for metrics that it has."""
    server = start_server("node", cgroup)
    address = "127.0.0.1", server.port
    calls = grpc_go(programs.directory)
    monitor = export(cgroup, "--protocols", "http1,http2,resp", "--service-times")

    def send(plan):
        run_client(programs, "python", cgroup, tmp_path, address, plan)

    def send_commands(times):
        done = cgroup.spawn(["redis-cli", "-p", str(redis.port)], stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, text=True)
        done.communicate("\n".join(COMMANDS * times), timeout=60)
        assert done.returncode == 0

    def call():
        """Calls of gRPC, some of which fail."""
        done = cgroup.spawn([*calls, str(free_port("127.0.0.1"))], stdout=subprocess.DEVNULL)
        assert done.wait(60) == 0

    call()
    send_commands(1)
    send(PLAN)
    count = "sum(http_server_requests_total)"
    wait_for(lambda: monitor.counted("http_server_requests_total") == {(): len(PLAN)})
    started, native = prometheus(monitor.url), prometheus(monitor.url, "native-histograms")
    for one in started, native:
        scraped(one, count, len(PLAN))
    call()
    send_commands(5)
    send(PLAN * 5)
    with socket.create_connection(address) as hanging:
        hanging.sendall(b"GET /slow/600000 HTTP/1.1\r\nHost: h\r\n\r\n")
        for one in started, native:
            scraped(one, count, 6 * len(PLAN))
            scraped(one, "sum(http_server_active_requests)", 1)
        # A quantile needs two scrapes, the age one that is later.
        time.sleep(2.5)
        text = monitor.scrape()[1]
        questions = all_queries()
        answers = {where: (expression, started.query(expression))
                   for where, expression in questions.items()}
        of_native = {where: native.query(expression) for where, expression in questions.items()}
        assert not native.query("http_server_request_duration_seconds_bucket")
    families = set(re.findall(r"^# TYPE (\S+)", text, re.M)) | {"up"}
    have = set(re.findall(r"^(\w+)[{ ]", text, re.M)) | {"up"} \
        | set(re.findall(r"^# TYPE (\S+) histogram", text, re.M))
    lacking = set()
    for where, (expression, answer) in answers.items():
        names = names_in(expression)
        assert names
        for name in names:
            assert name in families or re.sub("_(bucket|sum|count)$", "", name) in families, where
        if names <= have:
            for some in answer, of_native[where]:
                assert some and not all(map(math.isnan, some.values())), (where, expression)
            # A heat map has no buckets of its own there.
            if not where[1].startswith("heatmap"):
                assert of_native[where].keys() == answer.keys(), (where, expression)
        lacking |= names - have
    assert lacking <= NOT_EVERYWHERE

    # The figures are those of the plan.
    failed = answers["overview.json", "timeseries Failed", "A"][1]
    assert failed[(("service_name", "shop"),)] == pytest.approx(0.2)
    routes = {dict(labels)["http_route"]: value for labels, value
              in answers["application.json", "table Routes", "A"][1].items()}
    assert {route: value / sum(routes.values()) for route, value in routes.items()} == {
        "/hello": pytest.approx(0.6), "/bytes/{id}": pytest.approx(0.2),
        "/status/{id}": pytest.approx(0.2)}
    where = "application.json", "table Routes", "F"
    for shares in answers[where][1], of_native[where]:
        assert sum(shares.values()) == pytest.approx(1)
    for side in "sent", "received":
        operations = collections.Counter()
        for labels, value in answers["calls.json", f"table Statements, {side}", "A"][1].items():
            operations[dict(labels)["db_operation_name"]] += value
        counts = operations["SET"], operations["GET"], operations["_OTHER"]
        assert [count / sum(counts) for count in counts] == pytest.approx([0.3, 0.6, 0.1])
    edges = {(dict(labels)["client"], dict(labels)["server"])
             for labels in answers["overview.json", "table Who calls whom", "A"][1]}
    assert edges == {("shop", "shop")}

    for path in BOARDS:
        for variable in load(path)["templating"]["list"]:
            if variable["type"] == "query":
                selector, label = variable_query(variable)
                values = started.ask(f"label/{label}/values", **{"match[]": selector})
                assert values, (path, variable["name"])
                assert variable["name"] != "application" or values == ["shop"]
