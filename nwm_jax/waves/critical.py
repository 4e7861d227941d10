"""Critical points of phase maps: sources, sinks, saddles and spirals, and their lives."""

from typing import NamedTuple

import numpy as np

from nwm_jax.waves.singularities import find_singularities
from nwm_jax.waves.sites import Sites, on_sheet, site_velocity

KINDS = ("source", "sink", "saddle", "spiral +", "spiral -")

_JUMP = 1.5  # cells that a point moves from a frame to the next at the most
_LEAST = 1e-3  # radians per cell: flatter places are synchronous, not critical


class CriticalPoints(NamedTuple):
    """A list of n critical points, each followed over the frames in which it lives.

    Attributes:
      kind: [n], one of `KINDS`; of a spiral the sign of its winding number.
      start: int [n], its first frame.
      frames: int [n], how many frames it lives.
      position: [n, 2], mean (row, column) in cells.
    """

    kind: np.ndarray
    start: np.ndarray
    frames: np.ndarray
    position: np.ndarray


def find_critical_points(signal: np.ndarray, sites: Sites) -> CriticalPoints:
    """Finds and follows the critical points of the phase of a sheet.

    Between four cells nu = -grad phi is taken as bilinear. Where it is 0, it points
    away on all sides (a source), towards the point (a sink), or both (a saddle),
    according to the sign of the determinant and of the trace of its Jacobian. Spirals
    are the phase singularities (`find_singularities`). A point goes on in the next
    frame if one of its kind is within 1.5 cells.

    Args:
      signal: complex [T, N] of consecutive frames, best smoothed.
      sites: of a grid.

    Returns:
      `CriticalPoints`, by their first frames.

    Source: the phase-velocity fields of Townsend & Gong 2018,
    doi:10.1371/journal.pcbi.1006643, with the classes of linear flows.
    """
    velocity = on_sheet_vectors(site_velocity(signal, sites) * sites.cell, sites)
    points = []
    for frame, kind, row, column in zip(*_zeros(velocity), strict=False):
        points.append((frame, kind, row, column))
    spirals = find_singularities(on_sheet(signal, sites), boundary="open")
    for (frame,), place, charge in zip(
        spirals.index, spirals.position, spirals.charge, strict=False
    ):
        points.append((frame, KINDS[3] if charge > 0 else KINDS[4], *place))
    return _follow(points)


def on_sheet_vectors(velocity: np.ndarray, sites: Sites) -> np.ndarray:
    """Returns [T, H, W, 2] with the vectors [T, N, 2] of sites of a grid."""
    parts = [on_sheet(velocity[..., k], sites) for k in range(2)]
    return np.stack(parts, axis=-1)


def _zeros(v: np.ndarray):
    """Frame, kind, row and column of the zeros of fields [T, H, W, 2]."""
    a, b = v[:, :-1, :-1], v[:, :-1, 1:]
    c, d = v[:, 1:, :-1], v[:, 1:, 1:]
    corners = np.stack([a, b, c, d])
    # A zero inside needs both signs of both components.
    with np.errstate(invalid="ignore"):
        cross = (corners.min(axis=0) < 0) & (corners.max(axis=0) > 0)
        steep = np.abs(corners).max(axis=(0, -1)) > _LEAST
    t, i, j = np.nonzero(cross.all(axis=-1) & steep)
    a, b, c, d = (corner[t, i, j] for corner in (a, b, c, d))
    # v = a + (c - a) y + (b - a) x + (a - b - c + d) x y, by Newton's method.
    place = np.full((len(t), 2), 0.5)
    for _ in range(6):
        y, x = place[:, :1], place[:, 1:]
        value = a + (c - a) * y + (b - a) * x + (a - b - c + d) * x * y
        slope = np.stack(
            [c - a + (a - b - c + d) * x, b - a + (a - b - c + d) * y], axis=-1
        )
        flat = np.abs(np.linalg.det(slope)) < 1e-12
        slope[flat] = np.eye(2)
        place = place - np.linalg.solve(slope, value[..., None])[..., 0]
    inside = ((place >= 0) & (place < 1)).all(axis=1) & ~flat
    slope, place = slope[inside], place[inside]
    saddle = np.linalg.det(slope) < 0
    outward = np.trace(slope, axis1=1, axis2=2) > 0
    kind = np.where(saddle, "saddle", np.where(outward, "source", "sink"))
    return t[inside], kind, i[inside] + place[:, 0], j[inside] + place[:, 1]


def _follow(points: list) -> CriticalPoints:
    """Joins the points of frames that follow one another into lives."""
    lives: list[dict] = []
    alive: list[dict] = []
    by_frame: dict[int, list] = {}
    for frame, kind, row, column in points:
        by_frame.setdefault(int(frame), []).append((str(kind), row, column))
    for frame in sorted(by_frame):
        points = by_frame[frame]
        free = set(range(len(points)))
        alive = [life for life in alive if life["last"] == frame - 1]
        if alive:
            here = np.array([point[1:] for point in points])
            there = np.array([life["places"][-1] for life in alive])
            apart = np.hypot(*(there[:, None] - here).transpose(2, 0, 1))
            kinds = np.array([point[0] for point in points])
            apart[np.array([life["kind"] for life in alive])[:, None] != kinds] = np.inf
            close = np.argwhere(apart <= _JUMP)
            taken = set()
            for life, k in close[np.argsort(apart[tuple(close.T)], kind="stable")]:
                if k in free and life not in taken:
                    free.remove(k)
                    taken.add(life)
                    alive[life]["last"] = frame
                    alive[life]["places"].append(points[k][1:])
            alive = [alive[life] for life in taken]
        for k in sorted(free):
            kind, *place = points[k]
            lives.append({"kind": kind, "start": frame, "last": frame})
            lives[-1]["places"] = [tuple(place)]
            alive.append(lives[-1])
    return CriticalPoints(
        np.array([life["kind"] for life in lives], "<U8"),
        np.array([life["start"] for life in lives], int),
        np.array([len(life["places"]) for life in lives], int),
        np.array([np.mean(life["places"], axis=0) for life in lives]).reshape(-1, 2),
    )
