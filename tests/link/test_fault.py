"""The impaired path, in virtual time."""

import random

import pytest

from netstack.link.device import DATA_VALID, GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET, VNET_LEN
from netstack.link.fault import Faults, Impairment
from netstack.link.loopback import LoopbackPair
from netstack.units import MILLISECOND, SECOND

ETHERNET = bytes.fromhex("0200000000020200000000010800")


def frame(number: int, octets: int = 100) -> bytes:
    """An IPv4 frame of `octets` without its virtio_net_hdr, told apart by its number."""
    return NO_OFFLOAD + ETHERNET + number.to_bytes(4, "big") + bytes(octets - 18)


def number(data: bytes) -> int:
    return int.from_bytes(data[VNET_LEN + 14 : VNET_LEN + 18], "big")


def impaired(inbound=None, outbound=None, seed=1, limit=100_000):
    """(the impaired device, the far end of its link)."""
    near, far = LoopbackPair(limit=limit)
    return Impairment(near, random.Random(seed), inbound or Faults(), outbound or Faults()), far


def run(device, far, arrivals):
    """Write `arrivals` [(time, frame)] at the far end; [(time, frame)] as they come out of the device."""
    out = []
    arrivals = list(arrivals)
    while True:
        times = [at for at in (arrivals[0][0] if arrivals else None, device.deadline()) if at is not None]
        if not times:
            return out
        now = min(times)
        while arrivals and arrivals[0][0] <= now:
            far.write(arrivals.pop(0)[1], b"", now)
        device.expire(now)
        while (data := device.read(now)) is not None:
            out.append((now, data))


def test_a_perfect_path_passes_everything_at_once_in_both_directions():
    device, far = impaired()
    for i in range(100):
        far.write(frame(i), b"", i)
        device.write(frame(i)[:50], memoryview(frame(i))[50:], i)
    assert [device.read(100) for _ in range(101)] == [*(frame(i) for i in range(100)), None]
    assert [far.read(100) for _ in range(101)] == [*(frame(i) for i in range(100)), None]
    assert device.deadline() is None
    assert device.inbound.counts == device.outbound.counts == {"sent": 100, "delivered": 100}


def test_delay_holds_frames_until_due_and_says_so():
    device, far = impaired(inbound=Faults(delay=10_000), outbound=Faults(delay=3_000))
    far.write(frame(1), b"", 0)
    device.write(frame(2), b"", 0)
    assert device.read(0) is None
    assert device.deadline() == 3_000
    device.expire(2_999)
    assert far.read(2_999) is None
    device.expire(3_000)
    assert far.read(3_000) == frame(2)
    assert device.deadline() == 10_000
    assert device.read(9_999) is None
    assert device.read(10_000) == frame(1)
    assert device.deadline() is None


def test_frames_due_earlier_leave_before_a_new_one():
    device, far = impaired(outbound=Faults(delay=1_000))
    device.write(frame(1), b"", 0)
    device.write(frame(2), b"", 1_000)  # nobody called expire() in between
    assert far.read(1_000) == frame(1)
    assert far.read(1_000) is None


def test_loss_takes_its_share():
    device, far = impaired(inbound=Faults(loss=0.1))
    out = run(device, far, ((i, frame(i)) for i in range(10_000)))
    lost = device.inbound.counts["lost"]
    assert len(out) == 10_000 - lost == device.inbound.counts["delivered"]
    assert 900 < lost < 1_100
    assert [number(data) for _, data in out] == sorted(number(data) for _, data in out)


def test_a_partition_and_its_end():
    device, far = impaired()
    device.inbound.faults = Faults(loss=1)
    assert run(device, far, [(0, frame(0)), (1, frame(1))]) == []
    device.inbound.faults = Faults()
    assert run(device, far, [(2, frame(2))]) == [(2, frame(2))]
    assert device.inbound.counts == {"sent": 3, "lost": 2, "delivered": 1}


def test_a_burst_that_is_lost_whole_does_not_hide_what_comes_after_it():
    device, far = impaired(inbound=Faults(loss=1))
    for i in range(200):
        far.write(frame(i), b"", 0)
    assert device.read(0) is None
    assert device.deadline() is not None  # there is more to read
    assert run(device, far, []) == []
    assert device.inbound.counts["lost"] == 200


def test_jitter_spreads_arrivals_but_keeps_the_order():
    device, far = impaired(inbound=Faults(delay=1_000, jitter=500))
    out = run(device, far, ((i * 100, frame(i)) for i in range(1_000)))
    assert [number(data) for _, data in out] == list(range(1_000))
    delays = [at - number(data) * 100 for at, data in out]
    assert 1_000 <= min(delays) < 1_200
    assert 1_400 < max(delays) <= 1_500


def test_reordering_holds_some_back_and_lets_the_others_pass():
    device, far = impaired(inbound=Faults(delay=1_000, reorder=0.1, reorder_by=250))
    out = run(device, far, ((i * 100, frame(i)) for i in range(1_000)))
    held = {number(data) for at, data in out if at - number(data) * 100 == 1_250}
    assert len(held) == device.inbound.counts["reordered"] > 50
    assert all(at - number(data) * 100 == 1_000 for at, data in out if number(data) not in held)
    order = [number(data) for _, data in out]
    assert sorted(order) == list(range(1_000))
    assert order != sorted(order)


def test_duplicates_follow_the_original():
    device, far = impaired(inbound=Faults(duplicate=1))
    assert run(device, far, [(0, frame(1)), (0, frame(2))]) == [(0, frame(n)) for n in (1, 1, 2, 2)]
    assert device.inbound.counts == {"sent": 2, "duplicated": 2, "delivered": 4}


def test_corruption_flips_one_bit_of_the_packet():
    device, far = impaired(inbound=Faults(corrupt=1))
    original = frame(0)
    positions = set()
    for at, data in run(device, far, ((i, original) for i in range(500))):
        difference = int.from_bytes(original, "big") ^ int.from_bytes(data, "big")
        assert difference.bit_count() == 1
        assert data[: VNET_LEN + 14] == original[: VNET_LEN + 14]
        positions.add(difference)
        assert at < 500
    assert len(positions) > 300  # anywhere in it
    assert device.inbound.counts["corrupted"] == 500


def test_corruption_spares_arp_and_takes_back_that_the_checksum_was_valid():
    device, far = impaired(inbound=Faults(corrupt=1))
    arp = NO_OFFLOAD + ETHERNET[:12] + b"\x08\x06" + bytes(46)
    verified = VNET.pack(DATA_VALID, 0, 0, 0, 0, 0) + frame(0)[VNET_LEN:]
    (_, first), (_, second), (_, third) = run(device, far, [(0, arp), (0, verified), (0, NO_OFFLOAD + ETHERNET)])
    assert first == arp
    assert second != verified
    assert second[:VNET_LEN] == NO_OFFLOAD
    assert third == NO_OFFLOAD + ETHERNET
    assert device.inbound.counts["corrupted"] == 1


def test_rate_spaces_frames_by_their_length():
    device, far = impaired(inbound=Faults(rate=8_000_000, delay=50))  # an octet per microsecond
    out = run(device, far, [(0, frame(0, 1_000)), (0, frame(1, 500)), (5_000, frame(2, 100))])
    assert [(at, number(data)) for at, data in out] == [(1_050, 0), (1_550, 1), (5_150, 2)]


def test_fast_lines_do_not_lose_fractions_of_a_microsecond():
    device, far = impaired(inbound=Faults(rate=10**10, queue_frames=10_000))
    out = run(device, far, ((0, frame(i, 1_500)) for i in range(1_000)))
    assert out[-1][0] == 1_200


def test_a_full_queue_drops_the_newest_by_frames():
    device, far = impaired(inbound=Faults(rate=8_000_000, queue_frames=3))
    out = run(device, far, [(0, frame(i)) for i in range(5)] + [(150, frame(5)), (150, frame(6))])
    assert [number(data) for _, data in out] == [0, 1, 2, 5]
    assert device.inbound.counts["queue_full"] == 3


def test_a_full_queue_drops_the_newest_by_octets():
    device, far = impaired(inbound=Faults(rate=8_000_000, queue_octets=1_200))
    out = run(device, far, [(0, frame(0, 1_000)), (0, frame(1, 300)), (0, frame(2, 200)), (1_000, frame(3, 1_000))])
    assert [number(data) for _, data in out] == [0, 2, 3]


def test_the_frames_on_a_line_are_bounded(monkeypatch):
    monkeypatch.setattr("netstack.link.fault.MAX_HELD", 10)
    device, _ = impaired(outbound=Faults(delay=SECOND))
    for i in range(15):
        device.write(frame(i), b"", 0)
    assert device.outbound.counts["queue_full"] == 5


EVERYTHING = Faults(
    loss=0.05,
    corrupt=0.02,
    duplicate=0.03,
    delay=10 * MILLISECOND,
    jitter=MILLISECOND,
    reorder=0.05,
    rate=8_000_000,
    queue_frames=50,
)


def everything(seed: int):
    device, far = impaired(inbound=EVERYTHING, seed=seed)
    return run(device, far, ((i * 90, frame(i)) for i in range(3_000))), device.inbound.counts


def test_the_same_seed_gives_the_same_octets_at_the_same_times():
    assert everything(7) == everything(7)
    assert everything(7) != everything(8)


def test_every_frame_is_accounted_for():
    out, counts = everything(3)
    assert counts["sent"] == 3_000
    assert len(out) == counts["delivered"]
    assert counts["delivered"] == counts["sent"] - counts["lost"] + counts["duplicated"] - counts["queue_full"]
    assert all(counts[name] for name in ("lost", "corrupted", "duplicated", "reordered", "queue_full"))


def test_a_device_with_offload_is_refused():
    near, _ = LoopbackPair(offload=True)
    with pytest.raises(ValueError, match="--no-offload"):
        Impairment(near, random.Random(1))


@pytest.mark.parametrize("header", [(NEEDS_CSUM, 0, 0, 0, 34, 16), (0, GSO_TCPV4, 54, 1460, 0, 0)])
def test_writing_frames_that_need_offload_is_refused_at_once(header):
    device, _ = impaired(outbound=Faults(delay=1))
    with pytest.raises(ValueError, match="without offload"):
        device.write(VNET.pack(*header) + bytes(60), b"", 0)


@pytest.mark.parametrize(
    "wrong",
    [{"loss": 1.1}, {"corrupt": -0.1}, {"delay": -1}, {"rate": -1}, {"queue_frames": 0}, {"queue_octets": -1}],
)
def test_impossible_faults_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Faults(**wrong)


def test_the_rest_is_the_inner_device():
    near, far = LoopbackPair(mtu=900)
    device = Impairment(near, random.Random(1))
    assert (device.mtu, device.offload, device.fileno()) == (900, False, -1)
    far.write(frame(1), b"", 4)
    assert device.deadline() == 4
    device.close()
    assert near.closed


def test_spared_frames_pass_as_if_there_were_no_path():
    device, far = impaired(inbound=Faults(loss=1), outbound=Faults(delay=10_000))
    device.spared = lambda data: number(data) % 2 == 0
    for i in range(6):
        far.write(frame(i), b"", 0)
        device.write(frame(i)[:50], frame(i)[50:], 0)
    assert [device.read(0) for _ in range(4)] == [frame(0), frame(2), frame(4), None]
    assert [far.read(0) for _ in range(4)] == [frame(0), frame(2), frame(4), None]
    device.expire(10_000)
    assert [far.read(10_000) for _ in range(4)] == [frame(1), frame(3), frame(5), None]
    assert device.inbound.counts["lost"] == 3
