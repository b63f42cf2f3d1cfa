"""Sysctls to the stack's configuration: fields of TcpConfig bear the names, units differ."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from netstack.config import Config, TcpConfig
from netstack.drill.outcome import Unsupported
from netstack.tcp.congestion import ALGORITHMS
from netstack.tcp.fast_open import keys_from_text
from netstack.units import MILLISECOND, SECOND

PAGE = 4096
LEAST_MTU = 68
"""RFC 791 3.2: every link carries that much."""
_PREFIX = "net.ipv4.tcp_"
_UNITS = {
    "fin_timeout": SECOND,
    "probe_interval": SECOND,
    "min_rtt_wlen": SECOND,
    "keepalive_time": SECOND,
    "keepalive_intvl": SECOND,
    "fastopen_blackhole_timeout": SECOND,
    "invalid_ratelimit": MILLISECOND,
    "mem": PAGE,
}
"""What one unit of a sysctl that is a time means, in microseconds."""
_OTHER_NAMES = {
    "net.core.somaxconn": "somaxconn",
    "net.core.rmem_max": "rmem_max",
    "net.core.wmem_max": "wmem_max",
    "net.ipv4.ip_local_port_range": "port_range",
    "net.ipv4.tcp_comp_sack_delay_ns": "comp_sack_delay",
    "net.ipv4.tcp_comp_sack_slack_ns": "comp_sack_slack",
    "net.ipv4.tcp_rto_min_us": "rto_min",
    "net.ipv4.tcp_rto_max_ms": "rto_max",
    "net.ipv4.tcp_rto_initial_us": "initial_rto",
    "net.ipv4.tcp_timewait_us": "timewait_len",
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": "fastopen_blackhole_timeout",
    "route.advmss": "advmss",
    "route.initcwnd": "initial_cwnd",
    "route.initrwnd": "initial_rwnd",
    "route.window": "window_clamp",
    "route.rto_min": "rto_min",
    "route.congctl": "congestion_control",
    "route.reordering": "reordering",
}
_OF_THE_STACK = {
    "net.ipv4.ip_default_ttl": "default_ttl",
    "route.hoplimit": "default_ttl",
    "link.mtu": "mtu",
    "route.mtu": "mtu",
}
"""Fields of Config itself."""
_ACK_DELAYS = {"route.quickack", "net.ipv4.tcp_delack_us"}
_QDISC = "link.qdisc"
"""Not the stack's: fq paces every connection, which is an option of its socket here."""
_ABSENT: dict[str, set[str]] = {
    "net.ipv4.tcp_abc": {"0"},
    "net.ipv4.tcp_app_win": {"0", "31"},
    "net.ipv4.tcp_tw_recycle": {"0"},
    "net.ipv4.tcp_plb_enabled": {"0"},
    "net.ipv4.tcp_reflect_tos": {"0"},
    "net.ipv4.tcp_thin_dupack": {"0"},
    "net.ipv4.tcp_thin_linear_timeouts": {"0"},
    "net.ipv4.tcp_workaround_signed_windows": {"0"},
    "net.ipv4.ip_no_pmtu_disc": {"0"},
    "route.features": {"0", "none"},
    "route.fastopen_no_cookie": {"0"},
}
"""Settings of Linux that have no field: the values that ask for nothing the stack does not do anyway."""
_WITHOUT_EFFECT = {
    # What the stack has no use for: it has no queues between TCP and the device, no caches of routes' past, one core.
    "adv_win_scale", "allowed_congestion_control", "available_congestion_control", "autocorking", "backlog_ack_defer",
    "child_ehash_entries", "early_demux", "ehash_entries", "fack", "fwmark_accept", "l3mdev_accept",
    "limit_output_bytes", "low_latency", "max_ssthresh", "metrics_save", "no_metrics_save",
    "no_ssthresh_metrics_save", "migrate_req", "tso_rtt_log", "retrans_collapse", "dma_copybreak",
    "plb_idle_rehash_rounds", "plb_rehash_rounds",
    "plb_suspend_rto_sec", "plb_cong_thresh", "frto_response", "ao_required",
    "tw_reuse_delay", "hystart_detect",
}  # fmt: skip


def apply(config: Config, settings: Mapping[str, str]) -> tuple[Config, list[str]]:
    """The configuration with these settings, and those that mean nothing here. Unsupported: one asks for too much."""
    known = {field.name for field in fields(TcpConfig)}
    tcp: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    ignored = []
    for name, value in settings.items():
        short = name.removeprefix(_PREFIX)
        field = _OTHER_NAMES.get(name, short if short != name else "")
        if name in _ACK_DELAYS:
            tcp.update(_ack_delay(name, value))
        elif name in _OF_THE_STACK:
            whole[_OF_THE_STACK[name]] = _numbers(name, value)[0]
        elif field in known:
            tcp[field] = _value(name, field, getattr(config.tcp, field), value)
        elif name in _ABSENT:
            if value not in _ABSENT[name]:
                raise Unsupported(f"{name}={value}")
        elif name.startswith(("route.", "link.")) and name != _QDISC:
            raise Unsupported(f"{name}={value}")
        elif short not in _WITHOUT_EFFECT and name != _QDISC:
            ignored.append(f"{name}={value}")
    if whole.get("mtu", LEAST_MTU) < LEAST_MTU:
        raise Unsupported(f"an MTU of {whole['mtu']}")
    if tcp.get("congestion_control", config.tcp.congestion_control) not in ALGORITHMS:
        raise Unsupported(f"congestion control {tcp['congestion_control']}")
    if tcp.get("orphan_retries") == 0:
        tcp["orphan_retries"] = TcpConfig().orphan_retries  # Linux's 0 means its default
    return replace(config, tcp=replace(config.tcp, **tcp), **whole), ignored


def _ack_delay(name: str, value: str) -> dict[str, int]:
    """How long ACKs may wait: not at all on a route with quickack, and 0 there means as usual."""
    (number,) = _numbers(name, value)[:1]
    if name == "route.quickack":
        return {"delack_min": 1, "delack_max": 1} if number else {}
    return {"delack_min": max(number, 1), "delack_max": max(number, 1)}


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word, 0) for word in text.split())
    except ValueError:
        raise Unsupported(f"{name}={text}") from None


def _value(name: str, field: str, current: Any, text: str) -> Any:
    if field == "fastopen_key":
        try:
            keys_from_text(text)
        except ValueError:
            raise Unsupported(f"{name}={text}") from None
    if isinstance(current, str):
        return text
    numbers = _numbers(name, text)
    if isinstance(current, tuple):
        if len(numbers) != len(current):
            raise Unsupported(f"{name}={text}")
        return tuple(number * _UNITS.get(field, 1) for number in numbers)
    if len(numbers) != 1:
        raise Unsupported(f"{name}={text}")
    if isinstance(current, bool):
        return numbers[0] != 0
    if name.endswith("_ns"):
        return numbers[0] // 1000
    return numbers[0] * (MILLISECOND if name.endswith("_ms") else _UNITS.get(field, 1))
