# SPDX-License-Identifier: BSD-2-Clause
"""A WSGI application in wsgiref with a thread per connection: HOST PORT BACKEND-PORT.

Answers GET /x/ID after GET /y/ID at the backend."""
import http.client
import socketserver
import sys
import wsgiref.simple_server

HOST, PORT, BACKEND = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


def application(environ, start_response):
    backend = http.client.HTTPConnection("127.0.0.1", BACKEND)
    backend.request("GET", "/y/" + environ["PATH_INFO"].rpartition("/")[2])
    body = backend.getresponse().read()
    backend.close()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


wsgiref.simple_server.make_server(HOST, PORT, application, Server, Handler).serve_forever()
