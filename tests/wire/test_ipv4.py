"""The IPv4 header against scapy, its options, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption_LSRR, IPOption_RR, IPOption_SSRR

from netstack.wire import ipv4

PAIR = bytes([192, 0, 2, 1, 198, 51, 100, 7])
BETWEEN = {"src": "192.0.2.1", "dst": "198.51.100.7"}
u8, u16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)


@settings(deadline=None)
@given(
    tos=u8,
    ident=u16,
    flags=st.integers(0, 3),
    units=st.integers(0, 0x1FFF),
    ttl=u8,
    protocol=st.integers(100, 250),
    words=st.integers(0, 10),
    payload=st.binary(max_size=40),
)
def test_what_we_build_scapy_reads_and_what_scapy_builds_we_read(
    tos, ident, flags, units, ttl, protocol, words, payload
):
    mf, df = flags & 1 == 1, flags & 2 == 2
    options = b"\1\1\1\1" * words
    ours = ipv4.build(
        PAIR,
        protocol,
        len(payload),
        ident=ident,
        ttl=ttl,
        tos=tos,
        df=df,
        mf=mf,
        offset=units * 8,
        options=options,
    )
    packet = IP(**BETWEEN, tos=tos, id=ident, flags=flags, frag=units, ttl=ttl, proto=protocol, options=options)
    theirs = bytes(packet / payload)
    assert ours + payload == theirs
    read = IP(ours + payload)
    assert (read.tos, read.id, int(read.flags), read.frag, read.ttl) == (tos, ident, flags, units, ttl)
    header = ipv4.parse(theirs + b"padding of the link")
    assert header is not None
    expected = (20 + 4 * words, tos, len(theirs), ident, df, mf, units * 8, ttl, protocol, read.chksum, PAIR, options)
    assert header == expected
    assert header.is_fragment == (mf or units > 0)
    assert (header.source, header.destination) == (PAIR[:4], PAIR[4:])
    assert ipv4.checksum_valid(theirs)


def test_checksum_covers_header_and_options_only():
    packet = bytearray(b"xx" + ipv4.build(PAIR, 6, 4, options=b"\1\1\1\0") + b"data")
    packet[-1] ^= 1
    assert ipv4.checksum_valid(bytes(packet), 2)
    packet[2 + 23] ^= 1
    assert not ipv4.checksum_valid(bytes(packet), 2)


@pytest.mark.parametrize(
    ("where", "octet"),
    [(0, 0x65), (0, 0x05), (0, 0x44), (0, 0x4F), (3, 19), (3, 26), (2, 0xFF)],
    ids=["version 6", "version 0", "IHL 4", "IHL 15", "total < header", "total > packet", "total huge"],
)
def test_impossible_header_is_refused(where, octet):
    packet = bytearray(ipv4.build(PAIR, 6, 5) + b"12345")
    packet[where] = octet
    assert ipv4.parse(bytes(packet)) is None


def test_parse_honours_start_and_end():
    packet = ipv4.build(PAIR, 6, 5) + b"12345"
    assert ipv4.parse(b"xx" + packet, 2) == ipv4.parse(packet)
    assert ipv4.parse(packet, 0, len(packet) - 1) is None


def test_quoted_header_may_promise_more_than_is_there():
    packet = ipv4.build(PAIR, 6, 1000)
    assert ipv4.parse(packet) is None
    header = ipv4.parse(packet, quoted=True)
    assert header is not None
    assert header.total_length == 1020


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": b"\1\1\1"},
        {"options": bytes(44)},
        {"offset": 7},
        {"offset": 65_536},
        {"offset": -8},
        {"payload_len": 65_516},
        {"payload_len": -1},
        {"pair": b"1234"},
    ],
)
def test_impossible_header_is_wrong_use(wrong):
    usual = {"pair": PAIR, "protocol": 6, "payload_len": 0}
    with pytest.raises(ValueError, match="IPv4"):
        ipv4.build(**(usual | wrong))


@pytest.mark.parametrize(
    ("option", "kind", "is_route"),
    [(IPOption_LSRR, 131, True), (IPOption_SSRR, 137, True), (IPOption_RR, 7, False)],
)
def test_source_routes_are_recognised(option, kind, is_route):
    packet = bytes(IP(**BETWEEN, options=[option(routers=["192.0.2.9"])]))
    header = ipv4.parse(packet)
    assert header is not None
    found = ipv4.parse_options(header.options)
    assert found.options == ((kind, bytes([4, 192, 0, 2, 9])),)
    assert found.source_route == (kind if is_route else None)
    assert found.error is None


def test_options_end_at_end_of_options_and_unknown_ones_are_kept():
    found = ipv4.parse_options(bytes.fromhex("01 94040000 9902 00 8304"))
    assert found == (((ipv4.ROUTER_ALERT, b"\0\0"), (0x99, b"")), None)


@pytest.mark.parametrize(("options", "error"), [("8300", 20), ("8301", 20), ("0183ff00", 21), ("010183", 22)])
def test_option_of_impossible_length_is_pointed_at(options, error):
    found = ipv4.parse_options(bytes.fromhex(options))
    assert found.error == error
    assert found.options == ()


@pytest.mark.parametrize(
    ("address", "multicast", "loopback"),
    [
        ([224, 0, 0, 1], True, False),
        ([239, 255, 255, 255], True, False),
        ([240, 0, 0, 1], False, False),
        ([127, 0, 0, 1], False, True),
        ([192, 0, 2, 1], False, False),
        ([], False, False),
    ],
)
def test_address_classes(address, multicast, loopback):
    assert ipv4.is_multicast(bytes(address)) == multicast
    assert ipv4.is_loopback(bytes(address)) == loopback
