"""Finds the TCP conversations in a recording: who is client, the initial sequence numbers, what cannot be replayed."""

from dataclasses import dataclass, field

from netstack.replay.conversation import Conversation, Endpoint, Kind, Recorded
from netstack.replay.recorded import Cut, Packet, Recording
from netstack.replay.streams import assemble
from netstack.seq import unwrap
from netstack.units import SECOND
from netstack.wire.tcp import ACK, RST, SYN

MAX_PROBES = 8
"""A port scanner sends no more than a few segments to one port without a handshake."""


def conversations(recording: Recording) -> list[Conversation]:
    """All of them, in the order of their first packets."""
    groups = _split(recording)
    found = [_conversation(number, group) for number, group in enumerate(groups, 1)]
    for conversation, group in zip(found, groups, strict=True):
        _find_problem(conversation, group)
    listening = {c.server for c in found if c.kind in (Kind.HANDSHAKE, Kind.SIMULTANEOUS)}
    for conversation in found:
        _judge_probe(conversation, listening)
    return found


# Splitting: one four-tuple may carry several conversations one after the other.


@dataclass(slots=True)
class _Group:
    """Packets of one four-tuple that belong together."""

    packets: list[Packet] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)


def _split(recording: Recording) -> list[_Group]:
    groups: list[_Group] = []
    current: dict[frozenset[Endpoint], _Group] = {}
    for packet in recording.packets:
        key = frozenset(_ends(packet))
        group = current.get(key)
        if group is None or (isinstance(packet, Packet) and _begins_anew(packet, group)):
            group = current[key] = _Group()
            groups.append(group)
        if isinstance(packet, Packet):
            group.packets.append(packet)
        else:
            group.cuts.append(packet)
    return groups


def _ends(packet: Packet | Cut) -> tuple[Endpoint, Endpoint]:
    """Source and destination."""
    ports = (packet.sport, packet.dport) if isinstance(packet, Cut) else packet.segment[:2]
    return (packet.pair[:4], ports[0]), (packet.pair[4:], ports[1])


def _begins_anew(packet: Packet, group: _Group) -> bool:
    """Whether a SYN opens another connection between the same ends than the packets before it belong to."""
    segment = packet.segment
    if segment.flags & (SYN | ACK | RST) != SYN or not group.packets:
        return False
    source = _ends(packet)[0]
    own = [each for each in group.packets if _ends(each)[0] == source]
    for each in group.packets:
        if each.segment.flags & SYN:
            if each in own:
                return each.segment.seq != segment.seq
            if not each.segment.flags & ACK or each.segment.ack == (segment.seq + 1) & 0xFFFF_FFFF:
                return False  # simultaneous open, or a SYN-ACK captured before its SYN
    # No SYN so far: packets captured a moment too early may still belong to this one.
    near = [each for each in own if 0 < (each.segment.seq - segment.seq) & 0xFFFF_FFFF < 65_536]
    return not near or packet.at - group.packets[0].at > SECOND // 10


# Roles and numbers.


def _conversation(number: int, group: _Group) -> Conversation:
    if not group.packets:
        source, destination = _ends(group.cuts[0])
        return Conversation(number, *_by_port(source, destination))
    packets = group.packets
    syns = [each for each in packets if each.segment.flags & (SYN | ACK | RST) == SYN]
    answers = [each for each in packets if each.segment.flags & (SYN | ACK | RST) == SYN | ACK]
    if syns:
        client, server = _ends(syns[0])
    elif answers:
        server, client = _ends(answers[0])
    else:
        client, server = _by_port(*_ends(packets[0]))
    conversation = Conversation(number, client, server)
    syn = next((each for each in syns if _ends(each)[0] == client), None)
    server_syn = next((each for each in syns if _ends(each)[0] == server), None)
    answer = next((each for each in answers if _ends(each)[0] == server), server_syn)
    if syn and answer:
        conversation.kind = Kind.SIMULTANEOUS if server_syn else Kind.HANDSHAKE
    elif syn and any(_ends(each)[0] == server and each.segment.flags & RST for each in packets):
        conversation.kind, conversation.listening = Kind.REFUSED, False
    conversation.client_iss = _iss(syn, answer, packets, client)
    conversation.server_iss = answer.segment.seq if answer else _iss(None, None, packets, server)
    conversation.segments = _relative(conversation, _undamaged(conversation, packets))
    return conversation


def _by_port(source: Endpoint, destination: Endpoint) -> tuple[Endpoint, Endpoint]:
    """Client and server where no SYN tells: a well-known port is a server's; else the first to speak is the client."""
    return (destination, source) if source[1] < 1024 <= destination[1] else (source, destination)


def _iss(syn: Packet | None, answer: Packet | None, packets: list[Packet], end: Endpoint) -> int:
    if syn:
        return syn.segment.seq
    if answer:
        return (answer.segment.ack - 1) & 0xFFFF_FFFF
    return next((each.segment.seq for each in packets if _ends(each)[0] == end), 0)


def _undamaged(conversation: Conversation, packets: list[Packet]) -> list[Packet]:
    """Without packets that were damaged on the way and sent again; the receiver dropped them.

    Where most checksums of a direction are wrong they were simply not computed yet, and say nothing.
    """
    kept = []
    for packet in packets:
        if packet.damaged and _sent_again(packet, packets):
            conversation.notes.append(f"packet {packet.number} was damaged on its way (bad TCP checksum)")
        else:
            kept.append(packet)
    return kept


def _sent_again(packet: Packet, packets: list[Packet]) -> bool:
    """Whether a whole copy of a damaged packet came later, in a direction in which checksums mean something."""
    same_way = [each for each in packets if each.pair == packet.pair and each.segment.sport == packet.segment.sport]
    copies = (each for each in same_way if not each.damaged and each.at >= packet.at)
    again = any(each.segment.seq == packet.segment.seq and each.segment.length for each in copies)
    return again and 2 * sum(each.damaged for each in same_way) < len(same_way)


def _relative(conversation: Conversation, packets: list[Packet]) -> list[Recorded]:
    """The segments with numbers relative to the two SYNs, each unwrapped near the highest so far."""
    high = {True: 0, False: 0}
    segments = []
    for place, packet in enumerate(packets):
        segment, source = packet.segment, _ends(packet)[0]
        from_client = source == conversation.client
        own, other = conversation.client_iss, conversation.server_iss
        if not from_client:
            own, other = other, own
        seq = unwrap(segment.seq - own & 0xFFFF_FFFF, high[from_client])
        ack = unwrap(segment.ack - other & 0xFFFF_FFFF, high[not from_client]) if segment.flags & ACK else 0
        if not segment.flags & RST:
            high[from_client] = max(high[from_client], seq + segment.length)
        segments.append(
            Recorded(
                packet.number, place, packet.at, from_client, seq, ack, segment.flags, segment.window,
                segment.urgent, packet.options, segment.options, segment.payload, packet.tos, packet.ttl,
            )
        )  # fmt: skip
    return segments


# What is wrong with it.


def _find_problem(conversation: Conversation, group: _Group) -> None:
    """Set `problem` when there is one, and the streams."""
    cut = [packet for packet in group.packets if packet.cut]
    if conversation.kind is Kind.NONE:
        conversation.problem = _no_handshake(conversation)
    if group.cuts:
        first = group.cuts[0]
        conversation.problem = (
            f"packet {first.number} was cut to {first.captured} of {first.length} octets when it was captured:"
            " not even its TCP header is whole"
        )
    if conversation.kind not in (Kind.HANDSHAKE, Kind.SIMULTANEOUS) or conversation.problem:
        return
    client, server = conversation.of(True), conversation.of(False)
    conversation.client_stream = assemble(client, server)
    conversation.server_stream = assemble(server, client)
    for name, stream in (("client", conversation.client_stream), ("server", conversation.server_stream)):
        if stream.missing:
            conversation.problem = _missing(name, *stream.missing, next(iter(cut), None))
            return


def _missing(name: str, first: int, last: int, cut: Packet | None) -> str:
    """Why octets are not known; `cut`: a packet of which a part is missing."""
    what = f"octets {first} to {last}" if first < last else f"octet {first}"
    if cut is None:
        return f"{what} of the {name}'s (or its FIN) were acknowledged but are not in the capture"
    how = "is shorter than its IP header says" if cut.short else "was cut when it was captured"
    return f"packet {cut.number} {how} ({cut.cut} octets missing): {what} of the {name}'s are not known"


def _no_handshake(conversation: Conversation) -> str:
    if conversation.segments and conversation.segments[0].flags & SYN:
        flags = [segment.flags for segment in conversation.of(True)]
        if not conversation.of(False):
            return "no handshake: the SYN was never answered"
        if not any(each & SYN and not each & ACK for each in flags):
            return "no handshake: the client's SYN is not in the capture"
        return "no handshake: the server's SYN-ACK is not in the capture"
    if any(segment.flags & SYN for segment in conversation.segments):
        return "no handshake: the client's SYN is not in the capture"
    return "no handshake: the connection is older than the capture"


def _judge_probe(conversation: Conversation, listening: set[Endpoint]) -> None:
    """Segments that were never meant as a connection can be replayed when it is known what the port was."""
    client, server = conversation.of(True), conversation.of(False)
    meant = not client or len(client) > MAX_PROBES or any(each.payload or each.flags & (SYN | RST) for each in client)
    if conversation.kind is not Kind.NONE or meant or not all(each.flags & RST for each in server):
        return
    bare = not any(each.flags & ACK for each in client)  # silence, then, is what a listening port answers (3.10.7.2)
    if server or bare or conversation.server in listening:
        conversation.kind, conversation.problem = Kind.PROBE, None
        conversation.listening = not server or conversation.server in listening
