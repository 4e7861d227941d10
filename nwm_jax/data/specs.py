"""What a dataset is: how its trajectories are drawn, simulated, pictured and recorded.

`Spec` is all that the rest of the data room knows of a dataset. Its subclasses are
frozen records of everything that the numbers depend on; `nwm_jax.data.suite` lists
them by name.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data import render, systems
from nwm_jax.data.systems.base import Array, ToySystem

Arrays = Mapping[str, Array]


@dataclasses.dataclass(frozen=True)
class Spec(abc.ABC):
    """One dataset.

    Attributes:
      name: name of the dataset.
      system: name of its system, for `systems.get`.
      dt: the published time between frames.
      image_shape: (H, W, C).
      origin: where row 0 of an image belongs in a picture, "lower" or "upper".
    """

    name: str
    system: str

    dt: ClassVar[float]
    image_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)
    origin: ClassVar[str] = "lower"

    @abc.abstractmethod
    def sample(self, key: jax.Array) -> dict[str, jax.Array]:
        """Draws what one trajectory begins with (inside `float64_on_cpu`)."""

    @abc.abstractmethod
    def simulate(
        self, drawn: Mapping[str, np.ndarray], *, num_frames: int, dt: float
    ) -> dict[str, np.ndarray]:
        """Simulates trajectories from what `sample` drew.

        Args:
          drawn: results of `sample`, stacked, leading axis n.
          num_frames: T, frames per trajectory, the initial state included.
          dt: time between frames.

        Returns:
          "states" float64 `[n, T, d]`, then what else `images` and `records` need,
          leading axis n.
        """

    @abc.abstractmethod
    def images(self, arrays: Arrays) -> Array:
        """Draws trajectories, or windows of them; jittable.

        Args:
          arrays: as `simulate` returns them, "states" `[n, length, d]`.

        Returns:
          Images in [0, 1], not rounded to bytes, `[n, length, H, W, C]`, in the
          precision of the states.
        """

    @abc.abstractmethod
    def records(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """What the published files hold of one trajectory, except its images.

        Args:
          arrays: as `simulate` returns them, of one trajectory: "states" `[T, d]`.

        Returns:
          "x" and "dx_dt" float64 `[T, d]`, and "other/<name>" with a leading axis of
          length 1: float64, or int64 for "other/color_index".
        """

    def rejected(self, arrays: Arrays) -> np.ndarray:
        """Which trajectories, as `simulate` returns them, are drawn anew, bool [n]."""
        return np.zeros(len(arrays["states"]), bool)


@dataclasses.dataclass(frozen=True)
class Particles(Spec):
    """Particles whose constants, colours and places on the canvas vary.

    Lengths are in world units.

    Attributes:
      params: (name, lo, hi) of each constant, drawn uniformly per trajectory.
      radius_range: lo and hi of the annulus of initial states.
      uniform_area: the annulus is filled uniformly by area, otherwise by radius.
      inner_half_width: half the width of the canvas that the motion needs.
      num_colors: how many hues particles are given.
      friction: drag on the generalised velocities.
      shift: how the picture is shifted per trajectory: "none"; "xy", independently
        along each axis; "diagonal", by the same amount along both.
      random_x: shifts x by U[0, 1) besides.
      redraw: whether a trajectory of which a centre (before the shift) leaves the inner
        canvas in any frame is drawn anew, constants and all.
    """

    params: tuple[tuple[str, float, float], ...]
    radius_range: tuple[float, float]
    uniform_area: bool
    inner_half_width: float
    num_colors: int
    friction: float = 0.0
    shift: str = "none"
    random_x: bool = False
    redraw: bool = False

    dt: ClassVar[float] = 0.05

    @property
    def mechanics(self) -> ToySystem:
        """Returns the system."""
        system = systems.get(self.system)
        assert isinstance(system, ToySystem)  # other systems have specs of their own
        return system

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """(lo, hi) of each constant by name."""
        return {name: (low, high) for name, low, high in self.params}

    @property
    def max_shift(self) -> float:
        """Largest shift of the picture along an axis: 0.4 inner half-widths, or 0."""
        return 0.0 if self.shift == "none" else 0.4 * self.inner_half_width

    @property
    def canvas(self) -> tuple[float, float]:
        """World coordinates of the first and the last row (and column) of pixels."""
        half = self.inner_half_width + self.max_shift
        return -half, half

    def sample(self, key: jax.Array) -> dict[str, jax.Array]:
        """Draws one trajectory from one key (inside `float64_on_cpu`).

        Returns:
          `q0` `[D]`, `p0` `[D]`, `offset` `[2]`, `color_index` `[n]`, `radius` `[n]`,
          and `param_<name>` for each constant.
        """
        for_state, for_shift, for_x, for_color = jax.random.split(key, 4)
        params, q0, p0 = self.mechanics.draw(for_state, self)
        axes = 1 if self.shift == "diagonal" else 2
        shift = jax.random.uniform(for_shift, (axes,), jnp.float64, -1.0, 1.0)
        offset = jnp.broadcast_to(self.max_shift * shift, (2,))
        if self.random_x:
            offset = offset.at[0].add(jax.random.uniform(for_x, dtype=jnp.float64))
        radius = self.mechanics.radii(params)
        colors = jax.random.permutation(for_color, self.num_colors)
        return {
            "q0": q0,
            "p0": p0,
            "offset": offset,
            "color_index": colors[: radius.shape[-1]].astype(jnp.int32),
            "radius": radius,
            **{f"param_{name}": value for name, value in params.items()},
        }

    def simulate(
        self, drawn: Mapping[str, np.ndarray], *, num_frames: int, dt: float
    ) -> dict[str, np.ndarray]:
        """See `Spec.simulate`.

        Returns:
          `states` = (q, p) float64 `[n, T, 2D]`; `offset` float64 `[n, 2]`;
          `color_index` int32 and `radius` float64 `[n, particles]`; `param_<name>`
          float64.
        """
        states = self.mechanics.simulate_steadily(
            params_of(drawn),
            drawn["q0"],
            drawn["p0"],
            dt=dt,
            num_steps=num_frames - 1,
            friction=self.friction,
        )
        rest = {key: v for key, v in drawn.items() if key not in ("q0", "p0")}
        return {"states": states, **rest}

    def images(self, arrays: Arrays) -> jax.Array:
        """Discs at the particles' places, of their mass's area; see `Spec.images`."""
        q, _ = _halves(arrays["states"])
        low, high = self.canvas
        return render.render(
            self.mechanics.positions(params_of(arrays), q, arrays["offset"]),
            arrays["radius"][:, None],
            arrays["color_index"][:, None],
            canvas_min=low,
            canvas_max=high,
            num_colors=self.num_colors,
            resolution=self.image_shape[0],
            dtype=q.dtype,
        )

    def records(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """See `Spec.records`; as published, dx_dt leaves out the friction."""
        x = np.asarray(arrays["states"], np.float64)
        params = {
            name: np.asarray(value, np.float64)[None]
            for name, value in params_of(arrays).items()
        }
        q, p = _halves(x[None])
        field = self.mechanics.vector_field(params, q, p)
        offset = np.asarray(arrays["offset"], np.float64)[None]
        if self.system == "mass_spring" and self.shift == "none":
            offset = offset[:, :1]  # only here one published number serves both axes
        other = {
            "color_index": np.asarray(arrays["color_index"], np.int64)[None],
            "offset": offset,
            **params,
        }
        return {
            "dx_dt": np.concatenate(field, -1)[0],
            **{f"other/{name}": other[name] for name in sorted(other)},
            "x": x,
        }

    def rejected(self, arrays: Arrays) -> np.ndarray:
        """Trajectories that leave the inner canvas, if they are unwelcome."""
        if not self.redraw:
            return super().rejected(arrays)
        q, _ = _halves(arrays["states"])
        centres = self.mechanics.positions(params_of(arrays), q)
        inside = np.abs(centres) <= self.inner_half_width  # NaN counts as outside
        return ~np.all(inside, axis=(1, 2, 3))


@dataclasses.dataclass(frozen=True)
class GameSpec(Spec):
    """Two players who learn; pictures show their joint strategy."""

    dt: ClassVar[float] = 0.1
    origin: ClassVar[str] = "upper"  # a matrix

    @property
    def game(self) -> systems.Game:
        """Returns the system."""
        system = systems.get(self.system)
        assert isinstance(system, systems.Game)
        return system

    def sample(self, key: jax.Array) -> dict[str, jax.Array]:
        """Draws the strategies that one trajectory begins with: `x0` `[2n]`."""
        return {"x0": self.game.draw(key)}

    def simulate(
        self, drawn: Mapping[str, np.ndarray], *, num_frames: int, dt: float
    ) -> dict[str, np.ndarray]:
        """See `Spec.simulate`; nothing but "states", both strategies `[n, T, 2n]`."""
        game = self.game
        x0, num_steps = drawn["x0"], num_frames - 1
        return {"states": game.simulate(game.payoff, x0, dt=dt, num_steps=num_steps)}

    def images(self, arrays: Arrays) -> Array:
        """See `Spec.images`."""
        return self.game.observe(arrays["states"])

    def records(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """See `Spec.records`; "dx_dt" and "x" are all."""
        x = np.asarray(arrays["states"], np.float64)
        return {
            "dx_dt": np.asarray(self.game.vector_field(self.game.payoff, x)),
            "x": x,
        }


@dataclasses.dataclass(frozen=True)
class BoxSpec(Spec):
    """Lennard-Jones particles in a periodic box, each of its own hue.

    States hold positions inside the box, so they jump where a particle crosses its
    border; pictures show no images of particles beyond it.
    """

    dt: ClassVar[float] = 0.004
    radius: ClassVar[float] = 0.3  # of the discs, in world units

    @property
    def box(self) -> systems.LennardJones:
        """Returns the system."""
        system = systems.get(self.system)
        assert isinstance(system, systems.LennardJones)
        return system

    def sample(self, key: jax.Array) -> dict[str, jax.Array]:
        """Draws the `seed` of one trajectory, uint32 `[2]`."""
        return {"seed": jax.random.key_data(key)}

    def simulate(
        self, drawn: Mapping[str, np.ndarray], *, num_frames: int, dt: float
    ) -> dict[str, np.ndarray]:
        """See `Spec.simulate`; nothing but "states", places and velocities."""
        box = self.box
        q0, p0 = box.equilibrate(drawn["seed"])
        states = box.simulate({}, q0, p0, dt=dt, num_steps=num_frames - 1)
        q, p = _halves(states)
        return {"states": np.concatenate([box.wrap(q), p], -1)}

    def images(self, arrays: Arrays) -> jax.Array:
        """Discs of radius 0.3 on a canvas that is the box; see `Spec.images`."""
        box = self.box
        q, _ = _halves(arrays["states"])
        return render.render(
            box.positions({}, q),
            self.radius,
            np.arange(box.num_particles),
            canvas_min=-box.side / 2,
            canvas_max=box.side / 2,
            num_colors=box.num_particles,
            resolution=self.image_shape[0],
            dtype=q.dtype,
        )

    def records(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """See `Spec.records`; "x" and "dx_dt" = (velocities, forces) are all."""
        x = np.asarray(arrays["states"], np.float64)
        field = self.box.vector_field({}, *_halves(x))
        return {"x": x, "dx_dt": np.concatenate(field, -1)}


def params_of(arrays: Arrays) -> dict:
    """The constants among `arrays`: entries `param_<name>`, by name."""
    return {
        key.removeprefix("param_"): value
        for key, value in arrays.items()
        if key.startswith("param_")
    }


def _halves(states):
    """(q, p) of states."""
    half = states.shape[-1] // 2
    return states[..., :half], states[..., half:]
