"""The fields of linear waves in the configs of every experiment that has them."""

import dataclasses

from nwm_jax.config.fields import Group, field, refuse
from nwm_jax.core.transition import SCHEMES


def _range(name: str, value: tuple[float, ...]) -> None:
    if len(value) != 2 or not 0 < value[0] <= value[1]:
        refuse(name, value, "(low, high) with 0 < low <= high")


def _below_one(name: str, value: tuple[float, ...]) -> None:
    if len(value) != 2 or not 0 < value[0] <= value[1] < 1:
        refuse(name, value, "(low, high) with 0 < low <= high < 1")


@dataclasses.dataclass(frozen=True)
class LinearOscillators(Group):
    """Linear oscillators, which draw their first constants."""

    scheme: str = field("exact", "a time step of linear waves", choices=SCHEMES)
    dt_range: tuple[float, float] = field(
        (0.05, 0.5), "first step sizes, (low, high)", check=_below_one
    )
    gamma_range: tuple[float, float] = field(
        (0.05, 1.0), "first stiffnesses, (low, high)", check=_range
    )
    alpha_range: tuple[float, float] = field(
        (0.001, 0.1), "first dampings, (low, high)", check=_range
    )


@dataclasses.dataclass(frozen=True)
class LinearWaves(LinearOscillators):
    """A field of them."""

    gyroscopic: bool = field(True, "waves may prefer a direction")
    coupling: float = field(0.5, "size of the first couplings", least=0)
