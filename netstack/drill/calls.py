"""System calls of a script: started on the host, their results compared."""

import errno
from collections.abc import Callable
from dataclasses import dataclass

from netstack.drill.call_base import Conclude, Prepared, no_matter, result_of
from netstack.drill.calls_data import DataCalls
from netstack.drill.calls_socket import SocketCalls
from netstack.drill.calls_wait import WaitCalls
from netstack.drill.host import Pending
from netstack.drill.nodes import Call, Number, Unspecified
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import errno_name, errno_number, integer

MAKES_DESCRIPTOR = {"socket", "accept", "accept4", "epoll_create", "epoll_create1", "open"}


@dataclass(slots=True)
class Started:
    """A system call under way."""

    call: Call
    pending: Pending
    conclude: Conclude
    on_error: Callable[[int], None]


class Calls(SocketCalls, DataCalls, WaitCalls):
    """Starts calls and judges their results."""

    def begin(self, call: Call) -> Started:
        """Start `call` on the host."""
        prepare: Callable[[Call], Prepared] | None = getattr(self, f"_{call.name}", None)
        if prepare is None or call.name not in NAMES:
            raise Unsupported(f"system call {call.name}")
        self.on_error = no_matter
        name, arguments, conclude = prepare(call)
        return Started(call, self.host.start(name, *arguments), conclude, self.on_error)

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
            result = result_of(call, result)
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
        if call.errno is not None and errno_number(call.errno) != code:
            return [f"errno: expected {call.errno}, got {errno_name(code)}"]
        return []

    @staticmethod
    def _expected(call: Call) -> str:
        return f"{integer(call.result)} {call.errno or ''}".strip()


NAMES = {
    "socket", "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername", "read", "recv",
    "recvfrom", "readv", "recvmsg", "write", "send", "sendto", "writev", "sendmsg", "sendfile", "splice", "shutdown",
    "close", "fcntl", "ioctl", "setsockopt", "getsockopt", "poll", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "pipe", "pipe2", "open", "usleep",
}  # fmt: skip
"""The system calls that scripts may make here."""
