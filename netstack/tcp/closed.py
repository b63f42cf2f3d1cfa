"""A segment for which there is no connection: 3.10.7.1 (CLOSED), and the resets that other rules call for."""

from struct import Struct

from netstack.ip.path import Path
from netstack.seq import MASK
from netstack.tcp.md5 import SignedPath
from netstack.units import Octets
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import ACK, FIN, RST, SYN

_PLAIN = Struct("!IIIHHHH")


def answer(ports: int, seq: int, ack: int, flags: int, length: Octets) -> bytes | None:
    """The RST for a segment without a connection, checksum still zero; None for a RST, which is never answered.

    `ports`: ours and theirs as one word. With ACK: <SEQ=SEG.ACK><CTL=RST>; without:
    <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.
    """
    if flags & RST:
        return None
    if flags & ACK:
        return reset(ports, ack)
    length += (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
    return _PLAIN.pack(ports, 0, (seq + length) & MASK, 5 << 12 | RST | ACK, 0, 0, 0)


def reset(ports: int, seq: int) -> bytes:
    """<SEQ=seq><CTL=RST>, checksum still zero."""
    return _PLAIN.pack(ports, seq & MASK, 0, 5 << 12 | RST, 0, 0, 0)


def checksummed(head: bytes, path: Path | SignedPath) -> bytes:
    """A header without payload with its checksum field as `path` wants it."""
    total = path.pseudo + len(head)
    checksum = total % 0xFFFF if path.offload else -(total + ones_sum(head)) % 0xFFFF
    return head[:16] + checksum.to_bytes(2, "big") + head[18:]
