"""The 8 x 8 digits that come with scikit-learn: 1,797 images and nothing to download."""

import numpy as np
from sklearn import datasets

from nwm_jax.data.sequences.images import LabelledImages

NUM_TEST = 297


def read() -> LabelledImages:
    """Reads the digits: the last 297 are the test.

    Returns:
      Images uint8 ``[N, 8, 8]``; the 17 grey values of the original are spread over
      0-255.
    """
    result = datasets.load_digits()
    images = np.round(result.images * (255.0 / 16.0)).astype(np.uint8)
    labels = result.target.astype(np.uint8)
    return LabelledImages(
        images[:-NUM_TEST], labels[:-NUM_TEST], images[-NUM_TEST:], labels[-NUM_TEST:]
    )
