"""The named datasets of the Hamiltonian Dynamics Suite (arXiv:2111.05458).

`DATASETS["pendulum_colors"]` is a frozen record of everything that makes that dataset:
the system, the ranges of its constants and initial states, canvas, colours, friction.
Where a name ends in `_long_trajectory` nothing else is different: of these the published
suite has test sets of about a thousand frames, for how long a forecast holds.
"""

import dataclasses
from typing import Any

from nwm_jax.data import sampling
from nwm_jax.data.specs import BoxSpec, GameSpec, Particles, Spec
from nwm_jax.errors import unknown


def _spring(name: str, m: tuple[float, float], **options) -> Particles:
    return Particles(
        name=name,
        system="mass_spring",
        params=(("k", 2.0, 2.0), ("m", *m)),
        radius_range=(0.1, 1.0),
        inner_half_width=1.0 + sampling.particle_radius(m[1]),
        **options,
    )


def _pendulum(name: str, m, g, length, **options) -> Particles:
    return Particles(
        name=name,
        system="pendulum",
        params=(("m", *m), ("g", *g), ("l", *length)),
        radius_range=(1.3, 2.3),
        inner_half_width=length[1] + sampling.particle_radius(m[1]),
        **options,
    )


def _double_pendulum(name: str, m, g, length, radius_range, **options) -> Particles:
    return Particles(
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


def _two_body(name: str, m, g, **options) -> Particles:
    return Particles(
        name=name,
        system="two_body",
        params=(("m", *m), ("g", *g)),
        radius_range=(0.5, 1.5),  # of each coordinate: a box, not an annulus
        uniform_area=True,
        **options,
    )


_PLAIN: dict[str, Any] = {"uniform_area": False, "num_colors": 1}
_COLORS: dict[str, Any] = {"uniform_area": True, "num_colors": 6}
_SPRING_COLORS = {
    "m": (0.2, 1.0),
    "shift": "diagonal",
    "random_x": True,
    **_COLORS,
}
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

_ALL = (
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
    _two_body("two_body", (1.0, 1.0), (1.0, 1.0), inner_half_width=2.75, num_colors=2),
    _two_body(
        "two_body_colors",
        (0.5, 1.5),
        (0.5, 1.5),
        inner_half_width=5.0,
        num_colors=6,
        redraw=True,
    ),
    GameSpec("matching_pennies", "matching_pennies"),
    GameSpec("rock_paper_scissors", "rock_paper_scissors"),
    BoxSpec("lj_4", "lj_4"),
    BoxSpec("lj_16", "lj_16"),
)
_LONG = (
    "mass_spring",
    "mass_spring_colors",
    "pendulum",
    "pendulum_colors",
    "matching_pennies",
    "rock_paper_scissors",
)

#: Datasets by name. The `*_friction` sets without colours are not in the published
#: suite; they are the plain sets with the same drag as the coloured ones.
DATASETS: dict[str, Spec] = {spec.name: spec for spec in _ALL}
DATASETS |= {
    f"{name}_long_trajectory": dataclasses.replace(
        DATASETS[name], name=f"{name}_long_trajectory"
    )
    for name in _LONG
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
