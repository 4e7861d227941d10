"""How to run: mesh, steps, checkpoints, metrics. Knows nothing of what is trained."""
