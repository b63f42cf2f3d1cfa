"""What to tell the user once the stack is up: where it is, and a command that reaches it from where they are."""

import os
from pathlib import Path

from netstack import __version__
from netstack.link.tap import TapDevice
from netstack.service.plan import Plan

IDENTITY_MAP = ["0", "0", str(2**32 - 1)]
"""/proc/self/uid_map of a process in the initial user namespace (user_namespaces(7))."""


def how_to_reach(plan: Plan, tap: TapDevice) -> list[str]:
    """The lines shown when everything is ready."""
    where = f"{tap.name} in {plan.netns}" if plan.netns else tap.name
    offload = "offload" if tap.offload else "no offload"
    lines = [f"netstack {__version__}: {plan.stack} on {where}, host {plan.host.ip}, MTU {plan.mtu}, {offload}"]
    if plan.impaired:
        lines.append(f"the path is impaired, repeatably with --seed {plan.seed}")
    prefix = entering(plan.netns)
    lines.append(f"serving on {plan.url}   (Ctrl-C stops)")
    # The certificate may be anybody's: who made it knows how to have it believed.
    lines.append(f"  {prefix}curl {'' if plan.tls is None else '-k '}{plan.url}")
    if plan.page_url is not None:
        lines.append(f"live page on {plan.page_url}   (in a browser{', there' if prefix else ''})")
    return lines


def entering(netns: str | None) -> str:
    """What to put before a command so that it runs where the TAP is, with a space; empty when we are all there."""
    sudo = "sudo " if os.environ.get("SUDO_USER") else ""
    if netns is not None:
        return f"{sudo}ip netns exec {netns} "
    if same_network_as_session():
        return ""
    own_user = Path("/proc/self/uid_map").read_text().split() != IDENTITY_MAP
    return f"{sudo}nsenter -t {os.getpid()} {'-U --preserve-credentials ' if own_user else ''}-n "


def same_network_as_session() -> bool:
    """Whether the shell of the terminal that we were started from is in our network namespace.

    The session's first process, not our parent: `unshare -n make up` is in another one than the user's next terminal.
    One that we may not look at is in another one.
    """
    try:
        return os.stat(f"/proc/{os.getsid(0)}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return False
