"""The stack on asyncio: `Interface` is the way in; the rest is what it is made of."""

from netstack.aio.driver import Driver
from netstack.aio.interface import Interface
from netstack.aio.server import Server
from netstack.aio.transport import StackTransport

__all__ = ["Driver", "Interface", "Server", "StackTransport"]
