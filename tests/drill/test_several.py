"""Several connections in one script: a line without ports is about the last one, and what others do is let pass."""

import pytest

from netstack.drill.outcome import FAILED, PASSED
from netstack.drill.runner import Wishes, run_text
from netstack.drill.virtual.host import StackHost

ONE_AFTER_ANOTHER = """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+.01 < S. 0:0(0) ack 1 win 30000 <mss 1000>
+0 > . 1:1(0) ack 1
+0 close(3) = 0
+0 > F. 1:1(0) ack 1
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(4, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+.01 < S. 0:0(0) ack 1 win 30000 <mss 1000>
+0 > . 1:1(0) ack 1
+1 write(4, ..., 10) = 10
+0 > P. 1:11(10) ack 1
"""
"""Nobody acknowledges the first one's FIN, which goes out again and again."""

SIDE_BY_SIDE = """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+0 < 1111 > 8080 S 0:0(0) win 32792 <mss 1000>
+0 > 8080 > 1111 S. 0:0(0) ack 1 <mss 1460>
+0 < 2222 > 8080 S 5000:5000(0) win 32792 <mss 1000>
+0 > 8080 > 2222 S. 0:0(0) ack 5001 <mss 1460>
+.1 < 2222 > 8080 . 1:1(0) ack 1 win 32792
+.1 < 1111 > 8080 . 1:1(0) ack 1 win 32792
+0 accept(3, {sa_family=AF_INET, sin_port=htons(2222), sin_addr=inet_addr("192.0.2.1")}, [16]) = 4
+0 accept(3, ..., ...) = 5
+0 write(4, ..., 100) = 100
+0 > 8080 > 2222 P. 1:101(100) ack 1
+0 write(5, ..., 200) = 200
+0 > 8080 > 1111 P. 1:201(200) ack 1
+.01 < 1111 > 8080 . 1:1(0) ack 201 win 32792
+.01 < 2222 > 8080 . 1:1(0) ack 101 win 32792
"""


def run(text):
    """The outcome on the stack."""
    return run_text(text, "script", StackHost, Wishes())


@pytest.mark.parametrize("text", [ONE_AFTER_ANOTHER, SIDE_BY_SIDE])
def test_the_scripts_hold(text):
    outcome = run(text)
    assert outcome.status == PASSED, outcome.report()


def test_what_the_first_one_sends_is_on_the_time_line():
    outcome = run(ONE_AFTER_ANOTHER)
    assert outcome.unscripted >= 2
    assert all("F. 1:1(0)" in str(entry) for entry in outcome.timeline if entry.side == "other")


@pytest.mark.parametrize(
    ("text", "true", "spoilt", "line", "told"),
    [
        (ONE_AFTER_ANOTHER, "> P. 1:11(10)", "> P. 1:12(11)", 17, "length: expected 11, got 10"),
        (ONE_AFTER_ANOTHER, "> F. 1:1(0) ack 1", "> F. 1:1(0) ack 2", 9, "ack: expected 2, got 1"),
        (SIDE_BY_SIDE, "> 8080 > 2222 P. 1:101", "> 8080 > 1111 P. 1:101", 14, "ports: expected"),
        (SIDE_BY_SIDE, "1:201(200) ack 1\n", "1:201(200) ack 2\n", 16, "ack: expected 2, got 1"),
        (SIDE_BY_SIDE, "ack 5001", "ack 5002", 8, "ack: expected 5002"),
    ],
)
def test_spoilt_they_fail(text, true, spoilt, line, told):
    assert text.count(true) == 1
    outcome = run(text.replace(true, spoilt))
    assert (outcome.status, outcome.line) == (FAILED, line)
    assert told in "\n".join([outcome.message, *outcome.detail])
