"""A network namespace without a name, with a TUN device (IP packets, no Ethernet) and settings that hold there only.

The namespace belongs to the process that enters it and goes when that process ends, however it ends: nothing to remove.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from pyroute2 import IPRoute

from netstack.units import Octets

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
TUNSETIFF = 0x4004_54CA
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
IFA_F_NODAD = 0x02
LOOPBACK = 1
NAME = "tun0"
SO_ATTACH_FILTER, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 26, 33, 35
ETH_P_ALL = 0x0003
QUEUE = 10_000
"""Packets; a full queue would look like congestion to TCP."""
RTAX = {
    "mtu": 2, "window": 3, "rtt": 4, "rttvar": 5, "ssthresh": 6, "cwnd": 7, "advmss": 8, "reordering": 9,
    "hoplimit": 10, "initcwnd": 11, "rto_min": 13, "initrwnd": 14, "quickack": 15, "congctl": 16,
    "fastopen_no_cookie": 17,
}  # fmt: skip
"""Linux's numbers of route metrics."""
RTAX_UNITS = {"rto_min": 1_000, "rtt": 125, "rttvar": 250}
"""Microseconds in one of Linux's units."""
FEATURE_ECN = 1
_OUTGOING_ONLY = struct.pack(
    "=HBBIHBBIHBBIHBBI",
    *(0x28, 0, 0, 0xFFFF_F004),  # load half-word: packet type
    *(0x15, 0, 1, 4),  # PACKET_OUTGOING, or skip one
    *(0x06, 0, 0, 0xFFFF_FFFF),  # all of it
    *(0x06, 0, 0, 0),  # nothing
)
"""A classic BPF program (four instructions of code, two jumps and an operand)."""
VNET = struct.Struct("<BBHHHH")
"""virtio_net_hdr in front of every packet."""


def enter_namespace() -> None:
    """Move this process, which has one thread, into a new network namespace. OSError when that is not permitted.

    Who is not root becomes root of a user namespace on the way, where those are allowed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not libc.unshare(CLONE_NEWNET):
        return
    code, uid, gid = ctypes.get_errno(), os.geteuid(), os.getegid()
    if code != errno.EPERM or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise OSError(code, f"cannot make a network namespace: {os.strerror(code)} (run as root)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def open_tun(address: bytes, prefix: int, mtu: Octets) -> int:
    """A TUN device, up, with this address and a route to everywhere. Its descriptor, not blocking.

    Offloads stay off (they need TUNSETOFFLOAD), so what leaves are segments as a wire would see them.
    """
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", NAME.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    family, flags = socket.AF_INET, {}
    if len(address) == 4:
        set_sysctl("net.ipv6.conf.all.disable_ipv6", "1")  # no router solicitations of its own
    else:
        family, flags = socket.AF_INET6, {"flags": IFA_F_NODAD}  # usable at once
    with IPRoute() as route:
        index = route.link_lookup(ifname=NAME)[0]
        route.link("set", index=LOOPBACK, state="up")
        route.link("set", index=index, state="up", mtu=mtu, txqlen=QUEUE)
        route.addr("add", index=index, address=socket.inet_ntop(family, address), prefixlen=prefix, **flags)
        route.route("add", dst="default", family=family, oif=index)
    return tun


def set_link(settings: Mapping[str, str], address: bytes) -> None:
    """`link.mtu`, `link.qdisc`, and `route.NAME`: metrics of the route to everywhere (times in microseconds)."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    with IPRoute() as route:
        index = route.link_lookup(ifname=NAME)[0]
        if "link.mtu" in settings:
            route.link("set", index=index, mtu=int(settings["link.mtu"]))
        if "link.qdisc" in settings:
            route.tc("replace", settings["link.qdisc"], index, "1:")
        metrics: dict[str, int | str] = {}
        lock = 0
        for name, value in settings.items():
            metric = name.removeprefix("route.")
            if metric == name:
                continue
            if metric.endswith("_lock"):
                lock |= 1 << RTAX[metric.removesuffix("_lock")]
            elif metric == "congctl":
                metrics["cc_algo"] = value
            elif metric == "features":
                metrics["features"] = FEATURE_ECN if value == "ecn" else 0
            elif metric in RTAX:
                metrics[metric] = int(value) // RTAX_UNITS.get(metric, 1)
        if metrics:
            metrics |= {"lock": lock} if lock else {}
            route.route("replace", dst="default", family=family, oif=index, metrics=metrics)


def set_sysctl(name: str, value: str) -> bool:
    """Set one sysctl of this namespace; False when there is no such thing. ValueError: it does not take `value`."""
    if not name.startswith("net.") or "/" in name or ".." in name:
        return False
    try:
        Path("/proc/sys", *name.split(".")).write_text(value + "\n")
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise ValueError(f"{name}={value}") from error
        return False
    return True


def open_sniffer() -> socket.socket:
    """A packet socket on the TUN device that stamps what it sees with the time: what leaves, and that alone.

    The filter keeps it from holding on to what arrives: Linux does not merge what it receives with packets that
    somebody else looks at, and its receive window would tell.
    """
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    program = ctypes.create_string_buffer(_OUTGOING_ONLY)
    sniffer.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(_OUTGOING_ONLY) // 8, ctypes.addressof(program))
    )
    sniffer.bind((NAME, ETH_P_ALL))
    sniffer.setblocking(False)
    sniffer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with contextlib.suppress(OSError):
        sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    return sniffer
