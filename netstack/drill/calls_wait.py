"""System calls that wait for readiness, and those that make descriptors which are no sockets."""

from typing import Any

from netstack.drill import arguments as args
from netstack.drill.call_base import NOT_OPEN, CallBase, Prepared, result_of, zero
from netstack.drill.nodes import Array, Call, Expression, Number, Struct, Text, Unspecified
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import epoll_names, integer, poll_names

_DATA = ("fd", "ptr", "u32", "u64", "data")
"""Members of an epoll_event that say what is to be told with the events."""


class WaitCalls(CallBase):
    """One method a call."""

    def _poll(self, call: Call) -> Prepared:
        asked: list[tuple[int, int]] = []
        expected: list[int | None] = []
        items = args.argument(call, 0)
        for item in items.items if isinstance(items, Array) else ():
            if not isinstance(item, Struct) or (fd := item.get("fd")) is None:
                raise Unsupported("a pollfd without fd")
            descriptor = self.connections.descriptors.get(integer(fd))
            events = integer(item.get("events") or Number(0, "0"))
            asked.append((descriptor.live if descriptor else NOT_OPEN, events))
            revents = item.get("revents")
            expected.append(None if revents is None or isinstance(revents, Unspecified) else integer(revents))

        def polled(revents: list[int]) -> tuple[int, list[str]]:
            wrong = [
                f"revents: expected {poll_names(want)}, got {poll_names(got)}"
                for want, got in zip(expected, revents, strict=True)
                if want is not None and want != got
            ]
            return sum(1 for got in revents if got), wrong

        return "poll", (asked, args.number(call, 2, -1)), polled

    def _epoll_create(self, call: Call) -> Prepared:
        def made(live: int) -> tuple[int, list[str]]:
            self.connections.other(result_of(call, live), live)
            return live, []

        return "epoll_create", (), made

    _epoll_create1 = _epoll_create

    def _epoll_ctl(self, call: Call) -> Prepared:
        events, data = _epoll_event(args.argument(call, 3))
        return "epoll_ctl", (self.live(call), args.number(call, 1), self.live(call, 2), events or 0, data or 0), zero

    def _epoll_wait(self, call: Call) -> Prepared:
        item = args.argument(call, 1)
        items = item.items if isinstance(item, Array) else () if isinstance(item, Unspecified) else (item,)
        expected = [_epoll_event(one) for one in items]

        def waited(came: list[tuple[int, int]]) -> tuple[int, list[str]]:
            wrong = []
            for (events, data), (live_events, live_data) in zip(expected, came, strict=False):
                if events is not None and events != live_events:
                    wrong.append(f"events: expected {epoll_names(events)}, got {epoll_names(live_events)}")
                if data is not None and data != live_data:
                    wrong.append(f"data of the event: expected {data}, got {live_data}")
            return len(came), wrong

        return "epoll_wait", (self.live(call), args.number(call, 2, 1), args.number(call, 3, -1)), waited

    _epoll_pwait = _epoll_wait

    def _pipe(self, call: Call) -> Prepared:
        ends = args.argument(call, 0)
        if not isinstance(ends, Array) or len(ends.items) != 2:
            raise Unsupported("pipe without [reading end, writing end]")
        script = [integer(end) for end in ends.items]

        def made(live: tuple[int, int]) -> tuple[int, list[str]]:
            for one, other in zip(script, live, strict=True):
                self.connections.other(one, other)
            return 0, []

        return "pipe", (args.number(call, 1),), made

    _pipe2 = _pipe

    def _open(self, call: Call) -> Prepared:
        path = args.argument(call, 0)
        if not isinstance(path, Text):
            raise Unsupported("open of a path that is no string")

        def made(live: int) -> tuple[int, list[str]]:
            self.connections.other(result_of(call, live), live)
            return live, []

        return "open", (path.value, args.number(call, 1)), made

    def _usleep(self, call: Call) -> Prepared:
        return "usleep", (args.number(call, 0),), zero


def _epoll_event(item: Expression) -> tuple[int | None, int | None]:
    """Events and data of `{events=EPOLLIN, fd=4}`; None where not given."""
    if isinstance(item, Unspecified | Number):
        return None, None
    if not isinstance(item, Struct):
        raise Unsupported("an epoll_event that is not in braces")
    values: list[Any] = [
        item.get("events"),
        next((item.get(name) for name in _DATA if item.get(name) is not None), None),
    ]
    events, data = (None if value is None or isinstance(value, Unspecified) else integer(value) for value in values)
    return events, data
