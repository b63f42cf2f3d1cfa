"""Which descriptor and which connection a line of the script is about: the descriptors it made, and their flows."""

from dataclasses import dataclass

from netstack.drill.codec import ICMP, ICMPV6, IPPROTO_TCP, IPPROTO_UDP, Datagram
from netstack.drill.constants import SOCK_STREAM
from netstack.drill.flow import Flow
from netstack.drill.host import Address
from netstack.drill.nodes import Packet, TcpSegment, UdpDatagram
from netstack.drill.signatures import Keys


@dataclass(slots=True)
class Descriptor:
    """A descriptor of the script and the live one behind it."""

    script: int
    live: int
    type: int = SOCK_STREAM
    bound: Address | None = None
    listening: bool = False
    flow: Flow | None = None


class Connections:
    """All descriptors and flows of a run, and the ones under test."""

    def __init__(self, local: Address, remote: Address) -> None:
        self.local, self.remote = local, remote
        self.descriptors: dict[int, Descriptor] = {}
        self.flows: list[Flow] = []
        self.keys = Keys()
        self.descriptor: Descriptor | None = None
        self.flow: Flow | None = None

    def opened(self, script: int, live: int, type_: int) -> None:
        """A new socket: it is the one under test from now on."""
        self.descriptor = self.descriptors[script] = Descriptor(script, live, type_)
        self.flow = None

    def other(self, script: int, live: int) -> None:
        """A descriptor that is no socket: a pipe's end, a file, an epoll instance."""
        self.descriptors[script] = Descriptor(script, live, 0)

    def accepted(self, script: int, live: int, peer: Address) -> None:
        """A child of a listener has a descriptor now."""
        self.descriptor = self.descriptors[script] = Descriptor(script, live)
        for flow in reversed(self.flows):
            if flow.remote == peer:
                self.descriptor.flow = self.flow = flow
                return

    def connecting(self, descriptor: Descriptor, address: Address) -> None:
        """connect was called: the outbound SYN tells the local port, unless bind did."""
        if descriptor.flow is None:
            descriptor.flow = self._new(self._local_of(descriptor), address)

    def reconnecting(self, descriptor: Descriptor, address: Address) -> None:
        """connect has begun again on a socket whose first attempt failed."""
        if descriptor.flow is not None and descriptor.flow.iss is not None:
            descriptor.flow = self._new(self._local_of(descriptor), address)

    def _local_of(self, descriptor: Descriptor) -> Address:
        address, port = descriptor.bound or (self.local[0], 0)
        return address if any(address) else self.local[0], port

    def closed(self, script: int) -> None:
        """The descriptor is gone; its connection may live on for a while."""
        descriptor = self.descriptors.pop(script, None)
        if descriptor is not None and descriptor.flow is not None:
            descriptor.flow.finished = True

    def live_descriptor(self) -> int | None:
        """The live descriptor of the connection under test, for TCP_INFO."""
        for descriptor in self.descriptors.values():
            if self.flow is not None and descriptor.flow is self.flow:
                return descriptor.live
        if self.descriptor is not None and self.descriptor.script in self.descriptors:
            return self.descriptor.live
        return None

    def inbound(self, packet: Packet) -> Flow:
        """The flow that an inbound packet belongs to, a new one where it is the first of its connection."""
        ports = packet.body.ports if isinstance(packet.body, TcpSegment | UdpDatagram) else None
        flow = self._with_ports(ports[1], ports[0]) if ports else self.flow
        if flow is None:
            local = self._listening_at()
            remote = self.remote
            if ports:
                local, remote = (local[0], ports[1]), (remote[0], ports[0])
            flow = self._new(local, remote)
        if isinstance(packet.body, TcpSegment) and "S" in packet.body.flags:
            if not flow.irs_known:
                flow.irs, flow.irs_known = packet.body.seq, True
            flow.last_syn = packet.body.seq
        return flow

    def outbound(self, datagram: Datagram) -> Flow | None:
        """The flow that an outbound packet belongs to; None when it is none of the script's."""
        if datagram.protocol in (ICMP, ICMPV6):
            return self.flow if self.flow is not None and datagram.destination == self.flow.remote[0] else None
        if datagram.protocol not in (IPPROTO_TCP, IPPROTO_UDP):
            return None
        for flow in reversed(self.flows):
            if flow.carries(datagram):
                return flow
        source, destination = datagram.ports
        for flow in reversed(self.flows):
            if flow.local == (datagram.source, 0) and flow.remote == (datagram.destination, destination):
                flow.local = datagram.source, source
                return flow
        return None

    def _new(self, local: Address, remote: Address) -> Flow:
        self.flow = Flow(local, remote)
        self.flows.append(self.flow)
        return self.flow

    def _with_ports(self, local: int, remote: int) -> Flow | None:
        for flow in reversed(self.flows):
            if flow.local[1] in (local, 0) and flow.remote[1] == remote:
                return flow
        return None

    def _listening_at(self) -> Address:
        """Where an inbound packet goes: the socket under test, else a listening one, else the default."""
        candidates = [self.descriptor] if self.descriptor is not None and self.descriptor.bound else []
        candidates += [descriptor for descriptor in self.descriptors.values() if descriptor.listening]
        bound = candidates[0].bound if candidates else None
        if bound is None:
            return self.local
        return bound if any(bound[0]) else (self.local[0], bound[1])
