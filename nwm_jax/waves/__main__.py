"""python -m nwm_jax.waves: the same as python -m nwm_jax.analyse."""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

from nwm_jax import analyse
from nwm_jax.shell import cli

if __name__ == "__main__":
    cli.run(analyse.main, analyse.FLAGS, positional=True)
