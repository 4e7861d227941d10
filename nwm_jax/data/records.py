"""A folder of TFRecords as a source: the published datasets, and generated ones."""

import concurrent.futures
import functools
import os

import numpy as np

from nwm_jax.data import render, suite, tfrecord
from nwm_jax.data.folder import MANIFEST, expand, read_manifest
from nwm_jax.data.windows import (
    NUM_VALID,
    Batch,
    Decoded,
    check_length,
    num_held_out,
)
from nwm_jax.errors import UserError

# Decoding is what costs: small datasets are decoded once, of large ones a part.
_KEPT_BYTES = 2**30


class RecordsSource:
    """A dataset of the Hamiltonian Dynamics Suite in its published files.

    Shapes and lengths are those that `features.txt` states. Long trajectories are
    published as a test split alone. The last trajectories of train.tfrecord are the
    validation split, see `windows.num_held_out`. A set of `python -m nwm_jax.generate` must be as
    its `generate.json` says.

    Args:
      path: the folder, with `features.txt` and `train.tfrecord`, `test.tfrecord` or
        both.
      num_valid: trajectories of the validation split, at most.

    Raises:
      UserError: no such folder, one without images of trajectories, or a generated
        set that is unfinished.
    """

    def __init__(self, path: str | os.PathLike, num_valid: int = NUM_VALID):
        self._num_valid = num_valid
        self._folder = expand(path)
        self._manifest = read_manifest(self._folder)
        if self._manifest.get("format") == "states":
            raise UserError(
                f"{self._folder} holds states only, and images are needed: generate "
                "the set without --format=states"
            )
        if not self._manifest.get("finished", True):
            raise UserError(
                f"{self._folder} is an unfinished dataset: run the same generate "
                "command again, it goes on where it stopped"
            )
        described = tfrecord.features(self._folder)
        shape, dtype = described.get("image", ((), None))
        if dtype != np.uint8 or len(shape) != 4 or shape[0] < 2:
            raise UserError(
                f"{self._folder}/features.txt has no images of trajectories: a line "
                "'image, (frames, height, width, 3), uint8' is needed, with two frames "
                "at least"
            )
        self.num_frames, self.image_shape = shape[0], shape[1:]
        names = ["image"]
        if (x := described.get("x")) and len(x.shape) == 2 and x.shape[0] == shape[0]:
            names.append("x")
        self._splits = {
            split: tfrecord.Records(file, described, names=names)
            for split in ("train", "test")
            if (file := self._folder / f"{split}.tfrecord").exists()
        }
        if not self._splits:
            raise UserError(
                f"{self._folder} has features.txt but neither train.tfrecord nor "
                "test.tfrecord: fetch or generate them into this folder"
            )
        self.origin = self._origin("other/offset" in described)
        self._checked: set[str] = set()
        self._kept: dict[tuple[str, int], dict[str, np.ndarray]] = {}
        self._room = _KEPT_BYTES

    def size(self, split: str) -> int:
        """Number of trajectories of a split.

        Raises:
          UserError: the folder does not have this split, or its file is empty, damaged
            or cut.
        """
        places = self._places(split)
        return places.stop - places.start

    def read(
        self, split: str, indices: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        """`frames` uint8 `[n, length, H, W, C]`; `states` float32 `[n, length, d]`.

        There are `states` only where the folder has an array `x` of them. See
        `Source.read`.

        Raises:
          UserError: windows are too long, the split is missing, or its file damaged.
        """
        check_length(length, self.num_frames)
        places = self._places(split)
        numbers = [places[i] for i in np.asarray(indices).tolist()]
        decoded = self._decoded(_file(split), list(dict.fromkeys(numbers)))
        cuts = [
            {key: array[start : start + length] for key, array in decoded[i].items()}
            for i, start in zip(numbers, np.asarray(starts).tolist(), strict=True)
        ]
        keys = cuts[0] if cuts else ()
        return {key: np.stack([cut[key] for cut in cuts]) for key in keys}

    def decode(self, batch: Batch) -> Decoded:
        """Brightness of the bytes; states float32 where the folder has an array `x`."""
        decoded: Decoded = {"images": render.from_uint8(batch["frames"])}
        if "states" in batch:
            decoded["states"] = batch["states"]
        return decoded

    def _origin(self, is_shifted: bool) -> str:
        """Where row 0 of the images belongs, see `Source`."""
        spec = suite.DATASETS.get(str(self._manifest.get("dataset")))
        if spec:
            return spec.origin
        # Particles live in a plane whose y axis points up; games and rooms do not.
        boxes = self._folder.resolve().name.startswith("lj_")
        return "lower" if is_shifted or boxes else "upper"

    def _places(self, split: str) -> range:
        """Which records of its file a split has."""
        count = len(self._records(_file(split)))
        if split == "test":
            return range(count)
        start = count - num_held_out(count, self._num_valid)
        if split == "train":
            return range(start)
        return range(start % count, count)

    def _records(self, split: str) -> tfrecord.Records:
        if split not in self._splits:
            raise UserError(
                f"{self._folder} has no {split}.tfrecord, only "
                f"{', '.join(self._splits)}.tfrecord: training needs both; a test "
                "split alone is for python -m nwm_jax.evaluate --data"
            )
        records = self._splits[split]
        if split not in self._checked:
            self._check_count(split, len(records))
            self._checked.add(split)
        return records

    def _check_count(self, split: str, count: int) -> None:
        """A file that was cut between two records cannot be recognised alone."""
        file = self._folder / f"{split}.tfrecord"
        if not count:
            raise UserError(f"{file} holds no records: get or generate it again")
        written = self._manifest.get(f"num_{split}") or count
        if count != written:
            raise UserError(
                f"{file} holds {count} records, but {MANIFEST} beside it says "
                f"{written}: get or generate the set again"
            )

    def _decoded(self, split: str, indices: list[int]) -> dict[int, dict]:
        """Whole trajectories by number, each decoded once and kept if there is room."""
        records = self._records(split)
        known = {i: self._kept[split, i] for i in indices if (split, i) in self._kept}
        new = [i for i in indices if i not in known]
        for i, record in zip(
            new, self._threads.map(records.__getitem__, new), strict=False
        ):
            known[i] = {"frames": record["image"]}
            if "x" in record:
                known[i]["states"] = record["x"].astype(np.float32)
            size = sum(array.nbytes for array in known[i].values())
            if size <= self._room:
                # Never given up again: trajectories come in another order in every
                # epoch, where what was used last is what will be used last.
                self._room -= size
                self._kept[split, i] = known[i]
        return known

    @functools.cached_property
    def _threads(self) -> concurrent.futures.Executor:
        # Inflating and Pillow let other threads run meanwhile.
        return concurrent.futures.ThreadPoolExecutor(os.cpu_count())


def _file(split: str) -> str:
    """The published split that a split is a part of."""
    return "train" if split == "valid" else split
