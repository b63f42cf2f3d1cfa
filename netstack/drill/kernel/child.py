"""One script on Linux, in a child process whose network namespace ends with it."""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection

from netstack.drill.kernel.host import KernelHost
from netstack.drill.outcome import FAILED, SKIPPED, Outcome
from netstack.drill.runner import Wishes, run_text
from netstack.drill.settings import Read

ATTEMPTS = 3
LONGEST_RUN = 900.0
"""Seconds; no script needs more."""


def run_on_kernel(text: str, name: str, wishes: Wishes, read: Read = lambda name: None) -> Outcome:
    """Run a script on Linux; again, if all that was wrong is a time, for a busy machine is late now and then."""
    outcome = _run_once(text, name, wishes, read)
    for _ in range(ATTEMPTS - 1):
        if not outcome.late:
            break
        outcome = _run_once(text, name, wishes, read)
    return outcome


def _run_once(text: str, name: str, wishes: Wishes, read: Read) -> Outcome:
    """In a child process with a namespace of its own, which ends with it."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, text, name, wishes, read), daemon=True)
    child.start()
    theirs.close()
    try:
        if ours.poll(LONGEST_RUN):
            outcome: Outcome = ours.recv()
            return outcome
        return Outcome(name, FAILED, 0, f"still running after {LONGEST_RUN:.0f} s")
    except EOFError:
        return Outcome(name, SKIPPED, 0, "the process that runs scripts on the kernel died")
    finally:
        child.kill()
        child.join()
        ours.close()


def _child(theirs: Connection, text: str, name: str, wishes: Wishes, read: Read) -> None:
    sys.setswitchinterval(0.0005)  # a thread whose call returned shall not wait for the one that looks at the clock
    theirs.send(run_text(text, name, KernelHost, wishes, read))
    theirs.close()
    os._exit(0)  # threads may still be blocked in system calls
