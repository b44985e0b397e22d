# SPDX-License-Identifier: BSD-2-Clause
"""Loads of overhead that speak something else than HTTP/1: HTTP/2, gRPC, PostgreSQL, MySQL. Each is as fast
as it can be; the kernel is asked for the one protocol."""
import os
import re
import shutil
import subprocess

import databases
from bench import LOAD_CPU, SERVER_CPU, TEXT, TOP, Load, pinned


def asked(argv, count, rate, environment={}):
    """The load's own count, and how many a second, as its output says."""
    text = subprocess.run(pinned(LOAD_CPU, argv), stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, **environment}).stdout
    return {"count": int(re.search(count, text)[1]), "rate": float(re.search(rate, text)[1]),
            "p50_us": None, "p99_us": None}


def h2load(load, seconds, streams, *arguments):
    return asked(["h2load", "-t1", f"-c{load.connections}", f"-m{streams}", f"-D{seconds}", *arguments,
                  f"{load.scheme}://127.0.0.1:{load.port}{load.path}"],
                 r"requests: .* (\d+) succeeded", r"finished in .*, ([\d.]+) req/s", load.environment)


class Protocol(Load):
    run_at = None


# ---- HTTP/2 ------------------------------------------------------------------------------------------

class Http2(Protocol):
    title = "nginx over HTTP/2, 36-byte response, one stream a connection"
    protocols = "http2"
    streams = 1
    arguments = ()

    def start(self):
        self.nginx("http2", f"server {{ listen 127.0.0.1:{self.port} http2 backlog=4096; "
                            f"location / {{ return 200 '{TEXT}'; }} }}")

    def run(self, seconds):
        return h2load(self, seconds, self.streams, *self.arguments)


class Http2Streams(Http2):
    title = "nginx over HTTP/2, 36-byte response, 32 streams a connection"
    streams = 32


class Grpc(Http2):
    title = "grpc-go, unary call of 100 bytes"
    path = "/t.S/Unary"

    def start(self):
        program, message = (os.path.join(self.directory, name) for name in ("grpc-go", "message"))
        subprocess.run(["go", "build", "-o", program, "."], cwd=os.path.join(TOP, "tests/live/grpc"),
                       check=True, env={**os.environ, "CGO_ENABLED": "0"})
        with open(message, "wb") as f:
            f.write(bytes([0]) + (100).to_bytes(4, "big") + bytes(100))
        self.arguments = ["-d", message, "-H", "content-type: application/grpc", "-H", "te: trailers"]
        # It serves as long as its input is open.
        self.cgroup.spawn(pinned(SERVER_CPU, [program, str(self.port), "late"]), stdin=subprocess.PIPE)


# ---- databases ---------------------------------------------------------------------------------------

def pin(process):
    """A server that has started, and the processes and threads that it makes."""
    subprocess.run(["taskset", "-acp", SERVER_CPU, str(process.pid)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["chrt", "--rr", "-ap", "1", str(process.pid)], check=True)


class Sql(Protocol):
    unit = "statement"

    def stop(self):
        shutil.rmtree(self.server.directory)


class QuietPostgresql(databases.Postgresql):
    """Without the log of statements that the tests want."""
    options = {"fsync": "off"}


class QuietMariadb(databases.Mariadb):
    options = []


class Postgresql(Sql):
    protocols = "postgresql"
    script = "SELECT abalance FROM pgbench_accounts WHERE aid = 7;\n"
    mode = "simple"

    def start(self):
        self.server = QuietPostgresql(self.cgroup)
        self.port = self.server.port
        self.server.ask("pgbench", "-i", "-q", "-s", "1", "postgres")
        pin(self.server.process)
        with open(os.path.join(self.directory, "script"), "w") as f:
            f.write(self.script)

    def run(self, seconds):
        return asked(["pgbench", "-n", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                      "-M", self.mode, "-c", str(self.connections), "-T", str(seconds),
                      "-f", os.path.join(self.directory, "script"), "postgres"],
                     r"transactions actually processed: (\d+)", r"tps = ([\d.]+)")


class PostgresqlSimple(Postgresql):
    title = "pgbench, select of a row, simple protocol"


class PostgresqlPrepared(Postgresql):
    title = "pgbench, select of a row, prepared"
    mode = "prepared"


class PostgresqlRows(Postgresql):
    title = "pgbench, result of 100,000 rows"
    unit = "result"
    connections = 1
    script = "SELECT generate_series(1, 100000);\n"


class Mysql(Sql):
    title = "sysbench on MariaDB, point selects"
    protocols = "mysql"

    def start(self):
        self.server = QuietMariadb(self.cgroup)
        self.port = self.server.port
        subprocess.run(self.command("prepare"), check=True, stdout=subprocess.DEVNULL)
        pin(self.server.process)

    def command(self, *what):
        return ["sysbench", "oltp_point_select", "--db-driver=mysql", "--mysql-host=127.0.0.1",
                f"--mysql-port={self.port}", "--mysql-user=alice", "--mysql-password=hunter2",
                "--mysql-db=shop", "--table-size=10000", f"--threads={self.connections}", *what]

    def run(self, seconds):
        return asked(self.command(f"--time={seconds}", "run"),
                     r"queries: +(\d+)", r"queries: +\d+ +\(([\d.]+) per sec")


LOADS = {"http2": Http2, "http2-streams": Http2Streams, "grpc": Grpc, "postgresql": PostgresqlSimple,
         "postgresql-prepared": PostgresqlPrepared, "postgresql-rows": PostgresqlRows, "mysql": Mysql}
