"""System calls of a script: arguments translated, descriptors mapped, started on the host, their results compared."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netstack.drill import arguments as args
from netstack.drill.connections import Connections, Descriptor
from netstack.drill.host import Host, Pending
from netstack.drill.nodes import Array, Call, Number, Struct, Unspecified
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import (
    AF_INET,
    AF_INET6,
    F_SETFL,
    FIONBIO,
    errno_name,
    integer,
    poll_names,
)

MAKES_DESCRIPTOR = {"socket", "accept", "accept4"}
NOT_OPEN = -1
"""A live descriptor that never exists: for those the script names without having made them."""
MSG_FASTOPEN = 0x2000_0000

Conclude = Callable[[Any], tuple[int, list[str]]]
"""From the host's value to the C library's result, and what is wrong with what came along with it."""


@dataclass(slots=True)
class Started:
    """A system call under way."""

    call: Call
    pending: Pending
    conclude: Conclude
    on_error: Callable[[int], None]


class Calls:
    """Starts calls and judges their results."""

    def __init__(self, host: Host, connections: Connections) -> None:
        self.host = host
        self.connections = connections
        self._on_error: Callable[[int], None] = _no_matter

    def begin(self, call: Call) -> Started:
        """Start `call` on the host."""
        prepare: Callable[[Call], tuple[str, tuple[Any, ...], Conclude]] | None = getattr(self, f"_{call.name}", None)
        if prepare is None or call.name not in NAMES:
            raise Unsupported(f"system call {call.name}")
        self._on_error = _no_matter
        name, arguments, conclude = prepare(call)
        return Started(call, self.host.start(name, *arguments), conclude, self._on_error)

    def judge(self, started: Started) -> tuple[str, list[str]]:
        """The result of a call that is done, as text, and what differs from the script."""
        pending, call = started.pending, started.call
        if pending.unsupported:
            raise Unsupported(pending.unsupported)
        if pending.error is not None:
            code = pending.error.errno or errno.EIO
            started.on_error(code)
            text = f" ({pending.error.strerror})" if pending.error.strerror else ""
            return f"-1 {errno_name(code)}{text}", self._failed(call, code)
        result, wrong = started.conclude(pending.value)
        expected = call.result
        if call.name in MAKES_DESCRIPTOR:
            result = _result(call, result)
            if result < 0:
                wrong.append(f"result: expected {self._expected(call)}, got a descriptor")
                result = pending.value[0] if isinstance(pending.value, tuple) else pending.value
        elif not isinstance(expected, Unspecified) and integer(expected) != result:
            wrong.append(f"result: expected {self._expected(call)}, got {result}")
        text = hex(result) if isinstance(expected, Number) and expected.text.startswith("0x") else str(result)
        return text, wrong

    def _failed(self, call: Call, code: int) -> list[str]:
        if isinstance(call.result, Unspecified):
            return []
        got = f"-1 {errno_name(code)}"
        if integer(call.result) != -1:
            return [f"result: expected {self._expected(call)}, got {got}"]
        if call.errno is not None and getattr(errno, call.errno, None) != code:
            return [f"errno: expected {call.errno}, got {errno_name(code)}"]
        return []

    @staticmethod
    def _expected(call: Call) -> str:
        return f"{integer(call.result)} {call.errno or ''}".strip()

    # Descriptors.

    def _descriptor(self, call: Call, index: int = 0) -> Descriptor:
        script = args.number(call, index)
        return self.connections.descriptors.get(script) or Descriptor(script, NOT_OPEN)

    # One method a call: (name for the host, its arguments, what to make of the value).

    def _socket(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        default = AF_INET if len(self.host.local) == 4 else AF_INET6
        family, type_ = args.number(call, 0, default), args.number(call, 1)

        def opened(live: int) -> tuple[int, list[str]]:
            self.connections.opened(_result(call, live), live, type_ & 0xF)
            return live, []

        return "socket", (family, type_, args.number(call, 2)), opened

    def _bind(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        descriptor = self._descriptor(call)
        address = args.address(args.argument(call, 1), self.connections.local)

        def bound(_: None) -> tuple[int, list[str]]:
            descriptor.bound = address
            return 0, []

        return "bind", (descriptor.live, address), bound

    def _listen(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        descriptor = self._descriptor(call)

        def listening(_: None) -> tuple[int, list[str]]:
            descriptor.listening = True
            return 0, []

        return "listen", (descriptor.live, args.number(call, 1)), listening

    def _accept(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        def accepted(value: tuple[int, tuple[bytes, int]]) -> tuple[int, list[str]]:
            self.connections.accepted(_result(call, value[0]), value[0], value[1])
            return value[0], []

        flags = args.number(call, 3) if call.name == "accept4" else 0
        return "accept", (self._descriptor(call).live, flags), accepted

    _accept4 = _accept

    def _connect(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        descriptor = self._descriptor(call)
        address = args.address(args.argument(call, 1), self.connections.remote)
        self.connections.connecting(descriptor, address)

        def failed(code: int) -> None:
            if code == errno.EINPROGRESS:
                self.connections.reconnecting(descriptor, address)

        self._on_error = failed
        return "connect", (descriptor.live, address), _zero

    def _read(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        flags = 0 if call.name == "read" else args.number(call, 3)
        return "recv", (self._descriptor(call).live, args.size(call, 2), flags), _zeros_received

    _recv = _recvfrom = _read

    def _readv(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        octets = sum(length for _, length in args.iovec(args.argument(call, 1)))
        return "recv", (self._descriptor(call).live, octets, 0), _zeros_received

    def _recvmsg(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        message = args.message(args.argument(call, 1))
        octets = sum(length for _, length in args.iovec(message.get("msg_iov") or Array(())))
        returned = message.get("msg_flags")
        if returned is not None and not isinstance(returned, Unspecified) and integer(returned):
            raise Unsupported("msg_flags that recvmsg returns")
        return "recv", (self._descriptor(call).live, octets, args.number(call, 2)), _zeros_received

    def _write(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        data = args.buffer(args.argument(call, 1), args.size(call, 2))
        flags = 0 if call.name == "write" else args.number(call, 3)
        return self._sending(self._descriptor(call), data, flags, None)

    _send = _write

    def _sendto(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        data = args.buffer(args.argument(call, 1), args.size(call, 2))
        target = args.address(args.argument(call, 4), self.connections.remote)
        return self._sending(self._descriptor(call), data, args.number(call, 3), target)

    def _writev(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        data = b"".join(args.buffer(*vector) for vector in args.iovec(args.argument(call, 1)))
        return self._sending(self._descriptor(call), data, 0, None)

    def _sendmsg(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        message = args.message(args.argument(call, 1))
        data = b"".join(args.buffer(*vector) for vector in args.iovec(message.get("msg_iov") or Array(())))
        flags = args.number(call, 2)
        name = message.get("msg_name")
        # `...` as the name of a message on a connection means that there is none.
        wanted = flags & MSG_FASTOPEN or isinstance(name, Struct)
        target = args.address(name or Unspecified(), self.connections.remote) if wanted else None
        return self._sending(self._descriptor(call), data, flags, target)

    def _sending(
        self, descriptor: Descriptor, data: bytes, flags: int, target: tuple[bytes, int] | None
    ) -> tuple[str, tuple[Any, ...], Conclude]:
        if target is not None and descriptor.flow is None:
            self.connections.connecting(descriptor, target)
        return "send", (descriptor.live, data, flags, target), lambda octets: (octets, [])

    def _shutdown(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        return "shutdown", (self._descriptor(call).live, args.number(call, 1)), _zero

    def _close(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        descriptor = self._descriptor(call)

        def closed(_: None) -> tuple[int, list[str]]:
            self.connections.closed(descriptor.script)
            return 0, []

        return "close", (descriptor.live,), closed

    def _fcntl(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        command = args.number(call, 1)
        value = args.number(call, 2)
        conclude: Conclude = _zero if command == F_SETFL else lambda flags: (flags, [])
        return "fcntl", (self._descriptor(call).live, command, value), conclude

    def _ioctl(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        request = args.number(call, 1)
        expected = args.argument(call, 2)
        value = 0 if isinstance(expected, Unspecified) or expected == Array((Unspecified(),)) else integer(expected)

        def answered(got: int) -> tuple[int, list[str]]:
            compared = request != FIONBIO and not isinstance(expected, Unspecified)
            return 0, [f"value: expected [{value}], got [{got}]"] if compared and got != value else []

        return "ioctl", (self._descriptor(call).live, request, value), answered

    def _setsockopt(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        value = args.option_value(args.argument(call, 3), args.argument(call, 4))
        return "setsockopt", (self._descriptor(call).live, args.number(call, 1), args.number(call, 2), value), _zero

    def _getsockopt(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
        expected, length = args.argument(call, 3), args.number(call, 4, 4)

        def answered(got: bytes) -> tuple[int, list[str]]:
            wrong = args.option_differs(expected, got)
            return 0, [f"option: {wrong}"] if wrong else []

        level, option = args.number(call, 1), args.number(call, 2)
        return "getsockopt", (self._descriptor(call).live, level, option, max(0, min(length, 65_536))), answered

    def _poll(self, call: Call) -> tuple[str, tuple[Any, ...], Conclude]:
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


NAMES = {
    "socket", "bind", "listen", "accept", "accept4", "connect", "read", "recv", "recvfrom", "readv", "recvmsg", "write",
    "send", "sendto", "writev", "sendmsg", "shutdown", "close", "fcntl", "ioctl", "setsockopt", "getsockopt", "poll",
}  # fmt: skip
"""The system calls that scripts may make here."""


def _no_matter(_: int) -> None:
    return None


def _zero(_: Any) -> tuple[int, list[str]]:
    return 0, []


def _zeros_received(data: bytes) -> tuple[int, list[str]]:
    return len(data), [] if data.count(0) == len(data) else ["the data received is not all zeros"]


def _result(call: Call, live: int) -> int:
    """The script's number for a descriptor that was made."""
    return live if isinstance(call.result, Unspecified) else integer(call.result)
