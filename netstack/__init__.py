"""A TCP/IP stack in plain Python.

To read it in order: wire/tcp.py, tcp/state.py, tcp/arrive.py, tcp/connection.py, then stack.py, which puts it together.
"""

__version__ = "0.1.0"
