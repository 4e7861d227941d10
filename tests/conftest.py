"""Settings that every test shares."""

import os
import pathlib
import tempfile

# Four fake CPU devices for every test, and compiled programs kept between runs: both
# must be set before JAX starts, and child processes inherit them.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(pathlib.Path(tempfile.gettempdir()) / "nwm_jax_test_compilations"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
