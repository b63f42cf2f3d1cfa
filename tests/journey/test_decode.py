"""A frame taken apart: every octet in one field, the values those that scapy reads, damaged ones never raise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether

from netstack.journey.decode import decode, text
from netstack.link.device import NO_OFFLOAD
from tests.journey.trips import journey

FRAMES = [step.frame for step in journey("/echo", data="hello") if step.frame is not None]


def values(frame, layer):
    """name -> value of a layer's fields."""
    return {field.name: field.value for field in decode(frame) if field.layer == layer}


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_every_octet_belongs_to_one_field(frame):
    at = 0
    for field in decode(frame):
        assert field.at == at
        assert field.size > 0
        at += field.size
    assert at == len(frame)


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_values_are_those_that_scapy_reads(frame):
    theirs = Ether(frame[10:])
    assert values(frame, "Ethernet")["destination"] == theirs.dst
    assert values(frame, "Ethernet")["source"] == theirs.src
    if ARP in theirs:
        assert values(frame, "ARP")["sender protocol"] == theirs[ARP].psrc
        assert values(frame, "ARP")["operation"].startswith(f"{theirs[ARP].op} ")
        return
    ip, tcp = values(frame, "IPv4"), values(frame, "TCP")
    assert (ip["source"], ip["destination"]) == (theirs[IP].src, theirs[IP].dst)
    assert ip["total length"] == f"{theirs[IP].len} octets"
    assert ip["time to live"] == f"{theirs[IP].ttl} hops"
    assert ip["header checksum"] == f"0x{theirs[IP].chksum:04x}"
    assert tcp["sequence number"] == str(theirs[TCP].seq)
    assert tcp["acknowledgment number"] == str(theirs[TCP].ack)
    assert tcp["window"].split()[0] == str(theirs[TCP].window)
    assert tcp["checksum"] == f"0x{theirs[TCP].chksum:04x}"
    stamps = dict(theirs[TCP].options).get("Timestamp")
    if stamps:
        assert tcp["timestamps"] == f"TS val {stamps[0]} ecr {stamps[1]}"


def test_text_shows_line_ends_and_hides_what_is_no_text():
    assert text(b"GET / HTTP/1.1\r\n\x00\xff") == "GET / HTTP/1.1⏎\n··"


@given(st.binary(max_size=120), st.sampled_from(FRAMES), st.integers(0, 100))
@settings(max_examples=150, deadline=None)
def test_damaged_frames_are_shown_whole(noise, frame, at):
    for damaged in (NO_OFFLOAD + noise, frame[:at], frame[:at] + noise):
        assert sum(field.size for field in decode(damaged)) == len(damaged)
