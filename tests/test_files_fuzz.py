"""Readers of files on anything: a value, or a `UserError` of one printable line."""

import io
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from nwm_jax import files
from nwm_jax.errors import LONGEST, UserError

FEW = hypothesis.settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
NUMBERS = st.integers(-(10**18) + 1, 10**18 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def is_one_line(error):
    return str(error).isprintable() and len(str(error)) <= LONGEST


@FEW
@hypothesis.given(VALUES)
def test_json_comes_back(value):
    assert files.parse_json(json.dumps(value), "it") == value


@FEW
@hypothesis.given(st.binary() | st.text(alphabet='[]{}",:0123456789.eE-+truefalsn\\u '))
def test_anything_as_json(data):
    try:
        files.parse_json(data, "it")
    except UserError as error:
        assert is_one_line(error)


@FEW
@hypothesis.given(st.data())
def test_a_damaged_array(tmp_path, data):
    shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
    kind = data.draw(st.sampled_from(["<f4", ">i2", "u1", "<c8", "?"]))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    buffer = io.BytesIO()
    np.save(buffer, array)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.npy"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        result = files.open_array(path)
    except UserError as error:
        assert is_one_line(error)
    else:
        assert result.nbytes <= len(content) and not result.dtype.hasobject


@pytest.mark.parametrize("end", ["", "]", "\0"])
def test_json_cut_anywhere(end):
    text = json.dumps({"a": [1, {"b": None}], "c": "d"})
    for stop in range(len(text)):
        with pytest.raises(UserError):
            files.parse_json(text[:stop] + end, "it")
