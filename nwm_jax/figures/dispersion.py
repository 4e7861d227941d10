"""The dispersion relation that a field of linear waves has learned, and what it does."""

import os
import pathlib

import jax
import numpy as np
from matplotlib.axes import Axes

from nwm_jax.core import linear_wave
from nwm_jax.core.linear_wave import LinearWaveHParams, LinearWaveParams
from nwm_jax.errors import UserError
from nwm_jax.figures import style

_TOP, _WIDTH, _HEIGHT, _GAP = 0.62, 2.0, 2.1, 0.72
_BRANCHES = ("first branch", "second branch")
# Powers below this part of the largest are white.
_FLOOR = 1e-4


def draw(
    path: str | os.PathLike,
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    states: np.ndarray,
    *,
    title: str = "",
) -> pathlib.Path:
    """Draws frequency, damping and group velocity beside the spectrum of a state.

    All of them are of the channel whose state varies most, over the wave number along
    the last spatial axis: of a torus for waves that are alike in all rows, of rings for
    the first ring. The spectrum is the power of ``exp(i (k x - omega t))`` in the state,
    with the learned frequencies as lines.

    Args:
      path: the PNG to write.
      hparams: the field, on a ring or torus.
      params: its weights.
      states: positions after every step of a sequence, ``[T, *field_shape]``.
      title: one line above the pictures.

    Returns:
      `path`.

    Raises:
      UserError: a field without space, states of another shape, or a path that does not
        end in ".png".
    """
    style.check_suffix(path, ".png")
    states = np.asarray(states, np.float64)
    if not hparams.rank or states.shape[1:] != hparams.field_shape or len(states) < 2:
        raise UserError(
            f"states must be [T, {', '.join(map(str, hparams.field_shape))}] of a ring "
            f"or torus, 2 or more steps, and have shape {states.shape}"
        )
    states = np.where(np.isfinite(states), states, 0.0)
    channel = int(np.argmax(states.var(axis=(0, 1, 2))))
    sheet = states[..., channel]
    sheet = sheet.mean(axis=1) if hparams.rank == 2 else sheet[:, 0]
    numbers = np.fft.fftfreq(hparams.size[-1])
    order = np.argsort(numbers)
    result = jax.jit(_measure, static_argnums=0)(hparams, params)
    dt, *curves = (np.asarray(a, np.float64)[..., channel] for a in result)
    curves = [curve[:, 0] if hparams.rank == 2 else curve for curve in curves]
    frequency, damping, velocity = (curve[:, order] * dt for curve in curves)
    frequency = frequency / (2.0 * np.pi)
    figure = style.new_figure(0.7 + 4 * (_WIDTH + _GAP), _TOP + _HEIGHT + 0.55)
    if title:
        style.text_inches(figure, 0.7, 0.22, title, style.TITLE, weight="bold")
    boxes = [(0.7 + n * (_WIDTH + _GAP), _TOP, _WIDTH, _HEIGHT) for n in range(4)]
    axes = [style.add_axes_inches(figure, *box) for box in boxes]
    for each, curve, label in (
        (axes[0], frequency, "frequency (cycles per step)"),
        (axes[1], damping, "damping (per step)"),
        (axes[2], velocity, "group velocity (cells per step)"),
    ):
        _draw_branches(each, numbers[order], curve, label)
    axes[1].set_ylim(bottom=0.0)
    axes[0].legend(fontsize=style.SMALL, frameon=False, loc="best")
    _draw_spectrum(axes[3], sheet, numbers[order], frequency)
    for each, name in zip(
        axes,
        ("dispersion relation", "damping", "group velocity", "spectrum of the state"),
        strict=True,
    ):
        each.set_title(f"{name}, channel {channel}", size=style.SMALL)
        each.set_xlabel("wave number (cycles per cell)", size=style.LABEL)
        each.tick_params(labelsize=style.SMALL)
    return style.save_png(figure, path)


def _measure(
    hparams: LinearWaveHParams, params: LinearWaveParams
) -> tuple[jax.Array, ...]:
    """dt, and omega, damping and the last component of the group velocity."""
    omega, damping = linear_wave.dispersion(hparams, params)
    velocity = linear_wave.group_velocity(hparams, params)[:, -1]
    return linear_wave.step_sizes(params), omega, damping, velocity


def _draw_branches(
    axes: Axes, numbers: np.ndarray, curve: np.ndarray, label: str
) -> None:
    for branch, look in zip(range(2), style.looks(2), strict=True):
        axes.plot(
            numbers,
            np.where(np.isfinite(curve[branch]), curve[branch], np.nan),
            label=_BRANCHES[branch],
            **look,
        )
    axes.set_ylabel(label, size=style.LABEL)


def _draw_spectrum(
    axes: Axes, sheet: np.ndarray, numbers: np.ndarray, frequency: np.ndarray
) -> None:
    """Power over wave number and frequency; lines are the learned frequencies."""
    window = np.hanning(len(sheet) + 2)[1:-1, None]
    # exp(-i omega t): NumPy's transform over time has the other sign.
    power = abs(np.fft.fftshift(np.fft.fft2(window * sheet)[::-1])) ** 2
    power = np.log10(np.maximum(power / (power.max() or 1.0), _FLOOR))
    steps, cells = sheet.shape
    side = 0.5 / cells
    turns = -np.fft.fftshift(np.fft.fftfreq(steps))[::-1]
    axes.imshow(
        power,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=style.SEQUENTIAL,
        extent=(
            numbers[0] - side,
            numbers[-1] + side,
            turns[0] - 0.5 / steps,
            turns[-1] + 0.5 / steps,
        ),
        vmin=np.log10(_FLOOR),
        vmax=0.0,
    )
    for branch in frequency:
        wrapped = (branch + 0.5) % 1.0 - 0.5
        axes.plot(numbers, wrapped, color=style.FORECAST, linewidth=0.9, alpha=0.8)
    # A real state has the same power at (k, omega) and (-k, -omega).
    reach = float(np.abs(frequency).max())
    axes.set_ylim(0.0, min(0.5, max(1.5 * reach, 4.0 / steps)))
    axes.set_ylabel("frequency (cycles per step)", size=style.LABEL)
