"""The host's side of the link: a TAP in a namespace, its address, MTU and routes, put back as it was whatever happens.

`network` does all of it and undoes it; `record` remembers what a run made, so that `netstack down` can remove what a
killed one left. Nothing of the stack is known here, and the core knows nothing of this package.
"""

from netstack.host.error import HostError
from netstack.host.network import Network, network

__all__ = ["HostError", "Network", "network"]
