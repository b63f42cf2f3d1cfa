"""MD5 signatures (RFC 2385): the digest, keys, and connections that sign through loss, reordering and offload."""

import hashlib
from random import Random
from struct import pack

import pytest

from netstack.drill import signatures
from netstack.link.fault import Faults
from netstack.tcp.connection import Connection
from netstack.tcp.md5 import Keys, SignedPath, digest, only
from netstack.tcp.md5_connection import SignedConnection, attach
from netstack.units import MILLISECOND, SECOND
from netstack.wire.checksum import ones_sum
from tests.netsim import CLIENT, SERVER, Network, Transfer

PAIR = CLIENT + SERVER
HEADER = pack("!HHIIHHHH", 80, 1234, 7, 9, 10 << 12 | 0x18, 500, 0xBEEF, 0)


def keys(address=bytes(4), prefix=0, key=b"secret"):
    """One key, for everybody."""
    made = Keys()
    made.add(address, prefix, key)
    return made


def test_the_digest_covers_what_the_rfc_says():
    segment = HEADER + bytes(20) + b"text"
    covered = PAIR + b"\0\6" + pack("!H", len(segment)) + HEADER[:16] + b"\0\0" + HEADER[18:] + b"text" + b"key"
    assert digest(b"key", PAIR, HEADER, b"text", len(segment)) == hashlib.md5(covered).digest()


def test_stack_and_drill_agree_on_the_digest():
    rng = Random(2385)
    for _ in range(50):
        text, key = rng.randbytes(rng.randrange(100)), rng.randbytes(rng.randrange(1, 80))
        segment = HEADER + rng.randbytes(20) + text
        assert digest(key, PAIR, HEADER, text, len(segment)) == signatures.digest(key, CLIENT, SERVER, segment)


def test_the_longest_prefix_counts():
    made = keys()
    made.add(bytes((192, 0, 0, 0)), 16, b"near")
    made.add(CLIENT, 32, b"one")
    assert [made.find(address) for address in (CLIENT, SERVER, bytes((10, 0, 0, 1)))] == [b"one", b"near", b"secret"]
    made.remove(CLIENT, 32)
    assert made.find(CLIENT) == b"near"
    with pytest.raises(KeyError):
        made.remove(CLIENT, 32)
    assert only(CLIENT, None) is None
    assert Keys().find(CLIENT) is None


class Wire:
    """What a path looks like to `SignedPath`, keeping what is sent."""

    source, destination = CLIENT, SERVER
    pseudo = ones_sum(PAIR) + 6

    def __init__(self, offload):
        self.offload = offload
        self.sent = []

    def send(self, head, payload, gso_size, tos, now, ttl=64):
        """Keep it."""
        self.sent.append((head, payload, gso_size))


@pytest.mark.parametrize("offload", [False, True])
def test_what_is_signed_has_a_header_of_its_own(offload):
    wire = Wire(offload)
    stamps = bytes.fromhex("0101080a0000000100000002")
    SignedPath(wire, b"key").send(HEADER[:12] + b"\x80\x18" + HEADER[14:] + stamps, b"abc", 1000, 0, 0)
    ((head, payload, gso_size),) = wire.sent
    assert (head[12:14], head[20:24], head[40:], gso_size) == (b"\xd0\x18", b"\x01\x01\x13\x12", stamps, 0)
    assert head[24:40] == signatures.digest(b"key", CLIENT, SERVER, head + payload)
    total = ones_sum(PAIR) + 6 + len(head) + 3
    checksum = int.from_bytes(head[16:18], "big")
    if offload:
        assert checksum == total % 0xFFFF
    else:
        assert (total + ones_sum(head) + ones_sum(b"abc\0")) % 0xFFFF == 0


@pytest.mark.parametrize("settings", [{}, {"ecn": 1}, {"ecn": 3}, {"sack": False}])
def test_signed_octets_arrive_through_loss_and_reordering(settings):
    faults = Faults(loss=0.03, delay=5 * MILLISECOND, jitter=3 * MILLISECOND, duplicate=0.01)
    network = Network(7, faults, **settings)
    network.client.tcp.signing = network.server.tcp.signing = True
    transfer = Transfer(network, 60_000, 200_000, md5=keys())
    assert isinstance(transfer.ends[0].conn, SignedConnection)
    transfer.run()
    transfer.verify()
    assert isinstance(transfer.ends[1].conn, SignedConnection)
    for stack in network.stacks:
        mib = stack.counters.mib
        assert mib["TcpExtTCPMD5NotFound"] + mib["TcpExtTCPMD5Failure"] + mib["TcpExtTCPMD5Unexpected"] == 0


def test_who_has_another_key_is_not_heard():
    network = Network(7, Faults(delay=MILLISECOND))
    network.server.tcp.listen(SERVER, 80, 5, _with(keys(key=b"another")))
    network.client.tcp.connect(None, (SERVER, 80), _with(keys()))
    until = network.now + 10 * SECOND
    while network.now < until:
        network.turn()
        network.now = min(network.deadline() or until, until)
    assert network.server.counters.mib["TcpExtTCPMD5Failure"] >= 3
    assert network.server.counters.drops["tcp.md5_failure"] >= 3
    assert not network.server.tcp.connections


def test_a_key_may_come_and_go():
    network = Network(7, Faults(delay=MILLISECOND))
    transfer = Transfer(network, 10, 10)
    conn = transfer.ends[0].conn
    path, conn.options.md5 = conn.path, keys()
    attach(conn)
    assert (type(conn), conn.path.key, conn.path.inner) == (SignedConnection, b"secret", path)
    attach(conn)
    assert conn.path.inner is path
    conn.options.md5.remove(bytes(4), 0)
    attach(conn)
    assert (type(conn), conn.path) == (Connection, path)


def _with(md5):
    from tests.netsim import _options

    return _options({"md5": md5})
