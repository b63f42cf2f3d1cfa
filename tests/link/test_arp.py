"""ARP: asking, answering, announcing, defending; scapy builds what arrives and reads what leaves."""

from typing import Any

import pytest

from netstack.events import Dropped
from netstack.link.arp import AddressConflict, Arp
from netstack.link.neighbor import DELAY, REACHABLE, STALE
from netstack.units import SECOND
from tests.ip.rig import ARP, BROADCAST_MAC, MAC, OTHER, OTHER_MAC, PEER, PEER_MAC, US, Ether, Rig, octets

ZERO_MAC = "00:00:00:00:00:00"


@pytest.fixture
def rig() -> Rig:
    return Rig(known=False)


def request(**fields: Any) -> Any:
    """PEER asks everybody who has our address."""
    return Ether(src=PEER_MAC, dst=BROADCAST_MAC) / ARP(
        **{"op": 1, "hwsrc": PEER_MAC, "psrc": PEER, "hwdst": ZERO_MAC, "pdst": US} | fields
    )


def reply(dst: str = MAC, **fields: Any) -> Any:
    """PEER tells us where it is."""
    return Ether(src=PEER_MAC, dst=dst) / ARP(
        **{"op": 2, "hwsrc": PEER_MAC, "psrc": PEER, "hwdst": MAC, "pdst": US} | fields
    )


def fields(frame: Any) -> tuple[str, int, str, str, str, str]:
    arp = frame[ARP]
    assert (frame.src, arp.hwtype, arp.ptype, arp.hwlen, arp.plen) == (MAC, 1, 0x0800, 6, 4)
    return frame.dst, arp.op, arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst


def test_request_for_us_is_answered_to_the_asker_alone_who_becomes_a_neighbor(rig: Rig) -> None:
    rig.rx(request())
    assert fields(rig.sent_one()) == (PEER_MAC, 2, MAC, US, PEER_MAC, PEER)
    entry = rig.arp.neighbors.entries[octets(PEER)]
    assert (entry.state, entry.mac) == (STALE, octets(PEER_MAC))


def test_padding_of_a_short_frame_does_no_harm(rig: Rig) -> None:
    rig.rx(bytes(request()) + bytes(18))
    assert fields(rig.sent_one())[0] == PEER_MAC


def test_request_for_somebody_else_is_neither_answered_nor_remembered(rig: Rig) -> None:
    rig.rx(request(pdst=OTHER))
    assert rig.sent() == []
    assert rig.arp.neighbors.entries == {}
    assert rig.drops == {"arp.not_for_us": 1}


def test_probe_for_our_address_is_answered_and_makes_no_neighbor(rig: Rig) -> None:  # RFC 5227 2.1.1, RFC 5227 2.4
    rig.rx(request(psrc="0.0.0.0"))
    assert fields(rig.sent_one()) == (PEER_MAC, 2, MAC, US, PEER_MAC, "0.0.0.0")
    assert rig.arp.neighbors.entries == {}


def test_answer_to_our_request_makes_the_neighbor_reachable(rig: Rig) -> None:
    rig.ip.send(octets(PEER), 99, b"data", rig.now)
    assert fields(rig.sent_one()) == (BROADCAST_MAC, 1, MAC, US, ZERO_MAC, PEER)
    rig.rx(reply())
    sent = rig.sent_one()
    assert (sent.dst, sent.src, bytes(sent.payload.payload)) == (PEER_MAC, MAC, b"data")
    assert rig.arp.neighbors.entries[octets(PEER)].state is REACHABLE


def test_broadcast_answer_resolves_but_proves_nothing(rig: Rig) -> None:
    rig.ip.send(octets(PEER), 99, b"data", rig.now)
    rig.rx(reply(BROADCAST_MAC))
    assert rig.arp.neighbors.entries[octets(PEER)].state is DELAY


def test_unasked_answer_makes_no_neighbor(rig: Rig) -> None:
    rig.rx(reply())
    assert rig.arp.neighbors.entries == {}
    assert rig.drops == {"arp.unsolicited": 1}


def test_gratuitous_arp_moves_a_known_neighbor_at_once(rig: Rig) -> None:
    rig.learn(PEER, PEER_MAC)
    rig.rx(Ether(src=OTHER_MAC, dst=BROADCAST_MAC) / ARP(op=1, hwsrc=OTHER_MAC, psrc=PEER, hwdst=ZERO_MAC, pdst=PEER))
    entry = rig.arp.neighbors.entries[octets(PEER)]
    assert (entry.mac, entry.state) == (octets(OTHER_MAC), STALE)
    assert rig.sent() == []


def test_second_answer_within_a_second_is_not_believed(rig: Rig) -> None:
    rig.learn(PEER, PEER_MAC)
    rig.rx(reply(hwsrc=OTHER_MAC))
    assert rig.arp.neighbors.entries[octets(PEER)].mac == octets(PEER_MAC)
    assert rig.drops == {"neighbor.locked": 1}


def test_verification_asks_the_neighbor_alone(rig: Rig) -> None:
    rig.learn(PEER, PEER_MAC)
    rig.after(60 * SECOND)
    rig.ip.send(octets(PEER), 99, b"data", rig.now)
    rig.sent()
    rig.after(5 * SECOND)
    assert fields(rig.sent_one()) == (PEER_MAC, 1, MAC, US, ZERO_MAC, PEER)
    rig.rx(reply())
    assert rig.arp.neighbors.entries[octets(PEER)].state is REACHABLE
    assert rig.deadline() is None


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (bytes(request())[:41], "malformed"),
        (request(hwtype=15), "malformed"),
        (request(ptype=0x86DD), "malformed"),
        (request(hwlen=8), "malformed"),
        (request(plen=16), "malformed"),
        (request(op=3), "unknown_operation"),
        (request(op=0), "unknown_operation"),
        (request(hwsrc=BROADCAST_MAC), "bad_hardware_address"),
        (request(hwsrc="01:00:5e:00:00:01"), "bad_hardware_address"),
        (request(hwsrc=ZERO_MAC), "bad_hardware_address"),
        (request(psrc="224.0.0.1"), "bad_protocol_address"),
        (request(psrc="127.0.0.1"), "bad_protocol_address"),
        (request(psrc="255.255.255.255"), "bad_protocol_address"),
        (request(hwsrc=MAC, psrc=US), "own_packet"),
    ],
)
def test_what_makes_no_sense_is_counted_and_not_answered(rig: Rig, packet: Any, reason: str) -> None:
    rig.rx(packet)
    assert rig.drops == {f"arp.{reason}": 1}
    assert rig.sent() == []
    assert rig.arp.neighbors.entries == {}


def test_address_is_announced_twice_two_seconds_apart(rig: Rig) -> None:  # RFC 5227 2.3
    rig.arp.announce(rig.now)
    announcement = (BROADCAST_MAC, 1, MAC, US, ZERO_MAC, US)
    assert fields(rig.sent_one()) == announcement
    rig.after(2 * SECOND - 1)
    assert rig.sent() == []
    rig.after(1)
    assert fields(rig.sent_one()) == announcement
    assert rig.deadline() is None


@pytest.mark.parametrize("claim", [request(hwsrc=OTHER_MAC, psrc=US, pdst=US), reply(hwsrc=OTHER_MAC, psrc=US)])
def test_claim_to_our_address_is_counted_and_defended_at_most_every_ten_seconds(rig: Rig, claim: Any) -> None:
    rig.watch()
    rig.rx(claim)
    assert fields(rig.sent_one()) == (BROADCAST_MAC, 1, MAC, US, ZERO_MAC, US)
    rig.after(10 * SECOND - 1)
    rig.rx(claim)
    assert rig.sent() == []
    rig.after(1)
    rig.rx(claim)
    assert fields(rig.sent_one())[1] == 1
    assert rig.drops == {"arp.address_conflict": 3}
    assert [event.defended for event in rig.events if isinstance(event, AddressConflict)] == [True, False, True]
    assert Dropped(1_000_000, "arp.address_conflict") in rig.events
    assert rig.arp.neighbors.entries == {}


def test_wrong_address_is_refused() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="4 octets"):
        Arp(rig.link, bytes(16), rig.ip.rng, rig.counters)
