"""How a script is run: times, joining, blocking calls, descriptors and code, on a host that does what it is told to."""

import errno
from collections import deque

import pytest

from netstack.drill import inbound
from netstack.drill.flow import Flow
from netstack.drill.host import Pending
from netstack.drill.nodes import Packet
from netstack.drill.options import Options
from netstack.drill.outcome import FAILED, PASSED, SKIPPED, Unsupported
from netstack.drill.parse import parse
from netstack.drill.runner import Wishes, run_text

MS = 1_000
ISS = 0xFFFF_FF00
OPEN = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
0 < S 0:0(0) win 1000 <mss 1000>
0 > S. 0:0(0) ack 1 <mss 1460>
"""
SYN_ACK = (0, "S. 0:0(0) ack 1 win 5 <mss 1460>")


class Puppet:
    """A host whose packets and system calls are given in advance: packets as (ms, line), results by the call's name."""

    name = "puppet"

    def __init__(self, packets, **results):
        options = Options()
        self.local, self.remote = options.local_address, options.remote_address
        self.clock = 0
        self.flow = Flow((self.remote, 8080), (self.local, 8080), irs=ISS, iss=0)
        self.packets = deque((at * MS, self.octets(line)) for at, line in packets)
        self.results = {name: deque(values) for name, values in results.items()}
        self.calls = []
        self.injected = []
        self.blocked = []
        self.info = {}

    def octets(self, line):
        """An outbound packet with these numbers, ISS added."""
        (event,) = parse(f"0 < {line}").events
        assert isinstance(event.action, Packet)
        flow = self.flow
        if "S" in event.action.body.flags:
            flow = Flow(flow.local, flow.remote, irs=ISS, iss=0)
            line = line.replace("0:0(0)", f"{ISS}:{ISS}(0)!")
            (event,) = parse(f"0 < {line}").events
        return inbound.build(event.action, flow, 1)

    def now(self):
        return self.clock

    def run_until(self, at):
        self.clock = max(self.clock, at)
        for pending, until in list(self.blocked):
            if self.clock >= until:
                pending.done, pending.finished_at = True, until
                self.blocked.remove((pending, until))

    def inject(self, packet, gso_size):
        self.injected.append((self.clock, len(packet), gso_size))

    def outbound(self, until):
        if self.packets and self.packets[0][0] <= max(until, self.clock):
            at, octets = self.packets.popleft()
            self.run_until(at)
            return at, octets
        self.run_until(until)
        return None

    def start(self, name, *arguments):
        self.calls.append((name, *arguments))
        pending = Pending(name, self.clock, done=True, finished_at=self.clock)
        result = (
            self.results[name].popleft()
            if self.results.get(name)
            else {"socket": 50, "accept": (60, (self.remote, 8080))}.get(name)
        )
        if isinstance(result, OSError):
            pending.error = result
        elif isinstance(result, tuple) and result[0] == "after":
            pending.done, pending.value = False, result[2]
            self.blocked.append((pending, self.clock + result[1] * MS))
        else:
            pending.value = result
        return pending

    def wait(self, pending, until):
        for blocked, at in self.blocked:
            if blocked is pending:
                self.run_until(min(at, until))
                break
        return pending.done

    def configure(self, settings):
        return [f"{name}={value}" for name, value in settings.items()]

    def tcp_info(self, fd):
        self.calls.append(("tcp_info", fd))
        return self.info

    def explain(self, fd, local, remote):
        return ""

    def close(self):
        self.calls.append(("close host",))


def run(text, packets=(), relaxed=False, **results):
    """The outcome of a script, and the puppet that played."""
    puppet = Puppet(packets, **results)
    return run_text(text, "test.pkt", lambda options: puppet, Wishes(relaxed)), puppet


def test_a_script_that_holds_passes_and_lets_the_host_go():
    outcome, puppet = run(OPEN, [SYN_ACK])
    assert (outcome.status, outcome.unscripted) == (PASSED, 0)
    assert puppet.calls[-1] == ("close host",)


@pytest.mark.parametrize(("at", "passes"), [(96, True), (104, True), (95, False), (105, False)])
def test_a_packet_may_be_4_ms_off(at, passes):
    outcome, _ = run(OPEN + "0.080 close(3) = 0\n0.1 > . 1:1(0) ack 1", [SYN_ACK, (at, ". 1:1(0) ack 1 win 1")])
    assert outcome.status == (PASSED if passes else FAILED)
    assert passes or outcome.message.startswith("time: expected 0.100000")


@pytest.mark.parametrize(("at", "passes"), [(7, True), (9, True), (6.99, False), (9.01, False)])
def test_an_eighth_of_the_gap_is_allowed(at, passes):
    # 8 s after the previous event: a second either way.
    outcome, _ = run(OPEN + "8 > . 1:1(0) ack 1", [SYN_ACK, (at * 1000, ". 1:1(0) ack 1 win 1")])
    assert outcome.status == (PASSED if passes else FAILED)


def test_tolerance_is_an_option_of_the_script():
    text = OPEN + "0.08 close(3) = 0\n0.1 > . 1:1(0) ack 1"
    packets = [SYN_ACK, (130, ". 1:1(0) ack 1 win 1")]
    assert run(text, packets)[0].status == FAILED
    assert run("--tolerance_usecs=30000\n" + text, packets)[0].status == PASSED
    assert run("--tolerance_usecs=29999\n" + text, packets)[0].status == FAILED


def test_two_seconds_of_silence_are_enough():
    outcome, puppet = run(OPEN + "0.5 > . 1:1(0) ack 1", [SYN_ACK, (2501, ". 1:1(0) ack 1 win 1")])
    assert outcome.message == "no packet left until 2.500000"
    assert puppet.clock == 2_500 * MS


def test_ranges_and_any_time():
    text = OPEN + "+1~+2 > . 1:1(0) ack 1\n* > . 1:1(0) ack 1\n+1 > . 1:1(0) ack 1"
    acks = [(at, ". 1:1(0) ack 1 win 1") for at in (1_900, 61_900, 62_900)]
    assert run(text, [SYN_ACK, *acks])[0].status == PASSED
    acks[0] = (2_500, ". 1:1(0) ack 1 win 1")
    outcome, _ = run(text, [SYN_ACK, *acks])
    assert "expected 1.000000~2.000000" in outcome.message


def test_a_relative_time_counts_from_when_the_packet_really_left():
    text = OPEN + "1 > . 1:1(0) ack 1\n+1 close(3) = 0"
    _, puppet = run(text, [SYN_ACK, (1_100, ". 1:1(0) ack 1 win 1")])
    assert puppet.clock == 2_100 * MS


def test_between_inbound_packets_time_counts_from_the_scripts():
    text = OPEN + "+1 > . 1:1(0) ack 1\n+0.5 < . 1:1(0) ack 1 win 1\n+0.5 < . 1:1(0) ack 1 win 1"
    _, puppet = run(text, [SYN_ACK, (1_100, ". 1:1(0) ack 1 win 1")])
    assert [at for at, _, _ in puppet.injected] == [0, 1_600 * MS, 2_100 * MS]


def test_early_packets_are_caught_and_not_waited_past():
    outcome, _ = run(
        OPEN + "1 > . 1:1(0) ack 1", [SYN_ACK, (100, "P. 1:2(1) ack 1 win 1"), (1_000, ". 1:1(0) ack 1 win 1")]
    )
    assert outcome.message == "flags: expected ., got P."
    assert "          length: expected 0, got 1" in outcome.detail


def test_segments_are_joined_up_to_the_scripted_length():
    text = OPEN + "0 > P. 1:2501(2500) ack 1"
    parts = [
        (0, ". 1:1001(1000) ack 1 win 1"),
        (1, ". 1001:2001(1000) ack 1 win 1"),
        (2, "P. 2001:2501(500) ack 1 win 1"),
    ]
    assert run(text, [SYN_ACK, *parts])[0].status == PASSED
    outcome, _ = run("--strict_segments\n" + text, [SYN_ACK, *parts])
    assert "length: expected 2500, got 1000" in "\n".join([outcome.message, *outcome.detail])
    outcome, _ = run(text, [SYN_ACK, *parts[:2]])
    assert outcome.message == "length: expected 2500, got 2000 and then no more packets left"
    outcome, _ = run(text, [SYN_ACK, parts[0], parts[2]])
    assert "sequence number 2001 does not follow 1001" in outcome.message


def test_other_connections_are_ignored_and_leftovers_counted():
    stranger = Puppet([(0, "R 7:7(0) win 0")])
    stranger.flow = Flow((stranger.remote, 9), (stranger.local, 8080), irs=ISS, iss=0)
    puppet = Puppet([SYN_ACK, (50, ". 1:1(0) ack 1 win 1"), (90, ". 1:1(0) ack 1 win 1")])
    puppet.packets.insert(1, (0, stranger.octets("R 7:7(0) win 0")))
    outcome = run_text(OPEN + ".05 > . 1:1(0) ack 1\n.1 close(3) = 0", "test.pkt", lambda options: puppet, Wishes())
    assert (outcome.status, outcome.unscripted) == (PASSED, 1)


def test_an_active_open_learns_its_port_from_the_syn():
    puppet = Puppet([])
    far = Flow((puppet.remote, 8080), (puppet.local, 43_210), irs=ISS, iss=0)
    syn = inbound.build(parse(f"0 < S {ISS}:{ISS}(0)! win 9").events[0].action, far, 1)
    rest = inbound.build(parse("0 < . 1:1(0) ack 1 win 9").events[0].action, far, 1)
    puppet.packets.extend([(0, syn), (0, rest)])
    puppet.results = {"connect": deque([OSError(errno.EINPROGRESS, "Operation now in progress")])}
    text = """0 socket(..., SOCK_STREAM, 0) = 3
    +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
    +0 > S 0:0(0)
    +0 < S. 100:100(0) ack 1 win 9
    +0 > 43210 > 8080 . 1:1(0) ack 4294967197"""
    # The puppet acknowledges 1, which is 99 before the script's SYN-ACK.
    assert run_text(text, "test.pkt", lambda options: puppet, Wishes()).status == PASSED
    assert puppet.calls[1] == ("connect", 50, (puppet.remote, 8080))


def test_descriptors_are_mapped_and_need_not_be_equal():
    outcome, puppet = run(
        OPEN + "+0 accept(3, ..., ...) = 7\n+0 close(7) = 0\n+0 close(3) = 0\n+0 close(7) = 0", [SYN_ACK]
    )
    assert outcome.status == PASSED
    assert [call for call in puppet.calls if call[0] == "close"] == [("close", 60), ("close", 50), ("close", -1)]


@pytest.mark.parametrize(
    ("line", "results", "told"),
    [
        ("listen(3, 1) = -1", {}, "result: expected -1, got 0"),
        ("read(3, ..., 9) = 9", {"recv": [bytes(8)]}, "result: expected 9, got 8"),
        ("read(3, ..., 9) = 9", {"recv": [b"x" * 9]}, "the data received is not all zeros"),
        ("read(3, ..., 9) = -1 EAGAIN (x)", {"recv": [OSError(errno.EPIPE, "x")]}, "errno: expected EAGAIN, got EPIPE"),
        ("read(3, ..., 9) = 0", {"recv": [OSError(errno.EAGAIN, "x")]}, "result: expected 0, got -1 EAGAIN"),
        ("accept(3, ..., ...) = -1 EAGAIN (x)", {}, "result: expected -1 EAGAIN, got a descriptor"),
        ("accept(3, ..., ...) = 4", {"accept": [OSError(errno.EAGAIN, "x")]}, "result: expected 4, got -1 EAGAIN"),
        (
            "getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
            {"getsockopt": [b"\1\0\0\0"]},
            "option: expected [0], got [1]",
        ),
        (
            'getsockopt(3, SOL_TCP, TCP_CONGESTION, ["reno"], [16]) = 0',
            {"getsockopt": [b"cubic\0"]},
            'option: expected "reno"',
        ),
        ("ioctl(3, SIOCINQ, [5]) = 0", {"ioctl": [6]}, "value: expected [5], got [6]"),
        ("fcntl(3, F_GETFL, 0) = 0x2", {"fcntl": [0x802]}, "result: expected 2, got 2050"),
        (
            "poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, 0) = 1",
            {"poll": [[4]]},
            "revents: expected POLLIN, got POLLOUT",
        ),
        ("poll([{fd=3, events=POLLIN, revents=0}], 1, 0) = 0", {"poll": [[1]]}, "revents: expected 0, got POLLIN"),
        ("write(3, ..., 5) = 5", {"send": [4]}, "result: expected 5, got 4"),
    ],
)
def test_results_that_differ(line, results, told):
    outcome, _ = run(OPEN + f"+0 {line}", [SYN_ACK], **results)
    assert outcome.status == FAILED
    assert outcome.line == 6
    assert outcome.message.startswith(told)


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (
            "setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=5}, 8) = ...",
            ("setsockopt", 50, 1, 13, b"\1\0\0\0\5\0\0\0"),
        ),
        ('setsockopt(3, SOL_TCP, TCP_CONGESTION, "reno", 4) = ...', ("setsockopt", 50, 6, 13, b"reno")),
        ("setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = ...", ("setsockopt", 50, 6, 1, b"\1\0\0\0")),
        (
            "sendto(3, ..., 5, MSG_MORE, ..., ...) = ...",
            ("send", 50, bytes(5), 0x8000, (bytes([192, 0, 2, 1]), 8080), []),
        ),
        (
            "sendmsg(3, {msg_name(...)=..., msg_iov(2)=[{..., 4}, {..., 5}], msg_flags=0}, 0) = ...",
            ("send", 50, bytes(9), 0, None, []),
        ),
        ("writev(3, [{..., 4}, {..., 5}], 2) = ...", ("send", 50, bytes(9), 0, None, [])),
        (
            'bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("1.2.3.4")}, ...) = ...',
            ("bind", 50, (bytes([1, 2, 3, 4]), 80)),
        ),
        (
            "connect(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = INADDR_ANY}, ...) = ...",
            ("connect", 50, (bytes(4), 80)),
        ),
        ("fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = ...", ("fcntl", 50, 4, 0x802)),
        (
            "poll([{fd=3, events=POLLIN|POLLOUT, revents=...}, {fd=9, events=0}], 2, 100) = ...",
            ("poll", [(50, 5), (-1, 0)], 100),
        ),
        ("recv(3, ..., 7, MSG_PEEK) = ...", ("recv", 50, 7, 2)),
        ("shutdown(3, SHUT_RDWR) = ...", ("shutdown", 50, 2)),
    ],
)
def test_arguments_reach_the_host(line, asked):
    _, puppet = run(
        f"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 {line}", poll=[[0, 0]], send=[9], recv=[b""], fcntl=[0]
    )
    assert puppet.calls[1] == asked


def test_a_blocking_call_returns_at_its_time():
    text = OPEN + "0.1...0.3 read(3, ..., 5) = 5\n0.2 < . 1:1(0) ack 1 win 1\n0.3 close(3) = 0"
    assert run(text, [SYN_ACK], recv=[("after", 200, bytes(5))])[0].status == PASSED
    outcome, _ = run(text, [SYN_ACK], recv=[("after", 100, bytes(5))])
    assert (outcome.line, outcome.message) == (6, "time: expected return at 0.300000, got 0.200000")
    outcome, _ = run(text, [SYN_ACK], recv=[("after", 200, bytes(4))])
    assert (outcome.line, outcome.message) == (6, "result: expected 5, got 4")
    outcome, _ = run(text, [SYN_ACK], recv=[("after", 5_000, bytes(5))])
    assert (outcome.line, outcome.message) == (6, "the call still blocks at 2.300000")


def test_a_call_that_should_block_and_does_not():
    outcome, _ = run(OPEN + "0.1...0.3 read(3, ..., 5) = 5", [SYN_ACK], recv=[bytes(5)])
    assert outcome.message == "time: expected return at 0.300000, got 0.100000"


def test_a_call_that_blocks_and_should_not():
    outcome, _ = run(OPEN + "0.1 read(3, ..., 5) = 5", [SYN_ACK], recv=[("after", 200, bytes(5))])
    assert (outcome.line, outcome.message) == (6, "the call blocks")


def test_code_sees_tcp_info_of_its_moment_and_names_live_on():
    puppet = Puppet([SYN_ACK])
    puppet.info = {"snd_cwnd": 10, "state": 1}
    text = (
        OPEN
        + """+0 %{ first = tcpi_snd_cwnd }%
    +0 %{
        assert first == 10
        if tcpi_state != TCP_ESTABLISHED:
            assert False, tcpi_state
    }%
    +0 %{ assert tcpi_snd_cwnd == 11, "cwnd is %d" % tcpi_snd_cwnd }%"""
    )
    outcome = run_text(text, "test.pkt", lambda options: puppet, Wishes())
    assert (outcome.status, outcome.line) == (FAILED, 12)
    assert outcome.message == "assertion failed: cwnd is 10"
    assert outcome.detail[1].split() == ["actual", "tcpi_snd_cwnd", "=", "10"]


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("assert tcpi_nothing == 1", SKIPPED, "TCP_INFO without tcpi_nothing"),
        ("assert nothing", FAILED, "NameError"),
        ("1 / 0", FAILED, "ZeroDivisionError"),
        ("1 +", FAILED, "code:"),
        ("raise SystemExit", FAILED, "SystemExit"),
        ("print tcpi_nothing", SKIPPED, "tcpi_nothing"),
        ("assert TCP_CA_Recovery == 3 and TCPI_OPT_SACK == 2 and TCP_SYN_RECV == 3", PASSED, ""),
    ],
)
def test_ways_that_code_ends(code, status, told):
    outcome, _ = run(OPEN + f"+0 %{{ {code} }}%", [SYN_ACK])
    assert outcome.status == status
    assert told in outcome.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 vmsplice(3, 4) = 0", "system call vmsplice"),
        ("0 > S 0:0(0) <mp_capable a>", "the TCP option mp_capable"),
        ("0 socket(..., SOCK_FOO, 0) = 3", 'unknown name "SOCK_FOO"'),
        (OPEN + "+0 < ipv4 1.2.3.4 > 5.6.7.8: . 1:1(0) ack 1 win 1", "outer header ipv4"),
        (OPEN + "+0 > . 1:1(0) ack 1 /udp(1 > 2)", "TCP inside UDP"),
        (OPEN + "+0 < . 1:1(0) ack 1 win 1 <md5 valid>", "MD5"),
        (OPEN + "+0 < sctp: INIT", "protocol sctp"),
        (OPEN + "+0 `reboot --now`", "the command `reboot --now`"),
        (OPEN + "+0 sendmsg(3, {msg_iov(1)=[{..., 1}], msg_control=[{}]}, 0) = 1", "a control message without level"),
    ],
)
def test_what_cannot_be_run_is_skipped_with_the_reason(text, reason):
    outcome, _ = run(text, [SYN_ACK])
    assert outcome.status == SKIPPED
    assert reason in outcome.message


def test_a_host_that_cannot_be_opened_skips():
    def open_host(options):
        raise Unsupported("no such thing")

    assert run_text("0 close(3) = 0", "test.pkt", open_host, Wishes()).status == SKIPPED


def test_a_fault_of_the_host_is_a_failure_and_not_the_end_of_the_run():
    class Broken(Puppet):
        def inject(self, packet, gso_size):
            raise ZeroDivisionError("oh")

    outcome = run_text(OPEN, "test.pkt", lambda options: Broken([]), Wishes())
    assert (outcome.status, outcome.line) == (FAILED, 4)
    assert "ZeroDivisionError: oh" in outcome.message


def test_an_inbound_segment_is_cut_by_the_mss_option():
    text = "--mss=1000\n" + OPEN + "+0 < . 1:2501(2500) ack 1 win 1\n+0 < . 2501:3501(1000) ack 1 win 1"
    _, puppet = run(text, [SYN_ACK])
    assert [(length, gso) for _, length, gso in puppet.injected[1:]] == [(2540, 1000), (1040, 0)]


def test_a_failure_tells_line_expected_actual_and_what_happened_so_far():
    outcome, _ = run(OPEN + "+.1 > . 1:1(0) ack 1 win 7", [SYN_ACK, (100, "P. 1:1(0) ack 1 win 8"), (110, "R 1:1(0)")])
    assert outcome.report().splitlines() == [
        "test.pkt:6: flags: expected ., got P.",
        "  expected  +.1 > . 1:1(0) ack 1 win 7",
        "  actual    0.100000 > P. 1:1(0) ack 1 win 8",
        "            win: expected 7, got 8",
        "  time line so far:",
        "    0.000000 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
        "    0.000000 bind(3, ..., ...) = 0",
        "    0.000000 listen(3, 1) = 0",
        "    0.000000 < S 0:0(0) win 1000 <mss 1000>",
        "    0.000000 > S. 0:0(0) ack 1 win 5 <mss 1460>",
        "    0.100000 > P. 1:1(0) ack 1 win 8",
    ]


def test_a_second_incarnation_on_the_same_ports():
    text = (
        OPEN
        + """+0 accept(3, ..., ...) = 4
    +0 close(4) = 0
    +0 < S 7000:7000(0) win 1000 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>
    +0 > . 1:1(0) ack 1"""
    )
    puppet = Puppet([SYN_ACK])
    far = Flow(puppet.flow.local, puppet.flow.remote)
    for line in ("S. 5555:5555(0)! ack 7001! win 1 <mss 1460>", ". 5556:5556(0)! ack 7001! win 1"):
        puppet.packets.append((0, inbound.build(parse(f"0 < {line}").events[0].action, far, 1)))
    assert run_text(text, "test.pkt", lambda options: puppet, Wishes()).status == PASSED


def test_doubtful_code_is_not_commented_on(recwarn):
    outcome, _ = run('0 %{ assert 1 is 1 }%', [])
    assert (outcome.status, list(recwarn)) == (PASSED, [])
