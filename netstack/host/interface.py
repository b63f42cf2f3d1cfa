"""The host's end of the TAP, through netlink: address, MTU, up; and whether the subnet is free to be used."""

import contextlib
import socket
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netstack.host.error import HostError, explain
from netstack.units import Octets

MAIN_TABLE, LOCAL_TABLE = 254, 255


def exists(name: str) -> bool:
    """Whether there is an interface of that name in this namespace."""
    with IPRoute() as route:
        return bool(route.link_lookup(ifname=name))


def delete(name: str) -> None:
    """Delete an interface; one that is gone is fine."""
    with IPRoute() as route:
        for index in route.link_lookup(ifname=name):
            with contextlib.suppress(NetlinkError):  # its owner may have been faster
                route.link("del", index=index)


def configure(name: str, host: IPv4Interface, mtu: Octets) -> bool:
    """Give the interface its address and MTU and bring it up; what is so already is left alone.

    True when an address was added that `deconfigure` should take away again. Raises HostError.
    """
    try:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=name)
            (link,) = route.get_links(index)
            if link.get_attr("IFLA_MTU") != mtu:
                route.link("set", index=index, mtu=mtu)
            added = host not in addresses(route, index)
            if added:
                route.addr("add", index=index, address=str(host.ip), prefixlen=host.network.prefixlen)
            if link["state"] != "up":
                route.link("set", index=index, state="up")
            return added
    except NetlinkError as error:
        raise explain(f"cannot set up {name} with {host}, MTU {mtu}", error) from error


def deconfigure(name: str, host: IPv4Interface) -> None:
    """Take an address away again, from an interface that was there before us and stays."""
    with IPRoute() as route, contextlib.suppress(NetlinkError):
        for index in route.link_lookup(ifname=name):
            route.addr("del", index=index, address=str(host.ip), prefixlen=host.network.prefixlen)


def addresses(route: Any, index: int) -> set[IPv4Interface]:
    """The IPv4 addresses of one interface."""
    found = route.get_addr(family=socket.AF_INET, index=index)
    return {IPv4Interface((a.get_attr("IFA_LOCAL") or a.get_attr("IFA_ADDRESS"), a["prefixlen"])) for a in found}


def check_free(name: str, host: IPv4Interface, stack: IPv4Address) -> None:
    """Raise HostError when this namespace reaches the subnet, or a part of it, other than through `name`.

    A wider route elsewhere is no conflict: ours is more specific and wins.
    """
    with IPRoute() as route:
        (ours,) = route.link_lookup(ifname=name)
        for entry in route.get_routes(family=socket.AF_INET):
            index, table = entry.get_attr("RTA_OIF"), entry.get_attr("RTA_TABLE")
            if index in (ours, None) or not entry.get_attr("RTA_DST"):
                continue
            destination = IPv4Network((entry.get_attr("RTA_DST"), entry["dst_len"]))
            if table == MAIN_TABLE and destination.subnet_of(host.network):
                wrong = f"{destination} is already routed"
            elif table == LOCAL_TABLE and stack in destination:
                wrong = f"{stack} is an address of this host"
            else:
                continue
            (link,) = route.get_links(index)
            other = "choose a free subnet with --address and --host-address, or a namespace with --netns"
            raise HostError(f"{wrong} through {link.get_attr('IFLA_IFNAME')}: {other}")
