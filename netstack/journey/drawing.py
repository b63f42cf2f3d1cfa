"""The steps as SVG: a lane for each layer, a row for each step, the states of both ends at their sides.

As a file of its own it says everything in tooltips; the page puts the same drawing beside a panel.
"""

from xml.sax.saxutils import escape

from netstack.journey.decode import decode
from netstack.journey.explain import explain
from netstack.journey.steps import LANES, Step

WIDTH = 1330
ROW = 24
HEAD = 34
_TIME_AT, _DELTA_AT, _CLIENT_AT = 74, 142, 152
_LANES_AT, _LANE = 262, 58
_SERVER_AT = _LANES_AT + _LANE * len(LANES) + 6
_TEXT_AT = _SERVER_AT + 106
_TEXT_FITS = (WIDTH - _TEXT_AT) * 10 // 69

STYLE = """\
svg.journey { --ink: #1c2530; --soft: #66717f; --line: #c3ccd6; --page: #ffffff; --band: #eef2f7; --hover: #e3edfb;
  --below: #2a66b8; --tcp: #157a4a; --above: #9a5200; --client: #6a3fa8; --lost: #c02525; display: block }
@media (prefers-color-scheme: dark) { svg.journey { --ink: #dfe6ee; --soft: #94a1b0; --line: #3a4552; --page: #12171d;
  --band: #1d252e; --hover: #24354d; --below: #7db4ff; --tcp: #5fd39a; --above: #f2b163; --client: #c3a2f5;
  --lost: #ff7b72 } }
svg.journey text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink) }
svg.journey .page { fill: var(--page) }
svg.journey .lane { stroke: var(--line) }
svg.journey .name { font-weight: 600; text-anchor: middle }
svg.journey .band { fill: var(--band) }
svg.journey .phase { font-weight: 600; font-size: 13px }
svg.journey .time { text-anchor: end; font-variant-numeric: tabular-nums }
svg.journey .delta { text-anchor: end; fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums }
svg.journey .said { font: 11.5px ui-monospace, "DejaVu Sans Mono", monospace }
svg.journey .state { font-size: 11px }
svg.journey .same { fill: var(--soft); opacity: .65 }
svg.journey .changed { font-weight: 700 }
svg.journey .hit { fill: transparent }
svg.journey .step:hover .hit, svg.journey .step.chosen .hit { fill: var(--hover) }
svg.journey .step { color: var(--below); outline: none }
svg.journey .step.tcp { color: var(--tcp) }
svg.journey .step.above { color: var(--above) }
svg.journey .step.client { color: var(--client) }
svg.journey .step.lost, svg.journey .step.timer { color: var(--lost) }
svg.journey .step.lost .said, svg.journey .step.timer .said { fill: var(--lost) }
svg.journey .way { stroke: currentColor; stroke-width: 2; fill: none }
svg.journey .dot, svg.journey .head { fill: currentColor }"""


def svg(steps: list[Step], title: str) -> str:
    """The whole drawing as one file."""
    body, height = rows(steps, HEAD, tooltips=True)
    height += HEAD + 6
    return "\n".join([
        opening(height, title),
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        lanes(HEAD - 6, height),
        names(),
        *body,
        "</svg>\n",
    ])  # fmt: skip


def opening(height: int, title: str) -> str:
    """The first tag."""
    return (
        f'<svg class="journey" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img"><title>{escape(title)}</title>'
    )


def names() -> str:
    """The heads of all columns."""
    y = HEAD - 14
    parts = [
        f'<text class="delta" x="{_TIME_AT}" y="{y}">µs</text>',
        f'<text class="delta" x="{_DELTA_AT}" y="{y}">since last</text>',
        f'<text class="delta" style="text-anchor:start" x="{_CLIENT_AT}" y="{y}">client is</text>',
        f'<text class="delta" style="text-anchor:start" x="{_SERVER_AT}" y="{y}">server is</text>',
    ]
    for lane, name in enumerate(LANES):
        parts.append(f'<text class="name" x="{_x(lane)}" y="{y}">{_SHORT.get(name, name)}</text>')
    return "".join(parts)


_SHORT = {"application": "app", "event loop": "loop"}


def lanes(top: int, bottom: int) -> str:
    """The lines that steps go between."""
    return "".join(f'<path class="lane" d="M{_x(lane)} {top}V{bottom}"/>' for lane in range(len(LANES)))


def rows(steps: list[Step], top: int, tooltips: bool) -> tuple[list[str], int]:
    """A group for each step and a band for each phase, from `top` down; and their height."""
    parts: list[str] = []
    y, phase = top, ""
    before: Step | None = None
    for n, step in enumerate(steps):
        if step.phase != phase:
            phase = step.phase
            parts.append(
                f'<rect class="band" x="0" y="{y}" width="{WIDTH}" height="{ROW}"/>'
                f'<text class="phase" x="12" y="{y + 16}">{escape(phase)}</text>'
            )
            y += ROW
        parts.append(_row(n, step, before, y, tooltips))
        before = step
        y += ROW
    return parts, y - top


def micros(nanoseconds: int) -> str:
    """Microseconds, with tenths as long as they say something."""
    return f"{nanoseconds / 1000:,.{0 if nanoseconds >= 100_000_000 else 1}f}"


def tooltip(step: Step) -> str:
    """All that there is to say about a step, as lines."""
    sentence, source = explain(step)
    lines = [step.text, f"{sentence} ({source})" if source else sentence, *step.notes]
    if step.shown is not None:
        lines += [
            f"{step.shown[field.at : field.at + min(field.size, 16)].hex(' ')}{' …' if field.size > 16 else ''}"
            f"  {field.layer} {field.name}: {field.value.splitlines()[0] if field.value else ''}"
            for field in decode(step.shown)
        ]
    return "\n".join(lines)


def _row(n: int, step: Step, before: Step | None, y: int, tooltips: bool) -> str:
    middle = y + ROW // 2
    base = middle + 4
    since = "" if before is None else f"+{micros(step.at - before.at)}"
    text = step.text if len(step.text) <= _TEXT_FITS else step.text[: _TEXT_FITS - 1] + "…"
    parts = [
        f'<g class="{_kinds(step)}" data-n="{n}" tabindex="0">',
        f"<title>{escape(tooltip(step))}</title>" if tooltips else "",
        f'<rect class="hit" x="0" y="{y}" width="{WIDTH}" height="{ROW}"/>',
        f'<text class="time" x="{_TIME_AT}" y="{base}">{micros(step.at)}</text>',
        f'<text class="delta" x="{_DELTA_AT}" y="{base}">{since}</text>',
        _state(step.client.state, before.client.state if before else "", _CLIENT_AT, base),
        lanes(y, y + ROW),
        _way(step, middle),
        _state(step.server.state, before.server.state if before else "", _SERVER_AT, base),
        f'<text class="said" x="{_TEXT_AT}" y="{base}">{escape(text)}</text></g>',
    ]
    return "".join(parts)


def _kinds(step: Step) -> str:
    kinds = ["step"]
    low, high = sorted((step.start, step.end))
    if high <= LANES.index("TAP"):
        kinds.append("client")
    elif low >= LANES.index("event loop") or high >= LANES.index("HTTP"):
        kinds.append("above")
    elif high >= LANES.index("TCP"):
        kinds.append("tcp")
    if step.lost:
        kinds.append("lost")
    if step.kind in ("timer", "loss", "dropped"):
        kinds.append("timer")
    return " ".join(kinds)


def _state(state: str, before: str, x: int, y: int) -> str:
    kind = "same" if state == before else "changed"
    return f'<text class="state {kind}" x="{x}" y="{y}">{state}</text>'


def _way(step: Step, y: int) -> str:
    begin, end = _x(step.start), _x(step.end)
    if begin == end:
        return f'<circle class="dot" cx="{begin}" cy="{y}" r="5"/>'
    toward = 1 if end > begin else -1
    dot = f'<circle class="dot" cx="{begin}" cy="{y}" r="4"/>'
    if step.lost:
        x = (begin + end) // 2
        return f'{dot}<path class="way" d="M{begin} {y}H{x}M{x - 5} {y - 5}l10 10m0 -10l-10 10"/>'
    tip = end - toward * 9
    return (
        f'{dot}<path class="way" d="M{begin} {y}H{tip}"/><path class="head" d="M{end} {y}L{tip} {y - 5}V{y + 5}z"/>'
    )


def _x(lane: int) -> int:
    return _LANES_AT + _LANE * lane + _LANE // 2
