"""The state machine drawn: as text, as Mermaid and as SVG, all from `tcp.state.TRANSITIONS` and nothing else.

Reading path: `edges` (the table as edges, and which of them a chart draws), `trail` (the way that one connection
took), `text`, `mermaid`, `layout` (where the eleven states stand and which way the edges go, by hand), `svg`.
"""
