"""Lets tests import what lies in launch/, as its scripts do."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "launch"))
