# SPDX-License-Identifier: BSD-2-Clause
"""owner_server.py MODE LOG HOST: who accepts, who reads and who answers, in every way it is done.

Listens on a free port of HOST, which is the first line of its output. A request's query says how
many milliseconds to sleep before what: the next accept and the next read, answer, and in the middle of
the response. The log has a JSON line for each request: the process and thread that read
it and those that answered, as they know themselves, and CLOCK_MONOTONIC around each step."""
import array
import contextlib
import json
import os
import socket
import sys
import threading
import time
from urllib.parse import parse_qs

BODY = b"x" * 2000


def myself():
    return {"pid": os.getpid(), "tid": threading.get_native_id()}


def around(times, name, step, *args):
    before = time.monotonic_ns()
    result = step(*args)
    times[name] = [before, time.monotonic_ns()]
    return result


def nap(sleeps, name):
    if sleeps.get(name):
        time.sleep(sleeps[name] / 1000)


class Request:
    def __init__(self, sock):
        self.sock, self.times, self.readers = sock, {}, []
        self.text = b""

    def read_some(self, size=65536):
        name = "read_end" if self.readers else "read_start"
        data = around(self.times, name, self.sock.recv, size)
        self.times["read_end"] = self.times[name]
        if not data:
            return False
        self.readers.append(myself())
        self.text += data
        return True

    def read(self, first=65536):
        """The head and a body with Content-Length. False: the client has closed."""
        while b"\r\n\r\n" not in self.text:
            if not self.read_some(first):
                return False
        head, _, body = self.text.partition(b"\r\n\r\n")
        target = head.split(b" ")[1].decode()
        query = parse_qs(target.partition("?")[2])
        self.target = target
        self.sleeps = {k: float(v[0]) for k, v in query.items()}
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n")
                       if line.startswith(b"content-length:")), 0)
        while len(self.text) < len(head) + 4 + length:
            self.read_some()
        return True

    def answer(self):
        nap(self.sleeps, "answer")
        size = int(self.sleeps.get("bytes", len(BODY)))
        body = b"x" * size
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        around(self.times, "answer_start", self.sock.sendall, head + body[:size // 2])
        nap(self.sleeps, "middle")
        around(self.times, "answer_end", self.sock.sendall, body[size // 2:])
        log.write(json.dumps({"target": self.target, "readers": self.readers, "answers": myself(),
                              **self.times}) + "\n")
        log.flush()


def serve(sock):
    """All requests of a connection, by this thread."""
    request = Request(sock)
    while request.read():
        request.answer()
        request = Request(sock)
    sock.close()


def accept_forever(listener, handle):
    while True:
        handle(listener.accept()[0])


def single(listener):
    """One thread, one request a connection."""
    sleeps = {}
    while True:
        nap(sleeps, "accept")
        sock, _ = listener.accept()
        nap(sleeps, "read")
        request = Request(sock)
        with sock, contextlib.suppress(ConnectionError):  # some clients do not wait
            if request.read():
                request.answer()
                sleeps = request.sleeps


def threads(listener):
    accept_forever(listener, lambda sock: threading.Thread(target=serve, args=(sock,)).start())


def fork(listener):
    """Accepts here, serves in a child that is forked for the connection."""
    def handle(sock):
        if os.fork() == 0:
            serve(sock)
            os._exit(0)
        sock.close()
    accept_forever(listener, handle)


def prefork(listener):
    """Three workers that all accept from the parent's socket."""
    for _ in range(3):
        if os.fork() == 0:
            accept_forever(listener, serve)
    os.wait()


def passing(listener):
    """Accepts here, passes the socket to a worker that was there before (SCM_RIGHTS)."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        while True:
            _, ancillary, _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
            fd = array.array("i", ancillary[0][2])[0]
            serve(socket.socket(fileno=fd))

    def handle(sock):
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                               array.array("i", [sock.fileno()]))])
        sock.close()
    accept_forever(listener, handle)


def run(function, *args):
    """In a thread of its own, to the end."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def handover(listener):
    """The main thread reads, another answers."""
    def handle(sock):
        request = Request(sock)
        while request.read():
            run(request.answer)
            request = Request(sock)
    accept_forever(listener, handle)


def shared(listener):
    """One thread reads the first bytes, another the rest and answers."""
    def rest(request):
        request.read()
        request.answer()

    def handle(sock):
        request = Request(sock)
        while request.read_some(10):
            run(rest, request)
            request = Request(sock)
    accept_forever(listener, handle)


def peek(listener):
    """The main thread looks at the request (MSG_PEEK), another reads and answers."""
    def one(sock):
        request = Request(sock)
        request.read()
        request.answer()

    def handle(sock):
        while sock.recv(100, socket.MSG_PEEK):
            run(one, sock)
    accept_forever(listener, handle)


log = open(sys.argv[2], "a")
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind((sys.argv[3], 0))
sock.listen(128)
print(sock.getsockname()[1], flush=True)
{f.__name__: f for f in (single, threads, fork, prefork, passing, handover, shared,
                         peek)}[sys.argv[1]](sock)
