"""The named datasets of the Hamiltonian Dynamics Suite (arXiv:2111.05458).

`DATASETS["pendulum_colors"]` is a frozen record of everything that makes that dataset:
the system, the ranges of its constants and initial states, canvas, colours, friction.
"""

import dataclasses

import jax
import jax.numpy as jnp

from nwm_jax.data import sampling, systems
from nwm_jax.errors import unknown


@dataclasses.dataclass(frozen=True)
class Spec:
    """One dataset; lengths in world units.

    Attributes:
      name: name of the dataset.
      system: name of its system, for `systems.get`.
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

    name: str
    system: str
    params: tuple[tuple[str, float, float], ...]
    radius_range: tuple[float, float]
    uniform_area: bool
    inner_half_width: float
    num_colors: int
    friction: float = 0.0
    shift: str = "none"
    random_x: bool = False
    redraw: bool = False

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
        system = systems.get(self.system)
        for_state, for_shift, for_x, for_color = jax.random.split(key, 4)
        params, q0, p0 = system.draw(for_state, self)
        axes = 1 if self.shift == "diagonal" else 2
        shift = jax.random.uniform(for_shift, (axes,), jnp.float64, -1.0, 1.0)
        offset = jnp.broadcast_to(self.max_shift * shift, (2,))
        if self.random_x:
            offset = offset.at[0].add(jax.random.uniform(for_x, dtype=jnp.float64))
        radius = system.radii(params)
        colors = jax.random.permutation(for_color, self.num_colors)
        return {
            "q0": q0,
            "p0": p0,
            "offset": offset,
            "color_index": colors[: radius.shape[-1]].astype(jnp.int32),
            "radius": radius,
            **{f"param_{name}": value for name, value in params.items()},
        }


def _spring(name: str, m: tuple[float, float], **options) -> Spec:
    return Spec(
        name=name,
        system="mass_spring",
        params=(("k", 2.0, 2.0), ("m", *m)),
        radius_range=(0.1, 1.0),
        inner_half_width=1.0 + sampling.particle_radius(m[1]),
        **options,
    )


def _pendulum(name: str, m, g, length, **options) -> Spec:
    return Spec(
        name=name,
        system="pendulum",
        params=(("m", *m), ("g", *g), ("l", *length)),
        radius_range=(1.3, 2.3),
        inner_half_width=length[1] + sampling.particle_radius(m[1]),
        **options,
    )


def _double_pendulum(name: str, m, g, length, radius_range, **options) -> Spec:
    return Spec(
        name=name,
        system="double_pendulum",
        params=(
            ("m_1", *m),
            ("m_2", *m),
            ("l_1", *length),
            ("l_2", *length),
            ("g", *g),
        ),
        radius_range=radius_range,
        inner_half_width=2 * length[1] + sampling.particle_radius(m[1]),
        **options,
    )


def _two_body(name: str, m, g, **options) -> Spec:
    return Spec(
        name=name,
        system="two_body",
        params=(("m", *m), ("g", *g)),
        radius_range=(0.5, 1.5),  # of each coordinate: a box, not an annulus
        uniform_area=True,
        **options,
    )


_PLAIN = {"uniform_area": False, "num_colors": 1}
_COLORS = {"uniform_area": True, "num_colors": 6}
_SPRING_COLORS = {"m": (0.2, 1.0), "shift": "diagonal", "random_x": True, **_COLORS}
_PENDULUM_COLORS = {
    "m": (0.5, 1.5),
    "g": (3.0, 4.0),
    "length": (0.5, 1.0),
    "shift": "xy",
    **_COLORS,
}
_DOUBLE_COLORS = {
    "m": (0.4, 0.6),
    "g": (2.5, 4.0),
    "length": (0.75, 1.0),
    "radius_range": (1.0, 2.5),
    "shift": "xy",
    **_COLORS,
}

#: Datasets by name. The `*_friction` sets without colours are not in the published
#: suite; they are the plain sets with the same drag as the coloured ones.
DATASETS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        _spring("mass_spring", (0.5, 0.5), **_PLAIN),
        _spring("mass_spring_friction", (0.5, 0.5), friction=0.05, **_PLAIN),
        _spring("mass_spring_colors", **_SPRING_COLORS),
        _spring("mass_spring_colors_friction", friction=0.05, **_SPRING_COLORS),
        _pendulum("pendulum", (0.5, 0.5), (3.0, 3.0), (1.0, 1.0), **_PLAIN),
        _pendulum(
            "pendulum_friction",
            (0.5, 0.5),
            (3.0, 3.0),
            (1.0, 1.0),
            friction=0.05,
            **_PLAIN,
        ),
        _pendulum("pendulum_colors", **_PENDULUM_COLORS),
        _pendulum("pendulum_colors_friction", friction=0.05, **_PENDULUM_COLORS),
        _double_pendulum(
            "double_pendulum",
            (0.5, 0.5),
            (3.0, 3.0),
            (1.0, 1.0),
            (1.3, 2.3),
            uniform_area=False,
            num_colors=2,
        ),
        _double_pendulum("double_pendulum_colors", **_DOUBLE_COLORS),
        _double_pendulum(
            "double_pendulum_colors_friction", friction=0.05, **_DOUBLE_COLORS
        ),
        _two_body(
            "two_body", (1.0, 1.0), (1.0, 1.0), inner_half_width=2.75, num_colors=2
        ),
        _two_body(
            "two_body_colors",
            (0.5, 1.5),
            (0.5, 1.5),
            inner_half_width=5.0,
            num_colors=6,
            redraw=True,
        ),
    )
}

# What configs call a dataset (`spring`, `spring_colors`, ...) and the suite does not.
_ALIASES = {"spring": "mass_spring", "pennies": "matching_pennies"}


def get(name: str) -> Spec:
    """The dataset called `name`, by the suite's name or the configs' short one.

    Raises:
      UserError: there is no such dataset; the line names the nearest.
    """
    for short, full in _ALIASES.items():
        if name == short or name.startswith(short + "_"):
            name = full + name[len(short) :]
    if name in DATASETS:
        return DATASETS[name]
    raise unknown("dataset", name, DATASETS)
