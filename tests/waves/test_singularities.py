import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields


@pytest.mark.parametrize("charge", [-1, 1])
def test_rotating_wave_has_one_singularity_at_its_centre(charge):
    x = wave_fields.rotating_wave(charge, center=(5.5, 8.5))
    signal = waves.wave_signal(x)
    result = waves.find_singularities(signal, boundary="open")
    np.testing.assert_array_equal(result.index, np.arange(60)[:, None])
    np.testing.assert_array_equal(result.position, [[5.5, 8.5]] * 60)
    np.testing.assert_array_equal(result.charge, [charge] * 60)
    assert waves.winding_number(signal, boundary="open").shape == (60, 12, 14)
    # The sense of the docstring: at charge -1, crests right of the centre move down.
    velocity = waves.wave_velocity(signal, boundary="open")[:, 5, 12]
    assert (np.sign(velocity[:, 0]) == -charge).all()


def test_on_a_torus_the_charges_cancel():
    x = waves.wave_signal(wave_fields.noise((20, 9, 11)))
    charge = waves.winding_number(x)
    assert charge.shape == x.shape and set(np.unique(charge)) == {-1, 0, 1}
    np.testing.assert_array_equal(charge.sum(axis=(1, 2)), 0)
    np.testing.assert_array_equal(
        charge[:, :-1, :-1], waves.winding_number(x, boundary="open")
    )
    assert 0.25 < np.abs(charge).mean() < 0.4  # one square in three


def test_no_singularities_in_plane_and_standing_waves():
    for x in (
        wave_fields.plane_wave(wave_fields.torus_vector(1, -2)),
        wave_fields.standing_wave(wave_fields.torus_vector(1, 0)),
    ):
        assert not waves.winding_number(waves.wave_signal(x)).any()


@pytest.mark.parametrize("level, most", [(0.3, 0), (1.0, 0.02)])
def test_noise_adds_few_singularities_to_a_filtered_wave(level, most):
    wave = wave_fields.plane_wave((0.3, 0.2), (300, 12, 16))
    x = wave + level * wave_fields.noise(wave.shape)
    # Without the first and the last period, where filter and epochs end.
    signal = waves.wave_signal(x, band=(0.08, 0.12))[10:-10]
    assert np.abs(waves.winding_number(signal, boundary="open")).mean() <= most


def test_a_missing_cell_leaves_its_four_squares_open():
    x = wave_fields.rotating_wave()
    x[:, 2, 3] = np.nan
    charge = waves.winding_number(waves.wave_signal(x), boundary="open")
    np.testing.assert_array_equal(
        np.argwhere(np.isnan(charge[0])), [[1, 2], [1, 3], [2, 2], [2, 3]]
    )
    assert len(waves.find_singularities(waves.wave_signal(x), boundary="open").charge)


@pytest.mark.parametrize("charge", [-1, 1])
def test_fit_of_a_rotating_wave(charge):
    signal = waves.wave_signal(wave_fields.rotating_wave(charge, center=(4.0, 9.0)))
    centers = np.array([[6.0, 7.0], [4.0, 9.0], [2.0, 2.0]])
    fit = waves.fit_rotating_wave(signal, centers)
    np.testing.assert_array_equal(fit.charge, charge)
    np.testing.assert_allclose(fit.goodness, 1, atol=1e-6)
    np.testing.assert_array_equal(fit.center, [[4.0, 9.0]] * 60)
    middle = waves.fit_rotating_wave(signal)
    np.testing.assert_array_equal(middle.center, [[6.0, 7.0]] * 60)
    assert (middle.goodness < 0.95).all()


def test_other_fields_do_not_rotate():
    plane = waves.wave_signal(wave_fields.plane_wave(wave_fields.torus_vector(2, 1)))
    assert (waves.fit_rotating_wave(plane).goodness < 0.3).all()
    noise = waves.wave_signal(wave_fields.noise())
    assert waves.fit_rotating_wave(noise).goodness.mean() < 2 / np.sqrt(12 * 16)
    nothing = waves.fit_rotating_wave(np.full((3, 4, 4), np.nan + 0j))
    assert np.isnan(nothing.goodness).all() and (nothing.charge == 0).all()


def test_rotation_is_seen_through_noise_and_missing_cells():
    x = wave_fields.rotating_wave() + 0.5 * wave_fields.noise((60, 13, 15))
    x[:, 3:6, 2] = np.nan
    fit = waves.fit_rotating_wave(waves.wave_signal(x, band=(0.05, 0.2)))
    assert (fit.charge == -1).all() and (fit.goodness[6:-6] > 0.9).all()


def test_pinwheels_of_an_orientation_map():
    # theta = angle / 2 turns by pi round the centre: one pinwheel of charge 1/2.
    i, j = np.indices((10, 12))
    angle = np.arctan2(i - 4.5, j - 6.5)
    for sign in (1, -1):
        result = waves.pinwheels((sign * angle / 2) % np.pi, boundary="open")
        assert result.shape == (9, 11)
        np.testing.assert_array_equal(np.argwhere(result), [[4, 6]])
        assert result[4, 6] == sign / 2
    assert not waves.pinwheels(np.full((5, 5), 3.1)).any()
    gap = (angle / 2).copy()
    gap[4, 6] = np.nan
    assert np.isnan(waves.pinwheels(gap, boundary="open")[4, 6])


def test_mistakes_are_named():
    signal = waves.wave_signal(wave_fields.noise((5, 4, 4)))
    for call, words in [
        (lambda: waves.winding_number(signal.real), "analytic_signal"),
        (lambda: waves.winding_number(signal[:, :2]), "boundary='open'"),
        (lambda: waves.find_singularities(signal, boundary="torus"), "not known"),
        (lambda: waves.fit_rotating_wave(signal, np.ones(3)), r"\[m, 2\]"),
        (lambda: waves.pinwheels(signal), "complex"),
    ]:
        with pytest.raises(UserError, match=words):
            call()
