"""The picture of what a field of linear waves has learned."""

import jax
import numpy as np
import pytest

from nwm_jax.core import linear_wave
from nwm_jax.errors import UserError
from nwm_jax.figures import dispersion, style

FIELD = linear_wave.LinearWaveHParams("ring", (1, 8), 1, 1)


def drawn(monkeypatch, states):
    kept = []
    monkeypatch.setattr(style, "save_png", lambda figure, path: kept.append(figure))
    params = linear_wave.init_params(jax.random.key(0), FIELD)
    dispersion.draw("a.png", FIELD, params, states, title="waves")
    return params, kept[0]


def test_a_wave_lies_on_its_line_of_the_spectrum(monkeypatch):
    params = linear_wave.init_params(jax.random.key(0), FIELD)
    omega = np.asarray(linear_wave.dispersion(FIELD, params)[0])[0, 1, 0]
    turn = float(
        omega * linear_wave.step_sizes(params)[0]
    )  # of k = one cycle in 8 cells
    assert 0.05 < turn < np.pi
    steps, cells = np.arange(256)[:, None], np.arange(8)
    wave = np.cos(2 * np.pi * cells / 8 - turn * steps)[:, None, :, None]
    _, figure = drawn(monkeypatch, wave)
    spectrum = figure.axes[3]
    power = spectrum.images[0].get_array()
    row, column = np.unravel_index(np.argmax(power[128:]), power[128:].shape)
    left, right, low, high = spectrum.images[0].get_extent()
    number = left + (column + 0.5) * (right - left) / 8
    frequency = low + (row + 128 + 0.5) * (high - low) / 256
    assert number == pytest.approx(1 / 8)
    assert frequency == pytest.approx(turn / (2 * np.pi), abs=1 / 256)
    line = spectrum.lines[0]
    place = np.argmin(abs(line.get_xdata() - 1 / 8))
    assert line.get_ydata()[place] == pytest.approx(turn / (2 * np.pi), abs=1e-5)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels[1:3] == ["damping (per step)", "group velocity (cells per step)"]


def test_a_field_without_space_has_no_picture():
    point = linear_wave.LinearWaveHParams("point", (), 4, 1)
    params = linear_wave.init_params(jax.random.key(0), point)
    with pytest.raises(UserError, match="ring or torus"):
        dispersion.draw("a.png", point, params, np.ones((5, 4)))
