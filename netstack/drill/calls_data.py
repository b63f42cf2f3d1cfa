"""System calls that move octets: read and write in all their forms."""

from netstack.drill import arguments as args
from netstack.drill.call_base import CallBase, Prepared, count
from netstack.drill.connections import Descriptor
from netstack.drill.constants import NUMBERS
from netstack.drill.host import Address
from netstack.drill.messages import Control, Received, control_differs
from netstack.drill.nodes import Array, Call, Number, Struct, Symbols, Unspecified
from netstack.drill.symbols import integer

MSG_FASTOPEN = NUMBERS["MSG_FASTOPEN"]
ROOM_FOR_CONTROL = 1024


class DataCalls(CallBase):
    """One method a call."""

    def _read(self, call: Call) -> Prepared:
        flags = 0 if call.name == "read" else args.number(call, 3)
        return "recv", (self.live(call), args.size(call, 2), flags), _zeros_received

    _recv = _recvfrom = _read

    def _readv(self, call: Call) -> Prepared:
        octets = sum(length for _, length in args.iovec(args.argument(call, 1)))
        return "recv", (self.live(call), octets, 0), _zeros_received

    def _recvmsg(self, call: Call) -> Prepared:
        message = args.message(args.argument(call, 1))
        octets = sum(length for _, length in args.iovec(message.get("msg_iov") or Array(())))
        returned, control = message.get("msg_flags"), message.get("msg_control")
        room = 0 if control is None or control == Array(()) else ROOM_FOR_CONTROL

        def received(got: Received) -> tuple[int, list[str]]:
            _, wrong = _zeros_received(got.data)
            wrong += control_differs(control, got.control, self.near, self.host.origin)
            if returned is not None and not isinstance(returned, Unspecified):
                wanted = integer(returned)
                wrong += [] if wanted == got.flags else [f"msg_flags: expected {wanted:#x}, got {got.flags:#x}"]
            return got.length, wrong

        return "recvmsg", (self.live(call), octets, room, args.number(call, 2)), received

    def _write(self, call: Call) -> Prepared:
        flags = 0 if call.name == "write" else args.number(call, 3)
        where = args.argument(call, 1)
        if isinstance(where, Number):
            return "send_from", (self.live(call), where.value, args.size(call, 2), flags), count
        return self._sending(self.descriptor(call), args.buffer(where, args.size(call, 2)), flags, None)

    _send = _write

    def _sendto(self, call: Call) -> Prepared:
        flags, name = args.number(call, 3), args.argument(call, 4)
        if isinstance(args.argument(call, 1), Number):
            return self._write(call)
        data = args.buffer(args.argument(call, 1), args.size(call, 2))
        none = isinstance(name, Number) or (isinstance(name, Symbols) and name.names == ("NULL",))
        target = None if none else args.address(name, self.connections.remote)
        return self._sending(self.descriptor(call), data, flags, target)

    def _writev(self, call: Call) -> Prepared:
        data = b"".join(args.buffer(*vector) for vector in args.iovec(args.argument(call, 1)))
        return self._sending(self.descriptor(call), data, 0, None)

    def _sendmsg(self, call: Call) -> Prepared:
        message = args.message(args.argument(call, 1))
        data = b"".join(args.buffer(*vector) for vector in args.iovec(message.get("msg_iov") or Array(())))
        flags = args.number(call, 2)
        name = message.get("msg_name")
        # `...` as the name of a message on a connection means that there is none.
        wanted = flags & MSG_FASTOPEN or isinstance(name, Struct)
        target = args.address(name or Unspecified(), self.connections.remote) if wanted else None
        return self._sending(self.descriptor(call), data, flags, target, args.control(message.get("msg_control")))

    def _sending(
        self,
        descriptor: Descriptor,
        data: bytes,
        flags: int,
        target: Address | None,
        control: list[Control] | None = None,
    ) -> Prepared:
        if target is not None and descriptor.flow is None:
            self.connections.connecting(descriptor, target)
        return "send", (descriptor.live, data, flags, target, control or []), count

    def _sendfile(self, call: Call) -> Prepared:
        offset = args.argument(call, 2)
        at = None
        if isinstance(offset, Array) and offset.items and not isinstance(offset.items[0], Unspecified):
            at = integer(offset)
        return "sendfile", (self.live(call, 0), self.live(call, 1), at, args.size(call, 3)), count

    def _splice(self, call: Call) -> Prepared:
        return "splice", (self.live(call, 0), self.live(call, 2), args.size(call, 4), args.number(call, 5)), count


def _zeros_received(data: bytes) -> tuple[int, list[str]]:
    return len(data), [] if data.count(0) == len(data) else ["the data received is not all zeros"]
