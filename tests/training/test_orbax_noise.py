"""What Orbax and absl must not leave behind in the logging of a user's program."""

import logging
import subprocess
import sys

from absl import logging as absl_logging

from nwm_jax.training import orbax_noise


def test_nothing_is_added_to_the_root_logger():
    code = "import logging, nwm_jax.train; print(logging.getLogger().handlers)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_handlers_of_the_user_stay(monkeypatch):
    root, mine = logging.getLogger(), logging.NullHandler()
    monkeypatch.setattr(root, "handlers", [])
    with orbax_noise.root_logger_kept():
        absl_logging.debug("adds a handler where there is none")
        assert root.handlers
    assert root.handlers == []
    root.addHandler(mine)
    with orbax_noise.root_logger_kept():
        absl_logging.debug("adds none")
    assert root.handlers == [mine]
