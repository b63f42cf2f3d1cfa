"""UDP (RFC 768, RFC 1122 4.1): which endpoint a datagram is for, and the datagrams that leave."""

import errno
from collections.abc import Iterator

from netstack.counters import Counters
from netstack.events import Dropped, Sink
from netstack.ip.icmp import Icmp
from netstack.ip.ipv4 import Ipv4
from netstack.link.neighbor import Entropy
from netstack.udp.endpoint import FAILED, OVERHEAD, WRITABLE, Datagram, Endpoint
from netstack.units import Micros, Octets
from netstack.wire import icmpv4, ipv4, udp

ERRNO = {
    icmpv4.NET_UNREACHABLE: errno.ENETUNREACH,
    icmpv4.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    icmpv4.PROTOCOL_UNREACHABLE: errno.ENOPROTOOPT,
    icmpv4.PORT_UNREACHABLE: errno.ECONNREFUSED,
    icmpv4.FRAGMENTATION_NEEDED: errno.EMSGSIZE,
    icmpv4.SOURCE_ROUTE_FAILED: errno.EOPNOTSUPP,
}
"""What a connected endpoint is told, as by Linux."""


class Udp:
    """The endpoints of one stack. Register `receive` and `on_icmp_error` with IP; call `transmit` once a turn."""

    __slots__ = ("_changed", "_endpoints", "_transmitted_at", "counters", "events", "icmp", "ip", "port_range", "rng")

    def __init__(
        self,
        ip: Ipv4,
        icmp: Icmp,
        rng: Entropy,
        counters: Counters,
        port_range: tuple[int, int] = (32_768, 60_999),
        events: Sink | None = None,
    ) -> None:
        self.ip = ip
        self.icmp = icmp
        self.rng = rng
        self.counters = counters
        self.port_range = port_range
        self.events = events
        self._endpoints: dict[int, list[Endpoint]] = {}
        self._changed: dict[Endpoint, None] = {}
        self._transmitted_at: Micros = 0

    def bind(self, address: bytes = ipv4.ANY, port: int = 0) -> Endpoint:
        """An endpoint at `address` (ANY: whichever is ours) and `port` (0: one of `port_range`, at random).

        OSError: EADDRNOTAVAIL when the address is not ours, EADDRINUSE when the port is taken or all are.
        """
        if address != ipv4.ANY and not self.ip.is_local(address):
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        if not port:
            port = self._free_port(address)
        elif not self._is_free(address, port):
            raise OSError(errno.EADDRINUSE, "Address already in use")
        endpoint = Endpoint((address, port), self._mark, self._release)
        self._endpoints.setdefault(port, []).append(endpoint)
        return endpoint

    def endpoints(self) -> Iterator[Endpoint]:
        """Every open one."""
        return (endpoint for several in self._endpoints.values() for endpoint in several)

    def _is_free(self, address: bytes, port: int) -> bool:
        taken = [endpoint.local[0] for endpoint in self._endpoints.get(port, ())]
        return not taken or (address != ipv4.ANY and address not in taken and ipv4.ANY not in taken)

    def _free_port(self, address: bytes) -> int:
        low, high = self.port_range
        count = high - low + 1
        start = self.rng.getrandbits(16)
        for step in range(count):
            port = low + (start + step) % count
            if self._is_free(address, port):
                return port
        raise OSError(errno.EADDRINUSE, "Address already in use")

    def _mark(self, endpoint: Endpoint) -> None:
        self._changed[endpoint] = None

    def _release(self, endpoint: Endpoint) -> None:
        endpoints = self._endpoints[endpoint.local[1]]
        endpoints.remove(endpoint)
        if not endpoints:
            del self._endpoints[endpoint.local[1]]
        self._changed.pop(endpoint, None)

    # -- arriving

    def receive(
        self, frame: bytes, ip_at: Octets, at: Octets, end: Octets, pair: bytes, verified: bool, now: Micros
    ) -> None:
        """A datagram arrived in `frame[at:end]`."""
        datagram = udp.parse(frame, at, end)
        if datagram is None:
            self._refuse("udp.bad_length", now)
        elif not verified and not udp.checksum_valid(frame[at : at + datagram.length], pair):
            self.counters.mib["UdpInCsumErrors"] += 1
            self._refuse("udp.bad_checksum", now)
        else:
            self._deliver(frame, ip_at, datagram, pair, now)

    def _deliver(self, frame: bytes, ip_at: Octets, datagram: udp.Datagram, pair: bytes, now: Micros) -> None:
        source, destination = (pair[:4], datagram.sport), pair[4:]
        found = [e for e in self._endpoints.get(datagram.dport, ()) if e.accepts(source, destination)]
        if not found:
            self.counters.mib["UdpNoPorts"] += 1
            self._drop("udp.no_port", now)
            self.icmp.unreachable(frame, ip_at, icmpv4.PORT_UNREACHABLE, now)
        for endpoint in found:
            if endpoint.arrive(Datagram(datagram.payload, source)):
                self.counters.mib["UdpInDatagrams"] += 1
            else:
                self.counters.mib["UdpRcvbufErrors"] += 1
                self._refuse("udp.receive_buffer_full", now)

    def on_icmp_error(self, kind: int, code: int, mtu: Octets, pair: bytes, quoted: bytes, now: Micros) -> None:
        """An ICMP error about a datagram of ours: believed when an endpoint could have sent it (RFC 1122 4.1.3.3).

        As with Linux only a connected endpoint is told: the others would not know which datagram is meant.
        """
        sport, dport, _, _ = udp.HEADER.unpack_from(quoted)
        source, remote = pair[:4], (pair[4:], dport)
        for endpoint in self._endpoints.get(sport, ()):
            if not endpoint.accepts(remote, source):
                continue
            if mtu:
                self.ip.reduce_mtu(remote[0], mtu, now)
            if endpoint.remote is not None and kind != icmpv4.TIME_EXCEEDED and not mtu:
                unreachable = kind == icmpv4.UNREACHABLE
                endpoint.error = ERRNO.get(code, errno.EHOSTUNREACH) if unreachable else errno.EPROTO
                endpoint.notice(FAILED)

    # -- leaving

    def transmit(self, now: Micros) -> None:
        """Tell observers what changed, then send what is queued. What that changes in turn is for next time."""
        self._transmitted_at = now
        for endpoint in list(self._changed):
            bits, endpoint.changed = endpoint.changed, 0
            if bits and endpoint.observer is not None and not endpoint.closed:
                endpoint.observer(bits)
        changed, self._changed = self._changed, {}
        for endpoint in changed:
            if endpoint.outgoing:
                self._send_queued(endpoint, now)
            if endpoint.changed:
                self._mark(endpoint)

    def deadline(self) -> Micros | None:
        """When `transmit` has something to do: at once, or None for never."""
        return self._transmitted_at if self._changed else None

    def _send_queued(self, endpoint: Endpoint, now: Micros) -> None:
        was_full = endpoint.unsent + OVERHEAD > endpoint.sndbuf
        while endpoint.outgoing:
            datagram = endpoint.outgoing.popleft()
            endpoint.unsent -= len(datagram.data) + OVERHEAD
            self._send(endpoint, datagram, now)
        if was_full:
            endpoint.notice(WRITABLE)

    def _send(self, endpoint: Endpoint, datagram: Datagram, now: Micros) -> None:
        """One datagram: with DF while it fits the path, in fragments when it does not, as Linux does by default."""
        destination, dport = datagram.remote
        source = self.ip.source(destination) if endpoint.local[0] == ipv4.ANY else endpoint.local[0]
        if source is None:
            self._unroutable(endpoint)
            return
        packet = udp.build(endpoint.local[1], dport, datagram.data, source + destination)
        df = len(packet) + ipv4.HEADER_LEN <= self.ip.mtu(destination)
        if self.ip.send(destination, udp.PROTOCOL, packet, now, source=source, df=df):
            self.counters.mib["UdpOutDatagrams"] += 1
        else:
            self._unroutable(endpoint)

    def _unroutable(self, endpoint: Endpoint) -> None:
        endpoint.error = errno.ENETUNREACH
        endpoint.notice(FAILED)

    def _refuse(self, reason: str, now: Micros) -> None:
        self.counters.mib["UdpInErrors"] += 1
        self._drop(reason, now)

    def _drop(self, reason: str, now: Micros) -> None:
        self.counters.drops[reason] += 1
        if self.events is not None:
            self.events(Dropped(now, reason))
