"""What a training photograph may look like; the only module that imports albumentations."""

from __future__ import annotations

import os
import random

import albumentations as A
import cv2
import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its newest version

EDGE = cv2.BORDER_REFLECT_101


class Augmentation:
    """A random variation of a face, the same for the same seed and position wherever it is computed.

    Args:
        size: Height and width of the result.
        seed: The training's.
        share: Multiplies the probability of every variation but the crop and the mirror image; 0 to 1.
    """

    def __init__(self, size: int, seed: int, share: float = 1):
        self.size, self.seed = size, seed
        self.numbers = np.random.Generator(np.random.PCG64(seed))
        self.python_numbers = random.Random(seed)
        self.transform = A.Compose(
            [
                A.RandomResizedCrop((size, size), scale=(0.85, 1.0), ratio=(0.95, 1.05)),
                A.HorizontalFlip(p=0.5),
                A.Affine(rotate=(-8, 8), shear=(-4, 4), border_mode=EDGE, p=share * 0.3),
                A.RandomBrightnessContrast(0.25, 0.25, p=share * 0.5),
                A.HueSaturationValue(8, 30, 10, p=share * 0.2),
                A.OneOf(
                    [
                        A.GaussianBlur(blur_limit=0, sigma_limit=(0.4, 1.2)),
                        A.Downscale((0.4, 0.8)),
                        A.ImageCompression(quality_range=(30, 90)),
                    ],
                    p=share * 0.2,
                ),
                A.ToGray(p=share * 0.2),
                A.CoarseDropout((1, 1), (0.15, 0.4), (0.15, 0.4), fill=127, p=share * 0.2),
            ]
        )
        self.transform.set_random_state(self.numbers, self.python_numbers)

    def __call__(self, face: np.ndarray, position: int) -> np.ndarray:
        """Varies a face.

        Args:
            face: uint8 RGB [height, width, 3].
            position: The number of the face among all that training has seen.

        Returns:
            uint8 RGB [size, size, 3].
        """
        state = np.random.SeedSequence((self.seed, position)).generate_state(4, np.uint64)
        self.numbers.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": int(state[0]), "inc": int(state[1]) | 1},
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.python_numbers.seed(int(state[2]))
        return self.transform(image=face)["image"]
