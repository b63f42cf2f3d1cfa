"""Sysctls to the stack's configuration: fields of TcpConfig bear the names, units differ."""

from dataclasses import fields, replace
from typing import Any

from netstack.config import TcpConfig
from netstack.drill.outcome import Unsupported
from netstack.tcp.congestion import ALGORITHMS
from netstack.tcp.fast_open import keys_from_text
from netstack.units import MILLISECOND, SECOND

PAGE = 4096
_PREFIX = "net.ipv4.tcp_"
_UNITS = {
    "fin_timeout": SECOND,
    "keepalive_time": SECOND,
    "keepalive_intvl": SECOND,
    "fastopen_blackhole_timeout": SECOND,
    "invalid_ratelimit": MILLISECOND,
    "mem": PAGE,
    "comp_sack_delay_ns": 1,
}
"""What one unit of a sysctl that is a time means, in microseconds."""
_OTHER_NAMES = {
    "net.core.somaxconn": "somaxconn",
    "net.core.rmem_max": "rmem_max",
    "net.core.wmem_max": "wmem_max",
    "net.ipv4.ip_local_port_range": "port_range",
    "net.ipv4.tcp_rto_min_us": "rto_min",
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": "fastopen_blackhole_timeout",
}
_ABSENT = {
    "net.ipv4.tcp_ecn": {"0", "2"},
    "net.ipv4.tcp_ecn_option": {"0", "1", "2"},
    "net.ipv4.tcp_mtu_probing": {"0"},
    "net.ipv4.tcp_thin_linear_timeouts": {"0"},
    "net.ipv4.tcp_abort_on_overflow": {"0"},
    "net.ipv4.tcp_stdurg": {"0"},
    "net.ipv4.tcp_rfc1337": {"0"},
    "net.ipv4.tcp_syncookies": {"0", "1"},
    "net.ipv4.tcp_recovery": {"1"},
    "net.ipv4.tcp_early_retrans": {"3"},
    "net.ipv4.tcp_frto": {"1", "2"},
    "net.ipv4.tcp_autocorking": {"0", "1"},
    "net.ipv4.tcp_shrink_window": {"0"},
    "net.ipv4.ip_no_pmtu_disc": {"0"},
    "net.ipv4.ip_default_ttl": {"64"},
}
"""Settings of Linux that have no field: the values that ask for nothing the stack does not do anyway."""


def apply(config: TcpConfig, settings: dict[str, str]) -> tuple[TcpConfig, list[str]]:
    """The configuration with these settings, and those that mean nothing here. Unsupported: one asks for too much."""
    known = {field.name: field.type for field in fields(TcpConfig)}
    changes: dict[str, Any] = {}
    ignored = []
    for name, value in settings.items():
        field = _OTHER_NAMES.get(name, name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else "")
        if field in known:
            changes[field] = _value(name, field, getattr(config, field), value)
        elif name in _ABSENT:
            if value not in _ABSENT[name]:
                raise Unsupported(f"{name}={value}")
        else:
            ignored.append(f"{name}={value}")
    if changes.get("congestion_control", config.congestion_control) not in ALGORITHMS:
        raise Unsupported(f"congestion control {changes['congestion_control']}")
    return replace(config, **changes), ignored


def _value(name: str, field: str, current: Any, text: str) -> Any:
    try:
        if field == "fastopen_key":
            keys_from_text(text)
        if isinstance(current, str):
            return text
        numbers = tuple(int(word, 0) for word in text.split())
    except ValueError:
        raise Unsupported(f"{name}={text}") from None
    if isinstance(current, tuple):
        if len(numbers) != len(current):
            raise Unsupported(f"{name}={text}")
        return tuple(number * _UNITS.get(field, 1) for number in numbers)
    if len(numbers) != 1:
        raise Unsupported(f"{name}={text}")
    if isinstance(current, bool):
        return numbers[0] != 0
    return numbers[0] * _UNITS.get(field, 1)
