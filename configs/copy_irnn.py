"""Identity RNN that repeats ten symbols after T blanks.

Reproduces: Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past
and Enhance Sequence Learning", ICLR 2024 (arXiv:2309.08045), section 3.1; the losses
that it calls MSE, cross-entropy / 50, are 3e-3 and 2e-3 for T = 10 and 30: not solved.
Plain (`paper`): 60,000 steps at batch 128, 100 units, 12,210 parameters (12,000
weights). `T=80` sets the blanks and takes the learning rate and the clip that the paper
found best for it; sequences have T + 20 steps. `layout=code` counts and lays out as the
paper's program does: T is then the delay, and sequences have T + 10 steps.
Presets: `:laptop` (5,000 steps), `:smoke` (some seconds: it shows that everything runs,
not that it learns). `stop_when_solved=true` ends the run when a recalled symbol costs
less than 1e-4.

    python -m nwm_jax.train --config=configs/copy_irnn.py:laptop,T=30 --workdir=runs/copy_irnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.sequences import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("copy_irnn", argument)
