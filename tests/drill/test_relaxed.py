"""What relaxed comparison forgives, and nothing besides: one exchange with one thing altered, under both verdicts."""

import pytest

from netstack.drill.outcome import FAILED, PASSED
from netstack.drill.runner import Wishes, run_text
from netstack.drill.virtual.host import StackHost

SYN_ACK = "<mss 1460,sackOK,TS val 700 ecr 10,nop,wscale 7>"
GAP = "ack 1 win 510 <nop,nop,TS val 800 ecr 20,nop,nop,sack 1001:2001>\n+0 write"
SCRIPT = f"""0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,TS val 10 ecr 0,nop,wscale 7>
+0 > S. 0:0(0) ack 1 win 65160 {SYN_ACK}
+.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 20 ecr 700>
+0 accept(3, ..., ...) = 4
+0 < [ect0] . 1001:2001(1000) ack 1 win 257 <nop,nop,TS val 20 ecr 700>
+0 > [noecn,ttl 64,tos 0] . 1:1(0) {GAP}(4, ..., 2000) = 2000
+0 > P. 1:2001(2000) ack 1 win 510 <nop,nop,TS val 800 ecr 20,nop,nop,sack 1001:2001>
"""

FORGIVEN = [
    (SYN_ACK, "<sackOK,mss 1460,nop,wscale 7,TS val 700 ecr 10>"),
    (SYN_ACK, "<mss 1460,nop,wscale 6,sackOK,TS val 700 ecr 10>"),
    ("S. 0:0(0) ack 1 win 65160", "S. 0:0(0) ack 1 win 65535"),
    (GAP, GAP.replace("<nop,nop,TS val 800 ecr 20,nop,nop,sack 1001:2001>", "<sack 1001:2001,TS val 800 ecr 20>")),
    ("> P. 1:2001", "> . 1:2001"),
]
NOT_FORGIVEN = [
    (SYN_ACK, "<mss 1460,sackOK,TS val 700 ecr 10>"),
    (SYN_ACK, "<mss 1461,sackOK,TS val 700 ecr 10,nop,wscale 7>"),
    (SYN_ACK, "<mss 1460,sackOK,TS val 700 ecr 11,nop,wscale 7>"),
    (SYN_ACK, "<mss 1460,TS val 700 ecr 10,nop,wscale 7>"),
    ("S. 0:0(0) ack 1 win 65160", "S 0:0(0) win 65160"),
    ("S. 0:0(0) ack 1 win 65160", "S. 0:0(0) ack 2 win 65160"),
    ("S. 0:0(0) ack 1 win 65160", "SE. 0:0(0) ack 1 win 65160"),
    (GAP, GAP.replace("1001:2001", "1001:2002")),
    (GAP, GAP.replace(",nop,nop,sack 1001:2001", "")),
    (GAP, GAP.replace("ecr 20", "ecr 21")),
    (GAP, GAP.replace("win 510", "win 510 urg 1")),
    ("[noecn,ttl 64,tos 0]", "[ect0]"),
    ("[noecn,ttl 64,tos 0]", "[ttl 63]"),
    ("[noecn,ttl 64,tos 0]", "[tos 0x10]"),
    ("> P. 1:2001", "> FP. 1:2001"),
    ("> P. 1:2001", "> PU. 1:2001"),
    ("> P. 1:2001", "> PR. 1:2001"),
    ("> P. 1:2001(2000)", "> P. 1:2000(1999)"),
    ("> P. 1:2001(2000)", "> P. 2:2002(2000)"),
    ("+0 > P. 1:2001", "+.02 > P. 1:2001"),
    ("+0 > [noecn", "+.02~+.04 > [noecn"),
]


def verdicts(text):
    """Strict, then relaxed."""
    return tuple(run_text(text, "script", StackHost, Wishes(relaxed)).status for relaxed in (False, True))


def test_the_script_itself_holds():
    assert verdicts(SCRIPT) == (PASSED, PASSED)


@pytest.mark.parametrize(("true", "altered"), FORGIVEN)
def test_what_is_forgiven(true, altered):
    assert SCRIPT.count(true) == 1
    assert verdicts(SCRIPT.replace(true, altered)) == (FAILED, PASSED)


@pytest.mark.parametrize(("true", "altered"), NOT_FORGIVEN)
def test_what_is_not(true, altered):
    assert SCRIPT.count(true) == 1
    assert verdicts(SCRIPT.replace(true, altered)) == (FAILED, FAILED)
