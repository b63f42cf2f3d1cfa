"""The shutter: chosen flows arrive without a window, everything else as it was."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from netstack.link.device import NO_OFFLOAD, VNET_LEN
from netstack.link.loopback import LoopbackPair
from netstack.link.shutter import WindowShutter, flow

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
KEY = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + (40_000).to_bytes(2, "big") + (80).to_bytes(2, "big")


def segment(sport=40_000, window=500, load=b"", **ip):
    packet = IP(src="192.0.2.1", dst="192.0.2.2", **ip) / TCP(sport=sport, dport=80, flags="PA", window=window) / load
    return NO_OFFLOAD + bytes(ETHER / packet)


@pytest.mark.parametrize("window", [0, 1, 500, 0xFFFE, 0xFFFF])
@pytest.mark.parametrize("load", [b"", b"x", b"hello" * 100])
@pytest.mark.parametrize("options", [[], [b"\x94\x04\x00\x00"]], ids=["plain", "router alert"])
def test_a_shut_flow_has_no_window_and_a_right_checksum(window, load, options):
    near, far = LoopbackPair()
    device = WindowShutter(near)
    device.shut.add(KEY)
    frame = segment(window=window, load=load, options=options and [b"\x94\x04\x00\x00"])
    far.write(frame, b"", 0)
    was, now = Ether(frame[VNET_LEN:]), Ether(device.read(0)[VNET_LEN:])
    assert now[TCP].window == 0
    checksum = now[TCP].chksum
    del now[TCP].chksum
    assert Ether(bytes(now))[TCP].chksum in (checksum, checksum ^ 0xFFFF if checksum in (0, 0xFFFF) else checksum)
    now[TCP].window, now[TCP].chksum = was[TCP].window, was[TCP].chksum
    assert bytes(now) == bytes(was)


@pytest.mark.parametrize(
    "frame",
    [
        segment(sport=40_001),
        segment(flags="MF"),
        segment(frag=100),
        NO_OFFLOAD + bytes(ETHER / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=40_000, dport=80) / bytes(20)),
        NO_OFFLOAD + bytes(ETHER / ARP(psrc="192.0.2.1", pdst="192.0.2.2")),
        segment()[:-1][: VNET_LEN + 14 + 39],
        NO_OFFLOAD,
        b"",
    ],
    ids=["another port", "first fragment", "later fragment", "UDP", "ARP", "cut short", "empty", "nothing"],
)
def test_everything_else_passes_untouched(frame):
    near, far = LoopbackPair()
    device = WindowShutter(near)
    device.shut.add(KEY)
    far.write(frame or NO_OFFLOAD, b"", 0)
    assert device.read(0) == (frame or NO_OFFLOAD)
    assert flow(frame) != KEY


def test_what_leaves_is_not_touched():
    near, far = LoopbackPair()
    device = WindowShutter(near)
    device.shut.add(KEY)
    frame = segment()
    device.write(frame[:40], frame[40:], 0)
    assert far.read(0) == frame


def test_a_device_with_offload_is_refused():
    near, _ = LoopbackPair(offload=True)
    with pytest.raises(ValueError, match="offload"):
        WindowShutter(near)
