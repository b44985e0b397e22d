# SPDX-License-Identifier: BSD-2-Clause
"""customers.py PORT SUMMARY: people who use the shop, until SIGTERM. Writes how many requests they
sent and what came back to SUMMARY, as JSON."""
import collections
import http.client
import json
import random
import secrets
import signal
import sys
import threading

CUSTOMERS = 8
PAUSE = 0.15  # seconds, on average, between two requests of one of them

port, summary = int(sys.argv[1]), sys.argv[2]
stop = threading.Event()
answers = collections.Counter()
lock = threading.Lock()


def request(connection, method, path, body=None):
    headers = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        status = str(response.status)
    except (OSError, http.client.HTTPException):
        connection.close()
        status = "none"
    with lock:
        answers[status] += 1
    stop.wait(random.uniform(0, 2 * PAUSE))


def customer(number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not stop.is_set():
        product = random.randint(1, 40)
        request(connection, "GET", random.choice(["/", "/style.css"]))
        request(connection, "GET", "/api/products")
        request(connection, "GET", f"/api/products/{product}")
        request(connection, "POST", f"/api/cart/{number}", str(product))
        request(connection, "GET", f"/api/cart/{number}")
        request(connection, "POST", "/api/orders", str(product))
        if random.random() < 0.2:
            request(connection, "GET", f"/api/products/{product + 100}")


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=customer, args=(1000 + n,)) for n in range(CUSTOMERS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open(summary, "w") as f:
    json.dump(answers, f)
