"""The control socket of one run: which stack visitors find behind it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from netstack import __version__
from netstack.aio.clock import Clock
from netstack.aio.interface import Interface
from netstack.control import places
from netstack.control.server import Control
from netstack.inspect.sinks import Observers
from netstack.link.tap import TapDevice
from netstack.service.plan import Plan


@asynccontextmanager
async def looked_into(plan: Plan, tap: TapDevice, net: Interface, observers: Observers) -> AsyncIterator[None]:
    """Let `netstack ss`, `watch` and `tcpdump` in for the length of a with block."""
    clock = Clock(asyncio.get_running_loop())
    hello = {
        "version": __version__,
        "pid": os.getpid(),
        "tap": tap.name,
        "netns": plan.netns,
        "network": places.network_of(plan.netns),
        "address": str(plan.stack),
        "url": plan.url,
        "epoch": time.time_ns() // 1_000 - clock(),  # the wall clock when the stack's time was 0
    }
    control = Control(net.stack, clock, observers, hello)
    with places.bound(tap.name) as listening:
        async with control.serving(listening):
            yield
