"""The driver: turns of one stack and its device on an asyncio event loop, and the one timer both share.

A turn takes in what the device has (bounded, so that timers and the application get theirs), fires what is due,
and lets the stack transmit: there the stack first calls its sockets' observers, so an application's answer leaves
in the very turn that brought the question, with no task, queue or extra loop iteration in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netstack.aio.clock import Clock
from netstack.link.device import Device
from netstack.tcp.state import CLOSED, TIME_WAIT
from netstack.units import Micros, Octets

if TYPE_CHECKING:
    from netstack.aio.transport import StackTransport
    from netstack.stack import Stack


class Driver:
    """Runs `stack` on `device` (the device that the stack was made with) on `loop`, from `start` to `close`.

    Applications that call the stack outside a turn call `wake()` afterwards; it costs one callback per loop
    iteration however often it is called. `awake` is True while a turn runs or is already on its way out: testing
    it first saves the call.
    """

    FRAMES = 128
    """Frames taken in per turn ..."""
    OCTETS: Octets = 2 * 1024 * 1024
    """... and octets: a super-segment costs more than a bare ACK. What is left waits for the next loop iteration."""
    ROUNDS = 3
    """How often a turn looks again for what arrived meanwhile: a busy peer answers while we still answer others, and a
    loop iteration costs more than a look."""

    __slots__ = (
        "_again",
        "_armed_at",
        "_due_at",
        "_fileno",
        "_idle",
        "_running",
        "_timer",
        "awake",
        "clock",
        "device",
        "loop",
        "stack",
        "transports",
    )

    def __init__(self, stack: Stack, device: Device, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.stack = stack
        self.device = device
        self.loop = loop or asyncio.get_running_loop()
        self.clock = Clock(self.loop)
        self.awake = True  # nothing is flushed before start()
        self.transports: set[StackTransport] = set()
        """The open ones."""
        self._running = False
        self._fileno = -1
        self._again = False
        self._due_at: Micros | None = None
        self._armed_at: Micros | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Watch the device and take the first turn at the next loop iteration. Calling twice is harmless."""
        if self._running:
            return
        self._running = True
        self._fileno = self.device.fileno()
        if self._fileno >= 0:
            self.loop.add_reader(self._fileno, self._on_readable)
        set_wake(self.device, self._on_arrival)
        self.stack.start(self.clock())
        self.awake = False
        self._continue()

    def close(self) -> None:
        """Stop: detach from the device (which stays open) and the loop. Calling twice is harmless."""
        if not self._running:
            return
        self._running = False
        self.awake = True
        if self._fileno >= 0:
            self.loop.remove_reader(self._fileno)
        set_wake(self.device, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._armed_at = None
        self._settle_idle()

    def wake(self) -> None:
        """The application changed something: transmit before the loop sleeps again."""
        if not self.awake:
            self.awake = True
            self.loop.call_soon(self._flush)

    async def idle(self) -> None:
        """Wait until no connection has anything left to say: all are closed or in TIME-WAIT (or the driver is)."""
        while self._running and not self._is_idle():
            future = self.loop.create_future()
            self._idle.append(future)
            await future

    # What the loop calls.

    def _on_readable(self) -> None:
        if not self._again:  # a turn that hit its bound has already scheduled the next one
            self._turn()

    def _on_arrival(self) -> None:
        """An in-memory device has a frame: called from inside the other end's turn, so only take note."""
        if not self._again:
            self._continue()

    def _continue(self) -> None:
        self._again = True
        self.loop.call_soon(self._on_again)

    def _on_again(self) -> None:
        self._again = False
        if self._running:
            self._turn()

    def _on_timer(self) -> None:
        self._timer = self._armed_at = None
        due_at = self._due_at
        if due_at is not None and due_at <= self.clock():
            self._turn()
        else:
            self._arm(due_at)

    def _flush(self) -> None:
        if not self._running:
            return
        try:
            self.stack.transmit(self.clock())
        except Exception as error:
            self._on_error(error)
        finally:
            self.awake = not self._running
        self._rest()

    def _turn(self) -> None:
        now = self.clock()
        self.awake = True
        try:
            due_at = self._due_at
            due = due_at is not None and due_at <= now
            if due:
                self.device.expire(now)
            taken = self._receive(now)
            if due:
                self.stack.expire(now)
            self.stack.transmit(now)
            if self._fileno >= 0:
                for _ in range(self.ROUNDS):
                    if not 0 < taken < self.FRAMES:
                        break
                    now = self.clock()
                    taken = self._receive(now)
                    if taken:
                        self.stack.transmit(now)
            if taken >= self.FRAMES and not self._again:
                self._continue()
        except Exception as error:
            self._on_error(error)
        finally:
            self.awake = not self._running
        self._rest()

    def _receive(self, now: Micros) -> int:
        """Take in what waits. How many frames; FRAMES when a bound was hit and more may wait."""
        read, receive = self.device.read, self.stack.receive
        octets = 0
        for taken in range(self.FRAMES):
            frame = read(now)
            if frame is None:
                return taken
            receive(frame, now)
            octets += len(frame)
            if octets >= self.OCTETS:
                break
        return self.FRAMES

    def _on_error(self, error: Exception) -> None:
        """Something an observer called raised and cut the turn short: report it, and take another turn for the rest."""
        self.loop.call_exception_handler(
            {"message": "Exception in a callback of the network stack", "exception": error, "driver": self}
        )
        if self._running and not self._again:
            self._continue()

    # The timer.

    def _rest(self) -> None:
        """After a turn: know when the next one is due without the device saying so."""
        if not self._running:
            return
        due_at = self.stack.deadline(exact=False)
        device_at = self.device.deadline()
        if device_at is not None and (due_at is None or device_at < due_at):
            due_at = device_at
        self._due_at = due_at
        if due_at is not None and (self._armed_at is None or due_at < self._armed_at):
            self._arm(due_at)
        if self._idle and self._is_idle():
            self._settle_idle()

    def _arm(self, due_at: Micros | None) -> None:
        """Lazily: a deadline that moves later costs nothing now, and one re-arming when the early timer fires."""
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = due_at
        self._timer = None if due_at is None else self.loop.call_at(self.clock.when(due_at), self._on_timer)

    # Waiting for the last segment.

    def _is_idle(self) -> bool:
        return all(connection.state in (CLOSED, TIME_WAIT) for connection in self.stack.tcp.connections.values())

    def _settle_idle(self) -> None:
        waiting, self._idle = self._idle, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def set_wake(device: Any, wake: Callable[[], None] | None) -> None:
    """Have an in-memory device call `wake` when a frame arrives, through however many wrappers (`inner`) it has."""
    while device is not None:
        if hasattr(device, "wake"):
            device.wake = wake
        device = getattr(device, "inner", None)
