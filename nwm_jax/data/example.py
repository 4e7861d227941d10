"""The message `tf.train.Example`, without TensorFlow: names and lists of numbers.

    message Example  { Features features = 1; }
    message Features { map<string, Feature> feature = 1; }
    message Feature  { oneof kind { BytesList bytes_list = 1; FloatList float_list = 2;
                                    Int64List int64_list = 3; } }

and each list is `repeated ... value = 1`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_Field = descriptor_pb2.FieldDescriptorProto


def _message(name: str, *fields: dict, **options: Any) -> dict:
    numbered = [field | {"number": n} for n, field in enumerate(fields, 1)]
    return {"name": name, "field": numbered} | options


def _field(name: str, kind: int | str, label: int = _Field.LABEL_OPTIONAL) -> dict:
    if isinstance(kind, str):  # another message
        kind_of = {"type": _Field.TYPE_MESSAGE, "type_name": f".nwm_jax.{kind}"}
    else:
        kind_of = {"type": kind}
    return {"name": name, "label": label} | kind_of


def _example_class() -> type[Any]:
    many = _Field.LABEL_REPEATED
    one_of = {"oneof_index": 0}
    entry = _message(
        "FeatureEntry",
        _field("key", _Field.TYPE_STRING),
        _field("value", "Feature"),
        options={"map_entry": True},
    )
    file = descriptor_pb2.FileDescriptorProto(
        name="nwm_jax/example.proto",
        package="nwm_jax",
        syntax="proto3",
        message_type=[
            _message("BytesList", _field("value", _Field.TYPE_BYTES, many)),
            _message("FloatList", _field("value", _Field.TYPE_FLOAT, many)),
            _message("Int64List", _field("value", _Field.TYPE_INT64, many)),
            _message(
                "Feature",
                _field("bytes_list", "BytesList") | one_of,
                _field("float_list", "FloatList") | one_of,
                _field("int64_list", "Int64List") | one_of,
                oneof_decl=[{"name": "kind"}],
            ),
            _message(
                "Features",
                _field("feature", "Features.FeatureEntry", many),
                nested_type=[entry],
            ),
            _message("Example", _field("features", "Features")),
        ],
    )
    # A pool of our own: TensorFlow, where it is installed, has the names in the other.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("nwm_jax.Example")
    )


_Example = _example_class()


def pack(features: Mapping[str, bytes | np.ndarray]) -> bytes:
    """Serialises named features, in the order of their names.

    Args:
      features: bytes become a `bytes_list` of one element, int64 `[n]` an `int64_list`.

    Returns:
      The serialised `Example`; the same features give the same bytes.
    """
    message = _Example()
    for name, value in features.items():
        feature = message.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            feature.int64_list.value.extend(value.tolist())
    return message.SerializeToString(deterministic=True)


def unpack(payload: bytes) -> dict[str, list[bytes] | np.ndarray]:
    """Reads a serialised `Example`.

    Args:
      payload: the bytes.

    Returns:
      By name: the elements of a `bytes_list`, float32 `[n]` for a `float_list`, int64
      `[n]` for an `int64_list`, and an empty list for a feature that holds nothing.

    Raises:
      ValueError: the bytes are not such a message.
    """
    try:
        message = _Example.FromString(payload)
    except DecodeError:
        raise ValueError("it is not a tf.train.Example") from None
    readers: dict[str | None, Callable[[Any], list[bytes] | np.ndarray]] = {
        None: lambda feature: [],
        "bytes_list": lambda feature: list(feature.bytes_list.value),
        "float_list": lambda feature: np.array(feature.float_list.value, np.float32),
        "int64_list": lambda feature: np.array(feature.int64_list.value, np.int64),
    }
    return {
        name: readers[feature.WhichOneof("kind")](feature)
        for name, feature in message.features.feature.items()
    }
