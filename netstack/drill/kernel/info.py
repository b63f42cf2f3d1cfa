"""struct tcp_info of Linux (include/uapi/linux/tcp.h), decoded by name as far as the running kernel fills it in."""

from collections.abc import Mapping
from struct import Struct

_BYTES = ("state", "ca_state", "retransmits", "probes", "backoff", "options")
_WORDS = {
    "I": (
        "rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets", "last_data_sent",
        "last_ack_sent", "last_data_recv", "last_ack_recv", "pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh",
        "snd_cwnd", "advmss", "reordering", "rcv_rtt", "rcv_space", "total_retrans",
    ),
}  # fmt: skip
_LATER = (
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
)
_SIZES = {"H": 2, "I": 4, "Q": 8}
_HEAD = 8
"""Octets before the first 32-bit field: six bytes, then two of bit fields."""
LONGEST = 512


def _layout() -> list[tuple[str, int, Struct]]:
    fields = []
    at = _HEAD
    for kind, names in (*_WORDS.items(), *_LATER):
        for name in names:
            fields.append((name, at, Struct(f"<{kind}")))
            at += _SIZES[kind]
    return fields


_FIELDS = _layout()


def decode(octets: bytes) -> Mapping[str, int]:
    """The fields by name, without `tcpi_`; those beyond the end of `octets` are left out."""
    info: dict[str, int] = dict(zip(_BYTES, octets, strict=False))
    info["snd_wscale"], info["rcv_wscale"] = octets[6] & 15, octets[6] >> 4
    info["delivery_rate_app_limited"], info["fastopen_client_fail"] = octets[7] & 1, octets[7] >> 1 & 3
    for name, at, kind in _FIELDS:
        if at + kind.size <= len(octets):
            info[name] = kind.unpack_from(octets, at)[0]
    return info
