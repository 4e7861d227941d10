import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError


def plane_wave(wave_vector, *, shape=(24, 12, 16), omega=2 * np.pi / 8):
    """cos(omega t - k . r): travels along k."""
    t, i, j = np.indices(shape)
    return np.cos(omega * t - wave_vector[0] * i - wave_vector[1] * j)


@pytest.mark.parametrize("rows, columns", [(1, 0), (-2, 3), (0, -1), (2, 2)])
def test_plane_wave_on_a_torus(rows, columns):
    vector = 2 * np.pi * np.array([rows / 12, columns / 16])
    signal = waves.analytic_signal(plane_wave(vector))
    velocity = waves.wave_velocity(signal)
    np.testing.assert_allclose(velocity - vector, 0, atol=1e-12)
    np.testing.assert_array_equal(velocity, -waves.phase_gradient(signal))
    omega = waves.temporal_frequency(signal)
    np.testing.assert_allclose(omega, np.full(omega.shape, 2 * np.pi / 8))
    speed = waves.phase_speed(omega, velocity)
    np.testing.assert_allclose(speed, 2 * np.pi / 8 / np.linalg.norm(vector))
    np.testing.assert_allclose(waves.direction_coherence(velocity), 1)


def test_plane_wave_of_the_original_program_and_its_alias():
    t, i, j = np.indices((12, 12, 12))
    x = np.cos(2 * np.pi * (t / 6 - i / 12 + 2 * j / 12))
    velocity = waves.wave_velocity(waves.analytic_signal(x))
    np.testing.assert_allclose(velocity[..., 0], 0.523599, atol=1e-6)
    np.testing.assert_allclose(velocity[..., 1], -1.047198, atol=1e-6)
    # Three cells per wave: a central difference sees it going the other way.
    short = np.cos(2 * np.pi * (t / 6 - 4 * i / 12))
    velocity = waves.wave_velocity(waves.analytic_signal(short))
    np.testing.assert_allclose(velocity[..., 0], -1.047198, atol=1e-6)


def test_open_sheet_has_the_same_answer_at_its_edges():
    vector = np.array([0.3, -0.7])  # not periodic in 12 x 16
    signal = waves.analytic_signal(plane_wave(vector))
    velocity = waves.wave_velocity(signal, boundary="open")
    np.testing.assert_allclose(velocity, np.broadcast_to(vector, velocity.shape))
    on_torus = waves.wave_velocity(signal)
    np.testing.assert_allclose(on_torus[:, 1:-1, 1:-1], velocity[:, 1:-1, 1:-1])
    assert np.abs(on_torus[:, 0, :, 0] - 0.3).min() > 0.1


def test_rings_mix_the_boundaries_and_one_ring_has_no_row_gradient():
    x = plane_wave([0.3, 2 * np.pi * 2 / 16])
    signal = waves.analytic_signal(x)
    velocity = waves.wave_velocity(signal, boundary=("open", "periodic"))
    np.testing.assert_allclose(velocity[..., 0], 0.3)
    np.testing.assert_allclose(velocity[..., 1], np.pi / 4)
    ring = waves.wave_velocity(signal[:, :1])
    np.testing.assert_allclose(ring[..., 1], np.pi / 4)
    assert (ring[..., 0] == 0).all()


def test_standing_wave_does_not_travel():
    # cos(wt) sin(k(j + 1/2)): one phase in every lobe, the opposite one in the next.
    t, _, j = np.indices((24, 3, 16))
    x = np.cos(2 * np.pi * t / 8) * np.sin(2 * np.pi * (j + 0.5) / 16)
    velocity = waves.wave_velocity(waves.analytic_signal(x))
    inside = np.r_[1:7, 9:15]  # cells whose two neighbours are in the same lobe
    np.testing.assert_allclose(velocity[:, :, inside], 0, atol=1e-9)
    omega = waves.temporal_frequency(waves.analytic_signal(x))
    np.testing.assert_allclose(omega, np.pi / 4)
    # Cells in synchrony: infinitely fast crests, told as NaN.
    assert np.isnan(waves.phase_speed(omega, velocity)[:, :, inside]).all()


def test_nodes_have_no_phase():
    t, _, j = np.indices((24, 3, 16))
    x = np.cos(2 * np.pi * t / 8) * np.sin(2 * np.pi * j / 16)  # nodes at 0 and 8
    phase = waves.phase(x)
    assert np.isnan(phase[:, :, [0, 8]]).all()
    assert np.isfinite(np.delete(phase, [0, 8], axis=2)).all()


def test_rotating_wave_circles_its_centre():
    # cos(wt - theta): phase falls along theta, so the wave runs round, |nu| = 1/r.
    t, i, j = np.indices((16, 21, 21))
    row, column = i - 10, j - 10
    x = np.cos(2 * np.pi * t / 8 - np.arctan2(row, column))
    x[:, 10, 10] = 0
    signal = waves.analytic_signal(x)
    velocity = waves.wave_velocity(signal, boundary="open")
    square = row**2 + column**2
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.stack([column, -row], axis=-1) / square[..., None]
    far = (square[0] > 25) & (np.abs(row[0]) < 10) & (np.abs(column[0]) < 10)
    np.testing.assert_allclose(velocity[:, far], expected[:, far], atol=5e-3)
    # Directions round a full circle cancel; one quadrant holds together.
    ring = (square[0] > 25) & (square[0] < 64)
    assert waves.direction_coherence(velocity[:, ring]) < 1e-6
    assert waves.direction_coherence(velocity[:, ring & (row[0] > 0)]) > 0.5
    # Points of equal phase go round at omega: c = omega r.
    speed = waves.phase_speed(waves.temporal_frequency(signal), velocity)
    radius = np.sqrt(square)
    np.testing.assert_allclose(
        speed[:, far], (2 * np.pi / 8 * radius)[:, far], rtol=0.05
    )
    # The centre does not oscillate, so its neighbours have no gradient across it.
    assert np.isnan(velocity[:, 10, [9, 11], 1]).all()


def test_missing_channels_stay_local():
    x = plane_wave([0, 2 * np.pi / 16])
    x[:, 4, 5] = np.nan
    velocity = waves.wave_velocity(waves.analytic_signal(x))
    hurt = np.isnan(velocity).any(axis=(0, 3))
    np.testing.assert_array_equal(np.argwhere(hurt), [[3, 5], [4, 4], [4, 6], [5, 5]])
    omega = waves.temporal_frequency(waves.analytic_signal(x))
    np.testing.assert_array_equal(np.argwhere(np.isnan(omega[3])), [[4, 5]])
    np.testing.assert_allclose(waves.direction_coherence(velocity), 1)


def test_forward_differences_see_short_waves():
    # Three cells per wave: the central difference has them going the other way.
    vector = 2 * np.pi * np.array([4 / 12, -7 / 16])
    signal = waves.analytic_signal(plane_wave(vector))
    for boundary in ("periodic", "open"):
        velocity = waves.wave_velocity(signal, boundary=boundary, difference="forward")
        np.testing.assert_allclose(velocity - vector, 0, atol=1e-9)
        gradient = waves.phase_gradient(signal, boundary=boundary, difference="forward")
        np.testing.assert_array_equal(gradient, -velocity)
    central = waves.wave_velocity(signal)
    assert (central[..., 0] < 0).all() and (central[..., 1] > 0).all()


def test_forward_difference_belongs_to_the_next_cell():
    # A phase that is quadratic along the columns: the differences are exact.
    j = np.arange(10)
    signal = np.exp(0.01j * (j**2))[None] * np.ones((3, 1))
    gradient = waves.phase_gradient(signal, boundary="open", difference="forward")
    expected = 0.01 * np.append(2 * j[:-1] + 1, 2 * j[-2] + 1)
    np.testing.assert_allclose(gradient[..., 1] - expected, 0, atol=1e-12)
    np.testing.assert_allclose(gradient[..., 0], 0, atol=1e-12)


def test_direction_is_an_angle_from_columns_to_rows():
    vectors = np.array(
        [[0.0, 2], [1, 0], [0, -1], [-3, 0], [1, 1], [0, 0], [np.nan, 0]]
    )
    expected = np.pi * np.array([0, 0.5, 1, -0.5, 0.25, np.nan, np.nan])
    np.testing.assert_allclose(waves.direction(vectors), expected)


def test_single_precision_is_kept():
    signal = waves.analytic_signal(plane_wave([0, np.pi / 8]).astype(np.float32))
    assert waves.wave_velocity(signal).dtype == np.float32
    assert waves.temporal_frequency(signal).dtype == np.float32


def test_mistakes_are_named():
    signal = waves.analytic_signal(plane_wave([0, np.pi / 8]))
    for call, words in [
        (lambda: waves.phase_gradient(signal.real), "pass analytic_signal"),
        (lambda: waves.phase_gradient(signal[0, 0]), "shape is"),
        (lambda: waves.phase_gradient(signal[:, :2]), "boundary='open'"),
        (lambda: waves.phase_gradient(signal, boundary="torus"), "'periodic', 'open'"),
        (lambda: waves.phase_gradient(signal, difference="left"), "'forward'"),
        (lambda: waves.direction(np.ones(3)), "last axis of 2"),
        (lambda: waves.temporal_frequency(signal[:1]), "at least 2"),
        (lambda: waves.phase_speed(signal.real, signal.real), "last axis of 2"),
        (lambda: waves.phase_speed(np.ones((3, 4)), np.ones((4, 2))), "do not belong"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
