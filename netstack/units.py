"""Plain aliases and constants for quantities: they document, and cost nothing at run time."""

Micros = int
"""A time or duration in whole microseconds. Equality in tests is exact, and RFC 6298 is integer arithmetic."""
Octets = int
"""A count of 8-bit bytes, as the RFCs call them."""
Seq = int
"""An *unwrapped* sequence number: an int that never wraps; masked to 32 bits only on the wire (see `seq`)."""

MILLISECOND: Micros = 1_000
SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
