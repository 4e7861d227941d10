"""Hears the area of a drum: strikes a clamped membrane, draws what every cell hears.

A fixed network of local waves is a membrane (arXiv:2502.06034). The lowest frequency with
which any of its cells oscillates depends on the area of the whole, though no cell sees
more than its neighbours.

    python -m nwm_jax.drum --shape=square --size=24
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

from nwm_jax.experiments.segmentation import drum
from nwm_jax.shell import cli

FLAGS = drum.FLAGS


def main(argv: list[str]) -> int:
    """Runs the verb."""
    return drum.main(argv)


if __name__ == "__main__":
    cli.run(main, FLAGS)
