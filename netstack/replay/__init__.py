"""Replay of captured conversations against the stack.

`recorded` reads a file and `extract` finds the TCP conversations in it, with the reason where one cannot be replayed.
`order` puts their segments in the order in which the recorded server must have seen and sent them; `chart` infers the
states that it went through; `script` says what the client sends and what the server's application does, and when.
`runner` plays the script to a stack in virtual time, with `mapper` translating numbers and timestamps, `link` as its
device. `verdict` compares; `timeline` sets both sides beside each other; `report` is what a user or a program reads.
"""
