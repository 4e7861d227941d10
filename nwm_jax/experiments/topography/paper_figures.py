"""The figures of the paper on Neural Wave Machines, drawn again from finished runs.

Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), figures 1 to 9, which
`python -m nwm_jax.plot --figure=N --runs=... --out=...` draws.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from flax import nnx

from nwm_jax.data.topography.periodic import Gratings, RotatingImages
from nwm_jax.data.topography.rotation import PERIOD
from nwm_jax.errors import UserError
from nwm_jax.experiments.topography import maps, orientation, panels, rollouts
from nwm_jax.experiments.topography.panels import Row
from nwm_jax.experiments.topography.task import Variational
from nwm_jax.models.topography import VariationalNWM
from nwm_jax.modules import functional
from nwm_jax.runs.opened import Run
from nwm_jax.training import evaluating, mesh
from nwm_jax.training import state as states
from nwm_jax.waves import direction_coherence
from nwm_jax.waves.tracking import track_crest

_FRAMES = 4 * PERIOD
_PINK = "#e377c2"
_SUBSET = slice(8, 18)  # cells of figure 3


class Figure(NamedTuple):
    """How a figure is made: of which runs ("2D digits", ...), by which function."""

    needs: str
    draw: Callable[[Sequence[Run], pathlib.Path], list[pathlib.Path]]


def draw(
    number: int, runs: Sequence[Run], path: str | pathlib.Path
) -> list[pathlib.Path]:
    """Draws a figure of the paper.

    Args:
      number: 1 to 9.
      runs: finished runs of variational NWMs, those that `FIGURES` names.
      path: the PNG to write; a second part goes beside it.

    Returns:
      What was written.

    Raises:
      UserError: no such figure, or runs of another kind.
    """
    if number not in FIGURES:
        raise UserError(f"there is no figure {number}: choose from 1 to 9")
    for run in runs:
        if run.config.task != "variational":
            raise UserError(
                f"{run.workdir} is a run of the task {run.config.task}; the figures "
                "are of the configs rotating_mnist_*, sine_nwm2d and noise_nwm2d"
            )
    return FIGURES[number].draw(runs, pathlib.Path(path))


def _pick(runs: Sequence[Run], number: int, fits: Callable[[Run], bool]) -> list[Run]:
    fitting = [run for run in runs if fits(run)]
    if not fitting:
        raise UserError(f"figure {number} needs a run of {FIGURES[number].needs}")
    return fitting


def _parts(run: Run) -> tuple[Variational, VariationalNWM]:
    """Returns the task and the model of a run: `draw` has refused all others."""
    assert isinstance(run.task, Variational) and isinstance(run.model, VariationalNWM)
    return run.task, run.model


def _is_sheet(run: Run) -> bool:
    return run.config.model.name == "nwm2d" and _turns(run)


def _is_rings(run: Run) -> bool:
    return run.config.model.name == "nwm1d" and _turns(run)


def _turns(run: Run) -> bool:
    return isinstance(_parts(run)[0].source, RotatingImages)


def _is_gratings(run: Run) -> bool:
    return isinstance(_parts(run)[0].source, Gratings)


def _boundary(run: Run) -> str | tuple[str, str]:
    rings = run.config.model.name == "nwm1d"
    return ("open", "periodic") if rings else "periodic"


def _watch(
    run: Run, indices: Sequence[int] | np.ndarray, frames: int = _FRAMES
) -> rollouts.Watched:
    return rollouts.watch(*_parts(run), np.array(indices), frames)


def _overview(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    run = _pick(runs, 1, lambda run: run.config.model.name == "nwm2d")[0]
    seen = _watch(run, [0])
    signal = rollouts.signal(seen.states[0])
    chosen = np.arange(_FRAMES - PERIOD, _FRAMES, 3)
    velocity = rollouts.velocity(signal, _boundary(run))
    rows = [
        Row("input", seen.images[0, chosen]),
        Row("prediction", seen.means[0, chosen - 1]),
        Row("hidden state\nx", seen.states[0, chosen], "field"),
        Row("phase and\nvelocity", np.angle(signal[chosen]), "phase", velocity[chosen]),
    ]
    return [_save(path, rows, chosen, f"Waves of a hidden state: {run.title}")]


def _datasets(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    chosen = np.arange(_FRAMES - PERIOD, _FRAMES - PERIOD + 8)
    rows = []
    for run in _pick(runs, 2, lambda run: True):
        seen = _watch(run, [0])
        name = run.config.data.name.replace("_", " ")
        rows += [
            Row(name, seen.images[0, chosen]),
            Row("hidden\nstate", seen.states[0, chosen], "field"),
        ]
    return [_save(path, rows, chosen, "Structure of the inputs and of the states")]


def _preferences(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    fits = lambda run: _is_gratings(run) or _is_sheet(run)
    paths = []
    for run in _pick(runs, 3, fits):
        if _is_gratings(run):
            paths.append(_orientations(run, path))
        else:
            shown = rollouts.favourites(*_parts(run), min(1_000, run.task.num_eval))
            part = path.with_name(f"{path.stem}_images.png")
            corner = shown[_SUBSET, _SUBSET] if min(shown.shape[:2]) > 18 else shown
            paths.append(maps.draw_mosaic(part, corner, zoom=2))
    return paths


def _orientations(run: Run, path: pathlib.Path) -> pathlib.Path:
    asked = orientation.Orientation(run.task)
    _, params, state = functional.split(run.model)
    gather = evaluating.make_gather(asked, mesh.make_mesh(), asked.eval_batch_size)
    scores = gather(params, state)
    preferred = orientation.read_map(scores)
    numbers = asked.summarise(scores)["orientation"]
    note = (
        f"same label as a neighbour {numbers['same_label']:.2f} (shuffled "
        f"{numbers['chance']:.2f}), {numbers['unselective']} of {numbers['cells']} cells "
        f"below d = 0.65, {numbers['pinwheels']} pinwheels"
    )
    title = f"Preferred orientations: {run.title}"
    return maps.draw_orientation_map(
        path, preferred.labels, preferred.selective, title=title, note=note
    )


def _wave(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    run = _pick(runs, 4, _is_sheet)[0]
    boundary = _boundary(run)
    seen = _watch(run, [0])
    signal = rollouts.signal(seen.states[0])
    chosen = np.arange(_FRAMES - 4, _FRAMES)
    stars = track_crest(signal[chosen], boundary=boundary)
    velocity = rollouts.velocity(signal, boundary)[chosen]
    marks = {"stars": stars, "triangle": stars[0]}
    rows = [
        Row("hidden state,\nfiltered", signal.real[chosen], "field", **marks),
        Row("phase", np.angle(signal[chosen]), "phase", **marks),
        Row("velocity", velocity, "velocity", **marks),
    ]
    note = "Star: a crest that is followed; triangle: where it was at first."
    title = f"A travelling wave: {run.title}"
    first = _save(path, rows, chosen, title, note)
    before = run._replace(model=_untrained(run))
    columns, average = [], []
    for name, each in (("before", before), ("after", run)):
        shown = _watch(each, [0])
        moving = rollouts.velocity(rollouts.signal(shown.states[0]), boundary)
        mean = moving[PERIOD:].mean(axis=0)
        average.append(mean)
        columns.append(f"{name} training, R = {float(direction_coherence(mean)):.2f}")
    rows = [Row("mean\nvelocity", np.stack(average), "velocity")]
    second = path.with_name(f"{path.stem}_velocity.png")
    note = "Mean of frames 18 to 71. R: coherence of the directions."
    panels.draw(second, rows, columns=columns, note=note)
    return [first, second]


def _induced(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    run = _pick(runs, 5, _is_rings)[0]
    steps = np.arange(24)
    seen = _watch(run, [0], PERIOD)
    rolled = rollouts.turned_back(*_parts(run), np.array([0]), len(steps))[0]
    last = seen.states[0, -1]
    fields = np.stack([np.roll(last, step, axis=-1) for step in steps])
    back = seen.images[0, -steps % PERIOD]
    pink = {int(step): _PINK for step in steps if step >= PERIOD}
    rows = [
        Row("input,\nbackwards", back, frame=pink),
        Row("induced\nwave", rolled, frame=pink),
        Row("state", fields, "field", frame=pink),
    ]
    note = "Pink: beyond the 18 frames of the input."
    title = "The last state, moved one cell a step round its rings, and decoded: "
    return [_save(path, rows, steps, title + run.title, note, width=9.5)]


def _mosaic(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    run = _pick(runs, 6, _is_sheet)[0]
    shown = rollouts.favourites(*_parts(run), min(1_000, run.task.num_eval))
    return [maps.draw_mosaic(path, shown)]


def _samples(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    run = _pick(runs, 7, _is_sheet)[0]
    seen = _watch(run, [1, 2, 3])
    chosen = np.arange(_FRAMES - PERIOD, _FRAMES)
    rows = []
    for number in range(3):
        signal = rollouts.signal(seen.states[number])
        rows += [
            Row("input", seen.images[number, chosen]),
            Row("prediction", seen.means[number, chosen - 1]),
            Row("state", seen.states[number, chosen], "field"),
            Row("phase", np.angle(signal[chosen]), "phase"),
        ]
    title = f"Three more test digits, fourth period: {run.title}"
    note = (
        "A prediction stands under the frame that it predicts, made one frame before."
    )
    return [_save(path, rows, chosen, title, note, width=9.5)]


def _starts(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    chosen = np.arange(_FRAMES - 8, _FRAMES)
    rows = []
    for run in _pick(runs, 8, _is_sheet):
        states_ = _watch(run, [0]).states[0]
        signal = rollouts.signal(states_)
        rows += [
            Row(f"seed {run.config.seed}:\nstate", states_[chosen], "field"),
            Row("phase", np.angle(signal[chosen]), "phase"),
        ]
    return [_save(path, rows, chosen, "Other initial weights")]


def _digits(runs: Sequence[Run], path: pathlib.Path) -> list[pathlib.Path]:
    run = _pick(runs, 9, _is_rings)[0]
    indices = np.arange(1, 6)
    seen = _watch(run, indices, PERIOD)
    rolled = rollouts.turned_back(*_parts(run), indices, PERIOD)
    rows = []
    for number in range(len(indices)):
        rows += [
            Row("input", seen.images[number]),
            # Of the first frame: that of the frame after the last, which is the same.
            Row("prediction", np.roll(seen.means[number], 1, axis=0)),
            Row("induced", rolled[number]),
        ]
    title = f"Inputs, predictions, induced waves: {run.title}"
    return [_save(path, rows, np.arange(PERIOD), title, width=9.5)]


FIGURES = {
    1: Figure("2D", _overview),
    2: Figure("digits, gratings, noise (any of them)", _datasets),
    3: Figure("gratings, of 2D digits, or of both", _preferences),
    4: Figure("2D digits", _wave),
    5: Figure("1D digits", _induced),
    6: Figure("2D digits", _mosaic),
    7: Figure("2D digits", _samples),
    8: Figure("2D digits, several seeds", _starts),
    9: Figure("1D digits", _digits),
}


def _untrained(run: Run) -> nnx.Module:
    params, state = states.untrained(run.task, run.config.seed)
    return functional.merge(run.task.graphdef, params, state)


def _save(
    path: pathlib.Path,
    rows: Sequence[Row],
    chosen: np.ndarray,
    title: str,
    note: str = "",
    width: float = 6.6,
) -> pathlib.Path:
    columns = [f"frame {chosen[0]}" if width < 9 else str(chosen[0])]
    columns += [str(frame) for frame in chosen[1:]]
    return panels.draw(path, rows, columns=columns, title=title, note=note, width=width)
