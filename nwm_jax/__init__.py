"""Neural Wave Machines and their relatives in JAX."""

__version__ = "0.1.0"
