"""The TAP device: Ethernet frames to and from the host kernel, with checksum and segmentation offload."""

import errno
import os
import sys
from fcntl import ioctl

import pytun

from netstack.counters import Tally
from netstack.link.device import MAX_FRAME, VNET_LEN
from netstack.units import Micros, Octets

# linux/if_tun.h; the numbers are those of every architecture with the generic ioctl encoding
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
TUNSETVNETLE = 0x400454DC
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 1, 2, 4, 8
FLAGS = pytun.IFF_TAP | pytun.IFF_NO_PI | pytun.IFF_VNET_HDR
IFNAMSIZ = 16

_REASONS = {
    errno.ENOENT: "there is no /dev/net/tun (load it with: modprobe tun)",
    errno.ENODEV: "the kernel has no TUN/TAP driver (load it with: modprobe tun)",
    errno.EACCES: "may not open /dev/net/tun (run with sudo)",
    errno.EPERM: "not permitted (run with sudo, or make the TAP yours: ip tuntap add NAME mode tap user YOU)",
    errno.EBUSY: "in use by another program (choose another name)",
    errno.EINVAL: "an interface of that name exists and is not a TAP, or the name cannot be one (choose another name)",
}


JOINED: Octets = 2_048
"""Payloads below this are cheaper copied behind their header than gathered by writev."""


class TapDevice:
    """A Device on /dev/net/tun, opened with IFF_VNET_HDR in the current network namespace.

    `offload=True` asks the kernel for partial checksums and super-segments in both directions; where it refuses, or
    with `offload=False`, frames are complete in both directions and `offload` reads False. `name` is the name the
    kernel gave (an empty one lets it choose). The interface is neither brought up nor given addresses here.

    `drops` counts frames that the kernel did not take, by reason ("tap.write_EIO": the interface is down), and
    failed reads. `gone` turns True when the interface was deleted under us: nothing will ever be read again, though
    the descriptor stays readable to an event loop.

    Raises OSError with one line that says what to do when the TAP cannot be had.
    """

    __slots__ = ("_fd", "_tun", "drops", "gone", "mtu", "name", "offload")

    def __init__(self, name: str = "", mtu: Octets = 1500, offload: bool = True) -> None:
        if len(name.encode()) >= IFNAMSIZ:
            raise OSError(errno.EINVAL, f"interface name longer than {IFNAMSIZ - 1} octets", name)
        try:
            tun = pytun.TunTapDevice(name, flags=FLAGS)
        except OSError as error:
            raise _explained(error, name) from None
        self._tun = tun
        self._fd: int = tun.fileno()
        self.name: str = tun.name
        self.drops = Tally()
        self.gone = False
        try:
            os.set_blocking(self._fd, False)
            # A persistent TAP keeps what its last owner set: say everything, defaults included.
            ioctl(self._fd, TUNSETVNETHDRSZ, VNET_LEN.to_bytes(4, sys.byteorder))
            ioctl(self._fd, TUNSETVNETLE, (1).to_bytes(4, sys.byteorder))
            self.offload = self._negotiate(offload)
            self.mtu = mtu
            if tun.mtu != mtu:  # only root may change it; a TAP that root made for a user has the right one already
                tun.mtu = mtu
        except OSError as error:
            self.close()
            reason = error.strerror or str(error)
            raise OSError(error.errno or errno.EINVAL, f"cannot set up the TAP: {reason}", name) from None

    def _negotiate(self, wanted: bool) -> bool:
        if wanted:
            try:
                ioctl(self._fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
                return True
            except OSError:  # a kernel without them: the plain path does everything
                pass
        ioctl(self._fd, TUNSETOFFLOAD, 0)
        return False

    def read(self, now: Micros) -> bytes | None:
        """The next frame that the kernel sent, or None: nothing waits, or the interface is down."""
        try:
            return os.read(self._fd, MAX_FRAME)
        except BlockingIOError:
            return None
        except OSError as error:
            self._count("read", error)
            return None

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Hand `head + payload` to the kernel; what it does not take is lost, as on any link, and counted."""
        try:
            if len(payload) < JOINED:
                os.write(self._fd, head + payload if payload else head)
            else:
                os.writev(self._fd, (head, payload))
        except OSError as error:
            self._count("write", error)

    def _count(self, verb: str, error: OSError) -> None:
        code = error.errno or 0
        if code == errno.EBADFD:  # the kernel's word for: no interface behind this descriptor any more
            self.gone = True
        self.drops[f"tap.{verb}_{errno.errorcode.get(code, str(code))}"] += 1

    def deadline(self) -> Micros | None:
        """None: the kernel says when there is something to read."""
        return None

    def expire(self, now: Micros) -> None:
        """Nothing is ever due here."""

    def fileno(self) -> int:
        """The descriptor to watch for readability; -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor; the interface goes with it unless it was made persistent by someone else."""
        if self._fd >= 0:
            self._fd = -1
            self._tun.close()


def _explained(error: OSError, name: str) -> OSError:
    code = error.errno or errno.EINVAL
    reason = _REASONS.get(code, error.strerror or str(error))
    return OSError(code, f"cannot open the TAP: {reason}", name or None)
