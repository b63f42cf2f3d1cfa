"""The numbers of the two capture formats, pcap and pcapng, shared by reader and writer.

draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng describe them; link types are those of the tcpdump registry.
"""

from netstack.units import Octets

PCAP_MICROSECONDS, PCAP_NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
"""The first 32 bits of a pcap file, in the octet order of whoever wrote it."""
PCAP_VERSION = (2, 4)

SECTION_HEADER, INTERFACE, OBSOLETE_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
NAME_RESOLUTION, STATISTICS, SECRETS = 4, 5, 10
"""pcapng block types. The first reads the same in both octet orders."""
BYTE_ORDER = 0x1A2B3C4D
PCAPNG_VERSION = (1, 0)

OPT_END, OPT_COMMENT = 0, 1
SHB_HARDWARE, SHB_OS, SHB_USERAPPL = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_IPV4, IF_MAC, IF_TSRESOL, IF_OS, IF_TSOFFSET, IF_HARDWARE = 2, 3, 4, 6, 9, 12, 14, 15
ISB_STARTTIME, ISB_ENDTIME, ISB_IFRECV = 2, 3, 4
EPB_FLAGS = 2
EPB_INBOUND, EPB_OUTBOUND = 1, 2
NAME_OF_IPV4 = 1
"""Type of a record in a name resolution block."""
TLS_KEY_LOG = 0x544C534B
"""Type of the secrets in a decryption secrets block: lines as in the file that SSLKEYLOGFILE names."""

NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = (
    0, 1, 12, 14, 101, 108, 113, 228, 229, 276,
)  # fmt: skip
"""Link types."""

MAX_SNAPLEN: Octets = 262_144
"""More than this of one packet and tcpdump and Wireshark take the file for damaged."""
MAX_BLOCK: Octets = 16 * 1024 * 1024
"""No honest pcapng block is longer."""


class CaptureError(ValueError):
    """A capture file that cannot be read (on); the message is one line that says where and why."""
