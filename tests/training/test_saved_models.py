"""The first state of every model of every experiment can be saved and read again."""

import optax
import pytest

import nwm_jax.experiments  # noqa: F401 (registers the configs)
from nwm_jax.config import presets
from nwm_jax.training import checkpoint, mesh, registry, state

# Data that have, together, every model of every experiment; loading all takes seconds.
DATA = ("spring", "smnist", "copy", "tetrominoes", "rotating")


def one_of_each():
    """A config of every model of every experiment, and of waves that meet no neighbours."""
    names = {}
    for name in presets.definitions():
        if name.split("_")[0] not in DATA:
            continue
        config = presets.load(name)
        experiment = registry.find(config.task).name
        names.setdefault((experiment, config.model.name), f"{name}:smoke")
    alone = "model.kernel_size=1"
    return [*names.values(), f"smnist_lwm2d:smoke,{alone}", f"copy_lwm1d:smoke,{alone}"]


@pytest.mark.slow
@pytest.mark.parametrize("spec", one_of_each())
def test_round_trip(spec, tmp_path, same_bits):
    task = registry.build(presets.load(spec))
    devices, optimizer = mesh.make_mesh(), optax.adam(1e-3)
    start = state.create(task, optimizer, 0, devices)
    saver = checkpoint.Checkpointer(tmp_path)
    saver.save(start, {})
    restored, _ = saver.restore_latest(state.abstract(task, optimizer, devices))
    same_bits(restored, start)
