# SPDX-License-Identifier: BSD-2-Clause
"""Database servers for the live tests, and what they wrote down of the statements they were sent."""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

import cgroups
from programs import HERE, Missing, building, free_port


def python_with(*modules):
    """An interpreter that has them: ours, or Debian's."""
    for python in sys.executable, "/usr/bin/python3":
        if os.path.exists(python) and not subprocess.run(
                [python, "-c", "import " + ", ".join(modules)], stderr=subprocess.DEVNULL).returncode:
            return python
    raise Missing(f"no Python has {' and '.join(modules)}")


def node_with():
    """node, and where npm has put what sql/package.json asks for."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Missing("no node with npm")
    directory = os.path.join(os.path.abspath(os.environ["APPMON_BUILD"]), "live", "node-sql")
    with building(directory):
        if not os.path.exists(f"{directory}/node_modules"):
            shutil.copy(os.path.join(HERE, "sql", "package.json"), directory)
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
                           cwd=directory, check=True, stdout=subprocess.DEVNULL)
    return ["env", f"NODE_PATH={directory}/node_modules", "node"]


def start_shop(program, cgroup, postgresql):
    """A server of HTTP that asks PostgreSQL: its process, and its port."""
    port = free_port("127.0.0.1")
    return cgroup.spawn([python_with("psycopg"), "-c", program, str(port),
                         f"host=127.0.0.1 port={postgresql.port} user=postgres dbname=postgres"]), port


def client(name):
    """The start of a command line of sql/NAME."""
    interpreter = {
        "psycopg.py": lambda: [python_with("psycopg")],
        "asyncpg.py": lambda: [python_with("asyncpg")],
        "pg.js": node_with,
        "pymysql.py": lambda: [python_with("pymysql")],
        "mysql.js": node_with,
    }[name]()
    return interpreter + [os.path.join(HERE, "sql", "with-" + name)]


class Database:
    def __init__(self, user):
        self.user = user
        self.port = free_port("127.0.0.1")
        self.directory = tempfile.mkdtemp(prefix="appmon-sql-")
        shutil.chown(self.directory, user)

    def as_user(self, *argv):
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", *argv]

    def run(self, *argv, fails=False, env=None, **kwargs):
        done = subprocess.run(self.as_user(*argv), cwd="/", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env={**os.environ, "HOME": self.directory,
                                             "TMPDIR": self.directory, **(env or {})},
                              **kwargs)
        assert bool(done.returncode) == fails, done.stderr
        return done.stdout

    def wait_for(self, *argv):
        deadline = time.monotonic() + 30
        while subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


class Postgresql(Database):
    """Its users are postgres, whom it trusts, and alice with a password."""

    def __init__(self, cgroup):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found:
            raise Missing("postgresql is not installed")
        super().__init__("postgres")
        self.bindir = os.path.dirname(found[-1])
        data = f"{self.directory}/data"
        self.run(f"{self.bindir}/initdb", "-N", "-D", data, "-A", "trust")
        with open(f"{data}/pg_hba.conf", "w") as hba:
            hba.write("host all alice 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=test", "-keyout", f"{data}/server.key", "-out",
                        f"{data}/server.crt"], stderr=subprocess.DEVNULL, check=True)
        os.chmod(f"{data}/server.key", 0o600)
        for name in "server.key", "server.crt":
            shutil.chown(f"{data}/{name}", self.user, self.user)
        options = {"listen_addresses": "127.0.0.1", "fsync": "off", "logging_collector": "on",
                   "log_destination": "jsonlog", "log_directory": self.directory,
                   "log_filename": "log", "log_statement": "all", "log_connections": "on",
                   "shared_preload_libraries": "pg_stat_statements"}
        argv = [f"{self.bindir}/postgres", "-D", data, "-p", str(self.port), "-k", self.directory]
        for option, value in options.items():
            argv += ["-c", f"{option}={value}"]
        self.process = cgroup.spawn(self.as_user(*argv), stderr=subprocess.DEVNULL)
        self.wait_for(f"{self.bindir}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        self.sql("CREATE USER alice PASSWORD 'hunter2'")
        self.sql("CREATE EXTENSION pg_stat_statements")

    def ask(self, program, *args, **kwargs):
        return self.run(f"{self.bindir}/{program}", "-h", "127.0.0.1", "-p", str(self.port), *args,
                        **kwargs)

    def sql(self, text, *args, **kwargs):
        return self.ask("psql", "-qAt", *args, "-c", text, "postgres", **kwargs)

    def log(self):
        """Lines so far, as dictionaries."""
        with open(f"{self.directory}/log.json") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def statements(self, since=0):
        """Of the log from line `since` on: (text, SQLSTATE or "") of each statement that was sent, as
        the log has it, and how many log-ins there were."""
        last, statements, logins = {}, [], 0
        for line in self.log()[since:]:
            pid, message = line["pid"], line["message"]
            found = re.match(r"(?:statement|execute [^:]*): (.*)", message, re.S)
            if line["error_severity"] == "LOG" and found and found[1]:
                statements.append([found[1], ""])
                last[pid] = statements[-1]
            elif line["error_severity"] == "ERROR" and "statement" in line:
                # What cannot be parsed is logged with its error only.
                if pid in last and last[pid] == [line["statement"], ""]:
                    last[pid][1] = line["state_code"]
                else:
                    statements.append([line["statement"], line["state_code"]])
            logins += message.startswith("connection authorized")
        return [tuple(statement) for statement in statements], logins


class Mariadb(Database):
    """Its users are root, without a password, and alice with one."""

    def __init__(self, cgroup):
        if not shutil.which("mariadbd"):
            raise Missing("mariadb-server is not installed")
        super().__init__("mysql")
        data = f"{self.directory}/data"
        self.run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                 "--auth-root-authentication-method=normal")
        self.process = cgroup.spawn(self.as_user(
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--port={self.port}",
            f"--socket={self.directory}/socket", f"--tmpdir={self.directory}", "--bind-address=127.0.0.1", "--skip-log-bin",
            "--innodb-flush-method=nosync", "--general-log", "--log-output=TABLE", "--local-infile",
            "--skip-name-resolve", "--max-allowed-packet=64M"), stderr=subprocess.DEVNULL)
        self.wait_for("mariadb-admin", "--no-defaults", f"--socket={self.directory}/socket", "-uroot",
                      "ping")
        self.sql("CREATE DATABASE shop; CREATE USER alice@'127.0.0.1' IDENTIFIED BY 'hunter2'; "
                 "GRANT ALL ON shop.* TO alice@'127.0.0.1'")

    def sql(self, text, *args):
        """By the Unix socket, which is not watched."""
        return self.run("mariadb", "--no-defaults", f"--socket={self.directory}/socket", "-uroot",
                        "-N", "-B", *args, "-e", text)

    def ask(self, *args, fails=False):
        return self.run("mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-N", "-B",
                        *args, fails=fails)

    def begin(self):
        """What log() tells begins here."""
        self.sql("SET GLOBAL general_log = 0; TRUNCATE mysql.general_log; SET GLOBAL general_log = 1")

    def log(self):
        """(command, text) of what came by TCP, as the server has it."""
        rows = self.sql("SET GLOBAL general_log = 0; SELECT JSON_OBJECT('command', command_type, "
                        "'text', CONVERT(argument USING utf8mb4)) FROM mysql.general_log WHERE "
                        "user_host LIKE '%127.0.0.1%' ORDER BY event_time; "
                        "SET GLOBAL general_log = 1", "--raw")
        return [(row["command"], row["text"]) for row in map(json.loads, rows.splitlines())]


@contextlib.contextmanager
def running(kind):
    """One that runs in a cgroup of its own (server.cgroup), or a skip that says what is missing."""
    if not cgroups.mount_point():
        pytest.skip("cgroup v2 is not mounted")
    with cgroups.Cgroup() as cgroup:
        try:
            server = kind(cgroup)
        except Missing as reason:
            pytest.skip(str(reason))
        server.cgroup = cgroup
        yield server
        server.stop()
