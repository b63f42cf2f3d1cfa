"""The tests know what was recorded from the tool that recorded it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tools"))
