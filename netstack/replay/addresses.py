"""Which addresses a replay uses: the recorded ones, unless no host on a link can have them."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from netstack.replay.conversation import Conversation, Endpoint

STAND_INS = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
"""Client and server, where the recorded addresses are loopback's, the same, or nobody's."""


def link_of(conversation: Conversation) -> tuple[Endpoint, Endpoint, IPv4Interface]:
    """Client, server, the stack's address in the smallest network that holds both."""
    client, server = IPv4Address(conversation.client[0]), IPv4Address(conversation.server[0])
    if replaced(conversation):
        client, server = STAND_INS
    prefix = 30
    while not _both_hosts(IPv4Network((server, prefix), strict=False), client, server):
        prefix -= 1
    ends = (client.packed, conversation.client[1]), (server.packed, conversation.server[1])
    return *ends, IPv4Interface((server, prefix))


def replaced(conversation: Conversation) -> bool:
    """Whether the recorded addresses cannot be kept."""
    client, server = IPv4Address(conversation.client[0]), IPv4Address(conversation.server[0])
    return client == server or not (_is_host(client) and _is_host(server))


def _is_host(address: IPv4Address) -> bool:
    """Not 0/8, 127/8, multicast or beyond (RFC 1122 3.2.1.3)."""
    first = address.packed[0]
    return first not in (0, 127) and first < 224


def _both_hosts(network: IPv4Network, client: IPv4Address, server: IPv4Address) -> bool:
    ends = network.network_address, network.broadcast_address
    return client in network and client not in ends and server not in ends
