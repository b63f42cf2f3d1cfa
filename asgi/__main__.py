"""`python -m asgi MODULE:ATTR`: the server on the kernel's sockets."""

from asgi.cli import main

if __name__ == "__main__":
    main(prog_name="python -m asgi")
