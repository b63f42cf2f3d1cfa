"""Closing (RFC 9293 3.6, 3.10.4; RFC 1122 4.2.2.13)."""

from netstack.tcp.state import CLOSED, CLOSING, TIME_WAIT
from netstack.units import SECOND


def test_simultaneous_close(wire):  # 3.6, case 3
    wire.established()
    wire.conn.close()
    wire.tx("F. 1:1(0) ack 1")
    wire.rx("F. 1:1(0) ack 1").tx(". 2:2(0) ack 2").state(CLOSING)
    wire.rx(". 2:2(0) ack 2").state(TIME_WAIT).quiet()
    wire.after(60 * SECOND).state(CLOSED)
