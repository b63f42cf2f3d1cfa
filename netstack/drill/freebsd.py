"""What scripts written for FreeBSD set, in Linux's terms: sysctls below net.inet.tcp, socket options, names.

Each setting was weighed: one that Linux has an equivalent of becomes that; one that asks for another behaviour than any
here refuses the script; all others (caches, statistics, memory, switches of FreeBSD's own code) change nothing that a
script can see of the exchange itself, so the script is run without them, and what it expects decides.
"""

from collections.abc import Callable, Mapping

from netstack.drill.outcome import Unsupported

_TCP = "net.inet.tcp."
_LINUX = "net.ipv4.tcp_"

Translation = Callable[[int], Mapping[str, str]]


def _same(name: str) -> Translation:
    return lambda value: {_LINUX + name: str(value)}


def _microseconds(name: str) -> Translation:
    """FreeBSD's unit is a millisecond."""
    return lambda value: {_LINUX + name: str(value * 1_000)}


def _seconds(name: str) -> Translation:
    """From milliseconds, to the next whole second."""
    return lambda value: {_LINUX + name: str(max(1, -(-value // 1_000)))}


def _when_set(name: str, then: int) -> Translation:
    return lambda value: {_LINUX + name: str(then)} if value else {}


def _only(*accepted: int) -> Translation:
    """The values that ask for what is done anyway."""

    def check(value: int) -> Mapping[str, str]:
        if value not in accepted:
            raise Unsupported("")
        return {}

    return check


def _extensions(value: int) -> Mapping[str, str]:
    """net.inet.tcp.rfc1323: 0 neither, 1 both, 2 the window scale alone, 3 timestamps alone."""
    return {_LINUX + "window_scaling": str(int(value in (1, 2))), _LINUX + "timestamps": str(int(value in (1, 3)))}


def _ecn(value: int) -> Mapping[str, str]:
    """0 never, 1 ask, 2 agree; 3 and 4 the same with accurate ECN (RFC 9768), which has no option there."""
    settings = {_LINUX + "ecn": {3: "3", 4: "5"}.get(value, str(value))}
    return {**settings, _LINUX + "ecn_option": "0"} if value in (3, 4) else settings


def _initial_window(value: int) -> Mapping[str, str]:
    if not value:
        raise Unsupported("")  # then it depends on the MSS
    return {"route.initcwnd": str(value)}


_NUMBERS: dict[str, Translation] = {
    "rfc1323": _extensions,
    "sack.enable": _same("sack"),
    "ecn.enable": _ecn,
    "syncookies": lambda value: {_LINUX + "syncookies": str(int(value != 0))},
    "syncookies_only": _when_set("syncookies", 2),
    "syncache.rexmtlimit": _same("synack_retries"),
    "delayed_ack": lambda value: {"route.quickack": str(int(not value))},
    "delacktime": _microseconds("delack_us"),
    "rexmit_initial": _microseconds("rto_initial_us"),
    "rexmit_min": _microseconds("rto_min_us"),
    "rexmit_max": _same("rto_max_ms"),
    "keepidle": _seconds("keepalive_time"),
    "keepintvl": _seconds("keepalive_intvl"),
    "keepcnt": _same("keepalive_probes"),
    "finwait2_timeout": _seconds("fin_timeout"),
    "msl": lambda value: {_LINUX + "timewait_us": str(2 * value * 1_000)},
    "initcwnd_segments": _initial_window,
    "path_mtu_discovery": lambda value: {"net.ipv4.ip_no_pmtu_disc": str(int(not value))},
    "pmtud_blackhole_detection": lambda value: {_LINUX + "mtu_probing": str(int(value != 0))},
    "mssdflt": _same("default_mss"),
    "cc.abe": _same("abe"),
    "fastopen.server_enable": _when_set("fastopen", 3),
    "fastopen.client_enable": _when_set("fastopen", 1),
    "fastopen.acceptany": _when_set("fastopen", 0x203),
    "maxtcptw": _same("max_tw_buckets"),
    "recvbuf_auto": lambda value: {_LINUX + "moderate_rcvbuf": str(int(value != 0))},
    "blackhole": _only(0),
    "blackhole_local": _only(0),
    "udp_tunneling_port": _only(0),
    "insecure_rst": _only(0),
    "insecure_syn": _only(0),
}


def translated(name: str, value: str) -> dict[str, str]:
    """The settings that mean the same on Linux; itself where nothing does, which is then told as ignored.

    Unsupported: it asks for what nobody here does.
    """
    if not name.startswith(("net.inet", "kern.", "net.link.")):
        return {name: value}
    if name == "net.inet.ip.ttl":
        return {"net.ipv4.ip_default_ttl": value}
    if name == "kern.ipc.maxsockbuf":
        return {"net.core.rmem_max": value, "net.core.wmem_max": value}
    short = name.removeprefix(_TCP)
    if short == "cc.algorithm":
        return {_LINUX + "congestion_control": ALGORITHMS.get(value, value)}
    if short not in _NUMBERS:
        return {name: value}
    try:
        return dict(_NUMBERS[short](int(value, 0)))
    except (ValueError, Unsupported):
        raise Unsupported(f"{name}={value}") from None


ALIASES = {
    "TCP_NOPUSH": "TCP_CORK", "SO_REUSEPORT_LB": "SO_REUSEPORT", "FIONWRITE": "SIOCOUTQ",
    "TCPS_CLOSED": "TCP_CLOSE", "TCPS_LISTEN": "TCP_LISTEN", "TCPS_SYN_SENT": "TCP_SYN_SENT",
    "TCPS_SYN_RECEIVED": "TCP_SYN_RECV", "TCPS_ESTABLISHED": "TCP_ESTABLISHED", "TCPS_CLOSE_WAIT": "TCP_CLOSE_WAIT",
    "TCPS_FIN_WAIT_1": "TCP_FIN_WAIT1", "TCPS_CLOSING": "TCP_CLOSING", "TCPS_LAST_ACK": "TCP_LAST_ACK",
    "TCPS_FIN_WAIT_2": "TCP_FIN_WAIT2", "TCPS_TIME_WAIT": "TCP_TIME_WAIT",
}  # fmt: skip
"""FreeBSD's names for what Linux has under others."""

ALGORITHMS = {"newreno": "reno"}
"""Congestion control by FreeBSD's name, where Linux has another for it."""
WITHOUT_EFFECT = {
    "SO_NOSIGPIPE", "SO_NO_OFFLOAD", "SO_NO_DDP", "SO_USELOOPBACK", "SO_SETFIB", "SO_USER_COOKIE", "SO_TS_CLOCK",
    "TCP_FUNCTION_BLK", "TCP_FUNCTION_ALIAS", "TCP_LOG", "TCP_LOGBUF", "TCP_LOGID", "TCP_LOGDUMP", "TCP_LOGDUMPID",
    "TCP_LOG_TAG", "TCP_LOG_LIMIT", "TCP_PROC_ACCOUNTING", "TCP_STATS", "TCP_HDWR_RATE_CAP", "TCP_USE_CMP_ACKS",
}  # fmt: skip
"""Socket options of FreeBSD's that may be set: they choose between implementations there, log, or account."""
