"""`netstack watch`: a running stack on the whole terminal, sampled once a second or so over the control socket.

Reading path: `history` (samples, rates and series), `table` (the connections), `panels` (everything around them),
`ladder` (one connection, segment by segment), `screen` (put together for a size), `keys`, `session` (the loop).
Everything but `keys` and `session` is a function of what was sampled, and draws into rich's Text.
"""
