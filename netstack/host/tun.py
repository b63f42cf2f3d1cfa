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
from pathlib import Path

from pyroute2 import IPRoute

from netstack.units import Octets

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
TUNSETIFF = 0x4004_54CA
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
IFA_F_NODAD = 0x02
LOOPBACK = 1
NAME = "tun0"
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
ETH_P_ALL = 0x0003
QUEUE = 10_000
"""Packets; a full queue would look like congestion to TCP."""
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


def set_sysctl(name: str, value: str) -> bool:
    """Set one sysctl of this namespace; False when there is no such thing here, or not that value."""
    if not name.startswith("net.") or "/" in name or ".." in name:
        return False
    with contextlib.suppress(OSError):
        Path("/proc/sys", *name.split(".")).write_text(value + "\n")
        return True
    return False


def open_sniffer() -> socket.socket:
    """A packet socket on the TUN device that stamps what it sees with the time."""
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sniffer.bind((NAME, ETH_P_ALL))
    sniffer.setblocking(False)
    sniffer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with contextlib.suppress(OSError):
        sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    return sniffer
