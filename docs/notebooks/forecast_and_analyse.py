# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Forecast and analyse
#
# Take a trained model, forecast movies that it has not seen, and look at the waves of its
# hidden state.
#
# ## A model
#
# Some trained weights come with the package
# ([which](../experiments.md#trained-weights-that-come-with-the-package)). This one is a
# Neural Wave Machine with 12 rings of 12 oscillators that has seen springs, 4,000 steps of the
# preset `:laptop`. Of a run of your own, `load` takes the workdir.

# %%
import pathlib
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import nwm_jax
from nwm_jax import waves

for name, card in nwm_jax.pretrained().items():
    print(f"{name:24} relative MSE of its forecast {card.relative_mse['forecast']:.2g}")

model = nwm_jax.load("spring_nwm1d:laptop")

# %% [markdown]
# ## Movies
#
# `generate` makes movies of the test split, whose trajectories training never sees. Your
# own are as good: uint8 `[number, time, 32, 32, 3]`.

# %%
folder = pathlib.Path(tempfile.mkdtemp())
command = [
    *(sys.executable, "-m", "nwm_jax.generate", "--dataset=mass_spring"),
    *("--clips=16", f"--out={folder / 'clips.npy'}"),
]
subprocess.run(command, capture_output=True, check=True)
clips = np.load(folder / "clips.npy")
print(clips.dtype, clips.shape)

# %% [markdown]
# ## A forecast
#
# The model sees 31 frames and continues on its own.

# %%
observed, horizon = model.num_observed, 60
forecast = np.asarray(model.forecast(clips[:, :observed], horizon))
truth = clips[:, observed : observed + horizon] / 255.0

shown = [0, 5, 10, 20, 40, 59]
fig, axes = plt.subplots(2, len(shown), figsize=(9, 3.2))
for column, frame in enumerate(shown):
    axes[0, column].imshow(truth[0, frame], origin="lower")
    axes[1, column].imshow(np.clip(forecast[0, frame], 0, 1), origin="lower")
    axes[0, column].set_title(f"{frame + 1} ahead", size=9)
    for axis in axes[:, column]:
        axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("truth")
axes[1, 0].set_ylabel("forecast")
plt.show()


# %% [markdown]
# The error of every frame, next to two forecasts without skill. Relative is: of the sum of
# squares of the true frame ([what it means](../experiments.md#what-relative_mse-means)).


# %%
def error(prediction):
    """Returns the relative squared error of every frame [T], a mean over movies."""
    squares = ((prediction - truth) ** 2).sum((-3, -2, -1))
    return (squares / (truth**2).sum((-3, -2, -1))).mean(0)


curves = {
    "model": error(forecast),
    "last observed frame": error(clips[:, observed - 1 : observed] / 255.0),
    "mean image": error(truth.mean((0, 1))),
}
fig, axis = plt.subplots(figsize=(6, 2.8))
for name, curve in curves.items():
    axis.semilogy(np.arange(1, horizon + 1), curve, label=name)
    print(f"{name:20} {curve.mean():.5f}")
axis.set(xlabel="frames ahead", ylabel="relative squared error")
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## The hidden state and its phase
#
# `states` returns the positions of the oscillators during the same forecast,
# `[movie, time, height, width, channel]`: a field like any recording. Drawn is what
# moves: the mean over time is taken off.

# %%
states = np.asarray(model.states(clips))
field = states[0, observed:, ..., 0]
angles = waves.phase(field)
moving = field - field.mean(0)

fig, axes = plt.subplots(2, len(shown), figsize=(9, 3.2))
limit = np.abs(moving).max()
for column, frame in enumerate(shown):
    axes[0, column].imshow(moving[frame], cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[1, column].imshow(angles[frame], cmap="twilight", vmin=-np.pi, vmax=np.pi)
    axes[0, column].set_title(f"{frame + 1} ahead", size=9)
    for axis in axes[:, column]:
        axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("x")
axes[1, 0].set_ylabel("phase")
plt.show()

# %% [markdown]
# ## Statistics
#
# Do the oscillators carry a wave, or do they move together? `evaluate` writes the means of
# these numbers over test movies into eval.json
# ([what they mean](../waves.md#what-the-numbers-mean)). This model forecasts
# well without a travelling wave: neighbours share little of their power (`speed_goodness`),
# and directions hardly agree (`coherence`). A
# [wave that was learned](../results/waves/README.md) looks different.

# %%
numbers = waves.statistics(field, boundary=("open", "periodic"))  # separate rings
units = {"frequency": "cycles/frame", "speed": "cells/frame", "wave_number": "rad/cell"}
for name in (
    *("frequency", "wave_number", "speed", "speed_goodness"),
    *("coherence", "travelling_index", "synchrony"),
):
    print(f"{name:17} {numbers[name]:8.3f} {units.get(name, '')}")
