"""The ECN field of the IP header (RFC 3168 5): the same two bits in both versions, in different places."""

from netstack.units import Octets

NOT_ECT, ECT_1, ECT_0, CE = 0, 1, 2, 3
"""Not ECN-capable; the two codepoints by which a sender says that it is; congestion experienced."""
COUNTERS = ("IpExtInNoECTPkts", "IpExtInECT1Pkts", "IpExtInECT0Pkts", "IpExtInCEPkts")
"""By codepoint."""


def field(frame: bytes, ip_at: Octets) -> int:
    """The codepoint of the packet whose header is at `frame[ip_at:]`: the low bits of TOS, or of the traffic class."""
    octet = frame[ip_at + 1]
    return octet & 3 if frame[ip_at] >> 4 == 4 else octet >> 4 & 3
