"""Puts the weights of a run into the package, with their card.

    python tests/tools/write_weights.py WORKDIR COMMIT

WORKDIR is a finished run, COMMIT the one of this repository that trained it. The weights
of the last step are rounded to float16; the scores of the card are those of the rounded
ones, computed here.
"""

import hashlib
import pathlib
import sys
import tempfile

import numpy as np
import safetensors.numpy

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax import files
from nwm_jax.modules import functional
from nwm_jax.runs import opened, pretrained

_LICENCE = "Apache-2.0"


def write(workdir: pathlib.Path, commit: str) -> pathlib.Path:
    """Writes NAME.safetensors and NAME.json for a run; returns the card's path."""
    run = opened.open_run(workdir)
    _, *trees = functional.split(run.model)
    arrays = {name: _half(leaf) for name, leaf in pretrained.names(trees).items()}
    config = run.config.to_dict()
    config["data"]["cache_dir"] = ""  # a folder of this machine
    name = f"{config['name']}:{config['preset']}"
    card = pretrained.FOLDER / f"{name.replace(':', '-')}.json"
    weights = card.with_suffix(".safetensors")
    data = safetensors.numpy.save(arrays)
    files.write_atomic(weights, data)
    sizes = config["data"]
    fields = {
        "name": name,
        "data": (
            f"{sizes['name']} of the Hamiltonian Dynamics Suite, simulated by this "
            f"package: trained on {sizes['num_train']:,} trajectories, scored on windows "
            f"of {sizes['num_test']:,} others"
        ),
        "licence": _LICENCE,
        "commit": commit,
        "sha256": hashlib.sha256(data).hexdigest(),
        "config": config,
    }
    with tempfile.TemporaryDirectory() as folder:
        # To open a card takes nothing of its scores but the step.
        files.write_json(card, fields | {"scores": {"step": run.step}})
        rounded = opened.open_run(f"{pretrained.PREFIX}{name}")
        scores = opened.evaluate(rounded, out=pathlib.Path(folder, "scores.json"))
    files.write_json(card, fields | {"scores": scores})
    return card


def _half(leaf: np.ndarray) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype(np.float16) if array.dtype == np.float32 else array


if __name__ == "__main__":
    print(write(pathlib.Path(sys.argv[1]), sys.argv[2]))
