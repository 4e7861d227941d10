"""Where the golden numbers lie."""

import pathlib

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
