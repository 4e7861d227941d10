"""Dependencies: each has its reason, and none is loaded before it is used."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# What only one feature needs.
LATE = (
    "diffrax",
    "google.protobuf",
    "google_crc32c",
    "haiku",
    "matplotlib",
    "ml_collections",
)
LATE += ("PIL", "safetensors", "scipy.signal", "sklearn", "torch")


def test_each_has_its_reason():
    setup = (ROOT / "setup.py").read_text()
    (block,) = re.findall(r"install_requires=\[\n(.*?)\n    \]", setup, re.DOTALL)
    required = re.findall(r'^\s*"([\w-]+)', block, re.MULTILINE)
    page = (ROOT / "docs/dependencies.md").read_text()
    explained = re.findall(r"^\| ([\w-]+) \| .+ \| .+ \|$", page, re.MULTILINE)
    assert sorted(explained) == sorted([*required, "package"])
    (extras,) = re.findall(r"extras_require=\{\n(.*?)\n    \}", setup, re.DOTALL)
    for extra in re.findall(r'^        "(\w+)":', extras, re.MULTILINE):
        assert f"`{extra}`" in page, extra


@pytest.mark.parametrize(
    ("program", "missing"),
    [
        ("from nwm_jax import NWM2DCell, NWM1DCell, CoRNNCell, GRUCell", LATE),
        (
            "import nwm_jax.train",
            tuple({*LATE} - {"ml_collections", "scipy.signal", "google.protobuf"}),
        ),
        ("import nwm_jax", ("jax", "flax", "numpy", *LATE)),
        ("from nwm_jax import waves", ("jax", "flax", "matplotlib", "sklearn", "PIL")),
    ],
)
def test_nothing_is_loaded_before_it_is_used(program, missing):
    code = f"{program}\nimport sys; print(*(n for n in {missing} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
