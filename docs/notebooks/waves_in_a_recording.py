# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Waves in a recording
#
# A movie whose waves are known: three seconds of plane waves, then three of a spiral,
# on 24 x 24 sites, in noise. The analysis needs NumPy and SciPy, and neither JAX nor
# Flax. With a recording of your own, replace `movie` by its array `[time, height, width]`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nwm_jax import waves
from nwm_jax.waves import analysis, describe

FS = 100.0  # frames per second
SPACING = 0.4  # mm from site to site
FREQUENCY, WAVELENGTH, DIRECTION = 8.0, 4.8, 0.5  # Hz, mm, rad

# %%
rng = np.random.default_rng(0)
row, column = np.indices((24, 24)) * SPACING
t = np.arange(600)[:, None, None] / FS

along = np.sin(DIRECTION) * row + np.cos(DIRECTION) * column
plane = np.cos(2 * np.pi * (FREQUENCY * t - along / WAVELENGTH))
angle = np.arctan2(row - row.mean(), column - column.mean())
spiral = np.cos(2 * np.pi * FREQUENCY * t - angle)
movie = np.where(t < 3, plane, spiral) + rng.normal(size=(600, 24, 24))


# %%
def show(fields, names, **look):
    """Draws [H, W] fields beside each other."""
    _, axes = plt.subplots(1, len(fields), figsize=(9, 2.1))
    for axis, field, name in zip(axes, fields, names, strict=False):
        axis.imshow(field, **look)
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, size=9)
    return axes


shown = [100, 103, 106, 400, 403, 406]
show(movie[shown], [f"{k / FS:.2f} s" for k in shown], cmap="RdBu_r", vmin=-3, vmax=3)
plt.show()

# %% [markdown]
# ## Phase and velocity
#
# `wave_signal` filters the band and returns a complex signal; its angle is the phase.
# The arrows are the wave vector, nu = -grad phi, which points where the crests go.

# %%
signal = waves.wave_signal(movie, fs=FS, band=(4, 16))
velocity = waves.wave_velocity(signal, boundary="open")  # rad per site, (row, column)
axes = show(
    np.angle(signal[shown]),
    [f"{k / FS:.2f} s" for k in shown],
    cmap="twilight",
    vmin=-np.pi,
    vmax=np.pi,
)
sites = np.arange(1.5, 24, 4)
for axis, k in zip(axes, shown, strict=False):
    some = velocity[k - 50 : k + 50].mean(0)  # means over a second and 4 x 4 sites
    arrows = some.reshape(6, 4, 6, 4, 2).mean((1, 3))
    look = {"angles": "xy", "scale_units": "xy", "scale": 0.15, "width": 0.015}
    axis.quiver(*np.meshgrid(sites, sites), arrows[..., 1], arrows[..., 0], **look)
plt.show()

# %% [markdown]
# ## The numbers of the plane waves
#
# `statistics` reads speed and direction from cross spectra of neighbouring sites: noise
# makes the interval wider and hardly shifts the speed.
# [What the numbers mean](../waves.md#what-the-numbers-mean).

# %%
outcome = waves.statistics(movie[:300], fs=FS, band=(4, 16), boundary="open")
low, high = (SPACING * value for value in outcome["speed_interval"])
print(f"speed       {FREQUENCY * WAVELENGTH:5.1f} mm/s true, ", end="")
print(f"{SPACING * outcome['speed']:5.1f} found ({low:.1f} to {high:.1f})")
print(f"wavelength  {WAVELENGTH:5.2f} mm true,   ", end="")
print(f"{SPACING * outcome['wavelength']:5.2f} found")
print(f"direction   {DIRECTION:5.2f} rad true,  {outcome['direction']:5.2f} found")
print(f"frequency   {FREQUENCY:5.2f} Hz true,   {outcome['frequency']:5.2f} found")

# %% [markdown]
# ## Wave by wave
#
# `analyse` is the whole command `python -m nwm_jax.analyse`: every crest is followed and
# has a class, a speed and a p-value. Its null hypothesis is a time-reversible field with
# the same spectra and correlations.

# %%
result = analysis.analyse(
    movie,
    fs=FS,
    band=(4, 16),
    spacing=SPACING,
    num_surrogates=39,
    units=describe.Units("s", "mm"),
)
fronts = result.fronts
fig, axes = plt.subplots(2, 1, figsize=(8, 3.8), sharex=True)
for kind, marker in (("plane", "o"), ("radial", "s"), ("rotating", "^"), ("none", "x")):
    chosen = fronts.kind == kind
    print(f"{kind:9} {chosen.sum():3} waves")
    axes[0].plot(fronts.time[chosen], fronts.speed[chosen], marker, ms=4, label=kind)
    axes[1].plot(fronts.time[chosen], result.p_value[chosen], marker, ms=4)
axes[0].axhline(FREQUENCY * WAVELENGTH, color="0.6", lw=0.8)
axes[0].set(ylabel="speed (mm/s)", ylim=(0, 150))
axes[0].legend(ncols=4, fontsize=8, loc="upper right")
axes[1].set(ylabel="p value", xlabel="time (s)", ylim=(0, 1))
plt.show()

# %% [markdown]
# The grey line is the true speed of the plane waves. From 3 s on the crests turn about
# the middle: their phase winds once round a square of sites there.

# %%
turns = waves.winding_number(signal, boundary="open")
fig, axes = plt.subplots(1, 2, figsize=(6, 2.6))
for axis, part, name in zip(
    axes, (turns[50:250], turns[350:550]), ("plane", "spiral"), strict=False
):
    picture = axis.imshow(part.mean(0), cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set(title=f"{name}: mean winding", xticks=[], yticks=[])
fig.colorbar(picture, ax=axes)
plt.show()

# %% [markdown]
# The same from the command line, with a page `report.html` that has all of it:
#
#     python -m nwm_jax.analyse movie.npy --fs=100 --band=4,16 --spacing=0.4 --out=waves
