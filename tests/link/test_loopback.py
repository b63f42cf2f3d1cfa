"""The link in memory: what one end writes, the other reads."""

import pytest

from netstack.link.device import GSO_TCPV4, MAX_FRAME, NEEDS_CSUM, NO_OFFLOAD, VNET, VNET_LEN
from netstack.link.loopback import LoopbackPair

FRAME = NO_OFFLOAD + bytes(range(60))


def test_frames_arrive_in_order_and_joined():
    left, right = LoopbackPair()
    left.write(FRAME, b"", 1)
    left.write(FRAME[:30], memoryview(FRAME)[30:], 2)
    left.write(NO_OFFLOAD, b"last", 3)
    assert [right.read(3), right.read(3), right.read(3), right.read(3)] == [FRAME, FRAME, NO_OFFLOAD + b"last", None]
    assert left.read(3) is None


def test_a_frame_read_does_not_change_with_the_buffer_it_was_written_from():
    left, right = LoopbackPair()
    buffer = bytearray(b"before")
    left.write(FRAME, memoryview(buffer), 0)
    buffer[:] = b"after!"
    frame = right.read(0)
    assert type(frame) is bytes
    assert frame == FRAME + b"before"


def test_both_directions_are_separate():
    left, right = LoopbackPair()
    left.write(FRAME + b"to the right", b"", 0)
    right.write(FRAME + b"to the left", b"", 0)
    assert left.read(0) == FRAME + b"to the left"
    assert right.read(0) == FRAME + b"to the right"


def test_a_full_queue_drops_the_newest_and_counts():
    left, right = LoopbackPair(limit=2)
    for number in range(4):
        left.write(FRAME, bytes([number]), 0)
    assert [right.read(0), right.read(0), right.read(0)] == [FRAME + b"\0", FRAME + b"\1", None]
    assert right.drops == {"loopback.queue_full": 2}


def test_deadline_is_when_the_oldest_frame_was_written():
    left, right = LoopbackPair()
    assert right.deadline() is None
    left.write(FRAME, b"", 5)
    left.write(FRAME, b"", 9)
    assert right.deadline() == 5
    right.read(10)
    assert right.deadline() is not None
    right.read(10)
    assert right.deadline() is None
    assert left.deadline() is None


def test_wake_is_called_when_frames_begin_to_wait():
    left, right = LoopbackPair()
    calls = []
    right.wake = lambda: calls.append(right.deadline())
    left.write(FRAME, b"", 1)
    left.write(FRAME, b"", 2)
    assert calls == [1]
    right.read(2)
    right.read(2)
    left.write(FRAME, b"", 3)
    assert calls == [1, 3]


@pytest.mark.parametrize("header", [(NEEDS_CSUM, 0, 0, 0, 34, 16), (0, GSO_TCPV4, 54, 1460, 0, 0)])
def test_frames_that_need_offload_pass_only_with_it(header):
    frame = VNET.pack(*header) + bytes(60)
    left, right = LoopbackPair(offload=True)
    assert left.offload
    assert right.offload
    left.write(frame, b"", 0)
    assert right.read(0) == frame
    left, right = LoopbackPair()
    assert not left.offload
    with pytest.raises(ValueError, match="without offload"):
        left.write(frame, b"", 0)
    assert right.read(0) is None


def test_frames_longer_than_the_mtu_are_lost_and_counted():
    left, right = LoopbackPair(mtu=576, offload=True)
    left.write(NO_OFFLOAD, bytes(14 + 577), 0)
    assert left.drops == {"loopback.too_long": 1}
    assert right.read(0) is None
    left.write(NO_OFFLOAD, bytes(14 + 576), 0)
    left.write(VNET.pack(NEEDS_CSUM, GSO_TCPV4, 54, 536, 34, 16), bytes(MAX_FRAME - VNET_LEN), 0)
    assert right.read(0) is not None
    assert len(right.read(0) or b"") == MAX_FRAME


def test_a_closed_end_loses_everything_in_both_directions():
    left, right = LoopbackPair()
    left.write(FRAME, b"", 0)
    right.close()
    right.close()
    left.write(FRAME, b"", 0)
    right.write(FRAME, b"", 0)
    assert (left.read(0), right.read(0)) == (None, None)
    assert left.drops == right.drops == {"loopback.closed": 1}
    assert right.deadline() is None


def test_there_is_nothing_for_an_event_loop_to_watch():
    left, _ = LoopbackPair()
    left.expire(10)
    assert left.fileno() == -1
