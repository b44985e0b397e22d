#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Requests of a cgroup in an asyncio program: example.py CGROUP-DIRECTORY

Prints each request, and every ten seconds how many there were by status."""
import asyncio
import collections
import signal
import sys

import appmon


async def tell(counts: collections.Counter[int]) -> None:
    while True:
        await asyncio.sleep(10)
        print(dict(counts))


async def watch(directory: str) -> None:
    counts: collections.Counter[int] = collections.Counter()
    with appmon.Monitor() as monitor:
        monitor.attach(directory)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, monitor.wakeup)
        telling = asyncio.create_task(tell(counts))
        async for event in monitor:
            counts[event.status] += 1
            print(f"{event.remote} {ascii(event.operation)} {ascii(event.path)} {event.status} "
                  f"{event.duration_ns / 1e6:.3f} ms", flush=True)
        telling.cancel()
        print(f"{sum(counts.values())} requests", dict(counts))


try:
    asyncio.run(watch(sys.argv[1]))
except IndexError:
    sys.exit(__doc__)
except appmon.Error as problem:
    sys.exit(str(problem.strerror))
