"""XLA's own convolutions on a CPU without the compiled ones of `native`, made faster."""

import jax

from nwm_jax import native

# jax 0.10 to 0.12 give convolutions on CPUs to YNNPACK, which is slow at their gradients.
# If it may have products of matrices only, Eigen computes them.
OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}


def options() -> dict[str, str]:
    """Returns options of XLA for programs with convolutions: none if it has better."""
    on_cpu = jax.default_backend() == "cpu"
    return OPTIONS if on_cpu and not native.available() else {}


def compile_lowered(
    lowered: jax.stages.Lowered, options: dict[str, str]
) -> jax.stages.Compiled:
    """Compiles a program with options, or without where this jaxlib knows them not.

    Args:
      lowered: what `jax.jit(function).lower(...)` returns.
      options: names and values, see `OPTIONS`.
    """
    try:
        return lowered.compile(compiler_options=dict(options))
    except jax.errors.JaxRuntimeError as error:
        if "compile option" not in str(error):
            raise
        return lowered.compile()
