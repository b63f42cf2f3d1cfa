"""System calls that make, name, open, configure and close sockets."""

import errno
from ipaddress import ip_address

from netstack.drill import arguments as args
from netstack.drill.call_base import CallBase, Conclude, Prepared, count, result_of, zero
from netstack.drill.constants import AF_INET, AF_INET6, F_GETFD, F_SETFL, FIONBIO, IPPROTO_TCP, TCP_INFO
from netstack.drill.freebsd import WITHOUT_EFFECT
from netstack.drill.host import Address
from netstack.drill.nodes import Array, Call, Struct, Symbols, Unspecified
from netstack.drill.outcome import Unsupported
from netstack.drill.signatures import LENGTH, MD5SIG, MD5SIG_EXT, option_value
from netstack.drill.symbols import integer


class SocketCalls(CallBase):
    """One method a call."""

    def _socket(self, call: Call) -> Prepared:
        default = AF_INET if len(self.host.local) == 4 else AF_INET6
        family, type_ = args.number(call, 0, default), args.number(call, 1)
        if family == AF_INET6 and self.mapped:
            family = AF_INET

        def opened(live: int) -> tuple[int, list[str]]:
            self.connections.opened(result_of(call, live), live, type_ & 0xF)
            return live, []

        return "socket", (family, type_, args.number(call, 2)), opened

    def _bind(self, call: Call) -> Prepared:
        descriptor = self.descriptor(call)
        address = args.address(args.argument(call, 1), self.connections.local)

        def bound(_: None) -> tuple[int, list[str]]:
            descriptor.bound = address
            return 0, []

        return "bind", (descriptor.live, address), bound

    def _listen(self, call: Call) -> Prepared:
        descriptor = self.descriptor(call)

        def listening(_: None) -> tuple[int, list[str]]:
            descriptor.listening = True
            return 0, []

        return "listen", (descriptor.live, args.number(call, 1)), listening

    def _accept(self, call: Call) -> Prepared:
        def accepted(value: tuple[int, tuple[bytes, int]]) -> tuple[int, list[str]]:
            self.connections.accepted(result_of(call, value[0]), value[0], value[1])
            return value[0], []

        flags = args.number(call, 3) if call.name == "accept4" else 0
        return "accept", (self.live(call), flags), accepted

    _accept4 = _accept

    def _connect(self, call: Call) -> Prepared:
        descriptor = self.descriptor(call)
        if args.is_unspecified(args.argument(call, 1)):

            def dissolved(_: None) -> tuple[int, list[str]]:
                descriptor.flow, descriptor.listening = None, False
                return 0, []

            return "disconnect", (descriptor.live,), dissolved
        address = args.address(args.argument(call, 1), self.connections.remote)
        self.connections.connecting(descriptor, address)

        def failed(code: int) -> None:
            if code == errno.EINPROGRESS:
                self.connections.reconnecting(descriptor, address)

        self.on_error = failed
        return "connect", (descriptor.live, address), zero

    def _shutdown(self, call: Call) -> Prepared:
        return "shutdown", (self.live(call), args.number(call, 1)), zero

    def _close(self, call: Call) -> Prepared:
        descriptor = self.descriptor(call)

        def closed(_: None) -> tuple[int, list[str]]:
            self.connections.closed(descriptor.script)
            return 0, []

        return "close", (descriptor.live,), closed

    def _fcntl(self, call: Call) -> Prepared:
        command = args.number(call, 1)
        value = args.number(call, 2)
        conclude: Conclude = zero if command == F_SETFL else count
        return "fcntl", (self.live(call), command, value), conclude

    def _ioctl(self, call: Call) -> Prepared:
        request = args.number(call, 1)
        expected = args.argument(call, 2)
        value = 0 if isinstance(expected, Unspecified) or expected == Array((Unspecified(),)) else integer(expected)

        def answered(got: int) -> tuple[int, list[str]]:
            compared = request != FIONBIO and not isinstance(expected, Unspecified)
            return 0, [f"value: expected [{value}], got [{got}]"] if compared and got != value else []

        return "ioctl", (self.live(call), request, value), answered

    def _setsockopt(self, call: Call) -> Prepared:
        match args.argument(call, 2):
            case Symbols((name,)) if name in WITHOUT_EFFECT:
                return "fcntl", (self.live(call), F_GETFD, 0), lambda _: (0, [])  # all that can be wrong: descriptor
        item, level, option = args.argument(call, 3), args.number(call, 1), args.number(call, 2)
        if level == IPPROTO_TCP and option in (MD5SIG, MD5SIG_EXT) and isinstance(item, Struct):
            key = option_value(item, self.connections.remote[0])[: args.number(call, 4, LENGTH)]

            def taken(_: None) -> tuple[int, list[str]]:
                self.connections.keys.learn(key, option == MD5SIG_EXT)
                return 0, []

            return "setsockopt", (self.live(call), level, option, key), taken
        taken_for_granted = not isinstance(call.result, Unspecified) and integer(call.result) == 0
        if (level, option) == (IPPROTO_TCP, MD5SIG) and taken_for_granted:
            raise Unsupported("TCP_MD5SIG as a switch, with keys from FreeBSD's setkey")
        value = args.option_value(item, args.argument(call, 4))
        return "setsockopt", (self.live(call), level, option, value), zero

    def _getsockopt(self, call: Call) -> Prepared:
        expected, length = args.argument(call, 3), args.number(call, 4, 4)
        level, option = args.number(call, 1), args.number(call, 2)

        def answered(got: bytes) -> tuple[int, list[str]]:
            differs = args.info_differs if (level, option) == (IPPROTO_TCP, TCP_INFO) else args.option_differs
            wrong = differs(expected, got)
            return 0, [f"option: {wrong}"] if wrong else []

        return "getsockopt", (self.live(call), level, option, max(0, min(length, 65_536))), answered

    def _getsockname(self, call: Call) -> Prepared:
        return self._name_of("getsockname", call)

    def _getpeername(self, call: Call) -> Prepared:
        return self._name_of("getpeername", call)

    def _name_of(self, name: str, call: Call) -> Prepared:
        expected = args.argument(call, 1)

        def told(address: Address) -> tuple[int, list[str]]:
            wanted = args.address(expected, address)
            return 0, [] if wanted == address else [f"address: expected {_shown(wanted)}, got {_shown(address)}"]

        return name, (self.live(call),), told


def _shown(address: Address) -> str:
    return f"{ip_address(address[0])} {address[1]}"
