"""Checkpoints: what is kept, what is damaged, what fits."""

import logging
import os
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nwm_jax import folders
from nwm_jax.errors import UserError
from nwm_jax.training import checkpoint, loop, manifests, mesh, state
from tests.helpers import toy_task

OPTIMIZER = optax.adam(1e-3)


@pytest.fixture(scope="module")
def devices():
    return mesh.make_mesh()


@pytest.fixture(scope="module")
def shapes(devices):
    return state.abstract(toy_task.Toy(), OPTIMIZER, devices)


@pytest.fixture(scope="module")
def start(devices):
    return state.create(toy_task.Toy(), OPTIMIZER, 0, devices)


def at(start, step):
    return start._replace(
        step=jnp.int32(step), params=jax.tree.map(lambda x: x + step, start.params)
    )


def fill(folder, start, steps=(1, 2, 3)):
    saver = checkpoint.Checkpointer(folder)
    for step in steps:
        saver.save(at(start, step), {"seconds": step / 3})
    return saver


def test_round_trip(start, shapes, tmp_path, same_bits, devices):
    saver = fill(tmp_path, start)
    restored, extra = saver.restore_latest(shapes)
    same_bits(restored, at(start, 3))
    assert extra == {"seconds": 1.0} and saver.steps() == [2, 3]
    assert restored.params["layers"][0]["kernel"].sharding.mesh == devices


def test_nothing_there(shapes, tmp_path):
    saver = checkpoint.Checkpointer(tmp_path / "none")
    assert saver.restore_latest(shapes) is None
    with pytest.raises(UserError, match="has no checkpoint yet"):
        saver.restore("last", shapes)


def test_from_four_devices_to_one_and_back(start, shapes, tmp_path, same_bits):
    one = mesh.make_mesh(jax.devices()[:1])
    shapes_of_one = state.abstract(toy_task.Toy(), OPTIMIZER, one)
    fill(tmp_path / "four", start)
    on_one, _ = checkpoint.Checkpointer(tmp_path / "four").restore_latest(shapes_of_one)
    same_bits(on_one, at(start, 3))
    assert on_one.step.sharding.device_set == {jax.devices()[0]}
    checkpoint.Checkpointer(tmp_path / "one").save(on_one)
    back, _ = checkpoint.Checkpointer(tmp_path / "one").restore_latest(shapes)
    same_bits(back, on_one)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "deleted", "flipped"])
def test_any_damage_to_the_newest_is_found(
    how, start, shapes, tmp_path, same_bits, capfd
):
    fill(tmp_path / "good", start, (2, 3))
    newest = tmp_path / "good" / "3"
    damaged = [
        p.relative_to(newest)
        for p in newest.rglob("*")
        if p.is_file() and p.name not in manifests.NAMES
    ]
    assert len(damaged) > 10
    for name in damaged[:: max(1, len(damaged) // 8)]:
        folder = tmp_path / "bad"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "good", folder)
        path = folder / "3" / name
        content = bytearray(path.read_bytes())
        if how == "deleted":
            path.unlink()
        elif how == "truncated":
            path.write_bytes(content[: len(content) // 2])
        else:
            content[len(content) // 2] ^= 255
            path.write_bytes(content)
        saver = checkpoint.Checkpointer(folder)
        restored, _ = saver.restore_latest(shapes)
        same_bits(restored, at(start, 2))
        (note,) = saver.notes
        assert note.startswith("the checkpoint of step 3 is damaged (now 3.damaged)")
        assert note.endswith("using the one of step 2")
        assert saver.steps() == [2] and (folder / "3.damaged").is_dir()
    assert capfd.readouterr() == ("", "")


def test_all_damaged_is_an_error_and_not_a_fresh_start(start, shapes, tmp_path):
    saver = fill(tmp_path, start)
    for step in saver.steps():
        for name in manifests.NAMES:
            (tmp_path / str(step) / name).unlink()
    with pytest.raises(UserError, match=r"every checkpoint .* damaged \(steps 2, 3\)"):
        saver.restore_latest(shapes)
    assert saver.steps() == [2, 3]


@pytest.mark.parametrize("name", manifests.NAMES)
@pytest.mark.parametrize("content", [None, b"", b"[" * 100_000, b"\xff", b"{}"])
def test_a_whole_checkpoint_goes_on_with_one_of_its_manifests(
    name, content, start, shapes, tmp_path, same_bits
):
    saver = fill(tmp_path, start)
    path = tmp_path / "3" / name
    path.unlink() if content is None else path.write_bytes(content)
    restored, extra = saver.restore_latest(shapes)
    same_bits(restored, at(start, 3))
    assert extra == {"seconds": 1.0} and saver.notes == []


def test_what_cannot_be_read_back_is_no_checkpoint(
    start, shapes, tmp_path, same_bits, monkeypatch
):
    saver = fill(tmp_path, start, (2,))
    save = saver._writer.save

    def lose_an_array(path, **kwargs):
        save(path, **kwargs)
        shutil.rmtree(path / "model" / "d")

    with monkeypatch.context() as patch:
        patch.setattr(saver._writer, "save", lose_an_array)
        with pytest.raises(UserError, match="cannot write the checkpoint of step 3"):
            saver.save(at(start, 3))
    assert saver.steps() == [2]
    same_bits(saver.restore_latest(shapes)[0], at(start, 2))


def test_what_a_kill_left_is_removed(start, shapes, tmp_path, same_bits):
    fill(tmp_path, start)
    for left in ("4.saving.orbax-checkpoint-tmp-1", "5.saving", "1.deleted"):
        (tmp_path / left).mkdir()
    saver = checkpoint.Checkpointer(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]
    same_bits(saver.restore_latest(shapes)[0], at(start, 3))


class Kill(BaseException):
    """No `except` of the program catches it, as if the process was gone."""


def kill(*_):
    raise Kill


@pytest.mark.parametrize("before", [(), (1,)])
def test_killed_before_the_manifest(
    before, start, shapes, tmp_path, same_bits, monkeypatch
):
    saver = fill(tmp_path, start, before)
    with monkeypatch.context() as patch, pytest.raises(Kill):
        patch.setattr(manifests, "write", kill)
        saver.save(at(start, 2))
    assert (tmp_path / "2.saving").is_dir()
    saver = checkpoint.Checkpointer(tmp_path)
    assert saver.steps() == list(before) and not (tmp_path / "2.saving").exists()
    outcome = saver.restore_latest(shapes)
    if before:
        same_bits(outcome[0], at(start, 1))
    else:
        assert outcome is None
    assert saver.notes == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Kill()])
@pytest.mark.parametrize("moment", [0, 1])
def test_a_step_saved_again_replaces_the_old_one_or_leaves_it(
    moment, error, start, shapes, tmp_path, same_bits, monkeypatch
):
    saver = fill(tmp_path, start, (2, 3))
    other = at(start, 7)._replace(step=jnp.int32(3))

    def fail(*_):
        raise error

    with (
        monkeypatch.context() as patch,
        pytest.raises(Kill if isinstance(error, Kill) else UserError),
    ):
        # Before the old one is set aside, or when the new one takes its place.
        if moment == 0:
            patch.setattr(folders, "move", fail)
        else:
            replace, calls = os.replace, []

            def fail_once(source, target):
                if str(source).endswith(".saving") and not calls:
                    calls.append(source)
                    fail()
                replace(source, target)

            patch.setattr(os, "replace", fail_once)
        saver.save(other)
    saver = checkpoint.Checkpointer(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]
    same_bits(saver.restore_latest(shapes)[0], at(start, 3))
    saver.save(other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]
    same_bits(saver.restore_latest(shapes)[0], other)


def test_a_lost_process_is_not_damage(start, shapes, tmp_path, monkeypatch):
    saver = fill(tmp_path, start)

    def lose(*_, **__):
        raise jax.errors.JaxRuntimeError("peer is gone")

    monkeypatch.setattr(saver._reader, "restore", lose)
    with pytest.raises(UserError, match=r"step 3 .* does not fit this model: peer is"):
        saver.restore(3, shapes)
    monkeypatch.setattr(mesh, "is_lost_peer", lambda error: True)
    with pytest.raises(jax.errors.JaxRuntimeError):
        saver.restore(3, shapes)


def test_the_best_survives_and_nan_is_no_best(start, tmp_path):
    saver = checkpoint.Checkpointer(tmp_path, ("acc", "max"))
    for step, value in enumerate([0.1, 0.9, float("nan"), 0.8, 0.2, None]):
        metrics = {} if value is None else {"acc": value}
        assert saver.is_better(metrics) == (step < 2)
        saver.save(at(start, step), metrics=metrics)
    assert saver.steps() == [1, 4, 5] and saver.best_value() == 0.9


def test_choosing(start, shapes, tmp_path):
    saver = fill(tmp_path, start)
    assert int(saver.restore(2, shapes)[0].step) == 2
    assert int(saver.restore("2", shapes)[0].step) == 2
    assert int(saver.restore("best", shapes)[0].step) == 3
    with pytest.raises(UserError, match="no checkpoint 7; there are best, last, 2, 3"):
        saver.restore(7, shapes)
    with pytest.raises(UserError, match="no checkpoint 'newest'"):
        saver.restore("newest", shapes)
    for name in manifests.NAMES:
        (tmp_path / "3" / name).unlink()
    assert int(saver.restore("last", shapes)[0].step) == 2
    with pytest.raises(UserError, match=r"step 3 .* is damaged"):
        saver.restore(3, shapes)


def test_another_model_is_one_line(start, shapes, tmp_path, capfd):
    saver = fill(tmp_path, start)
    wider = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct((*s.shape, 2), s.dtype, sharding=s.sharding),
        shapes.params,
    )
    with pytest.raises(UserError, match="does not fit this model") as error:
        saver.restore_latest(shapes._replace(params=wider))
    assert str(error.value).endswith(
        "params/layers/0/bias is float32[16] there and float32[16,2] here"
    )
    fewer = {"layers": {0: shapes.params["layers"][0]}}
    with pytest.raises(UserError, match=r"1/bias is float32\[3\] there and nothing"):
        saver.restore_latest(shapes._replace(params=fewer))
    assert capfd.readouterr().err == ""


def test_load_reads_the_model_alone(straight, same_bits):
    result, workdir = straight
    step, params, other = checkpoint.load(workdir, toy_task.Toy())
    assert step == 60
    same_bits(params, result.state.params)
    same_bits(other, result.state.state)


def test_a_full_disk_keeps_the_last_good_one(start, shapes, tmp_path, same_bits):
    rng = np.random.default_rng(0)
    big = start._replace(
        step=jnp.int32(4), params={"w": rng.normal(size=200_000).astype(np.float32)}
    )
    saver = fill(tmp_path, start)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(
            UserError, match=r"step 4.*: File too large; .* 3 is intact"
        ):
            saver.save(jax.device_put(big))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]
    same_bits(saver.restore_latest(shapes)[0], at(start, 3))


def test_quiet_and_levels_are_given_back(start, tmp_path, capfd):
    level = logging.getLogger("absl").level
    fill(tmp_path, start)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("absl").level == level


def test_a_damaged_newest_does_not_change_the_result(straight, same_bits, tmp_path):
    loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path)
    path = next((tmp_path / "checkpoints" / "60" / "model" / "d").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    again = loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path)
    same_bits(again.state, straight[0].state)
