"""The application that `netstack up` serves when it is given none: a page to look at, and endpoints to try and measure.

Plain ASGI with no framework, so it is also the shortest example of what the stack carries. `app` is the application.
"""

from netstack.welcome.app import app

__all__ = ["app"]
