"""SyMetric: whether latent states are the true phase space up to a symplectic map.

Higgins et al., arXiv:2111.05986. Over five test trajectories of 60 frames at a time,
the true states are fitted as a sparse polynomial of the latent ones; the map counts as
symplectic where its Jacobian J satisfies J E Jᵀ = c E with one c along a trajectory.

The measure, which is the original program's, looks at A Aᵀ for A = J E Jᵀ and notices
less than that: with one degree of freedom A is det(J) E, so that only changes of the
determinant count, and with more every orthogonal J passes, whatever it pairs.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from sklearn import linear_model, model_selection, preprocessing

from nwm_jax.data.windows import eval_windows
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting.windows import Windows
from nwm_jax.models import ForecastModel
from nwm_jax.training.evaluation import Evaluation

STEPS = 60  # frames of a trajectory
GROUP = 5  # trajectories that are fitted together
NUM_GROUPS = 20
NUM_POINTS = 10  # of a trajectory, where the Jacobian is taken
MAX_ORDER = 5
MAX_SYM = 1000.0
RSQ_THRESHOLD = 0.9
SYM_THRESHOLD = 0.05
# More latent numbers than these are fitted linearly.
MAX_POLYNOMIAL_DIM = 32
# The original gives up a polynomial that takes it more than 400 s, which makes its
# result depend on the machine. Here orders with more terms than these are not tried.
MAX_TERMS = 20_000
WEIGHT_TOLERANCE = 1e-3
VARIANCE_THRESHOLD = 0.5  # of an informative latent number; the prior's is 1
_NOISE = 1e-6
_ALPHAS = np.logspace(-4, -0.5, 10)


def symplecticity(jacobians: np.ndarray) -> float:
    """Returns how far a map is from symplectic along a trajectory; 0 is symplectic.

    With A = J E Jᵀ, E = [[0, -1], [1, 0]] and P = A Aᵀ, divided by the mean over the
    points of max |P|, it is the mean over points and entries of (P - 1)².

    Args:
      jacobians: of the true by the latent state at several points, ``[n, D, d]``, d
        even: all positions come before all momenta.

    Returns:
      A number >= 0.
    """
    half = jacobians.shape[-1] // 2
    q, p = np.split(np.asarray(jacobians, np.float64) + _NOISE, [half], axis=-1)
    area = p @ q.swapaxes(1, 2) - q @ p.swapaxes(1, 2)
    squared = area @ area.swapaxes(1, 2)
    scale = np.mean(np.max(np.abs(squared), axis=(1, 2)))
    if scale != 0:
        squared = squared / scale
    return float(np.mean((squared - np.eye(squared.shape[-1])) ** 2))


def informative(variance: np.ndarray) -> np.ndarray:
    """Returns which latent numbers depend on the images.

    Args:
      variance: of the posterior, ``[B, d]``, d even, positions before momenta.

    Returns:
      bool ``[d]``: True for pairs of which either number has a mean variance below
      0.5; all True if there is no such pair.
    """
    low = np.mean(variance, axis=0) < VARIANCE_THRESHOLD
    q, p = np.split(low, 2)
    kept = np.tile(q | p, 2)
    return kept if kept.any() else np.ones_like(kept)


class Polynomial:
    """The lowest polynomial that explains the true states by the latent ones.

    A Lasso regression whose penalty is chosen by cross-validation; the order grows from
    1 to 5 until R² on all rows is at least 0.9.

    Args:
      latents: standardised, ``[rows, d]``.
      states: standardised, ``[rows, D]``.

    Attributes:
      order: of the polynomial.
      rsq: its R², the mean over the D numbers.
    """

    def __init__(self, latents: np.ndarray, states: np.ndarray) -> None:
        self.rsq, self.order = -np.inf, 0
        highest = 1 if latents.shape[1] > MAX_POLYNOMIAL_DIM else MAX_ORDER
        while self.rsq < RSQ_THRESHOLD and self.order < highest:
            features = preprocessing.PolynomialFeatures(
                self.order + 1, include_bias=False
            ).fit(latents)
            if self.order and features.n_output_features_ > MAX_TERMS:
                break
            terms = features.transform(latents)
            search = model_selection.GridSearchCV(
                linear_model.Lasso(max_iter=1000, random_state=0),
                {"alpha": _ALPHAS},
                scoring="explained_variance",
                cv=2,
            ).fit(terms, states)
            self.order += 1
            self.rsq = search.best_estimator_.score(terms, states)
            weights = np.atleast_2d(search.best_estimator_.coef_)
            powers = features.powers_
        # Most weights are zero: what is left makes a small polynomial.
        weights = np.where(np.abs(weights) > WEIGHT_TOLERANCE, weights, 0.0)
        used = np.any(weights != 0, axis=0)
        self._weights, self._powers = weights[:, used], powers[used]

    def jacobian(self, latents: np.ndarray) -> np.ndarray:
        """Derivatives of the D true numbers by the d latent ones.

        Args:
          latents: points ``[n, d]``.

        Returns:
          ``[n, D, d]``.
        """
        result = np.zeros((len(latents), len(self._weights), latents.shape[1]))
        for k in np.flatnonzero(self._powers.any(axis=0)):
            there = self._powers[:, k] > 0
            lowered = self._powers[there].copy()
            factor = lowered[:, k].copy()
            lowered[:, k] -= 1
            slopes = factor * np.prod(latents[:, None] ** lowered, axis=-1)
            result[..., k] = slopes @ self._weights[:, there].T
        return result


def score_group(
    latents: np.ndarray,
    states: np.ndarray,
    variance: np.ndarray | None,
    points: np.ndarray,
) -> dict[str, float]:
    """Returns SyMetric of a few trajectories.

    Args:
      latents: ``[n, T, d]``, d even, positions before momenta.
      states: the true states at the same times, ``[n, T, D]``.
      variance: of the posterior, ``[n, d]``; None: all latent numbers count.
      points: the times at which the Jacobian is taken, int ``[n, k]``.

    Returns:
      "score" (1 if R² > 0.9 and "sym" < 0.05, else 0), "sym" (at most 1000), "rsq",
      "order" and "num_latents", how many latent numbers are informative.
    """
    if variance is not None:
        latents = latents[..., informative(variance)]
    count = latents.shape[-1]
    if count <= 1:
        failed = {"score": 0.0, "sym": MAX_SYM, "rsq": 0.0, "order": MAX_ORDER}
        return failed | {"num_latents": count}
    rows = np.clip(np.nan_to_num(_standardise(latents)), -999_999, 999_999)
    fit = Polynomial(rows, _standardise(states))
    rows = rows.reshape(latents.shape)
    each = [
        symplecticity(fit.jacobian(z[chosen]))
        for z, chosen in zip(rows, points, strict=False)
    ]
    sym = min(float(np.mean(each)), MAX_SYM)
    passed = fit.rsq > RSQ_THRESHOLD and sym < SYM_THRESHOLD
    return {
        "score": float(passed),
        "sym": sym,
        "rsq": float(fit.rsq),
        "order": fit.order,
        "num_latents": count,
    }


class SyMetric(Evaluation[ForecastModel]):
    """SyMetric over a hundred trajectories, an `training.evaluation.Evaluation`.

    Args:
      windows: of the split whose trajectories are taken.

    Raises:
      UserError: the true states of the data are not known.
    """

    part = "symetric"

    def __init__(self, windows: Windows) -> None:
        config, source = windows.config, windows.source
        self._windows = windows
        self.graphdef = windows.graphdef
        # Some models have no latent state of the frames that they observe.
        self.length = min(source.num_frames, STEPS + windows.model.num_observed)
        first = source.read(windows.split, np.array([0]), np.array([0]), 1)
        if "states" not in source.decode(first):
            raise UserError(
                "symetric compares with the true states, which are not known of "
                f"{config.data.path}: leave it out of --metrics"
            )
        self.num_eval = min(GROUP * NUM_GROUPS, source.size(windows.split))
        frames = config.eval.batch_size * windows.window
        self.eval_batch_size = max(1, frames // self.length)
        self._trajectories, _ = eval_windows(
            config.data.seed,
            self.num_eval,
            num_trajectories=source.size(windows.split),
            num_frames=source.num_frames,
            length=source.num_frames,
        )

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the beginnings of trajectories."""
        starts = np.zeros(len(indices), int)
        return self._windows.source.read(
            self._windows.split, self._trajectories[indices], starts, self.length
        )

    def score(
        self, model: ForecastModel, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns latent and true states of the first 60 frames with states.

        Returns:
          "latents" ``[n, T, d]``, positions before momenta; "states" ``[n, T, D]``; for
          models with a posterior "variance" ``[n, d]``.

        Raises:
          UserError: a latent state of odd length.
        """
        truth = self._windows.source.decode(batch)
        z, variance, pairing = model.latents(truth["images"])
        if z.shape[-1] % 2:
            raise UserError(
                f"symetric needs latent states of even length, not {z.shape[-1]}"
            )
        if pairing == "interleaved":
            z = _pairs_apart(z)
            variance = None if variance is None else _pairs_apart(variance)
        states = jax.numpy.asarray(truth["states"])[:, -z.shape[1] :]
        scores = {"latents": z[:, :STEPS], "states": states[:, :STEPS]}
        return scores if variance is None else scores | {"variance": variance}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Fits every five trajectories by themselves; this takes minutes.

        Trajectories that are left over, fewer than five, are not fitted, unless there
        are no others.

        Returns:
          {"symetric": ...} with the means over the groups of "score", "sym", "rsq",
          "order" and "num_latents" (see `score_group`), "sym_min" and "sym_max", and
          the number of groups, "num_groups".
        """
        count, steps = scores["latents"].shape[:2]
        generator = np.random.Generator(np.random.PCG64(self._windows.config.data.seed))
        points = np.stack(
            [generator.permutation(steps)[:NUM_POINTS] for _ in range(count)]
        )
        variance = scores.get("variance")

        def fit(start: int) -> dict[str, float]:
            group = slice(start, start + GROUP)
            return score_group(
                scores["latents"][group],
                scores["states"][group],
                None if variance is None else variance[group],
                points[group],
            )

        # scikit-learn lets go of the interpreter while it fits.
        with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            warnings.simplefilter("ignore")  # regressions that did not converge
            starts = range(0, max(count - GROUP, 0) + 1, GROUP)
            groups = list(pool.map(fit, starts))
        means = {name: float(np.mean([f[name] for f in groups])) for name in groups[0]}
        syms = [group["sym"] for group in groups]
        extremes = {"sym_min": min(syms), "sym_max": max(syms)}
        return {"symetric": means | extremes | {"num_groups": len(groups)}}


def _standardise(values: np.ndarray) -> np.ndarray:
    """Rows ``[n T, d]`` of which every column has mean 0 and variance 1."""
    rows = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    return preprocessing.StandardScaler().fit_transform(rows)


def _pairs_apart(values: jax.Array) -> jax.Array:
    """Returns (q, p, q, p, ...) as (q, q, ..., p, p, ...)."""
    return jax.numpy.concatenate([values[..., ::2], values[..., 1::2]], axis=-1)
