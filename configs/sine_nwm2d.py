"""Neural Wave Machine on a torus that learns to predict moving sine gratings.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, section 4.2, figures 2
and 3 (left): a map of preferred orientations with pinwheels. Measured with `:laptop`: 0.709
of neighbours prefer the same of 8 orientations, 0.198 before training (docs/results/waves).
Plain (`paper`): 18,750 updates at batch 128, SGD with momentum (the paper gives neither
for the gratings: they are those of the digits); a linear encoder, 72 x 72 oscillators, a
linear decoder, 12,209,134 parameters. `data.wavelength` and `model.kernel_size` change
the map.
Presets: `:laptop` (36 x 36 oscillators, 1,000 updates, first kernels of 0.006),
`:smoke` (8 x 8, some seconds: it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/sine_nwm2d.py:laptop --workdir=runs/sine_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.topography import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("sine_nwm2d", argument)
