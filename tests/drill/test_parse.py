"""The language: every construct of both dialects, one-line errors with their line, and garbage."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.drill import notation
from netstack.drill.nodes import (
    AccEcn,
    Anchor,
    Apply,
    Array,
    Call,
    Code,
    Command,
    FastOpen,
    IcmpMessage,
    IpFields,
    Md5,
    Member,
    Mss,
    Nop,
    Number,
    Packet,
    Quoted,
    RawOptions,
    Sack,
    SackPermitted,
    Script,
    ScriptError,
    SeqKind,
    Struct,
    Symbols,
    TcpSegment,
    Text,
    Timestamps,
    UdpDatagram,
    Unspecified,
    WindowScale,
)
from netstack.drill.parse import parse


def action(text: str):
    """The action of a script of one event."""
    (event,) = parse(f"+0 {text}").events
    return event.action


def segment(text: str) -> TcpSegment:
    """The segment of an outbound packet."""
    packet = action(f"> {text}")
    assert isinstance(packet.body, TcpSegment)
    return packet.body


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1.5", (Anchor.START, 1_500_000, None, None)),
        ("0", (Anchor.START, 0, None, None)),
        ("+.1", (Anchor.PREVIOUS, 100_000, None, None)),
        ("+ 0.000001", (Anchor.PREVIOUS, 1, None, None)),
        ("*", (Anchor.ANY, 0, None, None)),
        ("1.0~1.2", (Anchor.START, 1_000_000, 1_200_000, None)),
        ("+1.0~+1.2", (Anchor.PREVIOUS, 1_000_000, 1_200_000, None)),
        ("+0~+.5", (Anchor.PREVIOUS, 0, 500_000, None)),
    ],
)
def test_times_of_packets(time, expected):
    when = parse(f"{time} > . 1:1(0) ack 1").events[0].when
    assert (when.anchor, when.at, when.until, when.returns) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("0...0.1", (Anchor.START, 0, 100_000)),
        ("+0...0.100", (Anchor.PREVIOUS, 0, 100_000)),
        ("+.5...1", (Anchor.PREVIOUS, 500_000, 1_000_000)),
        ("1.0...1.5", (Anchor.START, 1_000_000, 1_500_000)),
    ],
)
def test_times_of_blocking_calls(time, expected):
    when = parse(f"{time} close(3) = 0").events[0].when
    assert (when.anchor, when.at, when.returns) == expected


@pytest.mark.parametrize(
    ("text", "flags", "ace"),
    [
        ("S", "S", None),
        ("S.", "S.", None),
        ("-", "", None),
        ("FP.", "FP.", None),
        ("SEW", "SEW", None),
        ("SEWA", "SEWA", None),
        (".5", ".", 5),
        ("S5", "S", 5),
        ("U.", "U.", None),
        ("R", "R", None),
    ],
)
def test_flags(text, flags, ace):
    tcp = segment(f"{text} 1:1(0)")
    assert (tcp.flags, tcp.ace) == (frozenset(flags), ace)


def test_a_segment_with_everything():
    assert action("> [ect0] 80 > 1234 P.5 1:1001(1000) ack 7 win 9 urg 3 <mss 1460>") == Packet(
        False,
        TcpSegment(frozenset("P."), 1, 1000, 5, ack=7, window=9, urgent=3, options=(Mss(1460),), ports=(80, 1234)),
        IpFields("ect0"),
    )


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("mss 1460", Mss(1460)),
        ("wscale 14", WindowScale(14)),
        ("sackOK", SackPermitted()),
        ("sack 1:2 3:4", Sack(((1, 2), (3, 4)))),
        ("TS val 10 ecr 20", Timestamps(10, 20)),
        ("TS val ... ecr 5!", Timestamps(None, 5, raw_ecr=True)),
        ("TS val 7! ecr ...", Timestamps(7, None, raw_val=True)),
        ("nop", Nop()),
        ("md5 00112233445566778899aabbccddeeff", Md5(bytes.fromhex("00112233445566778899aabbccddeeff"))),
        ("md5 valid", Md5(None)),
        ("FO cafe", FastOpen(b"\xca\xfe")),
        ("FO", FastOpen(b"")),
        ("FOEXP cafe", FastOpen(b"\xca\xfe", experimental=True)),
        ("EXP-FO cafe", FastOpen(b"\xca\xfe", experimental=True)),
        ("ECN e0b 1 ceb 2 e1b 3", AccEcn((("e0b", 1), ("ceb", 2), ("e1b", 3)))),
        ("ECN e1b 1", AccEcn((("e1b", 1),))),
        ("0204 05b4", RawOptions(b"\x02\x04\x05\xb4")),
        ("020405b4", RawOptions(b"\x02\x04\x05\xb4")),
    ],
)
def test_options(text, option):
    assert segment(f". 1:1(0) ack 1 <nop,{text}>").options == (Nop(), option)


def test_options_any_and_none():
    assert segment(". 1:1(0) <...>").options is None
    assert segment(". 1:1(0)").options == ()
    assert segment(". 1:1(0) <>").options == ()


def test_sequence_numbers_of_the_fork():
    assert segment(". 4294967295:4(5)!").seq_kind is SeqKind.RAW
    assert segment(". ...(0) ack 1").seq_kind is SeqKind.ANY
    assert segment("R 1:1(0) /udp(1 > 9811)").encapsulation == (1, 9811)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("[ect1]", IpFields("ect1")),
        ("(ce)", IpFields("ce")),
        ("[tos 0x20]", IpFields(tos=0x20)),
        ("[ttl 5, tos 1]", IpFields(ttl=5, tos=1)),
        ("[flowlabel 0x1]", IpFields(flowlabel=1)),
        ("[noecn]", IpFields("noecn")),
        ("[ect01]", IpFields("ect01")),
    ],
)
def test_ip_fields(text, fields):
    assert action(f"< {text} . 1:1(0) ack 1 win 1").ip == fields


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unreachable port_unreachable", IcmpMessage("unreachable", "port_unreachable")),
        ("unreachable frag_needed mtu 1200 [1:1461(1460)]",
         IcmpMessage("unreachable", "frag_needed", 1200, quoted=Quoted("tcp", 1460, 1))),
        ("unreachable 4 mtu 700 [udp (9)]", IcmpMessage("unreachable", "4", 700, quoted=Quoted("udp", 9))),
        ("echo_request id 7 [raw (56)]", IcmpMessage("echo_request", "0", None, 7, Quoted("raw", 56))),
        ("3 1", IcmpMessage("3", "1")),
    ],
)  # fmt: skip
def test_icmp(text, message):
    assert action(f"< icmp {text}").body == message


def test_icmp_without_code_leaves_the_next_event_alone():
    script = parse("0 < icmp time_exceeded\n1.5 > udp (4)\n2 < icmp unreachable\n+0 close(3) = 0")
    assert [event.line for event in script.events] == [1, 2, 3, 4]
    assert script.events[1].action.body == UdpDatagram(4)


def test_outer_headers():
    packet = action("> ipv4 192.0.2.1 > 192.0.2.2: gre flags 0x2000: mpls (label 1, ttl 2): . 1:1(0) ack 1")
    assert [header.kind for header in packet.headers] == ["ipv4", "gre", "mpls"]
    assert (packet.headers[0].source, packet.headers[0].destination) == ("192.0.2.1", "192.0.2.2")
    (header,) = action("< ipv6 2001:db8::1 > 2001:db8::2: udp 5 > 6 (7)").headers
    assert (header.source, header.destination) == ("2001:db8::1", "2001:db8::2")


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("socket(..., SOCK_STREAM, 0) = 3",
         Call("socket", (Unspecified(), Symbols(("SOCK_STREAM",)), Number(0, "0")), Number(3, "3"))),
        ("read(3, ..., 10) = -1 EAGAIN (Resource temporarily unavailable)",
         Call("read", (Number(3, "3"), Unspecified(), Number(10, "10")), Number(-1, "-1"), "EAGAIN",
              "Resource temporarily unavailable")),
        ("close(3) = -1 (EBADF)", Call("close", (Number(3, "3"),), Number(-1, "-1"), "EBADF", "EBADF")),
        ("fcntl(3, F_GETFL) = 0x2 (flags O_RDWR (2))",
         Call("fcntl", (Number(3, "3"), Symbols(("F_GETFL",))), Number(2, "0x2"), None, "flags O_RDWR (2)")),
        ("f(A|B|0x4, [1], \"a\\n\" \"b\", {x=1, y(2)=3, 4}) = ...",
         Call("f", (Symbols(("A", "B", "0x4")), Array((Number(1, "1"),)), Text("a\nb"),
                    Struct(call_members := action("g({x=1, y(2)=3, 4}) = 0").arguments[0].members)), Unspecified())),
        ("f(htons(80), inet_addr(\"1.2.3.4\")) = 0",
         Call("f", (Apply("htons", (Number(80, "80"),)), Apply("inet_addr", (Text("1.2.3.4"),))), Number(0, "0"))),
    ],
)  # fmt: skip
def test_calls(text, call):
    assert action(text) == call
    assert [(member.name, member.index) for member in call_members] == [("x", None), ("y", Number(2, "2")), ("", None)]


def test_numbers_keep_their_value_in_every_base_and_suffix():
    assert [item.value for item in action("f(0x10, 010, -5, 7UL, 3u) = 0").arguments] == [16, 10, -5, 7, 3]


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ('f("abc"...)', Text("abc")),
        ("f(sizeof(struct linger))", Apply("sizeof", (Text("struct linger"),))),
        ("f(sizeof(int))", Apply("sizeof", (Text("int"),))),
        ('f({inet_pton(AF_INET, "192.0.2.1", &sin_addr)})', Struct((Member("sin_addr", None, Text("192.0.2.1")),))),
        ("f(&x)", Symbols(("x",))),
    ],
)
def test_arguments_in_the_manner_of_c(text, argument):
    assert action(f"{text} = 0").arguments == (argument,)


@pytest.mark.parametrize("text", ["\ufeff0 f() = 1", "#!/usr/bin/env x\n0 f() = 1", "0 f() # why\r\n = 1\r\n"])
def test_what_editors_and_shells_put_around_a_script(text):
    (event,) = parse(text).events
    assert (event.text, event.action) == ("0 f() = 1", Call("f", (), Number(1, "1")))


def test_options_below_a_condition_define_too():
    text = "#ifndef N\n--define=N=3\n#endif\n0 f(N) = 0"
    assert parse(text).events[0].action.arguments == (Number(3, "3"),)
    assert parse(text, defined={"N": "4"}).events[0].action.arguments == (Number(4, "4"),)


@pytest.mark.parametrize("text", ["/* " * 50_000, "0 f() = 0\n" * 20_000, "%{ " * 50_000, "0 f(" + '"' * 50_001])
def test_large_scripts_take_time_in_proportion(text):
    begun = time.process_time()
    with contextlib.suppress(ScriptError):
        parse(text, defined={"X": "1"})
    assert time.process_time() - begun < 5


def test_commands_first_between_and_last():
    script = parse("`a\nb`\n0 close(3) = 0\n+0 `c`\n+0 %{ assert 1 }% `d`")
    assert (script.init, script.cleanup) == (Command("a\nb", 1), Command("d", 5))
    assert [type(event.action) for event in script.events] == [Call, Command, Code]


def test_comments_and_lines():
    script = parse("// one\n/* two\n three */ 0 close(3) // four\n = 0\n+0 /* five */ close(4) = 0")
    assert [(event.line, event.text) for event in script.events] == [(3, "0 close(3) = 0"), (5, "+0 close(4) = 0")]


def test_definitions_of_every_kind():
    text = '--define=CC="reno" --define=N=3 --define=CMD=`true`\n--define=OP=SO_ERROR --define=F=P.\n'
    text += '0 f(N, CC, OP, "N") = N\n+0 CMD\n+0 > F 1:1(0) // N'
    script = parse(text)
    call = script.events[0].action
    assert call.arguments == (Number(3, "3"), Text("reno"), Symbols(("SO_ERROR",)), Text("N"))
    assert script.events[1].action == Command("true", 4)
    assert script.events[2].action.body.flags == frozenset("P.")


def test_conditional_lines():
    text = "--define=A=1\n#ifdef A\n0 f() = 1\n#else\n0 f() = 2\n#endif\n#ifndef A\n0 f() = 3\n#endif\n0 f() = 4"
    assert [(event.line, event.action.result.value) for event in parse(text).events] == [(3, 1), (10, 4)]
    assert [event.action.result.value for event in parse(text[13:]).events] == [2, 3, 4]


def test_options_of_a_script():
    script = parse("--tolerance_usecs=10000 --strict_segments\n// more\n--mss=1000\n")
    assert script == Script(
        "script", (("tolerance_usecs", "10000"), ("strict_segments", ""), ("mss", "1000")), None, (), None
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("0 close(3)", 1, "= and the result"),
        ("\n0 > Q 1:1(0)", 2, "TCP flags"),
        ("0 > . 1:3(1)", 1, "1 + 1 is not 3"),
        ("0 > . 1:1(0) <mss>", 1, "an MSS"),
        ("0 > . 1:1(0) <mss 70000>", 1, "at most 65535"),
        ("0 > . 1:1(0) <what 1>", 1, "expected a TCP option"),
        ("0 > . 1:1(0) <sack>", 1, "SACK block"),
        ("0 > .55 1:1(0)", 1, "ACE field twice"),
        ("0 > E5 1:1(0)", 1, "ACE field twice"),
        ("0 > . 1:/* */\n2(0)", 1, "1 + 0 is not 2"),
        ("\n0 > . 1:1(0)\n+0 > . 4294967296:4294967296(0)", 3, "has 32 bits"),
        ("1 close(3) = 0\n0.5 close(3) = 0", 2, "time goes back"),
        ("* close(3) = 0", 1, "only an outbound packet"),
        ("1~2 < . 1:1(0)", 1, "only an outbound packet"),
        ("2~1 > . 1:1(0)", 1, "before its beginning"),
        ("+1~2 > . 1:1(0)", 1, "expected + before"),
        ("1...0 close(3) = 0", 1, "cannot return before"),
        ("0...1 > . 1:1(0)", 1, "only a system call"),
        ("0 %{ assert 1", 1, "}%"),
        ("0 `true", 1, "closing back quote"),
        ('0 f("a) = 0', 1, "closing quote"),
        ("0 f(1 2) = 0", 1, "a comma or )"),
        ("0 < icmp nonsense", 1, "unknown ICMP type"),
        ("0 < [foo] . 1:1(0)", 1, "unknown IP field"),
        ("0", 1, "expected a packet, a system call"),
        ("--define=\n-- \n", 2, "expected an option"),
        ("`a`\n0 close(3) = 0\n`b`\n0 close(4) = 0", 4, "cleanup"),
        ("#ifdef A\n", 2, "without #endif"),
        ("#else\n", 1, "without #ifdef"),
        ("0 f(" + "[" * 100 + ") = 0", 1, "nested too deeply"),
        ("0 f(" + "9" * 100 + ") = 0", 1, "64 bits"),
    ],
)
def test_errors_are_one_line_with_the_place(text, line, message):
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert caught.value.line == line
    assert message in caught.value.message
    assert "\n" not in caught.value.message


WORDS = st.sampled_from(
    ["0", "+.1", "*", "1~2", "...", ">", "<", "S.", "P.", "1:1(0)", "ack 1", "win 5", "<mss 1460>", "<", ">", "sack",
     "`x`", "`", "%{", "}%", "f(", ")", "= 0", "[", "]", "{", "}", "a=", "|", ",", '"s"', '"', "icmp", "udp", "ipv4",
     "mpls", ":", "!", "-1", "EAGAIN", "--x=y", "#ifdef A\n", "#endif\n", "//", "/*", "*/", "\n", "TS val 1 ecr 2"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=25).map(" ".join)))
def test_garbage_is_a_script_or_a_script_error(text):
    lines, message = verdict(text)
    assert all(line >= 1 for line in lines)
    assert "\n" not in message


def verdict(text: str) -> tuple[list[int], str]:
    """The lines of the events, or of the error, and its message."""
    try:
        return [event.line for event in parse(text).events], ""
    except ScriptError as error:
        return [error.line], error.message


OPTIONS = st.one_of(
    st.builds(Mss, st.integers(0, 65_535)),
    st.builds(WindowScale, st.integers(0, 255)),
    st.just(Nop()),
    st.just(SackPermitted()),
    st.builds(Timestamps, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.builds(
        Sack,
        st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(FastOpen, st.binary(min_size=2, max_size=8), st.booleans()),
)
SEGMENTS = st.builds(
    TcpSegment,
    st.frozensets(st.sampled_from("FSRPU.EWA")),
    st.integers(0, 2**32 - 1),
    st.integers(0, 60_000),
    ack=st.none() | st.integers(0, 2**32 - 1),
    window=st.none() | st.integers(0, 65_535),
    urgent=st.integers(0, 65_535),
    options=st.none() | st.lists(OPTIONS, max_size=4).map(tuple),
    ports=st.none() | st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)),
)


@given(SEGMENTS, st.booleans())
def test_what_is_written_is_read_as_the_same(tcp, inbound):
    packet = Packet(inbound, tcp)
    assert action(notation.packet(packet)) == packet


def test_several_brackets_of_ip_fields_add_up():
    assert action("< [ect0] (ttl 5) [tos 0x20] . 1:1(0)").ip == IpFields("ect0", tos=0x20, ttl=5)
