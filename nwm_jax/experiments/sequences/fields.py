"""What the fields of the configs of sequence tasks mean, and their ranges."""

from typing import Any

from nwm_jax.config.checks import Field
from nwm_jax.core import coupling, scans, transition, wave
from nwm_jax.data.sequences import copy_memory

FIELDS = {
    "conv": Field("implementation of the coupling", choices=coupling.IMPLEMENTATIONS),
    "stop_when_solved": Field("end training when the task is solved"),
    "data.T": Field("length of the sequence, or of its silence", least=0),
    "data.layout": Field("of a sequence to copy", choices=copy_memory.LAYOUTS),
    "data.pool": Field("images are shrunk by this factor", least=1),
    "data.permute": Field("pixels in the order of psMNIST"),
    "data.length": Field("steps, the rest is noise; 0: those of an image", least=0),
    "data.num_train": Field("images to train on; 0: all others", least=0),
    "data.num_valid": Field("images to choose a checkpoint by", least=0),
    "data.num_test": Field("images to test on; 0: all", least=0),
    "model.units": Field("hidden units, or places of a ring", least=1),
    "model.grid": Field("oscillators, (height, width) or (rings, ring)"),
    "model.channels": Field("channels, or oscillators at every place", least=1),
    "model.kernel_size": Field("odd width of the coupling", least=1),
    "model.local": Field("a kernel for every place"),
    "model.activation": Field("of hidden units", choices=tuple(scans.ACTIVATIONS)),
    "model.coupling_init": Field("first recurrence", choices=wave.COUPLING_INITS),
    "model.input_init": Field("first input weights", choices=wave.INPUT_INITS),
    "model.speed": Field("places that a wave moves in a step at first"),
    "model.zero_coupling_bias": Field("whether the coupling's bias starts at 0"),
    "model.frozen": Field("weights that are not trained"),
    "model.readout_hidden": Field("units of the readout's hidden layer", least=0),
    "model.dt": Field("length of a time step"),
    "model.gamma": Field("stiffness"),
    "model.alpha": Field("damping (the coRNN papers' epsilon)"),
    "model.train_scalars": Field("train the two coupling numbers"),
    "model.blocks": Field("linear waves and pointwise networks in turn", least=1),
    "model.scheme": Field("a time step of linear waves", choices=transition.SCHEMES),
    "model.dt_range": Field("first step sizes (low, high), inside (0, 1)"),
    "model.gamma_range": Field("first stiffnesses (low, high), above 0"),
    "model.alpha_range": Field("first dampings (low, high), above 0"),
    "model.gyroscopic": Field("waves may prefer a direction"),
    "model.coupling": Field("size of the first couplings", least=0),
    "eval.num_examples": Field("sequences of the evaluation", least=1),
}


def check(flat: dict[str, Any]) -> None:
    """Checks nothing more: no field depends on another."""
    del flat
