"""The client: connects, sends one request, reads one response, closes. On a stack's transport or the kernel's."""

import asyncio

import httptools

from netstack.journey.record import CLIENT, Did, Recorder
from netstack.journey.request import Request


class Client(asyncio.Protocol):
    """`await client.done`: the response's status; raises ConnectionError when the connection ended without one."""

    def __init__(self, request: Request, recorder: Recorder) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request = request
        self._recorder = recorder
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._octets = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        octets = self._request.octets
        self._recorder.note(CLIENT, Did("request", octets))
        transport.write(octets)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(ConnectionError(f"that was no HTTP response: {error}"))

    def on_body(self, data: bytes) -> None:
        """From the parser."""
        self._octets += len(data)

    def on_headers_complete(self) -> None:
        """From the parser: to HEAD, that is all there comes (RFC 9110 9.3.2)."""
        if self._request.method == "HEAD":
            self.on_message_complete()

    def on_message_complete(self) -> None:
        """From the parser: the response is complete."""
        status = self._parser.get_status_code()
        if status >= 200 and not self.done.done():
            self._recorder.note(CLIENT, Did("response", (status, self._octets)))
            self.done.set_result(status)
            if not self._request.server_closes:
                self._close()

    def eof_received(self) -> None:
        self._recorder.note(CLIENT, Did("end of stream"))
        if not self.done.done():
            # A response without length ends with the connection (RFC 9112 6.3); the parser is not told of the end.
            try:
                self.done.set_result(self._parser.get_status_code())
            except httptools.HttpParserError:
                self._end(ConnectionError("the server closed the connection without a response"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._end(exc or ConnectionError("the connection ended before the response was complete"))

    def _end(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
        self._transport.abort()

    def _close(self) -> None:
        self._recorder.note(CLIENT, Did("close"))
        self._transport.close()
