"""What the tests of this folder share."""

from tests.quick import quick_to_compile  # noqa: F401 (a fixture)
