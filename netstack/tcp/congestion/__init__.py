"""Congestion control algorithms, by the names that TCP_CONGESTION takes."""

from collections.abc import Callable

from netstack.tcp.congestion.base import INFINITE, CongestionControl
from netstack.tcp.congestion.cubic import Cubic
from netstack.tcp.congestion.reno import Reno

ALGORITHMS: dict[str, Callable[[int], CongestionControl]] = {"cubic": Cubic, "reno": Reno}
"""Name -> factory taking the initial window in segments."""

__all__ = ["ALGORITHMS", "INFINITE", "CongestionControl", "Cubic", "Reno"]
