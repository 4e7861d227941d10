"""Workdirs with what a table reads of them."""

import json

from nwm_jax.config import presets
from nwm_jax.experiments.forecasting import collect, table
from nwm_jax.runs import workdirs


def run(folder, name, score=10.0, *, seed=0, step=4_000, preset="laptop", **fields):
    """A workdir with what the table reads of it."""
    workdir = folder / f"{name}_{preset}_{seed}"
    workdir.mkdir(parents=True)
    config = presets.load(f"{name}:{preset},seed={seed}").to_dict()
    (workdir / "config.json").write_text(json.dumps({"config": config}))
    errors = {"forecast": score, "mean_image": 1700.0, "last_frame": 2800.5}
    relative = {
        who: None if error is None else error * 3072e-8 for who, error in errors.items()
    }
    report = {
        "protocol": config["protocol"],
        "seed": seed,
        "step": step,
        "num_windows": 512,
        "num_parameters": 1_061_297,
        "table_units": errors,
        "relative_mse": relative,
        "mse": relative,
        "vpt": {"forward_abs": score, "forward_rel": 0.5, "last_frame_abs": 2.0},
    } | fields
    (workdir / "eval.json").write_text(json.dumps(report))
    return workdir


def diverged(folder, name, **fields):
    """A workdir of a run that ended because a step was not finite."""
    lost = {"diverged": {"step": 12}, "table_units": None, "relative_mse": None}
    lost |= {"mse": None, "vpt": None}
    return run(folder, name, None, step=11, **lost | fields)


def several(folder):
    """Two seeds of one cell, a second model, a second dataset, a second protocol."""
    run(folder, "spring_nwm2d", 8.0)
    run(folder, "spring_nwm2d", 12.0, seed=1)
    run(folder, "mass_spring_hgn", 9.5)
    run(folder, "pendulum_rgn", 1138.25)
    run(folder, "spring_hgn", 3.0, preset="paper", step=500_000)
    return folder


def blocks(folder, measure="table_units"):
    return table.build(
        collect.collect(workdirs.find([f"{folder}/*"]), measure)[0], measure
    )
