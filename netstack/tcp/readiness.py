"""What a connection or listener tells its observer: a set of bits, OR-ed together."""

READABLE = 1
"""Octets in order, or the end of the stream, or an error is waiting; on a listener: a connection to accept."""
WRITABLE = 2
"""The connection opened, or the send buffer has room again."""
HANGUP = 4
"""Nothing will ever come or go any more: the connection is over."""
FAILED = 8
"""The connection ended in error: see `Connection.error`."""
