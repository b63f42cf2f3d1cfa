"""Looking into a running stack: what it knows now, and who observes it. Right of everything that runs.

Reading path: `snapshot` (connections as dicts for JSON) and `layers`; `sinks` (several observers, a memory of the last
events), `plain` (events as values for JSON); `annotated` and `commentary` (captures with a comment on each packet),
`reasons` (for drops, in words). Whoever shows these (`netstack ss`, `netstack watch`, the live page) shows
the same figures.
"""
