"""Names that stand for numbers in filter expressions."""

from netstack.wire import tcp

CONSTANTS = {
    "tcpflags": 13, "tcp-fin": tcp.FIN, "tcp-syn": tcp.SYN, "tcp-rst": tcp.RST, "tcp-push": tcp.PSH,
    "tcp-ack": tcp.ACK, "tcp-urg": tcp.URG, "tcp-ece": tcp.ECE, "tcp-cwr": tcp.CWR,
    "icmptype": 0, "icmpcode": 1,
    "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
    "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13,
    "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
}  # fmt: skip
"""Offsets and values within a header, for `tcp[tcpflags] & tcp-syn != 0`."""

ETHERTYPES = {"ip": 0x0800, "arp": 0x0806, "rarp": 0x8035, "ip6": 0x86DD}
PROTOCOLS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmp6": 58, "pim": 103,
             "sctp": 132}  # fmt: skip

SERVICES = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68,
    "tftp": 69, "http": 80, "pop3": 110, "ntp": 123, "imap2": 143, "snmp": 161, "https": 443, "http-alt": 8080,
}  # fmt: skip
"""The ports that people call by name (as /etc/services does)."""
