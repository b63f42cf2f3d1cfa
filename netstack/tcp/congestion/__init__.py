"""Congestion control algorithms, by the names that TCP_CONGESTION takes."""

from collections.abc import Callable

from netstack.tcp.congestion.base import INFINITE, Chance, CongestionControl, Model
from netstack.tcp.congestion.bbr import Bbr
from netstack.tcp.congestion.cubic import Cubic
from netstack.tcp.congestion.reno import Reno

ALGORITHMS: dict[str, Callable[[int, Chance], CongestionControl]] = {
    "bbr": Bbr,
    "cubic": lambda initial_cwnd, _: Cubic(initial_cwnd),
    "reno": lambda initial_cwnd, _: Reno(initial_cwnd),
}
"""Name -> factory taking the initial window in segments and a random source."""

__all__ = ["ALGORITHMS", "INFINITE", "Chance", "CongestionControl", "Cubic", "Model", "Reno"]
