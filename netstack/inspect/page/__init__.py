"""The live page: the running stack in a browser, served by that very stack.

Reading path: `app` (requests, the stream, wishes), `subject` (the stack that is looked at), `recorder` and `track`
(what the events told), `picture` (the stack at one moment), `viewer` (what is new of it to one browser), `faults` (what
can be done to it), `static/` (the page).
"""

from netstack.inspect.page.app import Page

__all__ = ["Page"]
