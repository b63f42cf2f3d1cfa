"""Whatever a frame holds: nothing raises, something is counted, and what is good still gets through."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.link.device import NO_OFFLOAD
from tests.ip.rig import ARP, BROADCAST_MAC, ICMP, IP, MAC, PEER, PEER_MAC, TCP, UDP, US, Ether, Rig, Upper, octets

GOOD = [
    bytes(packet)
    for packet in (
        Ether(src=PEER_MAC, dst=BROADCAST_MAC) / ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=US),
        Ether(src=PEER_MAC, dst=MAC) / ARP(op=2, hwsrc=PEER_MAC, psrc=PEER, hwdst=MAC, pdst=US),
        Ether(src=PEER_MAC, dst=MAC) / IP(src=PEER, dst=US) / ICMP() / b"ping",
        Ether(src=PEER_MAC, dst=MAC) / IP(src=PEER, dst=US) / UDP(dport=9) / b"data",
        Ether(src=PEER_MAC, dst=MAC) / IP(src=PEER, dst=US) / TCP() / b"data",
        Ether(src=PEER_MAC, dst=MAC) / IP(src=PEER, dst=US, flags="MF") / ICMP() / b"12345678",
        Ether(src=PEER_MAC, dst=MAC) / IP(src=PEER, dst=US) / ICMP(type=3, code=4) / IP(src=US, dst=PEER) / TCP(),
    )
]
ETHERNET = (octets(MAC) + octets(PEER_MAC), octets(BROADCAST_MAC) + octets(PEER_MAC))


def accounted(rig: Rig) -> int:
    """How many frames left a trace: every one that arrives must be refused, or counted as received by IP or ARP."""
    return sum(rig.drops.values()) + rig.mib["IpInReceives"] + len(rig.device.frames) + len(rig.arp.neighbors.entries)


def still_answers(rig: Rig) -> bool:
    rig.device.frames.clear()
    rig.rx(Ether(src=PEER_MAC, dst=MAC) / ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=US))
    rig.rx(IP(src=PEER, dst=US) / ICMP() / b"still there?")
    return rig.device.frames[-1].endswith(b"still there?")


@given(st.sampled_from(ETHERNET), st.sampled_from([b"\x08\x00", b"\x08\x06"]), st.binary(max_size=120))
@settings(max_examples=150, deadline=None)
def test_random_payloads(addresses: bytes, ethertype: bytes, payload: bytes) -> None:
    rig = Rig(known=False)
    rig.rx(addresses + ethertype + payload)
    assert accounted(rig) > 0
    assert still_answers(rig)


@given(st.binary(max_size=80))
def test_random_frames(frame: bytes) -> None:
    rig = Rig()
    rig.link.receive(frame, rig.now)
    assert sum(rig.drops.values()) == 1


def test_every_truncation_of_every_kind() -> None:
    for packet in GOOD:
        for length in range(len(packet)):
            rig = Rig(known=False)
            Upper(rig, 6)
            rig.rx(packet[:length])
            assert sum(rig.drops.values()) == 1, (packet, length)
            assert rig.mib["IpInDelivers"] == 0
            assert rig.device.frames == []


@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 79), st.integers(0, 255)), max_size=5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_damaged_packets(packet: bytes, damage: list[tuple[int, int]], repair: bool) -> None:
    """`repair`: the IPv4 checksum is made right again, so that what is behind it is reached."""
    octets_in = bytearray(packet)
    for at, value in damage:
        octets_in[14 + at % (len(octets_in) - 14)] = value
    if repair and len(octets_in) >= 34:
        octets_in[24:26] = b"\0\0"
        header = octets_in[14 : 14 + ((octets_in[14] & 15) << 2)]
        octets_in[24:26] = (-int.from_bytes(header, "big") % 0xFFFF).to_bytes(2, "big")
    rig = Rig(known=False)
    Upper(rig, 6)
    rig.rx(bytes(octets_in))
    rig.after(60_000_000)
    assert accounted(rig) > 0
    assert still_answers(rig)


def test_flood_of_everything_leaves_memory_bounded_and_no_timer() -> None:
    rng = Random(7)
    rig = Rig()
    for _ in range(5_000):
        octets_in = bytearray(rng.choice(GOOD))
        for _ in range(rng.randrange(3)):
            octets_in[rng.randrange(14, len(octets_in))] = rng.randrange(256)
        rig.link.receive(NO_OFFLOAD + bytes(octets_in), rig.now)
        rig.now += rng.randrange(2_000)
    assert len(rig.arp.neighbors.entries) <= 1_024
    rig.after(120_000_000)
    assert rig.ip.reassembly.used == 0
    assert rig.deadline() is None
    assert still_answers(rig)
