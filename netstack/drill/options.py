"""The `--name=value` options of a script, and what a script assumes about the world."""

from dataclasses import dataclass
from ipaddress import ip_address

from netstack.drill.nodes import Script, ScriptError
from netstack.drill.outcome import Unsupported
from netstack.units import Micros, Octets

LOCAL = {4: "192.168.0.1", 6: "fd3d:fa7b:d17d::1"}
REMOTE = {4: "192.0.2.1", 6: "2001:db8::1"}
PREFIX = {4: 16, 6: 48}
IP_VERSIONS = {"ipv4": 4, "ipv4-mapped-ipv6": 4, "ipv6": 6}
"""Mapped: sockets of IPv6, packets of IPv4, as if the sockets had been of IPv4 in the first place."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that change how a script is run; all others are accepted and have no effect."""

    tolerance: Micros = 4_000
    timestamp_tick: Micros | None = None
    strict_segments: bool = False
    mss: Octets = 0
    mtu: Octets = 1_500
    ip_version: int = 4
    local: str = ""
    remote: str = ""
    local_port: int = 8080
    remote_port: int = 8080
    init_scripts: str = ""
    mapped: bool = False

    @property
    def local_address(self) -> bytes:
        """Address octets of the end under test."""
        return ip_address(self.local or LOCAL[self.ip_version]).packed

    @property
    def remote_address(self) -> bytes:
        """Address octets of the end that the script plays."""
        return ip_address(self.remote or REMOTE[self.ip_version]).packed


def read_options(script: Script) -> Options:
    """The options at the top of `script`. ScriptError when a value makes no sense; Unsupported for a third IP."""
    found = dict(script.options)
    version = found.get("ip_version", "ipv4")
    if version not in IP_VERSIONS:
        raise Unsupported(f"--ip_version={version}")

    def number(name: str, default: int, least: int = 0) -> int:
        text = found.get(name, "")
        if name not in found:
            return default
        if not text.isdecimal() or int(text) < least:
            raise ScriptError(1, f"--{name}={text}: expected a number from {least} on")
        return int(text)

    def address(name: str) -> str:
        text = found.get(name, "")
        try:
            fits = not text or ip_address(text).version == IP_VERSIONS[version]
        except ValueError:
            fits = False
        if not fits:
            raise ScriptError(1, f"--{name}={text}: expected an address of {version}")
        return text

    return Options(
        tolerance=number("tolerance_usecs", 4_000),
        timestamp_tick=number("tcp_ts_tick_usecs", 0) or None,
        strict_segments=found.get("strict_segments", "0") not in ("0", "false"),
        mss=number("mss", 0),
        mtu=number("mtu", 1_500, least=68),
        ip_version=IP_VERSIONS[version],
        local=address("local_ip"),
        remote=address("remote_ip"),
        local_port=number("bind_port", 8080),
        remote_port=number("connect_port", 8080),
        init_scripts=found.get("init_scripts", ""),
        mapped=version == "ipv4-mapped-ipv6",
    )
