"""The bare loop: reads a frame, answers it, forgets it. What a stack in Python on this machine cannot be faster than.

Port 8080 answers every segment that carries data with one canned HTTP response; port 9001 acknowledges every segment;
port 9002 streams segments of the peer's MSS for as long as its window has room. A reply's numbers come from the
segment that it answers, so nothing is remembered of a connection (but of the one that is streamed to: how far, and
how far it may go). No options but MSS and window scale, no loss recovery worth the name, no limits, no clean close.
"""

import argparse
import os
import select
from ipaddress import IPv4Interface
from struct import Struct

from bench.contenders import HTTP_PORT, SINK_PORT, SOURCE_PORT
from bench.place import MTU, Link
from netstack.host import interface
from netstack.link.device import MAX_FRAME, NEEDS_CSUM, NO_OFFLOAD, VNET
from netstack.link.tap import TapDevice
from netstack.wire.checksum import ones_sum

ARRIVED = Struct("!B15x6s2x2xH5xB2x4s4sHHIIBBH")
"""From the virtio_net_hdr on: its flags, sender's MAC, IPv4 length, protocol, addresses, TCP up to the window."""
HEAD = Struct("!10s14sHHHHHH8sHHIIHHHH")
"""virtio_net_hdr, Ethernet, IPv4, TCP without options."""
IP_AT, TCP_AT = 24, 44
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ARP = b"\x08\x06"
SHIFT = 7
WINDOW = 2048
"""As on the wire: 256 KiB, which the TAP's queue holds in frames of one MTU."""
STALLED_MS = 200
"""So long without room in the peer's window: something was lost, go back."""
BURST = 16
"""Frames streamed between two looks at what has arrived."""

CANNED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\nserver: bare-loop\r\n"
    b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nHello, World!"
)


class Bare:
    """The answers of one address, apart from where frames come from and go to."""

    def __init__(self, address: IPv4Interface, offload: bool) -> None:
        self.address = address.ip.packed
        self.mac = bytes.fromhex("02005e000209")
        self.offload = offload
        self.vnet = VNET.pack(NEEDS_CSUM, 0, 0, 0, 34, 16) if offload else NO_OFFLOAD
        self.to: tuple[bytes, bytes, int, int] | None = None
        """Who is streamed to, the latest to ask: MAC, address, our port, theirs."""
        self.una = self.next = self.edge = self.ack = 0
        self.mss, self.shift = 536, 0
        self.payload = b""

    def arrive(self, frame: bytes) -> bytes | None:
        """The frame that answers `frame`, or None."""
        if len(frame) < TCP_AT + 20:
            return self.arp(frame) if frame[22:24] == ARP else None
        vnet, mac, total, protocol, source, target, sport, dport, seq, ack, offset, flags, window = ARRIVED.unpack_from(
            frame
        )
        if protocol != 6 or target != self.address:
            return self.arp(frame) if frame[22:24] == ARP else None
        end = IP_AT + total
        if not vnet & NEEDS_CSUM:
            pseudo = ones_sum(frame[IP_AT + 12 : IP_AT + 20]) + 6 + total - 20
            if (pseudo + ones_sum(memoryview(frame)[TCP_AT:end])) % 0xFFFF:
                return None
        if flags & SYN:
            return self.open(frame, mac, source, sport, dport, seq)
        if flags & RST:
            self.stop(sport)
            return None
        size = end - TCP_AT - (offset >> 2 & 0x3C)
        to = mac, source, dport, sport
        if flags & FIN:
            self.stop(sport)
            return self.segment(*to, ack, seq + size + 1, ACK | FIN, 0, 0)
        if dport == HTTP_PORT:
            return self.segment(*to, ack, seq + size, ACK | PSH, len(CANNED), CANNED_SUM) + CANNED if size else None
        if dport == SINK_PORT:
            return self.segment(*to, ack, seq + size, ACK, 0, 0) if size else None
        if dport == SOURCE_PORT:
            self.advance(to, seq, ack, window)
        return None

    def segment(
        self, mac: bytes, peer: bytes, port: int, peer_port: int, seq: int, ack: int, flags: int, size: int,
        payload_sum: int, options: bytes = b"",
    ) -> bytes:  # fmt: skip
        """Everything in front of a payload of `size` octets whose ones'-complement sum is given."""
        length = 20 + len(options) + size
        pair = self.address + peer
        pair_sum = ones_sum(pair)
        header = 0x4500 + 0x4000 + 0x4006 + 20 + length + pair_sum
        pseudo = 6 + length + pair_sum
        offset_flags = (20 + len(options)) << 10 | flags
        if self.offload:
            checksum = pseudo % 0xFFFF
        else:
            # 2^16 = 1 modulo 0xFFFF: a 32-bit number is as good as the sum of its halves.
            words = pseudo + port + peer_port + seq + ack + offset_flags + WINDOW + payload_sum + ones_sum(options)
            checksum = 0xFFFF - words % 0xFFFF
        head = HEAD.pack(
            self.vnet, mac + self.mac + b"\x08\x00", 0x4500, 20 + length, 0, 0x4000, 0x4006, 0xFFFF - header % 0xFFFF,
            pair, port, peer_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset_flags, WINDOW, checksum, 0,
        )  # fmt: skip
        return head + options

    def arp(self, frame: bytes) -> bytes | None:
        """The answer to an ARP request for us (RFC 826)."""
        if frame[30:32] != b"\0\1" or frame[48:52] != self.address:
            return None
        return b"".join(
            (NO_OFFLOAD, frame[16:22], self.mac, frame[22:30], b"\0\2", self.mac, self.address, frame[32:42])
        )

    def open(self, frame: bytes, mac: bytes, source: bytes, sport: int, dport: int, seq: int) -> bytes:
        """SYN+ACK from number 0, with MSS and window scale and nothing else."""
        if dport == SOURCE_PORT:
            self.to = mac, source, dport, sport
            self.una = self.next = self.edge = 1
            self.mss, self.shift = syn_options(frame)
            self.payload = bytes(self.mss)
        options = b"\2\4" + (MTU - 40).to_bytes(2, "big") + bytes((1, 3, 3, SHIFT))
        return self.segment(mac, source, dport, sport, 0, seq + 1, SYN | ACK, 0, 0, options)

    def advance(self, to: tuple[bytes, bytes, int, int], seq: int, ack: int, window: int) -> None:
        """An ACK on the streaming port: the first one opens the window, the others move it on."""
        if to == self.to:
            self.una, self.edge, self.ack = ack, ack + (window << self.shift), seq
            self.next = max(self.next, ack)

    def stop(self, port: int) -> None:
        """Stream no more, if it is this peer's port that is streamed to."""
        if self.to is not None and self.to[3] == port:
            self.to = None

    @property
    def may_stream(self) -> bool:
        """There is somebody to stream to, and room for a segment."""
        return self.to is not None and self.next + self.mss <= self.edge

    def stream(self) -> bytes:
        """The next segment of the stream, which may be sent. The sum is worked out each time, as for real data."""
        assert self.to is not None
        payload = self.payload
        payload_sum = 0 if self.offload else ones_sum(payload)
        head = self.segment(*self.to, self.next, self.ack, ACK, len(payload), payload_sum)
        self.next += len(payload)
        return head + payload


CANNED_SUM = ones_sum(CANNED)


def syn_options(frame: bytes) -> tuple[int, int]:
    """(MSS, window shift) that a SYN offers."""
    mss, shift = 536, 0
    at, end = TCP_AT + 20, TCP_AT + (frame[TCP_AT + 12] >> 2 & 0x3C)
    while at < end and frame[at]:
        if frame[at] == 2:
            mss = int.from_bytes(frame[at + 2 : at + 4], "big")
        elif frame[at] == 3:
            shift = frame[at + 2]
        at += 1 if frame[at] == 1 else max(2, frame[at + 1])
    return min(mss, MTU - 40), shift


def run(bare: Bare, fileno: int) -> None:
    """Read and answer until a signal ends the process."""
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    while True:
        if not bare.may_stream and not poll.poll(None if bare.to is None else STALLED_MS):
            bare.next = bare.una
        try:
            while True:
                answer = bare.arrive(os.read(fileno, MAX_FRAME))
                if answer is not None:
                    os.write(fileno, answer)
        except BlockingIOError:
            pass
        for _ in range(BURST):
            if not bare.may_stream:
                break
            os.write(fileno, bare.stream())


def main() -> None:
    """`python -m bench.bare LINK-NUMBER [--no-offload]`, in the namespace where the clients are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("link", type=int)
    parser.add_argument("--no-offload", action="store_true")
    options = parser.parse_args()
    link = Link(options.link)
    tap = TapDevice(link.interface, MTU, not options.no_offload)
    interface.configure(tap.name, link.host, MTU)
    print(f"serving on {link.server.ip}", flush=True)
    try:
        run(Bare(link.server, tap.offload), tap.fileno())
    except KeyboardInterrupt:
        tap.close()


if __name__ == "__main__":
    main()
