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
from programs import CRATES, HERE, Missing, building, free_port


def python_with(*modules):
    """An interpreter that has them: ours, or Debian's."""
    for python in sys.executable, "/usr/bin/python3":
        if os.path.exists(python) and not subprocess.run(
                [python, "-c", "import " + ", ".join(modules)], stderr=subprocess.DEVNULL).returncode:
            return python
    raise Missing(f"no Python has {' and '.join(modules)}")


def built(name, source, *argv, **env):
    """A directory where argv has built what sql/SOURCE tells, once for all that want it."""
    live = os.path.join(os.path.abspath(os.environ["APPMON_BUILD"]), "live")
    directory, origin = os.path.join(live, "sql-" + name), os.path.join(HERE, "sql", source)
    files = glob.glob(f"{origin}/**", recursive=True) if os.path.isdir(origin) else [origin]
    if not shutil.which(argv[0]):
        raise Missing(f"{argv[0]} is not installed")
    with building(directory):
        mark = f"{directory}/built"
        if not os.path.exists(mark) or os.path.getmtime(mark) < max(map(os.path.getmtime, files)):
            if os.path.isdir(origin):
                shutil.copytree(origin, directory, dirs_exist_ok=True)
            else:
                shutil.copy(origin, directory)
            done = subprocess.run(argv, cwd=directory, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT,
                                  env={**os.environ, "GOCACHE": f"{live}/go-cache", **env})
            if done.returncode:
                raise Missing(f"{argv[0]} cannot build it: {done.stdout[-500:]}")
            open(mark, "w").close()
    return directory


def with_node(name):
    directory = built("node", "package.json", "npm", "install", "--no-audit", "--no-fund",
                      "--no-package-lock")
    return ["env", f"NODE_PATH={directory}/node_modules", "node",
            os.path.join(HERE, "sql", f"with-{name}.js")]


def with_python(name, *modules):
    return [python_with(*modules), os.path.join(HERE, "sql", f"with-{name}.py")]


def with_mysql_connector():
    """Debian has none."""
    directory = built("python", "requirements.txt", "/usr/bin/python3", "-m", "pip", "install",
                      "--quiet", "--no-deps", "--upgrade", "--target", ".", "-r", "requirements.txt")
    return ["env", f"PYTHONPATH={directory}", "/usr/bin/python3",
            os.path.join(HERE, "sql", "with-mysql-connector.py")]


def with_go(name):
    directory = built("go", "go", "go", "build", "-o", "bin/", "./pgx", "./go-sql-driver",
                      CGO_ENABLED="0")
    return [f"{directory}/bin/{name}"]


def with_rust():
    if not glob.glob(f"{CRATES}/tokio-postgres-*"):
        raise Missing(f"no tokio-postgres crate in {CRATES} (Debian: librust-tokio-postgres-dev)")
    directory = built("rust", "rust", "cargo", "build", "--quiet", "--offline",
                      "--config", 'source.crates-io.replace-with="debian"',
                      "--config", f'source.debian.directory="{CRATES}"')
    return [f"{directory}/target/debug/with-tokio-postgres"]


def with_jdbc(jar):
    if not os.path.exists(f"/usr/share/java/{jar}.jar"):
        raise Missing(f"no {jar}.jar (Debian: libpostgresql-jdbc-java, libmariadb-java)")
    directory = built("java", "WithJdbc.java", "javac", "-d", ".", "WithJdbc.java")
    return ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
            f"/usr/share/java/{jar}.jar:{directory}", "WithJdbc"]


def start_shop(program, cgroup, postgresql):
    """A server of HTTP that asks PostgreSQL: its process, and its port."""
    port = free_port("127.0.0.1")
    return cgroup.spawn([python_with("psycopg"), "-c", program, str(port),
                         f"host=127.0.0.1 port={postgresql.port} user=postgres dbname=postgres"]), port


POSTGRESQL_CLIENTS = ["psycopg", "asyncpg", "sqlalchemy", "pg.js", "pgx", "tokio-postgres", "jdbc"]
MYSQL_CLIENTS = ["pymysql", "mysql-connector", "sqlalchemy", "mysql.js", "mysql2.js", "go-sql-driver",
                 "jdbc", "jdbc-prepared"]


def client(name, server, *more):
    """The command line of a client in sql/, which tells what it did."""
    port, postgresql = str(server.port), isinstance(server, Postgresql)
    if name == "jdbc" and postgresql:
        return [*with_jdbc("postgresql"),
                f"jdbc:postgresql://127.0.0.1:{port}/postgres?user=postgres"]
    if name.startswith("jdbc"):
        options = "&useServerPrepStmts=true" if name == "jdbc-prepared" else ""
        return [*with_jdbc("mariadb-java-client"),
                f"jdbc:mariadb://127.0.0.1:{port}/shop?user=alice&password=hunter2{options}"]
    if name == "sqlalchemy":
        driver = "psycopg2" if postgresql else "pymysql"
        return [*with_python(name, "sqlalchemy", driver),
                f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres" if postgresql
                else f"mysql+pymysql://alice:hunter2@127.0.0.1:{port}/shop"]
    command = {
        "psycopg": lambda: with_python(name, "psycopg"),
        "asyncpg": lambda: with_python(name, "asyncpg"),
        "pg.js": lambda: with_node("pg"),
        "pgx": lambda: with_go("pgx"),
        "tokio-postgres": with_rust,
        "pymysql": lambda: with_python(name, "pymysql"),
        "mysql-connector": with_mysql_connector,
        "mysql.js": lambda: with_node("mysql"),
        "mysql2.js": lambda: with_node("mysql2"),
        "go-sql-driver": lambda: with_go("go-sql-driver"),
    }[name]()
    return [*command, port, *map(str, more)]


class Database:
    def __init__(self, user, host="127.0.0.1"):
        self.user, self.host = user, host
        self.port = free_port(host)
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

    def certify(self, path):
        """Makes PATH.crt and PATH.key, for TLS."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=test", "-keyout", f"{path}.key", "-out", f"{path}.crt"],
                       stderr=subprocess.DEVNULL, check=True)
        os.chmod(f"{path}.key", 0o600)
        for name in f"{path}.key", f"{path}.crt":
            shutil.chown(name, self.user, self.user)

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

    options = {"fsync": "off", "logging_collector": "on",
               "log_destination": "jsonlog", "log_filename": "log", "log_statement": "all",
               "log_connections": "on", "shared_preload_libraries": "pg_stat_statements"}

    def __init__(self, cgroup, host="127.0.0.1"):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found:
            raise Missing("postgresql is not installed")
        super().__init__("postgres", host)
        self.bindir = os.path.dirname(found[-1])
        data = f"{self.directory}/data"
        self.run(f"{self.bindir}/initdb", "-N", "-D", data, "-A", "trust")
        with open(f"{data}/pg_hba.conf", "w") as hba:
            hba.write("host all alice all scram-sha-256\nhost all all all trust\n")
        self.certify(f"{data}/server")
        argv = [f"{self.bindir}/postgres", "-D", data, "-p", str(self.port), "-k", self.directory]
        for option, value in {**self.options, "listen_addresses": host,
                              "log_directory": self.directory}.items():
            argv += ["-c", f"{option}={value}"]
        self.process = cgroup.spawn(self.as_user(*argv), stderr=subprocess.DEVNULL)
        self.wait_for(f"{self.bindir}/pg_isready", "-q", "-h", host, "-p", str(self.port))
        self.sql("CREATE USER alice PASSWORD 'hunter2'")
        if "shared_preload_libraries" in self.options:
            self.sql("CREATE EXTENSION pg_stat_statements")

    def ask(self, program, *args, **kwargs):
        return self.run(f"{self.bindir}/{program}", "-h", self.host, "-p", str(self.port), *args,
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


class Pgbouncer(Database):
    """Before a server of PostgreSQL: whoever comes is postgres there, for a transaction at a time."""

    def __init__(self, cgroup, postgresql):
        if not shutil.which("pgbouncer"):
            raise Missing("pgbouncer is not installed")
        super().__init__("postgres")
        with open(f"{self.directory}/ini", "w") as ini:
            ini.write("[databases]\n"
                      f"postgres = host=127.0.0.1 port={postgresql.port} user=postgres\n"
                      "[pgbouncer]\n"
                      f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
                      "auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n")
        self.process = cgroup.spawn(self.as_user("pgbouncer", "-q", f"{self.directory}/ini"),
                                    stderr=subprocess.DEVNULL)
        self.wait_for(f"{postgresql.bindir}/pg_isready", "-q", "-h", "127.0.0.1", "-p",
                      str(self.port))


class Mariadb(Database):
    """Its users are root, without a password, and alice with one."""

    options = ["--general-log", "--log-output=TABLE", "--performance-schema",
               "--performance-schema-consumer-events-statements-current",
               "--performance-schema-consumer-events-statements-history-long",
               "--performance-schema-events-statements-history-long-size=10000"]

    def __init__(self, cgroup, host="127.0.0.1"):
        if not shutil.which("mariadbd"):
            raise Missing("mariadb-server is not installed")
        super().__init__("mysql", host)
        data = f"{self.directory}/data"
        self.run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                 "--auth-root-authentication-method=normal")
        self.certify(f"{self.directory}/tls")
        self.process = cgroup.spawn(self.as_user(
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--port={self.port}",
            f"--socket={self.directory}/socket", f"--tmpdir={self.directory}", f"--bind-address={host}", "--skip-log-bin",
            "--innodb-flush-method=nosync", "--local-infile", "--skip-name-resolve",
            "--max-allowed-packet=64M", f"--ssl-cert={self.directory}/tls.crt",
            f"--ssl-key={self.directory}/tls.key", *self.options), stderr=subprocess.DEVNULL)
        self.wait_for("mariadb-admin", "--no-defaults", f"--socket={self.directory}/socket", "-uroot",
                      "ping")
        self.sql("CREATE DATABASE shop; CREATE USER alice@'%' IDENTIFIED BY 'hunter2'; "
                 "GRANT ALL ON shop.* TO alice@'%'")

    def sql(self, text, *args):
        """By the Unix socket, which is not watched."""
        return self.run("mariadb", "--no-defaults", f"--socket={self.directory}/socket", "-uroot",
                        "-N", "-B", *args, "-e", text)

    def ask(self, *args, fails=False):
        return self.run("mariadb", "--no-defaults", f"-h{self.host}", f"-P{self.port}", "--skip-ssl",
                        "-N", "-B", *args, fails=fails)

    def begin(self):
        """What log() and statements() tell begins here."""
        self.sql("SET GLOBAL general_log = 0; TRUNCATE mysql.general_log; SET GLOBAL general_log = 1; "
                 "TRUNCATE performance_schema.events_statements_history_long")

    def log(self):
        """(command, text) of what came by TCP, as the server has it."""
        rows = self.sql("SET GLOBAL general_log = 0; SELECT JSON_OBJECT('command', command_type, "
                        "'text', CONVERT(argument USING utf8mb4)) FROM mysql.general_log WHERE "
                        "user_host LIKE 'alice%' ORDER BY event_time; "
                        "SET GLOBAL general_log = 1", "--raw")
        return [(row["command"], row["text"]) for row in map(json.loads, rows.splitlines())]

    def statements(self):
        """(rows, number of the error or "") of each statement that performance_schema has seen end in
        the database that is not of the Unix socket; rows are those sent or changed, None beside an error.
        Not those inside procedures, nor the commands that are no statement."""
        rows = self.sql("SELECT rows_sent + rows_affected, mysql_errno FROM "
                        "performance_schema.events_statements_history_long WHERE current_schema = 'shop' "
                        "AND nesting_event_id IS NULL AND (event_name LIKE 'statement/sql/%' OR event_name IN "
                        "('statement/com/Execute', 'statement/com/Fetch', 'statement/com/Bulk_execute') "
                        "OR event_name = 'statement/com/Prepare' AND mysql_errno <> 0)")
        return [(None, error) if error != "0" else (int(count), "")
                for count, error in map(str.split, rows.splitlines())]


@contextlib.contextmanager
def running(kind, *args):
    """One that runs in a cgroup of its own (server.cgroup), or a skip that says what is missing."""
    if not cgroups.mount_point():
        pytest.skip("cgroup v2 is not mounted")
    with cgroups.Cgroup() as cgroup:
        try:
            server = kind(cgroup, *args)
        except Missing as reason:
            pytest.skip(str(reason))
        server.cgroup = cgroup
        yield server
        server.stop()
