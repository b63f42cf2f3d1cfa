"""One stack on one TAP with one ASGI server, from the first check to the last clean-up: what `netstack up` does.

Reading path: `plan` (what to run, as a value), `run` (in which order things begin and end), `stop` (signals).
"""
