"""Synthetic fields [T, H, W] whose answers are known."""

import numpy as np

OMEGA = 2 * np.pi / 10


def plane_wave(wave_vector, shape=(60, 12, 16), omega=OMEGA):
    """cos(omega t - k . r): travels along k."""
    t, i, j = np.indices(shape)
    return np.cos(omega * t - wave_vector[0] * i - wave_vector[1] * j)


def rotating_wave(charge=-1, shape=(60, 13, 15), center=None, omega=OMEGA):
    """cos(omega t + charge theta): theta runs from the column to the row axis."""
    t, i, j = np.indices(shape)
    row, column = center or ((shape[1] - 1) / 2, (shape[2] - 1) / 2)
    return np.cos(omega * t + charge * np.arctan2(i - row, j - column))


def standing_wave(wave_vector, shape=(60, 12, 16), omega=OMEGA):
    """cos(omega t) cos(k . (r + 1/4)): no cell lies on a node."""
    t, i, j = np.indices(shape)
    place = wave_vector[0] * (i + 0.25) + wave_vector[1] * (j + 0.25)
    return np.cos(omega * t) * np.cos(place)


def noise(shape=(60, 12, 16), seed=0):
    """Standard normal and independent everywhere."""
    return np.random.default_rng(seed).normal(size=shape)


def torus_vector(rows, columns, shape=(60, 12, 16)):
    """The wave vector with so many whole waves along each axis."""
    return 2 * np.pi * np.array([rows / shape[1], columns / shape[2]])
