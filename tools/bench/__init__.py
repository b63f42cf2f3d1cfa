"""Speed and memory of the stack, side by side with the kernel's own on the same machine in the same run.

Reading path: `place` (where it happens), `program` (a server under test), `contenders` (which there are), `client`
and `load` (who asks), `requests`, `bulk`, `memory`, `segments` (what is measured, a row each), `report` (how it is
told). `bare` and `bulk_server` are servers. Nothing here judges: there are figures and ratios, no thresholds.
"""
