"""The systems of the Hamiltonian Dynamics Suite (arXiv:2111.05458)."""

from nwm_jax.data.systems import games
from nwm_jax.data.systems.base import System
from nwm_jax.data.systems.games import Game
from nwm_jax.data.systems.gravity import ThreeBody, TwoBody
from nwm_jax.data.systems.lennard_jones import LennardJones
from nwm_jax.data.systems.pendulum import DoublePendulum, Pendulum
from nwm_jax.data.systems.spring import MassSpring
from nwm_jax.errors import unknown

__all__ = ["SYSTEMS", "Game", "LennardJones", "System", "get"]

#: Systems by name.
SYSTEMS: dict[str, System | Game] = {
    system.name: system
    for system in (
        MassSpring(),
        Pendulum(),
        DoublePendulum(),
        TwoBody(),
        ThreeBody(),
        Game("matching_pennies", games.PENNIES),
        Game("rock_paper_scissors", games.ROCK_PAPER_SCISSORS),
        LennardJones(
            "lj_4",
            num_particles=4,
            temperature=1.0,
            density=0.04,
            energy=2.598,
            bath_time=50.0,
        ),
        LennardJones(
            "lj_16",
            num_particles=16,
            temperature=0.5,
            density=0.77,
            energy=-29.17,
            bath_time=10.0,
        ),
    )
}


def get(name: str) -> System | Game:
    """The system called `name`, one of `SYSTEMS`.

    Raises:
      UserError: there is no such system; the line names the nearest.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    raise unknown("system", name, SYSTEMS)
