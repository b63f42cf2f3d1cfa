"""Why a frame leaves that carries no segment of TCP: ARP, ICMP, UDP."""

from netstack.link.device import VNET_LEN
from netstack.units import Octets
from netstack.wire import arp, ethernet, icmpv4, ipv4, pretty, udp

_ERRORS = {
    icmpv4.UNREACHABLE: ("tells the sender that what it quotes cannot be delivered here", "RFC 1122 3.2.2.1"),
    icmpv4.TIME_EXCEEDED: ("tells the sender that fragments did not come in time", "RFC 1122 3.2.2.4"),
    icmpv4.PARAMETER_PROBLEM: ("tells the sender which octet of its header is wrong", "RFC 1122 3.2.2.5"),
    icmpv4.ECHO_REPLY: ("answers a ping", "RFC 1122 3.2.2.6"),
    icmpv4.TIMESTAMP_REPLY: ("answers a question for the time", "RFC 1122 3.2.2.8"),
}


def about(frame: bytes) -> str:
    """One line for `frame`, virtio_net_hdr included."""
    at = VNET_LEN + ethernet.HEADER_LEN
    ethertype = frame[at - 2 : at]
    if ethertype == ethernet.ARP:
        return f"sent because: {_arp(frame, at)}"
    header = ipv4.parse(frame, at, quoted=True) if ethertype == ethernet.IPV4 else None
    if header is None:
        return "nobody said why"
    if header.offset:
        protocol = pretty.protocol_name(header.protocol)
        return f"sent because: the rest of a datagram of {protocol} that is too long for one packet (RFC 791 3.2)"
    what = "a fragment of " if header.is_fragment else ""
    if header.protocol == icmpv4.PROTOCOL:
        message = icmpv4.parse(frame, at + header.header_len, at + header.total_length)
        sentence, paragraph = _ERRORS.get(message.type if message else -1, ("nobody here knows", "RFC 792"))
        return f"sent because: {what}ICMP that {sentence} ({paragraph})"
    if header.protocol == udp.PROTOCOL:
        return f"sent because: {what}a datagram of the user (RFC 768)"
    return f"{what}{pretty.protocol_name(header.protocol)}, and nobody said why"


def _arp(frame: bytes, at: Octets) -> str:
    message = arp.parse(frame, at)
    if message is None:
        return "ARP"
    if message.op == arp.REPLY:
        return f"{pretty.address(message.tpa)} asked for our MAC address (RFC 826)"
    if message.spa == message.tpa:
        return "we say which address is ours (RFC 5227 2.3)"
    target = pretty.address(message.tpa)
    if frame[VNET_LEN : VNET_LEN + 6] == ethernet.BROADCAST:
        return f"something is to go to {target}, and its MAC address is not known (RFC 826)"
    return f"is {target} still where it was? Nothing was heard of it lately (RFC 1122 2.3.2.1)"
