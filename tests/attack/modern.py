"""The fights of `fuzz` for Fast Open (RFC 7413) and accurate ECN (RFC 9768): cookies good and bad, data on SYNs, marks.

    python -m tests.attack.modern --seeds 1000 --first 0
"""

from __future__ import annotations

import sys
from dataclasses import replace
from random import Random
from typing import Any

from netstack.link.device import NO_OFFLOAD
from netstack.tcp import fast_open_client
from netstack.tcp.fast_open import cookie
from netstack.units import SECOND
from netstack.wire import tcp, tcp_options
from tests.attack.fuzz import PORTS, TEXT, US, Fight, main

ACE = tcp.AE | tcp.CWR | tcp.ECE


class ModernFight(Fight):
    """A stack that allows all of it, and a peer who lies about it."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        more = self.more = Random(rng.getrandbits(32))
        config = replace(
            self.tcp.config,
            ecn=more.choice((1, 2, 3, 3, 3, 4, 5)),
            ecn_option=more.choice((0, 1, 2)),
            ecn_option_beacon=more.choice((0, 3)),
            ecn_fallback=more.random() < 0.8,
            fastopen=more.choice((3, 0x203, 0x607, 0x207)),
            fastopen_blackhole_timeout=more.choice((0, 10 * SECOND)),
        )
        self.tcp.config = config
        self.stack.config = replace(self.stack.config, tcp=config)
        for listener in self.listeners:
            listener.options.fastopen = more.choice((0, 1, 4, 16))
        self.steps += [(6, self.fast_syn), (3, self.fast_connect)]

    def send_ip(
        self, pair: bytes, protocol: int, payload: bytes, vnet: bytes = NO_OFFLOAD, **fields: Any
    ) -> None:
        """With a codepoint of ECN."""
        fields.setdefault("tos", self.more.choice((0, 0, 1, 2, 2, 2, 3)))
        super().send_ip(pair, protocol, payload, vnet, **fields)

    def send_tcp(
        self, key: bytes, seq: int, ack: int, flags: int, window: int, options: bytes, text: bytes, urgent: int = 0
    ) -> None:
        """With any ACE field, and often with counters."""
        more = self.more
        if not flags & tcp.SYN or more.random() < 0.5:
            flags = flags & ~ACE | more.randrange(8) << 6
        if more.random() < 0.4 and len(options) <= 28:
            counters = more.getrandbits(4), more.getrandbits(24), more.getrandbits(12)
            options += tcp_options.build_segment(None, (), counters)
        super().send_tcp(key, seq, ack, flags, window, options, text, urgent)

    def fast_syn(self) -> None:
        """A SYN with a cookie and data, or one of them, or neither."""
        more, source = self.more, self.someone()
        key = source + US + more.randrange(1, 2_000).to_bytes(2, "big") + more.choice(PORTS).to_bytes(2, "big")
        good = cookie(self.tcp.fast_open_keys, source + US)
        shown = more.choice((None, b"", good, good, more.randbytes(8)))
        stamps = more.choice((None, (1, 0)))
        options = tcp_options.build_syn(more.choice((88, 536, 1_460)), 7, True, stamps, shown, more.random() < 0.2)
        text = TEXT[: more.choice((0, 1, 100, 1_000, 5_000))]
        flags = tcp.SYN | more.choice((0, ACE, tcp.CWR | tcp.ECE))
        self.send_tcp(key, more.getrandbits(32), 0, flags, self.window(), options, text)

    def fast_connect(self) -> None:
        """The user sends with the SYN, with whatever cookie is known."""
        more = self.more
        try:
            conn = self.tcp.connect(None, (self.someone(), more.choice((7, 80))), self.socket_options())
        except OSError:
            return
        self.mine.append(conn)
        conn.options.fastopen_no_cookie = more.random() < 0.5
        if more.random() < 0.5:
            known = self.tcp.fast_open_cache.learn(conn.path.destination)
            known.cookie, known.mss = more.randbytes(8), more.choice((0, 88, 536, 1_460))
        if more.random() < 0.3 and fast_open_client.defer(conn) and more.random() < 0.5:
            return
        taken = fast_open_client.send(conn, TEXT[: more.choice((0, 1, 500, 5_000))])
        self.note(f"| connect {conn.local[1]} > {conn.remote} with {taken}")


if __name__ == "__main__":
    sys.exit(main("A long campaign with Fast Open and accurate ECN.", ModernFight))
