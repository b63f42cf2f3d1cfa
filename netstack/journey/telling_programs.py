"""Steps of the programs: the client, the ASGI server, the application."""

from asgi import events as served
from netstack.journey.record import Did
from netstack.journey.steps import (
    APPLICATION,
    ASGI,
    CLIENT_LANE,
    CLOSE,
    HTTP,
    LOOP,
    REQUEST,
    RESPONSE,
)
from netstack.journey.telling import Telling


class ProgramTelling(Telling):
    """What the client does, and what the server says of itself."""

    def did_connect(self, record: Did) -> None:
        self._add("connect", CLIENT_LANE, CLIENT_LANE, f"connect to {record.value}")

    def did_request(self, record: Did) -> None:
        self._enter(REQUEST)
        line = record.value.partition(b"\r\n")[0].decode("latin-1")
        self._add("request", CLIENT_LANE, CLIENT_LANE, f"writes {line}", octets=len(record.value))

    def did_response(self, record: Did) -> None:
        status, octets = record.value
        self._add("response", CLIENT_LANE, CLIENT_LANE, f"has the response: {status}, {octets:,} octets of content")

    def did_close(self, record: Did) -> None:
        self._enter(CLOSE)
        self._add("close", CLIENT_LANE, CLIENT_LANE, "closes")

    def did_end_of_stream(self, record: Did) -> None:
        self._add("end of stream", CLIENT_LANE, CLIENT_LANE, "the stream has ended; closes")

    # The ASGI server.

    def server_ConnectionMade(self, record: served.ConnectionMade) -> None:
        self._add("accepted", LOOP, HTTP, "connection_made(): a protocol for this connection")

    def server_ConnectionLost(self, record: served.ConnectionLost) -> None:
        self._add("connection lost", LOOP, HTTP, "connection_lost()" + (f": {record.error}" if record.error else ""))

    def server_RequestParsed(self, record: served.RequestParsed) -> None:
        text = f"{record.method} {record.target}, {record.fields} header fields: {record.octets:,} octets"
        self._add("parsed", LOOP, HTTP, text, octets=record.octets)

    def server_RequestRefused(self, record: served.RequestRefused) -> None:
        self._enter(RESPONSE)
        self._add("refused", HTTP, HTTP, f"the server answers by itself: {record.status}")

    def server_ScopeMade(self, record: served.ScopeMade) -> None:
        scope = record.scope
        query = f", query_string {scope['query_string']!r}" if scope["query_string"] else ""
        notes = [f"{name}: {value!r}" for name, value in scope.items() if name != "headers"]
        notes += [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in scope["headers"]]
        self._add("scope", HTTP, ASGI, f"scope: {scope['method']} {scope['path']!r}{query}", notes=notes)

    def server_TaskStarted(self, record: served.TaskStarted) -> None:
        self._add("called", ASGI, APPLICATION, "await app(scope, receive, send), in a task")

    def server_Received(self, record: served.Received) -> None:
        size = f", {record.octets:,} octets" if record.type == "http.request" else ""
        more = ", more to come" if record.more else ""
        self._add("received", ASGI, APPLICATION, f"await receive(): {record.type}{size}{more}")

    def server_Sent(self, record: served.Sent) -> None:
        self._enter(RESPONSE)
        detail = f" {record.status}" if record.status else f", {record.octets:,} octets"
        more = ", more to come" if record.more else ""
        self._add(f"sent {record.type}", APPLICATION, ASGI, f"await send(): {record.type}{detail}{more}")

    def server_ResponseWritten(self, record: served.ResponseWritten) -> None:
        self._add("written", HTTP, HTTP, f"the response is complete: {record.status}, {record.octets:,} octets")

    def server_TaskEnded(self, record: served.TaskEnded) -> None:
        if record.error:
            self._add("raised", APPLICATION, APPLICATION, f"the application raises {record.error}")
        else:
            self._add("returned", APPLICATION, APPLICATION, "the application returns")
