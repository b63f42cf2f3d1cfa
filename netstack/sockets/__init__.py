"""The socket-like API: non-blocking, loop-free sockets with the behaviour and the errors of Linux's."""
