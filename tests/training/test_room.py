"""Runs that no machine holds are refused before they start, others are not."""

import types

import pytest

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.training import mesh as meshes
from nwm_jax.training import optimizer, room, state
from tests.helpers import toy_task

GB = 10**9


@pytest.fixture
def check(monkeypatch):
    """Checks the toy task on a machine of 1 GB with an example of so many bytes."""
    monkeypatch.setattr(files, "machine_memory", lambda: GB)
    mesh = meshes.make_mesh(None)
    config = toy_task.get_config()
    task = toy_task.Toy(config)
    transform = optimizer.build(config.optimizer, config.num_steps)
    shapes = state.abstract(task, transform, mesh)

    def run(example, examples=8, scored=8):
        monkeypatch.setattr(task, "bytes_per_example", lambda: example, raising=False)
        sizes = types.SimpleNamespace(
            batch_size=examples, eval=types.SimpleNamespace(batch_size=scored)
        )
        room.check(sizes, task, shapes, mesh)

    return run


def test_what_fits_runs(check):
    check(0.0, 2**31 - 1)  # unknown
    check(0.1 * GB)


def test_what_does_not_fit_names_field_and_numbers(check):
    with pytest.raises(UserError, match=r"^batch_size=20 .* 2 GB .* 1 GB; lower"):
        check(0.1 * GB, 20)
    check(0.1 * GB, 8, 18)
    with pytest.raises(UserError, match=r"^eval\.batch_size=40 .* 2 GB"):
        check(0.1 * GB, 8, 40)


def test_weights_count(check, monkeypatch):
    monkeypatch.setattr(files, "machine_memory", lambda: 10)
    with pytest.raises(UserError, match=r"parameters: this needs .* lower the sizes"):
        check(0.0)


def test_disk(tmp_path):
    files.check_disk(1, tmp_path / "not" / "yet", "a")
    with pytest.raises(UserError, match=r"^a: this needs .* of the disk of"):
        files.check_disk(1e30, tmp_path / "not" / "yet", "a", "fewer")
