"""The server's upper half as the recorder sees it: what the protocol is told, what the application does."""

import asyncio
from collections.abc import Callable

from asgi.spec import App, Message, Receive, Scope, Send
from netstack.journey.record import SERVER, Did, Recorder


def watched_app(app: App, recorder: Recorder) -> App:
    """`app`, with its calls, `receive` and `send` noted; the lifespan is left alone."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def noted_receive() -> Message:
            message = await receive()
            recorder.note(SERVER, Did("received", message))
            return message

        async def noted_send(message: Message) -> None:
            recorder.note(SERVER, Did("sent", message))
            await send(message)

        recorder.note(SERVER, Did("called", scope))
        try:
            await app(scope, noted_receive, noted_send)
        except BaseException as error:
            recorder.note(SERVER, Did("raised", error))
            raise
        recorder.note(SERVER, Did("returned"))

    return watched


def watched_protocol(factory: Callable[[], asyncio.Protocol], recorder: Recorder) -> Callable[[], asyncio.Protocol]:
    """Protocols as `factory` makes them, told of everything a moment after it was noted."""
    return lambda: _Watched(factory(), recorder)


class _Watched(asyncio.Protocol):
    def __init__(self, inner: asyncio.Protocol, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._recorder.note(SERVER, Did("connection made"))
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._recorder.note(SERVER, Did("data received", len(data)))
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._recorder.note(SERVER, Did("eof received"))
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._recorder.note(SERVER, Did("connection lost"))
        self._inner.connection_lost(exc)
