#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The p99 of each route of a cgroup, in an asyncio program: example.py CGROUP-DIRECTORY [SECONDS]

Every SECONDS (5) prints what came since the last time; ends with Ctrl-C."""
from __future__ import annotations

import asyncio
import signal
import sys

import appmon


def tell(now: appmon.Snapshot, before: appmon.Snapshot | None) -> None:
    for index, series in enumerate(now.series()):
        figures = now.figures(index, before)
        if not figures.requests:
            continue
        with now.durations(index, before) as durations:
            print(f"{ascii(series.method_name)} {ascii(series.route)} {series.status} "
                  f"{figures.requests} requests, p99 {durations.quantile(0.99) / 1e6:.3f} ms", flush=True)


async def tell_often(metrics: appmon.Metrics, seconds: float) -> None:
    before = None
    try:
        while True:
            await asyncio.sleep(seconds)
            now = metrics.snapshot()
            tell(now, before)
            if before:
                before.close()
            before = now
    finally:
        with metrics.snapshot(appmon.TakeFlags.WAITING) as last:
            tell(last, before)
        if before:
            before.close()


async def watch(directory: str, seconds: float) -> None:
    with appmon.Metrics() as metrics, appmon.Monitor() as monitor:
        monitor.feed(metrics)
        monitor.attach(directory)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, monitor.wakeup)
        telling = asyncio.create_task(tell_often(metrics, seconds))
        print("watching", flush=True)
        async for _ in monitor:
            pass  # the aggregator has counted it
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


if len(sys.argv) < 2:
    sys.exit(__doc__)
try:
    asyncio.run(watch(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5))
except appmon.Error as problem:
    sys.exit(str(problem.strerror))
