"""Finished workdirs: open, find, evaluate, export, draw, compare, tabulate."""
