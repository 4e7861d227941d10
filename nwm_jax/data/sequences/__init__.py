"""Long sequences to remember: copying, adding, and images read piece by piece.

What is random is a pure function of a seed and a step, so that a run which goes on sees
what an uninterrupted one would have seen.
"""
