"""The hints of errors about names."""

from nwm_jax import errors


def test_the_nearest_name_or_all():
    assert errors.nearest("ADAM", ["adam", "sgd"]) == "did you mean 'adam'?"
    assert errors.nearest("zzz", ["a", "b"]) == "choose from a, b"
    assert errors.nearest("zzz", ["a", "b"], "letters") == "choose from letters"
    error = errors.unknown("size", 3, ["small", "large"])
    assert str(error) == "unknown size 3; choose from small, large"
