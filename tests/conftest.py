"""What has to happen before any test is collected."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """As an ordinary user, become root of namespaces of our own while there is one thread (and no xdist worker) yet."""
    if os.geteuid() != 0 and not hasattr(config, "workerinput"):
        from tests import netns

        netns.missing()  # why it may have failed is told by the tests that are then skipped
