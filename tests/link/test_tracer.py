"""The tracer: one line a frame, and otherwise the device it wraps."""

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether

from netstack.link.device import GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET
from netstack.link.loopback import LoopbackPair
from netstack.link.tracer import Tracer

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def tcp(source: str, destination: str, **fields) -> bytes:
    ports = {"192.0.2.1": 40000, "192.0.2.2": 80}
    fields.setdefault("window", 500)
    segment = TCP(sport=ports[source], dport=ports[destination], **fields)
    return bytes(ETHER / IP(src=source, dst=destination) / segment)


def test_every_frame_is_one_line_with_time_and_direction():
    near, far = LoopbackPair(offload=True)
    lines = []
    traced = Tracer(near, lines.append)
    far.write(NO_OFFLOAD + bytes(ETHER / ARP(psrc="192.0.2.1", pdst="192.0.2.2")), b"", 0)
    traced.read(1)
    far.write(NO_OFFLOAD + tcp("192.0.2.1", "192.0.2.2", flags="S", seq=5000), b"", 0)
    traced.read(1_000_002)
    traced.write(NO_OFFLOAD + tcp("192.0.2.2", "192.0.2.1", flags="SA", seq=9000, ack=5001), b"", 61_000_003)
    bulk = tcp("192.0.2.2", "192.0.2.1", flags="A", seq=9001, ack=5001)
    bulk = bulk[:16] + (40 + 3000).to_bytes(2, "big") + bulk[18:]
    traced.write(VNET.pack(NEEDS_CSUM, GSO_TCPV4, 54, 1460, 34, 16) + bulk, memoryview(bytes(3000)), 61_000_004)
    assert lines == [
        "0.000001 < ARP, who-has 192.0.2.2 tell 192.0.2.1",
        "1.000002 < IP 192.0.2.1.40000 > 192.0.2.2.80: S 0:0(0) win 500",
        "61.000003 > IP 192.0.2.2.80 > 192.0.2.1.40000: S. 0:0(0) ack 1 win 500",
        "61.000004 > IP 192.0.2.2.80 > 192.0.2.1.40000: . 1:3001(3000) ack 1 win 500 [gso 1460]",
    ]


def test_numbers_of_the_wire_on_request():
    near, far = LoopbackPair()
    lines = []
    traced = Tracer(near, lines.append, relative=False)
    far.write(NO_OFFLOAD + tcp("192.0.2.1", "192.0.2.2", flags="S", seq=5000), b"", 0)
    traced.read(0)
    assert lines == ["0.000000 < IP 192.0.2.1.40000 > 192.0.2.2.80: S 5000:5000(0) win 500"]


def test_frames_pass_unchanged_and_the_rest_is_the_inner_device():
    near, far = LoopbackPair(mtu=900)
    traced = Tracer(near, lambda line: None)
    assert (traced.mtu, traced.offload, traced.fileno(), traced.deadline()) == (900, False, -1, None)
    far.write(NO_OFFLOAD, b"in", 7)
    assert traced.deadline() == 7
    assert traced.read(7) == NO_OFFLOAD + b"in"
    assert traced.read(7) is None
    traced.write(NO_OFFLOAD, b"out", 8)
    assert far.read(8) == NO_OFFLOAD + b"out"
    traced.expire(9)
    traced.close()
    assert near.closed


def test_octets_that_make_no_sense_are_shown_not_raised():
    lines = []
    traced = Tracer(LoopbackPair().left, lines.append)
    for length in range(80):
        lines.append(traced.line("<", bytes(range(length)), 0))
    assert all(line.startswith("0.000000 < ") and "\n" not in line for line in lines)
