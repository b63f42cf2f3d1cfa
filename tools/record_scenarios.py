"""What `record.py` records: who talks to whom, and what happens to the frames on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from record_programs import PORT, SERVER
from record_wire import Frame, Impairment, tcp_payload, untouched

PROGRAMS = Path(__file__).with_name("record_programs.py")
URL = f"http://{SERVER}"
CURL = ["curl", "-sS", "-o", "/dev/null"]
KEEP = ["-o", "/dev/null"]
HTTP_SERVER = ["-m", "http.server", str(PORT), "--bind", SERVER]
MILLISECOND = 1000


def program(name: str) -> list[str]:
    """The arguments to run one of our own small programs with."""
    return [str(PROGRAMS), name]


class Nth:
    """An impairment of the data-carrying segments that one side sends; the rest passes. `number` counts from 1."""

    def __init__(
        self, sender: str, number: int, treat: Callable[[Frame], list[tuple[int, Frame]]], of: int = 1
    ) -> None:
        self.sender, self.numbers, self.treat, self.seen = sender, range(number, number + of), treat, 0

    def __call__(self, sender: str, frame: Frame) -> list[tuple[int, Frame]]:
        if sender != self.sender or not tcp_payload(frame):
            return [(0, frame)]
        self.seen += 1
        return self.treat(frame) if self.seen in self.numbers else [(0, frame)]


def drop(frame: Frame) -> list[tuple[int, Frame]]:
    """Lose it."""
    return []


def late(frame: Frame) -> list[tuple[int, Frame]]:
    """Deliver it after segments that were sent later."""
    return [(3 * MILLISECOND, frame)]


def twice(frame: Frame) -> list[tuple[int, Frame]]:
    """Deliver it, and again a little later."""
    return [(0, frame), (1 * MILLISECOND, frame)]


class FirstSynAckLost:
    """An impairment: the first SYN-ACK is lost."""

    def __init__(self) -> None:
        self.lost = False

    def __call__(self, sender: str, frame: Frame) -> list[tuple[int, Frame]]:
        if sender == "server" and not self.lost and tcp_payload(frame) is not None and frame[47] & 0x12 == 0x12:
            self.lost = True
            return []
        return [(0, frame)]


def both(one: Impairment, other: Impairment) -> Impairment:
    """Two impairments, one behind the other."""

    def impair(sender: str, frame: Frame) -> list[tuple[int, Frame]]:
        return [(a + b, last) for a, first in one(sender, frame) for b, last in other(sender, first)]

    return impair


@dataclass(frozen=True)
class Scenario:
    """One capture: `server` are arguments for Python, `client` a command line; `NAME.pcap` is the result."""

    name: str
    about: str
    client: list[str]
    server: list[str] | None = None
    impairment: Callable[[], Impairment] = lambda: untouched
    delay: int = 2 * MILLISECOND
    kill_after: float | None = None
    """Seconds after which the client is killed."""
    stop_first: bool = True
    """Stop it for a moment before it is killed, so that it has octets unread."""
    taken_at: str = "server"
    """At whose interface: "server", "client", or "loopback" (client and server in one namespace, offloads on)."""
    user_timeout: float = 30
    size: int = 0
    """Octets of the file that http.server serves as /file."""


def scan(kind: str, option: str, about: str) -> Scenario:
    """Probes at an open and a closed port."""
    command = ["nmap", "-n", "-Pn", "--disable-arp-ping", "--max-retries", "0", option, "-p", "80,81", SERVER]
    return Scenario(f"scan-{kind}", about, command, program("http"))


SCENARIOS = [
    Scenario("curl-get", "GET from http.server, which closes first", [*CURL, f"{URL}/file"], HTTP_SERVER, size=5000),
    Scenario(
        "curl-post",
        "POST with a body of 20,000 octets",
        [*CURL, "--data-binary", "@body", f"{URL}/post"],
        program("http"),
    ),
    Scenario("curl-download", "a download of 400,000 octets", [*CURL, f"{URL}/download"], program("http")),
    Scenario(
        "curl-keepalive",
        "four requests on one connection",
        [*CURL, f"{URL}/1", *KEEP, f"{URL}/2", *KEEP, f"{URL}/3", *KEEP, f"{URL}/4"],
        program("http"),
    ),
    Scenario(
        "client-killed",
        "an aborted download: the client is killed with octets unread, so its kernel sends RST",
        [*CURL, "--limit-rate", "20k", f"{URL}/download"],
        program("http"),
        kill_after=0.3,
    ),
    Scenario("server-reset", "the server resets in the middle of its answer", [*CURL, f"{URL}/"], program("resetting")),
    Scenario(
        "half-close",
        "the client closes its direction, then the server answers",
        program("half_close"),
        program("summing"),
    ),
    Scenario(
        "simultaneous-close",
        "both close at once: the FINs cross",
        program("closing_too"),
        program("closing_first"),
        delay=30 * MILLISECOND,
    ),
    Scenario(
        "zero-window", "an upload to a server that does not read for a while", program("upload"), program("slow_reader")
    ),
    Scenario("urgent", "one octet marked as urgent", program("urgent"), program("summing")),
    Scenario(
        "retransmission",
        "segment 10 of the server's is lost behind the capture: duplicate ACKs with SACK, fast retransmission",
        [*CURL, f"{URL}/file"],
        HTTP_SERVER,
        lambda: Nth("server", 10, drop),
        size=60_000,
    ),
    Scenario(
        "tail-loss",
        "the server's last two segments are lost: nothing follows that could reveal it, so a loss probe does",
        [*CURL, f"{URL}/file"],
        HTTP_SERVER,
        lambda: Nth("server", 4, drop, of=2),
        size=5000,
    ),
    Scenario(
        "retransmission-timeout",
        "the answer is lost, and sent again in vain, until the third copy gets through",
        [*CURL, f"{URL}/1"],
        program("http"),
        lambda: Nth("server", 1, drop, of=2),
    ),
    Scenario(
        "retransmission-client",
        "a segment of an upload is lost before it reaches the server, and sent again",
        [*CURL, "--data-binary", "@body", f"{URL}/post"],
        program("http"),
        lambda: Nth("client", 4, drop),
    ),
    Scenario(
        "reordering",
        "segments of an upload arrive out of order",
        [*CURL, "--data-binary", "@body", f"{URL}/post"],
        program("http"),
        lambda: Nth("client", 3, late, of=2),
    ),
    Scenario(
        "reordering-server",
        "segments of a download are delivered out of order: duplicate ACKs although nothing is lost",
        [*CURL, f"{URL}/file"],
        HTTP_SERVER,
        lambda: Nth("server", 6, late),
        size=40_000,
    ),
    Scenario(
        "duplicates",
        "segments of an upload arrive twice",
        [*CURL, "--data-binary", "@body", f"{URL}/post"],
        program("http"),
        lambda: Nth("client", 2, twice, of=4),
    ),
    Scenario(
        "syn-lost",
        "the SYN-ACK is lost, and SYN and SYN-ACK are sent again",
        [*CURL, f"{URL}/1"],
        program("http"),
        FirstSynAckLost,
    ),
    Scenario(
        "loopback-download",
        "a download over loopback: segments of 64 KiB, checksums not filled in, one address for both ends",
        [*CURL, f"{URL}/short"],
        program("http"),
        taken_at="loopback",
    ),
    Scenario(
        "client-side-fin",
        "taken at the client: the server's FIN and the client's cross, 30 ms away",
        program("closing_too"),
        program("closing_first"),
        delay=30 * MILLISECOND,
        taken_at="client",
    ),
    Scenario(
        "client-side-loss",
        "taken at the client: a segment of the download and one of the upload are lost on their way",
        [*CURL, "--data-binary", "@body", f"{URL}/short"],
        program("http"),
        lambda: both(Nth("server", 20, drop), Nth("client", 5, drop)),
        taken_at="client",
    ),
    Scenario(
        "client-side-killed",
        "taken at the client: its RST meets data that the server has already sent",
        [*CURL, f"{URL}/short"],
        program("http"),
        delay=30 * MILLISECOND,
        kill_after=0.25,
        stop_first=False,
        taken_at="client",
    ),
    scan("syn", "-sS", "nmap's SYN scan of an open and a closed port"),
    scan("fin", "-sF", "nmap's FIN scan of an open and a closed port"),
    scan("xmas", "-sX", "nmap's Xmas scan (FIN, PSH, URG) of an open and a closed port"),
    scan("null", "-sN", "nmap's NULL scan (no flag) of an open and a closed port"),
    Scenario("ping", "three echo requests: nothing to replay for TCP", ["ping", "-c", "3", "-i", "0.2", SERVER]),
]
