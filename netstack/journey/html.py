"""The journey as one self-contained page: the drawing, and a panel that takes the chosen step's frame apart.

Nothing is fetched from anywhere. Steps are chosen with the mouse or the arrow keys.
"""

import json
from html import escape
from importlib.resources import files
from typing import Any

from netstack.events import Variables
from netstack.journey import drawing
from netstack.journey.decode import decode
from netstack.journey.explain import explain, matters
from netstack.journey.steps import End, Step

SHOWN = 512
"""Octets of a frame that the page shows."""


def page(steps: list[Step], title: str, about: str) -> str:
    """The whole file; `about` is a line under the title."""
    body, height = drawing.rows(steps, 0, tooltips=False)
    parts = {
        "title": escape(title),
        "about": escape(about),
        "style": drawing.STYLE,
        "head": f"{drawing.opening(drawing.HEAD, 'lanes')}{drawing.names()}</svg>",
        "drawing": f"{drawing.opening(height, title)}{''.join(body)}</svg>",
        "data": json.dumps([_plain(step) for step in steps], separators=(",", ":")).replace("<", "\\u003c"),
    }
    text = files("netstack.journey").joinpath("page.html").read_text(encoding="utf-8")
    for name, value in parts.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def _plain(step: Step) -> dict[str, Any]:
    """A step as the page's script wants it."""
    sentence, source = explain(step)
    plain: dict[str, Any] = {
        "at": drawing.micros(step.at), "phase": step.phase, "text": step.text, "why": sentence, "source": source,
        "notes": step.notes, "client": _end(step.client), "server": _end(step.server),
    }  # fmt: skip
    if step.shown is not None:
        plain["hex"] = step.shown[:SHOWN].hex()
        plain["size"] = len(step.shown)
        plain["fields"] = [
            [field.layer, field.name, field.at, field.size, field.value, field.source, int(matters(step, field))]
            for field in decode(step.shown)
        ]
    return plain


def _end(end: End) -> dict[str, Any]:
    """An end's state and variables, sequence numbers counted from the handshake on."""
    told: dict[str, Any] = {"state": end.state}
    if end.variables is not None:
        told["variables"] = _variables(end.variables, end.iss or 0, end.irs or 0)
    return told


def _variables(v: Variables, iss: int, irs: int) -> list[list[str]]:
    ssthresh = "none yet" if v.ssthresh >= 1 << 30 else f"{v.ssthresh:,}"
    return [
        ["SND.UNA", f"{v.snd_una - iss:,}"], ["SND.NXT", f"{v.snd_nxt - iss:,}"], ["SND.WND", f"{v.snd_wnd:,}"],
        ["RCV.NXT", f"{v.rcv_nxt - irs:,}" if v.rcv_nxt else "-"], ["RCV.WND", f"{v.rcv_wnd:,}"],
        ["cwnd, segments", f"{v.cwnd:,}"], ["ssthresh", ssthresh], ["in flight", f"{v.in_flight:,}"],
        ["SRTT", f"{v.srtt:,} µs" if v.srtt else "-"], ["RTO", f"{v.rto:,} µs"],
        ["octets to send", f"{v.send_queued:,}"], ["octets to read", f"{v.recv_queued:,}"],
    ]  # fmt: skip
