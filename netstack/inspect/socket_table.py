"""Rows of `snapshot` in the layout of `ss` (iproute2): columns, timers, memory, and the line of `-i`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from netstack.inspect.snapshot import Row
from netstack.inspect.socket_filter import STATES
from netstack.units import SECOND, Micros

_NO_SSTHRESH = 0xFFFF
_NO_RTT = 0xFFFF_FFFF
_UNLIMITED = (1 << 64) - 1
_TIMERS = {
    "retransmit": "on", "reorder": "on", "loss-probe": "on", "window-probe": "persist", "keepalive": "keepalive",
    "time-wait": "timewait", "fin-wait-2": "timewait",
}  # fmt: skip
"""Our names for timers -> those of ss."""


class Show(NamedTuple):
    """What to say of each row: the options -i -e -m -o -H, and which protocols were asked for."""

    info: bool = False
    extended: bool = False
    memory: bool = False
    timers: bool = False
    header: bool = True
    netid: bool = False


def table(rows: Sequence[Row], show: Show) -> list[str]:
    """The lines for `rows`, under a header."""
    cells = [(_netid(row), STATES[row["state"]], str(row["recv_q"]), str(row["send_q"]),
              *row["local"].rsplit(":", 1), *row["remote"].rsplit(":", 1)) for row in rows]  # fmt: skip
    head = ("Netid", "State", "Recv-Q", "Send-Q", "Local Address", "Port", "Peer Address", "Port")
    widths = [max(map(len, column)) for column in zip(*([head] if show.header else []), *cells, strict=True)]
    lines = []
    if show.header:
        lines.append((_columns(head, widths, show) + "Process").rstrip())
    for row, row_cells in zip(rows, cells, strict=True):
        said = _columns(row_cells, widths, show)
        if show.timers or show.extended:
            said += timer(row)
        if show.extended:
            said += _extended(row)
        lines.append(said.rstrip())
        details = (memory(row) if show.memory else "") + (info(row, show) if show.info else "")
        if details:
            lines.append("\t" + details)
    return lines


def _columns(cells: Sequence[str], widths: Sequence[int], show: Show) -> str:
    netid, state, received, sent, local, local_port, peer, peer_port = cells
    first = f"{netid:<{widths[0]}} " if show.netid else ""
    queues = f"{state:<{widths[1]}} {received:<{widths[2]}} {sent:<{widths[3]}} "
    here = f"{local:>{widths[4]}}:{local_port:<{widths[5]}} "
    return f"{first}{queues}{here}{peer:>{widths[6]}}:{peer_port:<{widths[7]}} "


def _netid(row: Row) -> str:
    return "udp" if row["kind"] == "endpoint" else "tcp"


def timer(row: Row) -> str:
    """timer:(keepalive,1min59sec,0); empty when none runs."""
    running = row["timer"]
    if running is None:
        return ""
    return f"timer:({_TIMERS[running['name']]},{duration(running['remaining'])},{running['retries']}) "


def duration(remaining: Micros) -> str:
    """51sec, 1min20sec, 1.200ms (a second and 200 ms), 200ms: as ss says it, coarser the longer it is."""
    milliseconds = remaining // 1_000
    seconds, milliseconds = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    said = ""
    if minutes:
        milliseconds = 0
        said = f"{minutes}min"
        if minutes > 9:
            seconds = 0
    if seconds:
        if seconds > 9:
            milliseconds = 0
        said += f"{seconds}." if milliseconds else f"{seconds}sec"
    return f"{said}{milliseconds:03}ms" if milliseconds else said


def _extended(row: Row) -> str:
    """Where Linux has uid, inode and cookie: how old it is, its sequence numbers from the handshake on, its options."""
    said = ""
    if "age" in row:
        said += f"age:{row['age'] / SECOND:.3f}s "
    if row["kind"] == "connection":
        v = row["variables"]
        said += (
            f"iss:{v['iss'] & 0xFFFF_FFFF} snd_una:{v['snd_una'] - v['iss']} snd_nxt:{v['snd_nxt'] - v['iss']} "
            f"irs:{v['irs'] & 0xFFFF_FFFF} rcv_nxt:{v['rcv_nxt'] - v['irs']} rcv_wnd:{v['rcv_wnd']} "
        )
    if row.get("socket_options"):
        said += f"opts:({','.join(row['socket_options'])}) "
    if row["kind"] == "listener" and row["half_open"]:
        said += f"half_open:{row['half_open']} "
    if not row.get("accepted", True):
        said += "not_accepted "
    if row.get("orphaned"):
        said += "orphan "
    return said


def memory(row: Row) -> str:
    """skmem:(...) with Linux's letters. Nothing is reserved (f), kept below TCP (t) or in a backlog (bl) here."""
    held = row.get("memory")
    if held is None:
        return ""
    sizes = f"r{held['receive']},rb{held['rcvbuf']},t0,tb{held['sndbuf']},f0,w{held['send']},o0,bl0"
    return f" skmem:({sizes})"


def info(row: Row, show: Show) -> str:
    """The fields of tcp_info that say something, in the order of ss."""
    if row["kind"] not in ("connection", "half-open"):
        return ""
    i: dict[str, Any] = row["info"]
    words = [name for name in row["options"] if name != "wscale"] if show.timers or show.extended else []
    words.append(row["cc"])
    if "wscale" in row["options"]:
        words.append(f"wscale:{i['snd_wscale']},{i['rcv_wscale']}")
    words += _path_words(i) + _total_words(i) + _model_words(row["model"]) + _rate_words(i)
    words += _recovery_words(i) + _receive_words(i)
    return " " + " ".join(words)


def _some(i: dict[str, Any], *names: str) -> list[str]:
    """`name:value` for those that are not 0; the last part of a name split by / is the field's."""
    pairs = (name.partition("/") for name in names)
    return [f"{label}:{i[field or label]}" for label, _, field in pairs if i[field or label]]


def _path_words(i: dict[str, Any]) -> list[str]:
    words = [f"rto:{_ms(i['rto'])}"]
    words += _some(i, "backoff")
    if i["rtt"]:
        words.append(f"rtt:{_ms(i['rtt'])}/{_ms(i['rttvar'])}")
    if i["ato"]:
        words.append(f"ato:{_ms(i['ato'])}")
    words += _some(i, "mss/snd_mss", "pmtu", "rcvmss/rcv_mss", "advmss", "cwnd/snd_cwnd")
    if i["snd_ssthresh"] < _NO_SSTHRESH:
        words.append(f"ssthresh:{i['snd_ssthresh']}")
    return words


def _total_words(i: dict[str, Any]) -> list[str]:
    return _some(i, "bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received", "segs_out", "segs_in",
                 "data_segs_out", "data_segs_in")  # fmt: skip


def _model_words(model: dict[str, int]) -> list[str]:
    """What BBR takes the path for."""
    if not model:
        return []
    rate = (model["bbr_bw_hi"] << 32 | model["bbr_bw_lo"]) * 8
    gains = f"pacing_gain:{model['bbr_pacing_gain'] / 256:g},cwnd_gain:{model['bbr_cwnd_gain'] / 256:g}"
    return [f"bbr:(bw:{rate}bps,mrtt:{_ms(model['bbr_min_rtt'])},{gains})"]


def _rate_words(i: dict[str, Any]) -> list[str]:
    words = []
    if i["rtt"] and i["snd_mss"] and i["snd_cwnd"]:
        words.append(f"send {i['snd_cwnd'] * i['snd_mss'] * 8 * SECOND // i['rtt']}bps")
    words += _some(i, "lastsnd/last_data_sent", "lastrcv/last_data_recv", "lastack/last_ack_recv")
    if i["pacing_rate"] and i["pacing_rate"] != _UNLIMITED:
        most = f"/{i['max_pacing_rate'] * 8}bps" if i["max_pacing_rate"] != _UNLIMITED else ""
        words.append(f"pacing_rate {i['pacing_rate'] * 8}bps{most}")
    if i["delivery_rate"]:
        words.append(f"delivery_rate {i['delivery_rate'] * 8}bps")
    words += _some(i, "delivered", "delivered_ce")
    if i["delivery_rate_app_limited"]:
        words.append("app_limited")
    busy = i["busy_time"]
    if busy:
        words.append(f"busy:{busy // 1_000}ms")
    for name in ("rwnd_limited", "sndbuf_limited"):
        if i[name] and busy:
            words.append(f"{name}:{i[name] // 1_000}ms({100 * i[name] / busy:.1f}%)")
    return words


def _recovery_words(i: dict[str, Any]) -> list[str]:
    words = _some(i, "unacked")
    if i["retrans"] or i["total_retrans"]:
        words.append(f"retrans:{i['retrans']}/{i['total_retrans']}")
    words += _some(i, "lost", "sacked", "dsack_dups")
    if i["reordering"] != 3:
        words.append(f"reordering:{i['reordering']}")
    return words + _some(i, "reord_seen")


def _receive_words(i: dict[str, Any]) -> list[str]:
    words = [f"rcv_rtt:{_ms(i['rcv_rtt'])}"] if i["rcv_rtt"] else []
    words += _some(i, "rcv_space", "rcv_ssthresh", "notsent/notsent_bytes")
    if i["min_rtt"] != _NO_RTT:
        words.append(f"minrtt:{_ms(i['min_rtt'])}")
    return words + _some(i, "rcv_ooopack", "snd_wnd", "rcv_wnd")


def _ms(microseconds: Micros) -> str:
    """Milliseconds with six significant digits, like C's %g."""
    return f"{microseconds / 1_000:g}"


def summary(rows: Sequence[Row], layers: dict[str, Any]) -> list[str]:
    """`ss -s`: how many of each."""
    states = Counter(row["state"] for row in rows)
    tcp = [row for row in rows if row["kind"] != "endpoint"]
    waiting, udp = states["TIME-WAIT"], len(rows) - len(tcp)
    orphans = layers["tcp"]["memory"]["orphans"]
    lines = [
        f"Total: {len(rows) - waiting}",
        f"TCP:   {len(tcp)} (estab {states['ESTABLISHED']}, closed {waiting}, orphaned {orphans}, timewait {waiting})",
        "",
        f"{'Transport':<10}{'Total':<10}{'IP':<10}IPv6",
    ]
    inet = len(tcp) - waiting
    fragments = layers["ip"]["reassembly"]["datagrams"]
    counts = (("RAW", 0), ("UDP", udp), ("TCP", inet), ("INET", inet + udp), ("FRAG", fragments))
    return lines + [f"{name:<10}{count:<10}{count:<10}0" for name, count in counts]
