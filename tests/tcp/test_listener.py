"""LISTEN: the SYN queue, the accept queue and their limits (RFC 9293 3.10.7.2; Linux's rules where it has none)."""

from errno import EADDRINUSE, EINVAL

import pytest

from netstack.tcp.readiness import READABLE
from netstack.tcp.state import CLOSED, ESTABLISHED, LISTEN, SYN_RECEIVED
from netstack.units import SECOND
from tests.script import US


def clients(wire, count, port=50_000):
    """Conversations from other ports of the same peer."""
    return [wire.another(port + i) for i in range(count)]


def opened(wire):
    return wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1")


def test_connections_are_accepted_in_the_order_in_which_they_opened(wire):
    wire.listen()
    first, second = clients(wire, 2)
    first.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    second.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1")
    first.rx(". 1:1(0) ack 1")
    second.accept()
    first.accept()
    assert wire.listener.accept() is None


def test_listener_is_told_when_there_is_something_to_accept(wire):
    told = []
    wire.listen()
    wire.listener.observer = told.append
    wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    assert told == []
    wire.rx(". 1:1(0) ack 1").quiet()
    assert told == [READABLE]
    assert (wire.listener.waiting, wire.listener.half_open) == (1, 0)


def test_full_accept_queue_drops_syns_and_last_acks(wire):  # Linux: backlog + 1; the peers try again
    wire.listen(backlog=1)
    one, two, late, refused = clients(wire, 4)
    opened(one)
    late.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    opened(two)
    late.rx(". 1:1(0) ack 1").state(SYN_RECEIVED).quiet()
    refused.rx("S 0:0(0) <mss 1460>").quiet()
    assert wire.mib["TcpExtListenOverflows"] == 2
    one.accept()
    late.rx(". 1:1(0) ack 1").state(ESTABLISHED)


def test_overflow_may_reset_instead(wire):  # Linux: tcp_abort_on_overflow
    wire.setup(abort_on_overflow=True).listen(backlog=1)
    one, two, late = clients(wire, 3)
    opened(one)
    late.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    opened(two)
    late.rx(". 1:1(0) ack 1").tx("R 1:1(0)")


def test_full_syn_queue_without_cookies_drops_syns(wire):  # RFC 4987 3.1: a bound on half-open connections
    wire.setup(syncookies=0).listen(backlog=4)
    for other in clients(wire, 5):
        other.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx("S 0:0(0) <mss 1460>").quiet()
    assert wire.mib["TcpExtTCPReqQFullDrop"] == 1
    assert wire.listener.half_open == 5


def test_half_open_connections_make_room_when_they_end(wire):
    wire.setup(syncookies=0).listen(backlog=0)
    (other,) = clients(wire, 1)
    other.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx("S 0:0(0) <mss 1460>").quiet()
    other.rx("R 1:1(0)")
    wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")


def test_connection_reset_before_it_was_accepted_is_still_handed_out(wire):  # its user is to see the error
    wire.listen()
    opened(wire).rx("R 1:1(0)")
    conn = wire.listener.accept()
    assert conn.state is CLOSED
    assert conn.error
    assert conn.recv(10) == b""


def test_data_arrives_before_accept(wire):
    wire.listen()
    opened(wire).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").accept().recv(10)


def test_closing_resets_what_nobody_accepted(wire):  # 3.10.4, LISTEN
    wire.listen()
    half, whole = clients(wire, 2)
    half.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    opened(whole)
    wire.listener.close()
    whole.tx("R. 1:1(0) ack 1").state(CLOSED)
    half.rx(". 1:1(0) ack 1").tx("R 1:1(0)")
    assert not wire.stack.tcp.connections


def test_accepted_connections_outlive_the_listener(wire):
    wire.established().listener.close()
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).state(ESTABLISHED)


def test_children_inherit_the_options(wire):  # as on Linux
    wire.established(nodelay=True, keepalive=True, keepidle=5 * SECOND, rcvbuf=20_000)
    assert wire.conn.options.nodelay
    wire.after(5 * SECOND).tx(". 0:0(0) ack 1")


def test_one_listener_for_an_address_and_port(wire):
    wire.listen()
    with pytest.raises(OSError, match="in use") as raised:
        wire.stack.tcp.listen(US, 80, 5)
    assert raised.value.errno == EADDRINUSE
    with pytest.raises(OSError, match="in use"):
        wire.stack.tcp.listen(bytes(4), 80, 5)
    wire.stack.tcp.listen(US, 81, 5)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_port_must_be_one(wire, port):
    with pytest.raises(OSError, match="Invalid") as raised:
        wire.stack.tcp.listen(US, port, 5)
    assert raised.value.errno == EINVAL


def test_listener_on_any_address_hears_ours(wire):
    wire.listener = wire.stack.tcp.listen(bytes(4), 80, 5)
    opened(wire).accept()
    assert wire.conn.local == (US, 80)


def test_port_is_free_again_after_close(wire):
    wire.listen().listener.close()
    wire.rx("S 0:0(0) <mss 1460>").tx("R. 0:0(0) ack 1")
    wire.listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")


# -- TCP_DEFER_ACCEPT --------------------------------------------------------------------------------------------------


def test_deferred_connection_opens_with_its_first_data(wire):
    wire.listen(defer_accept=3 * SECOND).rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx(". 1:1(0) ack 1").quiet().state(SYN_RECEIVED)
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").state(ESTABLISHED).accept().recv(10)
    assert wire.mib["TcpExtTCPDeferAcceptDrop"] == 1


def test_deferral_ends_with_a_last_question(wire):  # 1 s and 2 s pass, the SYN-ACK is repeated, and an ACK will do
    wire.listen(defer_accept=3 * SECOND).rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx(". 1:1(0) ack 1").quiet(3 * SECOND - 1).after(1).tx("S. 0:0(0) ack 1")
    wire.rx(". 1:1(0) ack 1").state(ESTABLISHED)


# -- SYN cookies (RFC 4987 3.6) ----------------------------------------------------------------------------------------


def test_full_syn_queue_answers_with_cookies(wire):
    wire.listen(backlog=0)
    (other,) = clients(wire, 1)
    other.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx("S 0:0(0) <mss 1460>")
    (text,) = wire.take()
    cookie = int(text.split()[1].split(":")[0])
    assert wire.listener.half_open == 1
    wire.rx(f". 1:1(0) ack {cookie + 1}").quiet().state(ESTABLISHED)
    assert wire.mib["TcpExtSyncookiesRecv"] == 1


def test_made_up_cookie_is_reset(wire):
    wire.listen(backlog=0)
    (other,) = clients(wire, 1)
    other.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx("S 0:0(0) <mss 1460>").take()
    wire.rx(". 1:1(0) ack 4711").tx("R 4711:4711(0)").state(LISTEN)


def test_refusal_of_half_open_connections_is_counted(wire):
    wire.listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx("R 1:1(0)").state(LISTEN)
    assert wire.mib["TcpAttemptFails"] == 1
