"""Journeys in virtual time, with a clock that counts: the same steps every time."""

import itertools

from netstack.journey.record import Recorder
from netstack.journey.request import make_request
from netstack.journey.steps import LANES, Step
from netstack.journey.teller import steps
from netstack.journey.travel import Trip, travel
from netstack.link.fault import Faults
from netstack.welcome import app as welcome
from tests.aio import virtual_loop


def journey(url="/plaintext", app=welcome, faults=None, seed=7, server_closes=False, **request) -> list[Step]:
    """The steps of one request in memory."""
    recorder = Recorder(itertools.count(0, 1_000).__next__)
    wanted = make_request(url, **request, server_closes=server_closes)
    travel(Trip(wanted, faults=faults or Faults(), seed=seed), app, recorder, run=virtual_loop.run)
    return steps(recorder.moments)


def plain(found: list[Step]) -> list[str]:
    """Steps as lines: lanes, states, words."""
    return [
        f"{LANES[step.start]}>{LANES[step.end]} {step.client.state} {step.server.state} {step.text}" for step in found
    ]
