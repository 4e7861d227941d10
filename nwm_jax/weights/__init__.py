"""Trained weights that come with the package, a .safetensors and a card (.json) each.

`nwm_jax.pretrained` lists them, `nwm_jax.load` opens one; `runs/pretrained.py` reads them.
"""
