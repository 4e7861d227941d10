"""What `python -m nwm_jax.benchmark` measures, one module per command.

A module has `FLAGS`, and `main(argv)`, which measures, and prints a table or, for
`--json`, one line.
"""
