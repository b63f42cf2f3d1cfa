"""Keepalive (RFC 9293 3.8.4) and the other timers of a connection at rest."""

from errno import EHOSTUNREACH, ETIMEDOUT

import pytest

from netstack.tcp.state import CLOSED, ESTABLISHED
from netstack.units import MILLISECOND, SECOND

OPTIONS = {"keepalive": True, "keepidle": 10 * SECOND, "keepintvl": 2 * SECOND, "keepcnt": 3}


def test_it_is_off_by_default(wire):  # MUST-25
    wire.established().quiet(24 * 3600 * SECOND).state(ESTABLISHED)
    assert wire.stack.deadline() is None


def test_default_is_two_hours_and_nine_probes(wire):  # MUST-28; tcp_keepalive_time, _intvl, _probes
    wire.established(keepalive=True)
    times = [at // SECOND for at, _ in wire.run(most=9000 * SECOND)]
    assert times == [7200 + 75 * i for i in range(9)] + [7200 + 75 * 9]
    assert wire.state(CLOSED).conn.error == ETIMEDOUT


def test_probe_is_below_the_window_and_empty(wire):  # 3.8.4: SEG.SEQ = SND.NXT - 1; SHLD-22
    wire.established(**OPTIONS).quiet(10 * SECOND - 1).after(1).tx(". 0:0(0) ack 1")
    assert wire.mib["TcpExtTCPKeepAlive"] == 1


def test_answered_probe_starts_a_new_idle_time(wire):
    wire.established(**OPTIONS)
    for _ in range(5):
        wire.quiet(10 * SECOND - 1).after(1).tx(". 0:0(0) ack 1").rx(". 1:1(0) ack 1")
    wire.state(ESTABLISHED)


def test_unanswered_probes_end_in_a_reset(wire):  # 3.8.4: MUST-27, an unanswered probe alone does not
    wire.established(**OPTIONS).after(10 * SECOND).tx(". 0:0(0) ack 1").after(2 * SECOND).tx(". 0:0(0) ack 1")
    wire.after(2 * SECOND).tx(". 0:0(0) ack 1").quiet(2 * SECOND - 1).after(1).tx("R. 1:1(0) ack 1").state(CLOSED)
    assert wire.conn.error == ETIMEDOUT


def test_traffic_puts_it_off(wire):
    wire.established(**OPTIONS).after(9 * SECOND).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)
    wire.quiet(10 * SECOND - 1).after(1).tx(". 0:0(0) ack 11")


def test_our_own_traffic_puts_it_off_when_acknowledged(wire):
    wire.established(**OPTIONS).after(9 * SECOND).send(10).tx("P. 1:11(10) ack 1").after(50 * MILLISECOND)
    wire.rx(". 1:1(0) ack 11").quiet(10 * SECOND - 1).after(1).tx(". 10:10(0) ack 1")


def test_it_is_silent_while_data_is_outstanding(wire):  # the retransmission timer speaks for the connection
    wire.established(**OPTIONS).after(9_990 * MILLISECOND).send(10).tx("P. 1:11(10) ack 1").quiet(300 * MILLISECOND - 1)
    wire.after(1).tx("P. 1:11(10) ack 1")


def test_user_timeout_decides_when_set(wire):  # Linux: TCP_USER_TIMEOUT takes the place of the count
    wire.established(**OPTIONS, user_timeout=13 * SECOND).after(10 * SECOND).tx(". 0:0(0) ack 1")
    wire.after(2 * SECOND).tx(". 0:0(0) ack 1").after(2 * SECOND).tx("R. 1:1(0) ack 1").state(CLOSED)


def test_soft_error_explains_the_end(wire):
    wire.established(**OPTIONS).send(10).tx("P. 1:11(10) ack 1").rx(". 1:1(0) ack 11").rx_icmp(1, seq=11)
    for delay in (10, 2, 2):
        wire.after(delay * SECOND).tx(". 10:10(0) ack 1")
    wire.after(2 * SECOND).tx("R. 11:11(0) ack 1")
    assert wire.conn.error == EHOSTUNREACH


@pytest.mark.parametrize("half", ["ours", "theirs"])
def test_it_watches_half_closed_connections_too(wire, half):  # FIN-WAIT-2 and CLOSE-WAIT
    wire.established(**OPTIONS)
    if half == "ours":
        wire.call("shutdown").tx("F. 1:1(0) ack 1").rx(". 1:1(0) ack 2").after(10 * SECOND).tx(". 1:1(0) ack 1")
    else:
        wire.rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2")
        wire.after(10 * SECOND - MILLISECOND).tx(". 0:0(0) ack 2")


def test_it_can_be_switched_on_and_off_later(wire):
    wire.established()
    options = wire.conn.options
    options.keepalive, options.keepidle, options.keepintvl, options.keepcnt = True, 10 * SECOND, 2 * SECOND, 3
    wire.conn.options_changed()
    wire.after(10 * SECOND).tx(". 0:0(0) ack 1").rx(". 1:1(0) ack 1")
    options.keepalive = False
    wire.conn.options_changed()
    wire.quiet(1000 * SECOND).state(ESTABLISHED)


def test_peers_probe_is_answered(wire):  # 3.8.4, from the other side
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).after(10 * SECOND)
    wire.rx(". 10:10(0) ack 1").tx(". 1:1(0) ack 11").after(10 * SECOND)
    wire.rx("P. 10:11(1) ack 1").tx(". 1:1(0) ack 11")  # with an octet of garbage, as old stacks send it
