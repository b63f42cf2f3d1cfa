"""Captures that explain themselves: a comment on every packet, and the secrets of TLS beside them."""

import asyncio
import io
import shutil
import ssl
import subprocess
from random import Random

import pytest
from scapy.all import ARP, ICMP, IP, TCP, UDP, Ether, IPv6, Raw, RawPcapNgReader, fragment

from netstack.aio import Interface
from netstack.config import Config
from netstack.inspect.annotated import AnnotatingRecorder
from netstack.inspect.keylog import KeyLog
from netstack.inspect.sinks import Observers
from netstack.link.device import NO_OFFLOAD
from netstack.link.loopback import LoopbackPair
from netstack.link.pcap_writer import About, PcapngWriter
from netstack.stack import Stack
from tests.aio.net import CLIENT, HOST, SERVER
from tests.aio.virtual_loop import run

OUR_MAC, PEER_MAC = "02:00:5e:00:02:02", "02:00:5e:00:02:01"
ABOUT = About(interface="memory", names={bytes([192, 0, 2, 2]): "stack"})
tshark_only = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


class Bench:
    """A stack with a recorder around its device; `other` is the far end of the link."""

    def __init__(self):
        self.file = io.BytesIO()
        self.file.close, self._close = (lambda: None), self.file.close
        near, self.other = LoopbackPair(offload=True)
        self.recorder = AnnotatingRecorder(near, PcapngWriter(self.file, about=ABOUT), epoch=1_700_000_000_000_000)
        self.stack = Stack(Config(), self.recorder, Random(1))
        self.observers = Observers(self.stack.observe)
        self.observers.add(self.recorder)
        self.now = 0
        self.stack.start(0)

    def rx(self, *packets):
        """These arrive in one turn."""
        self.now += 1_000
        for packet in packets:
            self.other.write(NO_OFFLOAD + bytes(packet), b"", self.now)
        while (frame := self.recorder.read(self.now)) is not None:
            self.stack.receive(frame, self.now)
        self.stack.transmit(self.now)

    def comments(self):
        """What the file says of each packet, once it is closed."""
        self.recorder.close()
        self.file.seek(0)
        return [meta.comments[0].decode() for _, meta in RawPcapNgReader(self.file)]

    def sent(self):
        """The frames that left, oldest first."""
        frames = []
        while (frame := self.other.read(self.now)) is not None:
            frames.append(Ether(frame[10:]))
        return frames


def to_us(**fields):
    return Ether(src=PEER_MAC, dst=OUR_MAC) / IP(**{"src": "192.0.2.1", "dst": "192.0.2.2"} | fields)


def asks():
    return Ether(src=PEER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.1", hwsrc=PEER_MAC, pdst="192.0.2.2")


def test_noise_is_explained_too():
    bench = Bench()
    bench.rx(asks())
    bench.rx(Ether(src=PEER_MAC, dst="33:33:00:00:00:16") / IPv6())
    bench.rx(Ether(src=PEER_MAC, dst="01:00:5e:00:00:16") / IP(src="192.0.2.1", dst="224.0.0.22", proto=2) / b"igmp")
    bench.rx(Ether(src=PEER_MAC, dst="02:00:00:00:00:99") / IP() / b"x")
    bench.rx(to_us() / ICMP())
    bench.rx(to_us() / UDP(dport=9) / b"x")
    bench.rx(to_us(dst="192.0.2.9") / UDP(dport=9) / b"x")
    bench.rx(to_us(flags="MF") / UDP(dport=9) / bytes(64))
    bench.rx(to_us() / TCP(sport=4, dport=81, flags="S"))
    bench.rx(to_us() / TCP(sport=4, dport=81, flags="R"))
    bench.rx(Ether(src=PEER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.1", hwsrc=PEER_MAC, pdst="192.0.2.7"))
    bench.rx(Raw(b"short"))
    assert bench.comments() == [
        "sent because: we say which address is ours (RFC 5227 2.3)",
        "neighbour 192.0.2.1 at 02:00:5e:00:02:01: INCOMPLETE -> STALE",
        "sent because: 192.0.2.1 asked for our MAC address (RFC 826)",
        "dropped: ethernet.unknown_ethertype; nobody here speaks the protocol of its EtherType",
        "dropped: ipv4.not_ours; it is for another address (RFC 1122 3.2.1.3)",
        "dropped: ethernet.other_host; the frame is for another MAC address (RFC 1122 2.3)",
        "neighbour 192.0.2.1 at 02:00:5e:00:02:01: STALE -> DELAY",
        "sent because: ICMP that answers a ping (RFC 1122 3.2.2.6)",
        "dropped: udp.no_port; nobody has that port (RFC 1122 4.1.3.1)",
        "sent because: ICMP that tells the sender that what it quotes cannot be delivered here (RFC 1122 3.2.2.1)",
        "dropped: ipv4.not_ours; it is for another address (RFC 1122 3.2.1.3)",
        "a fragment: kept until the others come",
        "CLOSED\ndropped: tcp.no_listener; there is no connection, and nobody listens (RFC 9293 3.10.7.1)",
        "CLOSED\nsent because: reset: no connection; there is no such connection (RFC 9293 3.10.7.1)",
        "CLOSED\ndropped: tcp.no_listener; there is no connection, and nobody listens (RFC 9293 3.10.7.1)",
        "heard, and nothing new in it",
        "dropped: ethernet.too_short; shorter than an Ethernet header",
    ]


def test_fragments_are_explained_both_ways():
    bench = Bench()
    bench.rx(asks())
    bench.rx(*fragment(to_us() / ICMP() / bytes(2000), 1480))
    assert bench.comments()[3:] == [
        "a fragment: kept until the others come",
        "neighbour 192.0.2.1 at 02:00:5e:00:02:01: STALE -> DELAY",
        "sent because: a fragment of ICMP that answers a ping (RFC 1122 3.2.2.6)",
        "sent because: the rest of a datagram of ICMP that is too long for one packet (RFC 791 3.2)",
    ]


def test_damaged_frames_are_commented_on_and_nothing_falls_over():
    bench, rng = Bench(), Random(5)
    bench.stack.tcp.listen(bytes([192, 0, 2, 2]), 80, 5)
    good = [
        asks(), to_us() / ICMP() / b"ping", to_us() / UDP(dport=9) / b"x", to_us(flags="MF") / UDP() / bytes(64),
        to_us() / TCP(dport=80, flags="S", options=[("MSS", 1000), ("SAckOK", b"")]),
        to_us() / TCP(dport=80, flags="FPU"),
    ]  # fmt: skip
    count = len(good) * 60
    for n in range(count):
        frame = bytearray(bytes(good[n % len(good)]))
        for _ in range(rng.randrange(1, 4)):
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        bench.rx(Raw(bytes(frame[: rng.choice((len(frame), rng.randrange(len(frame) + 1)))])))
    assert bench.observers.failures == []
    comments = bench.comments()
    assert len(comments) > count
    assert all(comments)
    assert not any("never acted on" in comment for comment in comments)


def test_a_connection_says_what_it_knew_and_why_it_spoke():
    bench = Bench()
    listener = bench.stack.tcp.listen(bytes([192, 0, 2, 2]), 80, 5)
    bench.rx(asks())
    bench.rx(to_us() / TCP(sport=4000, dport=80, flags="S", seq=1000, window=5000, options=[("MSS", 1000)]))
    iss = bench.sent()[-1][TCP].seq
    bench.rx(to_us() / TCP(sport=4000, dport=80, flags="A", seq=1001, ack=iss + 1, window=5000))
    conn = listener.accept()
    told = []
    conn.observer = told.append
    ends = {"sport": 4000, "dport": 80, "window": 5000}
    bench.rx(to_us() / TCP(**ends, flags="PA", seq=1001, ack=iss + 1) / b"hello")
    conn.recv(10)
    conn.send(bytes(2500))
    bench.stack.transmit(bench.now)
    bench.rx(to_us() / TCP(**ends, flags="R", seq=77_000, ack=iss + 1))
    conn.close()
    bench.rx(to_us() / TCP(**ends, flags="A", seq=1006, ack=iss + 2501))
    comments = bench.comments()[3:]
    known = "SND.UNA 0 SND.NXT 1 SND.WND 5000, RCV.NXT 1 RCV.WND 64240"
    assert comments[1] == (
        f"SYN-RECEIVED\nsent because: syn-ack; the answer to a SYN (RFC 9293 3.10.7.2)\n{known}\n"
        "cwnd 10 ssthresh none yet in flight 1, RTO 1000000 us, to send 0, to read 0"
    )
    lines = "\n".join(comments)
    assert comments[0].startswith("LISTEN -> SYN-RECEIVED: rcv SYN, snd SYN,ACK (RFC 9293 3.10.7.2 third")
    assert comments[2].startswith("SYN-RECEIVED -> ESTABLISHED: rcv ACK of SYN (RFC 9293 3.10.7.4 fifth)\nround trip")
    assert "SND.UNA 0 -> 1 SND.NXT 1 SND.WND 5000, RCV.NXT 1 RCV.WND" in comments[2]
    assert comments[3].endswith("\nwoken: observer (READABLE)")
    assert "5 octets for the user, 5 wait" in comments[3]
    assert "RCV.NXT 1 -> 6" in comments[3]
    assert "a super-segment: the device makes 2 segments of 1000 octets of it" in lines
    assert "dropped: tcp.unacceptable_rst; a RST outside of the window (RFC 9293 3.10.7.4 first)" in lines
    assert "ESTABLISHED -> FIN-WAIT-1: CLOSE, snd FIN (RFC 9293 3.10.4)\nsent because: fin;" in comments[-1]


def test_a_retransmission_tells_of_its_timer_and_how_the_loss_was_found():
    bench = Bench()
    listener = bench.stack.tcp.listen(bytes([192, 0, 2, 2]), 80, 5)
    bench.rx(asks())
    bench.rx(to_us() / TCP(sport=4000, dport=80, flags="S", seq=1000, window=5000))
    iss = bench.sent()[-1][TCP].seq
    bench.rx(to_us() / TCP(sport=4000, dport=80, flags="A", seq=1001, ack=iss + 1, window=5000))
    listener.accept().send(b"data")
    bench.stack.transmit(bench.now)
    bench.now = bench.stack.deadline()
    bench.stack.expire(bench.now)
    bench.stack.transmit(bench.now)
    last = bench.comments()[-1].split("\n")
    assert last[:4] == [
        "ESTABLISHED",
        "the timer retransmit went off",
        "found lost from 1 on: rto; the retransmission timer fired (RFC 6298 5.4)",
        "now cwnd 1 segments, ssthresh 7, the peer's window 5000",
    ]
    assert last[4] == "sent because: retransmission: rto; the retransmission timer fired (RFC 6298 5.4)"


def test_what_waited_for_arp_keeps_its_own_comment():
    bench = Bench()
    bench.stack.tcp.connect(None, (bytes([192, 0, 2, 1]), 80))
    bench.stack.transmit(0)
    answer = ARP(op=2, psrc="192.0.2.1", hwsrc=PEER_MAC, pdst="192.0.2.2", hwdst=OUR_MAC)
    bench.rx(Ether(src=PEER_MAC, dst=OUR_MAC) / answer)
    assert [comment.split("\n")[0] for comment in bench.comments()[1:]] == [
        "sent because: something is to go to 192.0.2.1, and its MAC address is not known (RFC 826)",
        "neighbour 192.0.2.1 at 02:00:5e:00:02:01: INCOMPLETE -> REACHABLE",
        "CLOSED -> SYN-SENT: active OPEN, snd SYN (RFC 9293 3.10.1)",
    ]


def test_a_frame_that_nobody_followed_is_written_in_time_and_one_not_acted_on_says_so():
    bench = Bench()
    bench.rx(Ether(src=PEER_MAC, dst="33:33:00:00:00:16") / IPv6())
    due = bench.recorder.deadline()
    assert due is not None
    bench.recorder.expire(due)
    bench.file.seek(0)
    assert len(list(RawPcapNgReader(bench.file))) == 2
    bench.file.seek(0, io.SEEK_END)
    bench.other.write(NO_OFFLOAD + bytes(asks()), b"", bench.now)
    assert bench.recorder.read(bench.now) is not None
    assert bench.comments()[-1] == "never acted on: the stack was stopped first"


def test_many_frames_in_one_turn_keep_their_order_and_comments():
    bench = Bench()
    bench.rx(*(to_us(dst=f"192.0.2.{n}") / UDP() for n in range(3, 250)), asks())
    comments = bench.comments()
    assert len(comments) == 250
    assert all(comment.startswith("dropped: ipv4.not_ours") for comment in comments[1:248])
    assert comments[248].startswith("neighbour 192.0.2.1")


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=netstack.test", "-addext", f"subjectAltName=IP:{HOST}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def transfer(folder, certificate):
    """A request and its answer over TLS between two stacks; the capture and the key log of the server."""
    capture, log = folder / "tls.pcapng", folder / "keys.log"
    file = capture.open("wb")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=certificate[0])

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nsecret")
        await writer.drain()
        writer.close()

    async def main():
        left, right = LoopbackPair(offload=True)
        recorder = AnnotatingRecorder(right, PcapngWriter(file, about=ABOUT), 0, keys=KeyLog(log))
        server = Interface(recorder, SERVER, rng=Random(2), keylog=str(log))
        Observers(server.stack.observe).add(recorder)
        async with Interface(left, CLIENT, rng=Random(1)) as client, server:
            await server.start_server(answer, port=443, ssl=context)
            reader, writer = await client.open_connection(HOST, 443, ssl=trusting)
            writer.write(b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.read(-1)).endswith(b"secret")
            writer.close()
            await asyncio.sleep(1)

    run(main())
    return capture, log


def test_the_secrets_of_tls_are_in_the_capture_before_what_they_decrypt(tmp_path, certificate):
    capture, log = transfer(tmp_path, certificate)
    data = capture.read_bytes()
    lines = [line for line in log.read_bytes().splitlines(True) if not line.startswith(b"#")]
    assert len(lines) == 5
    for line in lines:
        assert data.count(line) == 1
    assert b"secret\r\n" not in data
    assert b"GET /hidden" not in data
    assert data.index(b"SERVER_HANDSHAKE_TRAFFIC_SECRET") < data.index(b"CLIENT_TRAFFIC_SECRET_0")


@tshark_only
def test_tshark_decrypts_it_and_warns_of_nothing(tmp_path, certificate):
    capture, _ = transfer(tmp_path, certificate)
    shown = tshark(capture, "-Y", "http", "-e", "http.request.uri", "-e", "http.response.code")
    assert shown == ["/hidden\t", "\t200"]
    comments = tshark(capture, "-e", "frame.comment")
    assert comments
    assert all(comments)
    assert tshark(capture, "-Y", "_ws.expert.severity >= 0x600000", "-e", "frame.number") == []


def tshark(path, *arguments):
    """Lines of fields; anything said on standard error but who runs it is a failure."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if "could be dangerous" not in line] == []
    return result.stdout.splitlines()


def test_a_key_log_is_read_in_whole_lines_from_where_it_is_now(tmp_path):
    path = tmp_path / "keys.log"
    assert KeyLog(path).fresh() == b""
    path.write_bytes(b"old\n")
    keys = KeyLog(path)
    assert keys.fresh() == b""
    with path.open("ab") as file:
        file.write(b"one\ntw")
        file.flush()
        assert keys.fresh() == b"one\n"
        file.write(b"o\n")
    assert keys.fresh() == b"two\n"
    assert keys.fresh() == b""


def test_the_environment_names_the_key_log(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "env.log"))
    near, _ = LoopbackPair()
    assert Interface(near).keylog == str(tmp_path / "env.log")
    assert Interface(near, keylog="mine.log").keylog == "mine.log"
    monkeypatch.setenv("SSLKEYLOGFILE", "")
    assert Interface(near).keylog is None
