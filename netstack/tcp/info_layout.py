"""Linux's struct tcp_info (include/uapi/linux/tcp.h): fields by name, without "tcpi_", to and from its octets."""

from collections.abc import Mapping
from struct import Struct

_BYTES = ("state", "ca_state", "retransmits", "probes", "backoff", "options")
_RUNS = (
    ("I", (
        "rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets", "last_data_sent",
        "last_ack_sent", "last_data_recv", "last_ack_recv", "pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh",
        "snd_cwnd", "advmss", "reordering", "rcv_rtt", "rcv_space", "total_retrans",
    )),
    ("Q", ("pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received")),
    ("I", ("segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out")),
    ("Q", ("delivery_rate", "busy_time", "rwnd_limited", "sndbuf_limited")),
    ("I", ("delivered", "delivered_ce")),
    ("Q", ("bytes_sent", "bytes_retrans")),
    ("I", ("dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash")),
    ("H", ("total_rto", "total_rto_recoveries")),
    ("I", ("total_rto_time", "received_ce", "delivered_e1_bytes", "delivered_e0_bytes", "delivered_ce_bytes")),
    ("I", ("received_e1_bytes", "received_e0_bytes", "received_ce_bytes")),
    ("H", ("accecn_fail_mode", "accecn_opt_seen")),
)  # fmt: skip
HEAD = 8
"""Octets before the first 32-bit field: six bytes, then two of bit fields."""
LONGEST = 512
"""Octets to ask a kernel for: more than any version of the structure has."""


def _layout() -> list[tuple[str, int, Struct]]:
    fields = []
    at = HEAD
    for kind, names in _RUNS:
        field = Struct(f"<{kind}")
        for name in names:
            fields.append((name, at, field))
            at += field.size
    return fields


_FIELDS = _layout()
_ALL = Struct("<8B" + "".join(len(names) * kind for kind, names in _RUNS))
_LARGEST = [0xFF] * len(_BYTES) + [(1 << 8 * field.size) - 1 for _, _, field in _FIELDS]


def pack(info: Mapping[str, int]) -> bytes:
    """The structure's octets; what `info` lacks is 0, what does not fit its field is that field's largest value."""
    names = (*_BYTES, *(name for name, _, _ in _FIELDS))
    values = [min(max(info.get(name, 0), 0), most) for name, most in zip(names, _LARGEST, strict=True)]
    scales = info.get("snd_wscale", 0) | info.get("rcv_wscale", 0) << 4
    bits = info.get("delivery_rate_app_limited", 0) | info.get("fastopen_client_fail", 0) << 1
    return _ALL.pack(*values[: len(_BYTES)], scales, bits, *values[len(_BYTES) :])


_MODEL = Struct("<5I")
_BBR = ("bbr_bw_lo", "bbr_bw_hi", "bbr_min_rtt", "bbr_pacing_gain", "bbr_cwnd_gain")


def pack_congestion(info: Mapping[str, int]) -> bytes:
    """Linux's union tcp_cc_info: of the algorithms here only BBR tells anything (struct tcp_bbr_info)."""
    return _MODEL.pack(*(info[name] for name in _BBR)) if info else b""


def decode_congestion(octets: bytes) -> Mapping[str, int]:
    """The fields of struct tcp_bbr_info by name; none if `octets` are not of its size."""
    return dict(zip(_BBR, _MODEL.unpack(octets), strict=True)) if len(octets) == _MODEL.size else {}


def decode(octets: bytes) -> Mapping[str, int]:
    """The fields by name; those beyond the end of `octets` are left out."""
    info: dict[str, int] = dict(zip(_BYTES, octets, strict=False))
    info["snd_wscale"], info["rcv_wscale"] = octets[6] & 15, octets[6] >> 4
    info["delivery_rate_app_limited"], info["fastopen_client_fail"] = octets[7] & 1, octets[7] >> 1 & 3
    for name, at, field in _FIELDS:
        if at + field.size <= len(octets):
            info[name] = field.unpack_from(octets, at)[0]
    return info
