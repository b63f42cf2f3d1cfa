"""Network namespaces for tests: made under a name of their own, entered, and removed whatever happens.

Every test that touches a TAP or opens a kernel socket does it in here:

    with namespace() as ns:
        with ns.inside():                            # this thread: what it opens stays in the namespace
            tap = TapDevice("tap0")
        ns.configure("tap0", "192.0.2.1/24")
        ns.run("ping", "-c1", "192.0.2.2")           # a command in it

As root that is all. An ordinary user's process first moves, for good, into user, mount and network namespaces of its
own, where it is root over its own network namespaces and nothing else (see `become_root_of_our_own`).
"""

import contextlib
import ctypes
import errno
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute, netns

PREFIX = "netstack-test"
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x0002_0000, 0x1000_0000, 0x4000_0000
CAP_NET_ADMIN, CAP_SYS_ADMIN = 1 << 12, 1 << 21
_numbers = itertools.count(1)


class Namespace:
    """A network namespace with a name, and the processes started in it through `popen`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.processes: list[subprocess.Popen[str]] = []

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Move the calling thread into the namespace for the length of a with block.

        Sockets, TAPs and child processes made meanwhile belong to the namespace and stay there.
        """
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            netns.setns(self.name, flags=0)
            try:
                yield
            finally:
                netns.setns(before)
        finally:
            os.close(before)

    def run(self, *argv: str, check: bool = True, timeout: float = 30, **kwargs) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace to its end; its output is in .stdout and .stderr (text)."""
        with self.inside():
            return subprocess.run(argv, check=check, timeout=timeout, text=True, capture_output=True, **kwargs)

    def popen(self, *argv: str, **kwargs) -> subprocess.Popen[str]:
        """Start a command in the namespace; what still runs when the namespace goes is killed first."""
        with self.inside():
            process = subprocess.Popen(argv, text=True, **kwargs)
        self.processes.append(process)
        return process

    def configure(self, interface: str, *addresses: str) -> None:
        """Give an interface its addresses ("192.0.2.1/24") and bring it up."""
        with self.inside():
            _configure(interface, *addresses)

    def down(self, interface: str) -> None:
        """Bring an interface down."""
        with self.inside(), IPRoute() as route:
            route.link("set", index=route.link_lookup(ifname=interface)[0], state="down")

    def delete(self, interface: str) -> None:
        """Delete an interface."""
        with self.inside(), IPRoute() as route:
            route.link("del", index=route.link_lookup(ifname=interface)[0])

    def neighbor(self, interface: str, address: str, mac: str) -> None:
        """Enter a permanent neighbour, so that nobody asks for it."""
        with self.inside(), IPRoute() as route:
            (index,) = route.link_lookup(ifname=interface)
            route.neigh("replace", dst=address, lladdr=mac, ifindex=index, nud="permanent")

    def sysctl(self, path: str, value: object) -> None:
        """Set e.g. "net/ipv6/conf/all/disable_ipv6" in the namespace (only net/* is the namespace's own)."""
        with self.inside():
            Path("/proc/sys", path).write_text(str(value))

    def end_processes(self) -> None:
        """Kill what `popen` started and has not ended yet."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.processes.clear()


def _configure(interface: str, *addresses: str) -> None:
    with IPRoute() as route:
        (index,) = route.link_lookup(ifname=interface)
        for address in addresses:
            host, _, length = address.partition("/")
            route.addr("add", index=index, address=host, prefixlen=int(length))
        route.link("set", index=index, state="up")


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """A new network namespace with `lo` up; skips the test where there can be none (see `require_tap`)."""
    require_tap()
    _remove_stale()
    ns = Namespace(f"{PREFIX}-{os.getpid()}-{next(_numbers)}")
    netns.create(ns.name)
    try:
        ns.configure("lo")
        yield ns
    finally:
        try:
            ns.end_processes()
        finally:
            netns.remove(ns.name)


def require_tap() -> None:
    """Skip the calling test with one line where there can be no TAP in a namespace; fail if NETSTACK_REQUIRE_TAP=1."""
    reason = missing()
    if not reason:
        return
    if os.environ.get("NETSTACK_REQUIRE_TAP") == "1":
        pytest.fail(f"NETSTACK_REQUIRE_TAP=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def missing() -> str:
    """What stands in the way of a namespace with a TAP, in one line; empty when nothing does."""
    if not os.path.exists("/dev/net/tun"):
        return "no TAP: there is no /dev/net/tun (modprobe tun)"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "no TAP: may not open /dev/net/tun (run as root)"
    if not _may_make_namespaces():
        try:
            become_root_of_our_own()
        except OSError as error:
            return f"no network namespace: not root, and {error.strerror} (run as root)"
    return ""


def _may_make_namespaces() -> bool:
    """Root in a container may well not be allowed to: look at the capabilities, not at the uid."""
    status = dict(line.split(":", 1) for line in Path("/proc/thread-self/status").read_text().splitlines())
    return int(status["CapEff"], 16) & (wanted := CAP_NET_ADMIN | CAP_SYS_ADMIN) == wanted


def become_root_of_our_own() -> None:
    """Move this process into a user namespace where it is uid 0, with an empty /run and a loopback interface.

    There is no way back; files are still reached with the rights of the user who started us. Only a process with
    one thread can do it, so for pytest-xdist it has to happen before the workers start. Raises OSError.
    """
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        several = code == errno.EINVAL
        raise OSError(code, "this process has threads (pytest-xdist)" if several else "user namespaces are not allowed")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    # Names of network namespaces are mounts in /run/netns, and /run is not ours to write: put one of our own over it.
    if libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "a user namespace here may not mount")
    _configure("lo")


def _remove_stale() -> None:
    """Remove the namespaces of test runs that were killed before they could."""
    for name in netns.listnetns():
        prefix, _, rest = name.rpartition(f"{PREFIX}-")
        pid = rest.partition("-")[0]
        if not prefix and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(OSError):  # another run may have been faster
                netns.remove(name)
