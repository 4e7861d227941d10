"""Runs that no machine holds are refused before they start, others are not."""

import types

import jax
import jax.numpy as jnp
import pytest

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.training import dispatch, evaluating, optimizer, room, state
from nwm_jax.training import mesh as meshes
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


def test_xla_counts_what_lies_between(monkeypatch):
    """Of a program whose arguments and results are small."""
    mesh = meshes.make_mesh(jax.devices()[:2])

    def wide(x):
        y = jnp.sin(x[:, None] * x)
        return jnp.sin(y @ y).sum(axis=0)

    def compiled(size):
        return jax.jit(wide).lower(jax.ShapeDtypeStruct((size,), "f4")).compile()

    monkeypatch.setattr(files, "machine_memory", lambda: 10**7)
    room.check_program(compiled(100), "batch_size", 100, mesh)
    with pytest.raises(UserError, match=r"^batch_size=1000 .* 0\.01 GB; lower batch_"):
        room.check_program(compiled(1000), "batch_size", 1000, mesh)


def test_batches_of_a_dispatch_count(monkeypatch):
    task, mesh = toy_task.Toy(), meshes.make_mesh()
    rows = meshes.process_rows(8, mesh)
    monkeypatch.setattr(files, "machine_memory", lambda: 10**6)
    with pytest.raises(UserError, match=r"^steps_per_dispatch=2147483647 .* GB"):
        dispatch.make_batches(task, 0, 1, 2**31 - 1, rows, mesh)


def test_scores_of_all_examples_count(monkeypatch):
    task, mesh = toy_task.Toy(), meshes.make_mesh()
    params, other = state.untrained(task, 0)
    monkeypatch.setattr(task, "num_eval", 2**31 - 1)
    monkeypatch.setattr(files, "machine_memory", lambda: 10**8)
    with pytest.raises(UserError, match=r"^the scores of 2147483647 examples: "):
        evaluating.run_eval(task, params, other, mesh, 4)
    monkeypatch.setattr(files, "machine_memory", lambda: 100)
    with pytest.raises(UserError, match=r"^eval\.batch_size=4 "):
        evaluating.run_eval(task, params, other, mesh, 4, num=4)
