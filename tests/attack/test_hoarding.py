"""What peers and users make us keep is bounded by buffers, not by the number of pieces or of connections."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from netstack.wire import tcp
from tests.script import FULL, NO_OFFLOAD, TO_US, Wire, octets_at, packet

RCVBUF = 131_072


def crumb(wire: Wire, seq: int, length: int) -> None:
    """A segment of the stream; what leaves is forgotten."""
    head = tcp.build(wire.remote_port, 80, seq + wire.bases_in.seq, 1 + wire.bases_out.seq, tcp.ACK, 65_535)
    wire.stack.receive(NO_OFFLOAD + packet(tcp.with_checksum(head + octets_at(seq, length), TO_US)), wire.bench.now)
    wire.stack.transmit(wire.bench.now)
    wire.bench.device.frames.clear()


def kept(wire: Wire, send: Callable[[], None]) -> int:
    """Octets of memory more than before `send`."""
    send()  # what is allocated once, is now
    wire.conn.receive_buffer.prune(0)
    wire.conn.recv(1 << 20)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    send()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    wire.conn.receive_buffer.check(wire.conn.tcb.rcv_nxt)
    return after - before


@pytest.fixture
def victim() -> Wire:
    """An open connection that nobody reads from."""
    return Wire().established(FULL)


@pytest.mark.parametrize("length", [2, 20])
def test_in_order_and_never_read(victim, length):
    begin = [1]

    def send() -> None:
        for _ in range(2_000):
            crumb(victim, begin[0], length)
            begin[0] += length

    assert kept(victim, send) < RCVBUF + 2 * 2_000 * length
    assert victim.conn.recv(1 << 20) == octets_at(begin[0] - 2_000 * length, 2_000 * length)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("length", "step"), [(1, 2), (2, 17)])
def test_more_holes_than_pieces_are_worth(victim, length, step, backwards):
    """Reneging is allowed (RFC 2018 8); what lies lowest is kept, and a stream that fills the holes is whole."""
    seqs = [10 + i * step for i in range(2_000)]

    def send() -> None:
        for seq in reversed(seqs) if backwards else seqs:
            crumb(victim, seq, length)

    victim.conn.options.rcvbuf = RCVBUF  # else it grows, as Linux's does, up to tcp_rmem's last
    victim.conn.options_changed()
    assert kept(victim, send) < 2 * RCVBUF
    blocks = victim.conn.receive_buffer.blocks()
    assert blocks[0] == (victim.conn.tcb.irs + 10, victim.conn.tcb.irs + 10 + length)
    assert all(block in blocks for block in victim.conn.receive_buffer.recent)
    assert victim.mib["TcpExtOfoPruned" if backwards else "TcpExtTCPOFODrop"]
    for seq in range(1, 35_001, 1_000):
        crumb(victim, seq, 1_000)
    assert victim.conn.recv(1 << 20) == octets_at(1, 35_000)


@pytest.mark.parametrize("backwards", [False, True])
def test_crumbs_behind_one_hole_are_all_kept(victim, backwards):
    seqs = list(range(2, 6_002, 2))

    def send() -> None:
        for seq in reversed(seqs) if backwards else seqs:
            crumb(victim, seq, 2)

    assert kept(victim, send) < RCVBUF
    assert not victim.mib["TcpExtOfoPruned"]
    crumb(victim, 1, 1)
    assert victim.conn.recv(1 << 20) == octets_at(1, 6_001)
