"""The control socket: how other processes look into a running stack. Nothing can be changed through it.

A Unix stream socket, which belongs to no network namespace, so that a stack in one is reached from anywhere. Both ways
one JSON object a line. A request has `id` and `ask`, and what it needs besides; its answer has the same `id` and
`result`, or `error` with a line of text. `ask` is one of:

* `hello`: which stack this is, and its clock
* `connections`, `endpoints`, `layers`: see `inspect.snapshot`; rows come in several lines with `part` before `result`
* `frames`: from now on, each frame that passes `filter` (see `inspect.expression`), its first `snap` octets
* `events`: from now on, each event (see `inspect.plain`), of the connection `who` only if that is given
* `stop`: ends the stream with the id `stream`

What a stream tells has `stream` instead of `id`. Who reads too slowly misses some of it, and is told how much: `lost`.

Reading path: `places` (where the sockets are), `server` (in the stack's process), `streams`, `client`.
"""
