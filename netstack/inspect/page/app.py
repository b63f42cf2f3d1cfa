"""The live page as an ASGI application: the page and its files, one stream of events for each viewer, and wishes.

    page = Page(beyond=app)          # the page is at /, what is not the page's goes to `app`
    page.open(net, observers)        # once the stack is up: what to look at
    page.close()                     # the streams end, so that a server can drain

GET / is the page (for who wants text/html, when there is an application beyond it), /inspect/NAME its files,
/inspect/events the stream; POST /inspect/do takes one wish, a JSON object with "do": choose, path, kill, hold, shut.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from itertools import count
from time import perf_counter
from typing import Any

from netstack.aio.interface import Interface
from netstack.inspect.page import http
from netstack.inspect.page.chart import chart, endings
from netstack.inspect.page.http import App, Receive, Scope, Send
from netstack.inspect.page.picture import Picture
from netstack.inspect.page.subject import Subject, key_of
from netstack.inspect.page.track import SAMPLE_FIELDS
from netstack.inspect.page.viewer import Viewer
from netstack.inspect.sinks import Observers
from netstack.units import SECOND, Octets

INTERVAL = 0.2
"""Seconds between two messages to a viewer, at least."""
SHARE = 10
"""... and this many times what making the last one took: looking must not keep the stack from working."""
QUEUED: Octets = 131_072
"""A viewer that has this much unread gets nothing more until it has read: then the difference to what it knew."""
VIEWERS = 8
PREFIX = "/inspect/"


class Page:
    """One page for one stack. `beyond` answers what is not the page's; without it, the whole port is the page's."""

    def __init__(self, beyond: App | None = None, clock: Callable[[], float] = perf_counter) -> None:
        """`clock` is for measuring what looking costs."""
        self.beyond = beyond
        self.subject: Subject | None = None
        self.viewers: dict[int, Viewer] = {}
        self._clock = clock
        self._numbers = count(1)
        self._closing = asyncio.Event()
        self._observers: Observers
        self._tries: list[str] = []
        self._picture: Picture | None = None
        self._files = http.files()
        template = (http.STATIC / "page.html").read_text(encoding="utf-8")
        parts = {"chart": chart(), "endings": endings()}
        self._front = re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], template).encode()

    def open(self, net: Interface, observers: Observers, port: int | None = None, tries: Sequence[str] = ()) -> None:
        """Look at `net`, which is up, from now on: see `Subject`. `tries`: commands that the page proposes."""
        self.subject = Subject(net, port)
        self._observers = observers
        self._tries = list(tries)

    def close(self) -> None:
        """The page is going: every stream ends now."""
        self._closing.set()

    # Requests.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        path: str = scope["path"]
        is_front = path == "/" and (self.beyond is None or "text/html" in http.field(scope, b"accept"))
        if not is_front and not path.startswith(PREFIX):
            if self.beyond is not None:
                await self.beyond(scope, receive, send)
            else:
                await http.answer(send, 404, b"nothing here; the page is at /\n")
            return
        key = key_of(scope)
        if self.subject is not None:
            self.subject.note_own(key)
        if reason := http.stranger(scope, is_front):
            await http.answer(send, 403, reason.encode() + b"\n")
        elif is_front:
            await http.answer(send, 200, self._front, b"text/html; charset=utf-8")
        elif path == PREFIX + "events":
            await self._events(receive, send, key)
        elif path == PREFIX + "do":
            await self._do(scope, receive, send)
        elif (name := path.removeprefix(PREFIX)) in self._files:
            await http.answer(send, 200, *self._files[name])
        else:
            await http.answer(send, 404, b"the page has no such part\n")

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.beyond is not None:
            await self.beyond(scope, receive, send)
        elif scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            raise ValueError(f"the page does not speak {scope['type']}")

    # The stream.

    async def _events(self, receive: Receive, send: Send, key: bytes) -> None:
        subject = self.subject
        if subject is None or self._closing.is_set() or len(self.viewers) >= VIEWERS:
            await http.answer(send, 503, b"not now: the stack is not up, or too many are looking already\n")
            return
        kind = [(b"content-type", b"text/event-stream"), *http.CAUTION]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        viewer = self._join(subject)
        try:
            await send(_event("hello", self._hello(subject, viewer)))
            async with http.Gone(receive) as gone:
                pause = 0.0
                while not await gone.within(pause, self._closing):
                    began = self._clock()
                    if subject.unread(key) < QUEUED:
                        await send(_event("tick", viewer.message(self.picture(subject))))
                    pause = max(INTERVAL, SHARE * (self._clock() - began))
        finally:
            self._leave(subject, viewer)
        await send({"type": "http.response.body"})

    def _join(self, subject: Subject) -> Viewer:
        """A viewer more; with the first, events begin to flow."""
        if not self.viewers:
            subject.recorder.clear()
            self._observers.add(subject.recorder)
        viewer = Viewer(next(self._numbers))
        self.viewers[viewer.number] = viewer
        return viewer

    def _leave(self, subject: Subject, viewer: Viewer) -> None:
        del self.viewers[viewer.number]
        if not self.viewers:
            self._observers.remove(subject.recorder)
            self._picture = None

    def _hello(self, subject: Subject, viewer: Viewer) -> dict[str, Any]:
        config = subject.net.config
        return {
            "viewer": viewer.number, "address": str(config.address), "mtu": config.mtu,
            "cc": config.tcp.congestion_control, "fields": SAMPLE_FIELDS, "faults": subject.path is not None,
            "now": subject.now, "tries": self._tries,
        }  # fmt: skip

    def picture(self, subject: Subject) -> Picture:
        """The stack as it is; viewers whose turns come together see the same one."""
        known = self._picture
        if known is None or subject.now - known.now >= INTERVAL * SECOND / 2:
            known = self._picture = subject.picture({viewer.chosen for viewer in self.viewers.values()})
        return known

    # Wishes.

    async def _do(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await http.answer(send, 405, b"POST a wish\n")
            return
        try:
            self.grant(await http.wish(scope, receive))
        except ValueError as error:
            await http.answer(send, 400, f"{error}\n".encode())
        else:
            await http.answer(send, 200, b"{}\n", b"application/json")

    def grant(self, wish: dict[str, Any]) -> None:
        """Do what a wish says; ValueError, and nothing is changed, when it makes no sense."""
        subject = self.subject
        if subject is None:
            raise ValueError("the stack is not up")
        who, on = wish.get("who"), wish.get("on") is True
        grants: dict[Any, Callable[[], None]] = {
            "choose": lambda: self._choose(wish.get("viewer"), who),
            "path": lambda: _spoil(subject, wish),
            "kill": lambda: subject.faults.kill(who),
            "hold": lambda: subject.faults.hold(who, on),
            "shut": lambda: subject.faults.shut_window(who, on),
        }
        what = wish.get("do")
        if not isinstance(what, str) or what not in grants:
            raise ValueError(f"do is one of {', '.join(grants)}")
        grants[what]()
        self._picture = None

    def _choose(self, number: Any, who: Any) -> None:
        viewer = self.viewers.get(number) if isinstance(number, int) else None
        if viewer is None or not (who is None or isinstance(who, str)):
            raise ValueError("choose needs the viewer's number, and who")
        viewer.choose(who)


def _spoil(subject: Subject, wish: dict[str, Any]) -> None:
    if subject.path is None:
        raise ValueError("there is no path to spoil: the stack runs without the wrapper")
    subject.path.set(wish)


def _event(name: str, value: Any) -> dict[str, Any]:
    """A server-sent event as a piece of a response's body."""
    data = json.dumps(value, separators=(",", ":"))
    return {"type": "http.response.body", "body": f"event: {name}\ndata: {data}\n\n".encode(), "more_body": True}
