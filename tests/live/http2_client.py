# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP/2 client that a test plays itself: many streams at once, and a note of each."""
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings


class Stream:
    """What the client knows of one: what it has asked, and what it got."""

    def __init__(self, number, method, target, body):
        self.number, self.method, self.target = number, method, target
        self.status, self.sent, self.got = 0, 0, 0
        self.reset = None
        self.left = body
        self.done = False

    def told(self):
        return self.method, self.target, self.status

    def bodies(self):
        return self.method, self.target, self.sent, self.got


class Client:
    """The client's end of a connected socket; `settings` go out with its preface."""

    def __init__(self, sock, settings=None):
        self.sock = sock
        self.authority = "%s:%d" % sock.getpeername()
        self.name = "%s:%d" % sock.getsockname()
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.conn.initiate_connection()
        if settings:
            self.conn.update_settings(settings)
        self.streams = {}
        self.settled = False
        self._flush()

    def ask(self, method, target, body=b"", headers=(), end=True, flush=True):
        """Begins a stream: the body goes out in run(). end: it ends with the body."""
        number = self.conn.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":path", target),
                (":authority", self.authority), *headers]
        if body:
            head.append(("content-length", str(len(body))))
        stream = self.streams[number] = Stream(number, method, target, body)
        self.conn.send_headers(number, head, end_stream=end and not body)
        if flush:
            self._flush()
        return stream

    def give_up(self, stream):
        self.conn.reset_stream(stream.number, h2.errors.ErrorCodes.CANCEL)
        stream.done, stream.reset = True, "client"
        self._flush()

    def run(self, until=None):
        """Until every stream is over, or until() says so."""
        while not (until() if until else all(s.done for s in self.streams.values())):
            self._send_bodies()
            self._flush()
            data = self.sock.recv(65536)
            assert data, "the server has closed the connection"
            for event in self.conn.receive_data(data):
                self._take(event)
            self._flush()

    def plan(self, plan, at_once):
        """Streams for (method, target, bytes of a body), so many at once. Returns them."""
        mine = []
        for method, target, length in plan:
            mine.append(self.ask(method, target, b"u" * (length or 0), flush=False))
            self.run(lambda: sum(not s.done for s in mine) < at_once)
        self.run()
        return mine

    def close(self):
        self.conn.close_connection()
        self._flush()
        self.sock.close()

    def _send_bodies(self):
        for s in self.streams.values():
            while s.left and not s.done:
                n = min(len(s.left), self.conn.local_flow_control_window(s.number),
                        self.conn.max_outbound_frame_size)
                if not n:
                    break
                self.conn.send_data(s.number, s.left[:n], end_stream=n == len(s.left))
                s.sent, s.left = s.sent + n, s.left[n:]

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", 0))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settled = True
        elif isinstance(event, h2.events.ResponseReceived):
            stream.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.got += len(event.data)
            self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.done = True
        elif isinstance(event, h2.events.StreamReset):
            # RFC 9113 section 8.1: of an upload that a server does not want, behind its answer.
            stream.done, stream.reset = True, "server"

    def _flush(self):
        self.sock.sendall(self.conn.data_to_send())
