"""The layers of a stack at one moment: counters, drops by reason, tables and memory, from the device up to TCP."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from netstack.link.fault import Impairment
from netstack.wire import pretty

if TYPE_CHECKING:
    from netstack.stack import Stack

Layer = dict[str, Any]
_GROUPS = {"ip": "Ip", "icmp": "Icmp", "udp": "Udp", "tcp": "Tcp"}
"""Layer -> how the names of its counters begin (IpExt, TcpExt ... included)."""
_DROPS = {"ethernet": "ethernet", "arp": "arp", "neighbor": "arp", "ipv4": "ip", "icmp": "icmp", "udp": "udp",
          "tcp": "tcp"}  # fmt: skip
"""What stands before the dot in a reason -> the layer that dropped."""


def layers(stack: Stack) -> dict[str, Layer]:
    """Each layer of `stack` by name: device, ethernet, arp, ip, icmp, udp, tcp. JSON-ready.

    Each has `drops` (reason -> count); those with counters of nstat's have them, unless 0, as `counters`. Besides:
    device `mtu offload`, and `path` (what became of the frames, each way) when it is impaired; ethernet `mac`; arp
    `neighbors`; ip `address routes path_mtus reassembly`; udp `endpoints`; tcp `states` (state -> how many),
    `listeners`, `memory`, `queues`.
    """
    counters = {name: count for name, count in stack.counters.snapshot().items() if count}
    drops = stack.counters.drops
    found: dict[str, Layer] = {"device": _device(stack.device)}
    own = {
        "ethernet": {"mac": pretty.mac(stack.link.mac)}, "arp": _arp(stack), "ip": _ip(stack), "icmp": {},
        "udp": {"endpoints": len(list(stack.udp.endpoints()))}, "tcp": _tcp(stack),
    }  # fmt: skip
    for name, special in own.items():
        found[name] = {"drops": {why: n for why, n in sorted(drops.items()) if layer_of(why) == name}, **special}
        if name in _GROUPS:
            found[name]["counters"] = {key: counters[key] for key in sorted(counters) if key.startswith(_GROUPS[name])}
    return found


def layer_of(reason: str) -> str:
    """The layer that drops for `reason` (`tcp.no_listener`); "device" for what no layer of ours counts."""
    return _DROPS.get(reason.partition(".")[0], "device")


def _device(device: Any) -> Layer:
    """The outermost device's size; what it and those it wraps lost, and what an imperfect path did to the frames."""
    found: Layer = {"mtu": device.mtu, "offload": device.offload}
    drops: Counter[str] = Counter()
    while device is not None:
        drops.update(getattr(device, "drops", {}))
        if isinstance(device, Impairment):
            found["path"] = {"inbound": dict(device.inbound.counts), "outbound": dict(device.outbound.counts)}
        device = getattr(device, "inner", None)
    return {"drops": dict(sorted(drops.items())), **found}


def _arp(stack: Stack) -> Layer:
    now = stack.now
    return {
        "neighbors": [
            {
                "address": pretty.address(neighbor.address),
                "mac": pretty.mac(neighbor.mac),
                "state": neighbor.state.value,
                "confirmed": max(now - neighbor.confirmed_at, 0) if neighbor.confirmed_at >= 0 else None,
                "queued": len(neighbor.queue),
            }
            for neighbor in stack.arp.neighbors.entries.values()
        ]
    }


def _ip(stack: Stack) -> Layer:
    ip = stack.ip
    return {
        "address": str(stack.config.address),
        "routes": [
            {
                "network": f"{pretty.address(route.network)}/{route.prefix_len}",
                "kind": route.kind.value,
                "gateway": pretty.address(route.gateway) if route.gateway else None,
                "source": pretty.address(route.source) if route.source else None,
            }
            for route in ip.routes.routes()
        ],
        "path_mtus": {pretty.address(address): mtu for address, mtu in ip.pmtu.items()},
        "reassembly": {"datagrams": len(ip.reassembly), "memory": ip.reassembly.used},
    }


def _tcp(stack: Stack) -> Layer:
    tcp = stack.tcp
    low, pressure, high = tcp.config.mem
    memory = {
        "used": tcp.memory.used, "pressed": tcp.memory.pressed, "orphans": tcp.memory.orphans,
        "low": low, "pressure": pressure, "high": high,
    }  # fmt: skip
    return {
        "states": dict(Counter(str(conn.state) for conn in tcp.connections.values())),
        "listeners": len(tcp.listeners),
        "memory": memory,
        "queues": {"ready": len(tcp.ready), "upcalls": len(tcp.upcalls)},
    }
