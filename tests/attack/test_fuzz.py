"""A short selection of random fights; `python -m tests.attack.fuzz --seeds 10000` is the long campaign.

NETSTACK_CAMPAIGN=20 makes this selection twenty times as long.
"""

import os

import pytest

from tests.attack.fuzz import fight
from tests.attack.modern import ModernFight

CAMPAIGN = int(os.environ.get("NETSTACK_CAMPAIGN", "1"))


@pytest.mark.parametrize("seed", range(24 * CAMPAIGN))
def test_whatever_peers_and_users_do(seed):
    fight(seed)


@pytest.mark.parametrize("seed", range(10 * CAMPAIGN))
def test_with_fast_open_and_accurate_ecn_too(seed):
    fight(seed, kind=ModernFight)
