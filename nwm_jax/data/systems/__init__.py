"""The physical systems of the Hamiltonian Dynamics Suite (arXiv:2111.05458)."""

from nwm_jax.data.systems.base import System
from nwm_jax.data.systems.gravity import ThreeBody, TwoBody
from nwm_jax.data.systems.pendulum import DoublePendulum, Pendulum
from nwm_jax.data.systems.spring import MassSpring
from nwm_jax.errors import unknown

__all__ = ["SYSTEMS", "System", "get"]

#: Systems by name.
SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (MassSpring(), Pendulum(), DoublePendulum(), TwoBody(), ThreeBody())
}


def get(name: str) -> System:
    """The system called `name`, one of `SYSTEMS`.

    Raises:
      UserError: there is no such system; the line names the nearest.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    raise unknown("system", name, SYSTEMS)
