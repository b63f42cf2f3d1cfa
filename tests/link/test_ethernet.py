"""Which frames are for us, and whose they are."""

import pytest

from netstack.counters import Counters
from netstack.events import Dropped, Event, FrameReceived, FrameSent
from netstack.link.device import NO_OFFLOAD
from netstack.link.ethernet import Ethernet
from netstack.wire import ethernet
from tests.ip.rig import BROADCAST_MAC, MAC, OTHER_MAC, PEER_MAC, Recorder, octets

Taken = list[tuple[str, bytes, int, int]]


@pytest.fixture
def taken() -> Taken:
    return []


@pytest.fixture
def link(taken: Taken) -> Ethernet:
    link = Ethernet(Recorder(), octets(MAC), Counters())
    link.protocols[ethernet.IPV4] = lambda frame, at, now: taken.append(("ip", frame[at:], at, now))
    link.protocols[ethernet.ARP] = lambda frame, at, now: taken.append(("arp", frame[at:], at, now))
    link.group_protocols[ethernet.IPV4] = lambda frame, at, now: taken.append(("ip group", frame[at:], at, now))
    return link


def frame(destination: str = MAC, ethertype: bytes = ethernet.IPV4, payload: bytes = b"payload") -> bytes:
    return NO_OFFLOAD + octets(destination) + octets(PEER_MAC) + ethertype + payload


@pytest.mark.parametrize(
    ("destination", "ethertype", "who"),
    [
        (MAC, ethernet.IPV4, "ip"),
        (MAC, ethernet.ARP, "arp"),
        (BROADCAST_MAC, ethernet.ARP, "arp"),
        (BROADCAST_MAC, ethernet.IPV4, "ip group"),
        ("01:00:5e:00:00:01", ethernet.IPV4, "ip group"),
    ],
)
def test_frame_reaches_its_protocol(link: Ethernet, taken: Taken, destination: str, ethertype: bytes, who: str) -> None:
    link.receive(frame(destination, ethertype), 42)
    assert taken == [(who, b"payload", 24, 42)]
    assert not link.counters.drops


@pytest.mark.parametrize(
    ("octets_in", "reason"),
    [
        (frame(OTHER_MAC), "other_host"),
        (frame(ethertype=ethernet.IPV6), "unknown_ethertype"),
        (frame(BROADCAST_MAC, b"\x88\xcc"), "unknown_ethertype"),
        (frame(ethertype=b"\x00\x2e"), "unknown_ethertype"),  # an IEEE 802.3 length
        (frame()[:23], "too_short"),
        (frame(BROADCAST_MAC)[:23], "too_short"),
        (frame()[:12], "too_short"),
        (b"", "too_short"),
    ],
)
def test_frame_that_is_not_for_us_is_counted(link: Ethernet, taken: Taken, octets_in: bytes, reason: str) -> None:
    link.receive(octets_in, 0)
    assert not taken
    assert link.counters.drops == {f"ethernet.{reason}": 1}


def test_sent_frame_carries_both_addresses_and_no_offload(link: Ethernet) -> None:
    link.send(octets(PEER_MAC), ethernet.ARP, b"packet", 0)
    assert link.device.frames == [NO_OFFLOAD + octets(PEER_MAC) + octets(MAC) + ethernet.ARP + b"packet"]  # type: ignore[attr-defined]


def test_sink_hears_of_every_frame(link: Ethernet) -> None:
    events: list[Event] = []
    link.events = events.append
    link.receive(frame(), 1)
    link.receive(frame(OTHER_MAC), 2)
    link.send(octets(PEER_MAC), ethernet.ARP, b"packet", 3)
    assert events == [
        FrameReceived(1, frame()),
        FrameReceived(2, frame(OTHER_MAC)),
        Dropped(2, "ethernet.other_host"),
        FrameSent(3, NO_OFFLOAD + octets(PEER_MAC) + octets(MAC) + ethernet.ARP + b"packet"),
    ]


@pytest.mark.parametrize("mac", [b"", bytes(5), octets(BROADCAST_MAC), octets("01:00:5e:00:00:01")])
def test_interface_needs_a_unicast_address(mac: bytes) -> None:
    with pytest.raises(ValueError, match="unicast"):
        Ethernet(Recorder(), mac, Counters())
