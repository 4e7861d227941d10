# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A layer of waves
#
# A model of your own with one layer of `NWM2DCell`: it sees a flash and predicts the
# waves that follow. It is trained on movies of the wave equation; then we look at the
# waves in its hidden state. Everything runs in a minute or two on two CPU
# cores.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from nwm_jax import NWM2DCell, waves

SIZE, FRAMES = 16, 24

# %% [markdown]
# ## The movies
#
# A flash pushes a sheet at a random place; the push spreads with c = 0.5 cells per frame:
#
#     u[t+1] = 2 u[t] - u[t-1] + c^2 (sum of the four neighbours - 4 u[t])
#
# on a torus. The input of the model is the flash in the first frame, and nothing after it.

# %%
SPEED = 0.5


def movies(number, frames, seed, flashes=2):
    """Returns flashes [N, H, W] and the frames after them [N, T, H, W]."""
    rng = np.random.default_rng(seed)
    place = np.arange(SIZE)
    flash = np.zeros((number, SIZE, SIZE))
    for _ in range(flashes):
        row, column = rng.uniform(0, SIZE, (2, number, 1))
        away = [
            (place - centre + SIZE / 2) % SIZE - SIZE / 2 for centre in (row, column)
        ]
        distance = away[0][:, :, None] ** 2 + away[1][:, None, :] ** 2
        sign = 1 if flashes == 1 else rng.choice([-1, 1], (number, 1, 1))
        flash += sign * np.exp(-distance / 4)
    flash -= flash.mean((1, 2), keepdims=True)
    before, now, seen = np.zeros_like(flash), flash, []
    for _ in range(frames):
        seen.append(now)
        neighbours = sum(
            np.roll(now, step, axis) for step in (1, -1) for axis in (1, 2)
        )
        force = SPEED**2 * (neighbours - 4 * now)
        before, now = now, 2 * now - before + force
    return flash.astype(np.float32), np.stack(seen, 1).astype(np.float32)


# %% [markdown]
# ## The model
#
# A cell is a Flax recurrent cell, so that it runs in `nnx.RNN`. A linear map reads the
# prediction of a place from the oscillators at that place: what spreads over the sheet
# has to spread in the layer.


# %%
class Sheet(nnx.Module):
    """Predicts frames from the flash: [B, H, W] -> x [B, T, H, W, C], frames."""

    def __init__(self, channels, *, rngs):
        cell = NWM2DCell((SIZE, SIZE), channels=channels, dt=0.5, rngs=rngs)
        self.layer = nnx.RNN(cell)
        self.readout = nnx.Linear(channels, 1, rngs=rngs)

    def __call__(self, flash, frames):
        silence = jnp.zeros((len(flash), frames - 1, *flash.shape[1:]))
        inputs = jnp.concatenate([flash[:, None], silence], axis=1)[..., None]
        x = self.layer(inputs)
        return x, self.readout(x)[..., 0]


model = Sheet(channels=4, rngs=nnx.Rngs(0))

# %% [markdown]
# ## Training
#
# The parameters are split off once and are a plain pytree from then on.

# %%
graph, params, rest = nnx.split(model, nnx.Param, ...)  # rest: the streams of keys
optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, 400))
moments = optimizer.init(params)


def loss(params, flash, target):
    """Returns the mean squared error over places and frames."""
    _, frames = nnx.merge(graph, params, rest)(flash, target.shape[1])
    return jnp.mean((frames - target) ** 2)


@jax.jit
def step(params, moments, flash, target):
    """Returns parameters and moments after one step, and the error before it."""
    error, gradient = jax.value_and_grad(loss)(params, flash, target)
    change, moments = optimizer.update(gradient, moments)
    return optax.apply_updates(params, change), moments, error


flashes, targets = movies(512, FRAMES, seed=0)
errors = []
for number in range(400):
    rows = np.arange(8) + number * 8 % 512
    params, moments, error = step(params, moments, flashes[rows], targets[rows])
    errors.append(float(error))

fig, axis = plt.subplots(figsize=(5, 2.5))
axis.semilogy(errors)
axis.set(xlabel="step", ylabel="mean squared error")
plt.show()

# %% [markdown]
# ## Does it predict?
#
# On movies that it has not seen, next to two forecasts without skill: nothing moves, and
# the mean over movies (which is nearly zero everywhere).

# %%
flashes, targets = movies(64, FRAMES, seed=1)
hidden, predicted = jax.jit(lambda p, f: nnx.merge(graph, p, rest)(f, FRAMES))(
    params, flashes
)
scores = {
    "model": np.mean((predicted - targets) ** 2),
    "nothing moves": np.mean((targets[:, :1] - targets) ** 2),
    "mean": np.mean((targets.mean(0) - targets) ** 2),
}
for name, score in scores.items():
    print(f"{name:14} mean squared error {score:.5f}")

# %%
shown = [0, 4, 8, 12, 16, 20]
fig, axes = plt.subplots(2, len(shown), figsize=(9, 3.2))
for column, frame in enumerate(shown):
    for row, (name, field) in enumerate({"truth": targets, "model": predicted}.items()):
        axes[row, column].imshow(field[0, frame], cmap="RdBu_r", vmin=-0.6, vmax=0.6)
        axes[row, column].set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(name)
    axes[0, column].set_title(f"frame {frame}")
plt.show()

# %% [markdown]
# ## The waves of the layer
#
# One flash, and the mean over the circle at each distance from it: a wave is a slanted
# stripe, and its slope is the speed. At the left the movie, in the middle the model's
# frames, at the right the channel of the hidden state that moves most. Its crest goes
# outward with the wave that it has to predict.

# %%
flash, truth = movies(1, FRAMES, seed=2, flashes=1)
sheet = nnx.merge(graph, params, rest)
hidden, predicted = (np.asarray(part[0]) for part in sheet(flash, FRAMES))
weights = np.asarray(sheet.readout.kernel[...])[:, 0]
strongest = int(np.argmax(np.abs(weights) * hidden.std((0, 1, 2))))
field = hidden[..., strongest] * np.sign(weights[strongest])

row, column = np.unravel_index(flash[0].argmax(), (SIZE, SIZE))
place = np.arange(SIZE)
away = [(place - centre + SIZE / 2) % SIZE - SIZE / 2 for centre in (row, column)]
distance = np.hypot(away[0][:, None], away[1][None]).round().astype(int)

fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True)
shown = {"movie": truth[0], "model": predicted, "a channel of x": field}
for axis, (name, movie) in zip(axes, shown.items(), strict=False):
    circles = np.stack([movie[:, distance == d].mean(1) for d in range(8)])
    axis.imshow(circles, cmap="RdBu_r", origin="lower", aspect="auto")
    axis.set(title=name, xlabel="frame")
    if name != "a channel of x":
        crest = 2 + circles[2:6, 2:].argmax(1)  # when the crest passes a distance
        axis.plot(crest, range(2, 6), "k.")
        speed = np.polyfit(crest, range(2, 6), 1)[0]
        print(f"{name}: the crest moves {speed:.2f} cells per frame")
axes[0].set_ylabel("distance (cells)")
plt.show()

# %% [markdown]
# The phase of the analytic signal turns along the ring; `nwm_jax.waves` has its
# gradient, speeds, fronts and statistics for any `[time, height, width]`.

# %%
angles = waves.phase(field)
shown = [0, 4, 8, 12, 16, 20]
fig, axes = plt.subplots(2, len(shown), figsize=(9, 3.2))
for column, frame in enumerate(shown):
    axes[0, column].imshow(field[frame], cmap="RdBu_r")
    axes[1, column].imshow(angles[frame], cmap="twilight", vmin=-np.pi, vmax=np.pi)
    axes[0, column].set_title(f"frame {frame}")
    for axis in axes[:, column]:
        axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("state x")
axes[1, 0].set_ylabel("phase")
plt.show()
