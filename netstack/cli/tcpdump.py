"""`netstack tcpdump`: the packets of a running stack, as tcpdump shows those of an interface."""

import base64
import contextlib
import signal
import sys
import time
from typing import Any

import click

from netstack.cli._looking import chooses_stack, looking
from netstack.control.client import Client
from netstack.inspect.dump import Dump, Style, octets
from netstack.inspect.expression import ExpressionError, predicate
from netstack.link.device import VNET_LEN
from netstack.link.pcap import completed
from netstack.link.pcap_format import MAX_SNAPLEN
from netstack.link.pcap_writer import About, CaptureWriter, PcapWriter, create_capture
from netstack.units import SECOND, Octets

FOR_A_LINE: Octets = 512
"""What is asked for when only a line is to be printed: headers, and the first line of HTTP."""
EXAMPLES = """\b
Examples:
  sudo netstack tcpdump -n
  sudo netstack tcpdump 'tcp port 8080 and host 192.0.2.1'
  sudo netstack tcpdump -c 3 'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0'
  sudo netstack tcpdump -v -X icmp
  sudo netstack tcpdump -w run.pcapng not arp
  sudo netstack tcpdump -w - | tshark -r -
"""


@click.command("tcpdump", epilog=EXAMPLES, short_help="The packets of a running stack, as tcpdump shows them.")
@click.option("-i", "--interface", metavar="NAME", help="The same as --tap.")
@click.option("-n", "numeric", count=True, help="Accepted for habit's sake: nothing is ever looked up.")
@click.option("-e", "link", is_flag=True, help="The Ethernet header too.")
@click.option("-v", "verbose", count=True, help="The IP header in full, checksums, HTTP header lines.")
@click.option("-x", "plain", count=True, help="The octets of each packet; -xx: with the Ethernet header.")
@click.option("-X", "text", count=True, help="The octets and the characters; -XX: with the Ethernet header.")
@click.option("-S", "absolute", is_flag=True, help="Sequence numbers as they are on the wire.")
@click.option("-t", "times", count=True, help="No time; -tt: seconds since the epoch.")
@click.option("-q", "-l", "-U", "-p", "ignored", is_flag=True, help="Accepted for habit's sake: they change nothing.")
@click.option("-c", "count", type=click.IntRange(1), metavar="N", help="Stop after N packets.")
@click.option("-s", "snap", type=click.IntRange(0, MAX_SNAPLEN), default=0, metavar="OCTETS",
              help="Only so much of each packet.")  # fmt: skip
@click.option("-w", "file", type=click.Path(dir_okay=False, allow_dash=True), metavar="FILE",
              help="Write a capture (pcapng if the name ends so; - is standard output) instead of lines.")  # fmt: skip
@chooses_stack
@click.argument("words", metavar="[EXPRESSION]...", nargs=-1)
def command(
    interface: str | None, numeric: int, link: bool, verbose: int, plain: int, text: int, absolute: bool, times: int,
    ignored: bool, count: int | None, snap: int, file: str | None, tap: str | None, path: str | None,
    words: tuple[str, ...],
) -> None:  # fmt: skip
    """Show the packets of a running `netstack up` as they enter and leave the stack, in tcpdump's layout.

    EXPRESSION is a filter as for tcpdump: host, net, port, portrange with src and dst; tcp, udp, icmp, arp, ip, ip6;
    ether host; less, greater; tcp[13] = 2, tcp[tcpflags] & tcp-syn != 0; and, or, not, parentheses. It runs in the
    stack's process, so that packets nobody asked for cost little. Ctrl-C ends it and says how many there were.

    What differs from tcpdump on the same TAP: this shows what the stack itself reads and writes, so behind an imperfect
    path (`netstack up --loss`) what is lost on the way out is shown and what is lost on the way in is not; checksums
    that are left to the device are shown completed; of what TCP and UDP carry only HTTP is looked into. On a TAP with
    offload both show super-segments, longer than the MTU.
    """
    expression = " ".join(words)
    try:
        predicate(expression)
    except ExpressionError as error:
        raise click.UsageError(str(error)) from error
    whole = bool(file or verbose or plain or text)
    wanted = snap or (MAX_SNAPLEN if whole else FOR_A_LINE)
    show = Lines(Style(link, verbose > 0, absolute), max(plain, text), text > 0, times)
    named = tap or (interface if interface != "any" else None)
    with looking(named, path) as client, contextlib.ExitStack() as files:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
        writer = None if file is None else files.enter_context(contextlib.closing(_capture(file, wanted, client)))
        click.echo(f"listening on {client.hello['tap']} ({client.hello['address']}), as the stack sees it", err=True)
        seen = lost = 0
        try:
            client.subscribe("frames", filter=expression, snap=wanted)
            while count is None or seen < count:
                told = client.told()
                assert told is not None
                lost += told.get("lost", 0)
                if "frame" in told:
                    seen += 1
                    write(writer, told) if writer is not None else show(told)
                if not client.pending:
                    writer.flush() if writer is not None else sys.stdout.flush()
        except KeyboardInterrupt:
            click.echo(err=True)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and file in (None, "-"):
                raise
            raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
        finally:
            click.echo(f"{seen} packet{'s' * (seen != 1)} captured", err=True)
            if lost:
                click.echo(f"{lost} packets lost: too fast to write them (-s keeps less of each)", err=True)


def _capture(file: str, snap: Octets, client: Client) -> CaptureWriter:
    """The file to write to."""
    if file == "-":
        return PcapWriter(sys.stdout.buffer, snap)
    try:
        return create_capture(file, snap, about=About(interface=client.hello["tap"]))
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error


def octets_of(told: dict[str, Any]) -> tuple[bytes, Octets]:
    """(the Ethernet frame as far as it was sent, its size). A checksum left to the device is completed if possible."""
    frame, length = base64.b64decode(told["frame"]), told["length"] - VNET_LEN
    data = completed(frame) if len(frame) - VNET_LEN == length else frame[VNET_LEN:]
    return data, length


def write(writer: CaptureWriter, told: dict[str, Any]) -> None:
    """One packet into the capture; one that was cut keeps its size."""
    data, length = octets_of(told)
    writer.packet(told["at"] * 1_000, data + bytes(length - len(data)), bool(told["out"]))


class Lines:
    """Prints packets."""

    def __init__(self, style: Style, octets: int, text: bool, times: int) -> None:
        self._dump = Dump(style)
        self._octets = octets
        self._text = text
        self._times = times

    def __call__(self, told: dict[str, Any]) -> None:
        """One packet, in one line or more."""
        data, length = octets_of(told)
        lines = [self._time(told["at"]) + self._dump.frame(data, length)]
        if self._octets:
            lines += octets(data[14:] if self._octets == 1 else data, self._text)
        sys.stdout.write("\n".join(lines) + "\n")

    def _time(self, at: int) -> str:
        seconds, micros = divmod(at, SECOND)
        if self._times == 1:
            return ""
        if self._times == 2:
            return f"{seconds}.{micros:06d} "
        return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{micros:06d} "
