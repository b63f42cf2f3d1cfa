"""The TAP device against the kernel at its other end, in a namespace of its own."""

import errno
import fcntl
import os
import select
import socket
import sys
import time
from contextlib import contextmanager

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from netstack.link.device import DATA_VALID, GSO_NONE, GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET, VNET_LEN, Device
from netstack.link.linktype import ipv4_packets
from netstack.link.pcap import PcapRecorder
from netstack.link.pcap_reader import read_capture
from netstack.link.pcap_writer import About, create_capture
from netstack.link.tap import TapDevice
from netstack.wire.checksum import ones_sum, pseudo_sum, valid
from tests.netns import Namespace, namespace

pytestmark = pytest.mark.tap

HOST, STACK = "192.0.2.1", "192.0.2.2"
MAC = "02:00:5e:00:02:02"
PATIENCE = 5.0  # real seconds that the kernel may take for what it does at once


@pytest.fixture(scope="module")
def ns():
    with namespace() as made:
        made.sysctl("net/ipv6/conf/all/disable_ipv6", 1)  # no router solicitations among our frames
        made.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        yield made


@contextmanager
def open_tap(ns: Namespace, offload: bool, name: str = "tap0"):
    with ns.inside():
        tap = TapDevice(name, offload=offload)
    try:
        ns.configure(tap.name, f"{HOST}/24")
        ns.neighbor(tap.name, STACK, MAC)
        yield tap
    finally:
        tap.close()


@pytest.fixture(params=[True, False], ids=["offload", "plain"])
def tap(ns, request):
    with open_tap(ns, request.param) as device:
        assert device.offload is request.param
        yield device


offload_only = pytest.mark.parametrize("tap", [True], indirect=True, ids=["offload"])


def frames(tap: Device, wanted):
    """(vnet header, scapy frame) of every frame of type `wanted` that the kernel sends, as they come."""
    until = time.monotonic() + PATIENCE
    while True:
        frame = tap.read(0)
        if frame is None:
            left = until - time.monotonic()
            assert left > 0, f"the kernel sent no {wanted.__name__}"
            select.select([tap.fileno()], [], [], left)
            continue
        parsed = Ether(frame[VNET_LEN:])
        if wanted in parsed:
            yield VNET.unpack_from(frame), parsed


def kernel_socket(ns: Namespace, kind: socket.SocketKind) -> socket.socket:
    with ns.inside():
        sock = socket.socket(socket.AF_INET, kind)
    sock.settimeout(PATIENCE)
    return sock


def host_mac(ns: Namespace, tap: TapDevice) -> str:
    with ns.inside():
        probe = fcntl.ioctl(kernel_socket(ns, socket.SOCK_DGRAM), 0x8927, tap.name.encode().ljust(40, b"\0"))
    return probe[18:24].hex(":")  # SIOCGIFHWADDR


def test_the_kernel_answers_an_arp_request(ns, tap):
    request = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=MAC, psrc=STACK, pdst=HOST)
    tap.write(NO_OFFLOAD + bytes(request), b"", 0)
    header, reply = next(frames(tap, ARP))
    assert header == (0, 0, 0, 0, 0, 0)
    assert (reply[ARP].op, reply[ARP].psrc, reply[ARP].pdst, reply[ARP].hwdst) == (2, HOST, STACK, MAC)
    assert reply[ARP].hwsrc == host_mac(ns, tap)
    assert not tap.drops


def test_a_datagram_from_the_kernel_has_a_partial_checksum_only_with_offload(ns, tap):
    with kernel_socket(ns, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"hello", (STACK, 9))
        (flags, gso_type, _, _, start, offset), packet = next(frames(tap, UDP))
    assert gso_type == GSO_NONE
    assert bytes(packet[UDP].payload) == b"hello"
    pseudo = pseudo_sum(socket.inet_aton(HOST) + socket.inet_aton(STACK), 17, 8 + len(b"hello"))
    if tap.offload:
        assert (flags, start, offset) == (NEEDS_CSUM, 14 + 20, 6)
        assert packet[UDP].chksum == pseudo % 0xFFFF
    else:
        assert not flags & NEEDS_CSUM
        assert valid(pseudo + ones_sum(bytes(packet[UDP])))


def test_head_and_payload_reach_the_kernel_as_one_frame(ns, tap):
    with kernel_socket(ns, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 4000))
        udp = IP(src=STACK, dst=HOST) / UDP(sport=7, dport=4000) / b"in two parts"
        frame = NO_OFFLOAD + bytes(Ether(src=MAC, dst=host_mac(ns, tap)) / udp)
        tap.write(frame[:-12], memoryview(frame)[-12:], 0)
        assert sock.recvfrom(100) == (b"in two parts", (STACK, 7))


class Peer:
    """Just enough TCP to be connected to by the kernel, built by scapy: no loss, no timers, no options but MSS."""

    def __init__(self, ns: Namespace, tap: Device) -> None:
        self.tap = tap
        self.sock = kernel_socket(ns, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.connect_ex((STACK, 80))
        self.arrivals = frames(tap, TCP)
        _, syn = next(self.arrivals)
        self.ether = Ether(src=MAC, dst=syn.src)
        self.port = syn[TCP].sport
        self.rcv_nxt = syn[TCP].seq + 1
        self.snd_nxt = 1000
        self.write(TCP(flags="SA", window=65535, options=[("MSS", 1460), ("WScale", 7)]))
        self.snd_nxt += 1
        _, ack = next(self.arrivals)
        assert ack[TCP].flags == "A"
        self.sock.settimeout(PATIENCE)

    def write(self, tcp: TCP) -> None:
        tcp.sport, tcp.dport, tcp.seq, tcp.ack = 80, self.port, self.snd_nxt, self.rcv_nxt
        self.tap.write(NO_OFFLOAD + bytes(self.ether / IP(src=STACK, dst=HOST) / tcp), b"", 0)

    def close(self) -> None:
        self.sock.close()
        self.write(TCP(flags="R"))


@pytest.fixture
def peer(ns, tap):
    made = Peer(ns, tap)
    yield made
    made.close()


def test_a_stream_from_the_kernel_comes_in_super_segments_only_with_offload(peer, tap):
    data = bytes(range(256)) * 2000  # 512,000 octets
    sent, received, longest = 0, bytearray(), 0
    peer.sock.setblocking(False)
    while len(received) < len(data):
        if sent < len(data):
            try:
                sent += peer.sock.send(data[sent:])
            except BlockingIOError:
                pass
        (flags, gso_type, hdr_len, gso_size, start, offset), frame = next(peer.arrivals)
        payload = bytes(frame[TCP].payload)[: frame[IP].len - 20 - 4 * frame[TCP].dataofs]
        assert frame[TCP].seq == peer.rcv_nxt & 0xFFFF_FFFF
        if tap.offload:
            assert flags == NEEDS_CSUM
            assert (start, offset) == (34, 16)
            if len(payload) > 1460:
                assert (gso_type, gso_size, hdr_len) == (GSO_TCPV4, 1460, 54)
        else:
            assert (flags & ~DATA_VALID, gso_type) == (0, GSO_NONE)
            assert len(payload) <= 1460
        longest = max(longest, len(payload))
        received += payload
        peer.rcv_nxt += len(payload)
        peer.write(TCP(flags="A", window=65535))
    assert received == data
    assert longest > 32_768 if tap.offload else longest == 1460


@offload_only
def test_the_kernel_takes_a_super_segment_with_a_partial_checksum(peer, tap):
    data = os.urandom(60_000)
    tcp = TCP(sport=80, dport=peer.port, seq=peer.snd_nxt, ack=peer.rcv_nxt, flags="PA", window=65535, chksum=0)
    head = bytearray(bytes(peer.ether / IP(src=STACK, dst=HOST, len=40 + len(data), flags="DF") / tcp))
    pseudo = pseudo_sum(socket.inet_aton(HOST) + socket.inet_aton(STACK), 6, 20 + len(data))
    head[50:52] = (pseudo % 0xFFFF).to_bytes(2, "big")
    vnet = VNET.pack(NEEDS_CSUM, GSO_TCPV4, len(head), 1460, 34, 16)
    tap.write(vnet + head, memoryview(data), 0)
    got = bytearray()
    while len(got) < len(data):
        got += peer.sock.recv(len(data))
    assert got == data
    assert not tap.drops


def test_a_recorded_conversation_has_only_good_checksums(ns, tap, tmp_path):
    path = tmp_path / "a.pcapng"
    recorder = PcapRecorder(tap, create_capture(path, about=About(interface=tap.name)), epoch=0)
    peer = Peer(ns, recorder)
    data = bytes(5000)
    peer.sock.send(data)
    received = 0
    while received < len(data):
        _, frame = next(peer.arrivals)
        received += frame[IP].len - 20 - 4 * frame[TCP].dataofs
    peer.rcv_nxt += received
    peer.close()
    recorder.close()
    with open(path, "rb") as file:
        packets = [packet.data for packet in ipv4_packets(read_capture(file))]
    assert sum(len(packet) - 40 for packet in packets if packet[33] & 2 == 0) == len(data)  # SYNs have options
    for packet in packets:
        assert valid(ones_sum(packet[:20]))
        assert valid(pseudo_sum(packet[12:20], 6, len(packet) - 20) + ones_sum(packet[20:]))


def test_nothing_waiting_reads_as_none(ns):
    with ns.inside():
        tap = TapDevice("tapidle")
    assert tap.read(0) is None
    assert not tap.drops
    assert (tap.deadline(), tap.mtu, tap.gone) == (None, 1500, False)
    tap.close()


def test_frames_written_while_the_interface_is_down_are_counted(ns, tap):
    ns.down(tap.name)
    frame = NO_OFFLOAD + bytes(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=STACK, pdst=HOST))
    tap.write(frame, b"", 0)
    tap.write(frame, b"tail", 0)
    assert tap.drops == {"tap.write_EIO": 2}
    while tap.read(0) is not None:  # what the kernel had sent before
        pass
    ns.configure(tap.name)
    tap.write(frame, b"", 0)
    assert tap.drops == {"tap.write_EIO": 2}


def test_malformed_offload_headers_are_counted_not_raised(tap):
    tap.write(VNET.pack(NEEDS_CSUM, GSO_TCPV4, 54, 0, 34, 16) + bytes(60), b"", 0)
    tap.write(b"", b"", 0)
    assert sum(tap.drops.values()) == 2


def test_a_deleted_interface_is_gone(ns):
    with open_tap(ns, True, "tapgone") as tap:
        ns.delete("tapgone")
        assert tap.read(0) is None
        assert tap.gone
        tap.write(NO_OFFLOAD + bytes(60), b"", 0)
        assert tap.drops == {"tap.read_EBADFD": 1, "tap.write_EBADFD": 1}


def test_mtu_is_set_and_names_can_be_the_kernels(ns):
    with ns.inside():
        tap = TapDevice(mtu=9000)
        assert tap.name.startswith("tap")
        index = socket.if_nametoindex(tap.name)
    assert index > 0
    assert "mtu 9000" in ns.run("ip", "link", "show", tap.name).stdout
    tap.close()
    tap.close()
    assert tap.fileno() == -1


@pytest.mark.parametrize(
    ("name", "options", "code", "says"),
    [
        ("lo", {}, errno.EINVAL, "choose another name"),
        ("sixteen-octets-x", {}, errno.EINVAL, "longer than 15"),
        ("tapmtu", {"mtu": 20}, errno.EINVAL, "cannot set up the TAP"),
    ],
)
def test_what_cannot_be_opened_says_why_in_one_line(ns, name, options, code, says):
    with ns.inside(), pytest.raises(OSError, match=says) as caught:
        TapDevice(name, **options)
    assert caught.value.errno == code
    assert "\n" not in str(caught.value)


def test_a_tap_in_use_is_busy(ns):
    with ns.inside():
        first = TapDevice("tapbusy")
        with pytest.raises(OSError, match="in use by another program"):
            TapDevice("tapbusy")
        first.close()
        TapDevice("tapbusy").close()


def test_opening_without_privilege_says_so(ns):
    """In a child that gives up every capability: the parent keeps them."""
    script = (
        "import ctypes\n"
        "from netstack.link.tap import TapDevice\n"
        "ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())\n"
        "try: TapDevice('tapno')\n"
        "except PermissionError as error: print(error)\n"
    )
    assert "run with sudo" in ns.run(sys.executable, "-c", script).stdout
