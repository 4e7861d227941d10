"""What configs call the benchmark's models, family by family."""

#: Fields of coupled oscillators.
OSCILLATORS = ("nwm2d", "nwm1d", "cornn")
#: Fields of linear oscillators.
LINEAR = ("lwm2d", "lwm1d")
#: Stacks of recurrent cells, and the kind of their layers.
GATED = {"ar": "lstm", "ar_gru": "gru", "ar_vanilla": "vanilla"}
#: Those that infer a state from the observed frames, and cut their clips by a split.
LATENT = ("hgn", "lgn", "ode", "rgn", "hgn_conv")
#: Of these, vectors that are positions and as many momenta or velocities.
PAIRED = ("hgn", "lgn")

#: What the decoder of the oscillators sees, in the words of `Forecaster`.
DECODE = {"xv": "state", "x": "output"}

#: Which frame is the first input of a variational NWM: frame 0, from which also the first
#: state is drawn, as in the reference program, or frame 1, as the paper counts.
STARTS = ("repeat", "next")
