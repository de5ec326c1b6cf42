"""A photo whose pixels say where they came from, to test what a view claims."""

import numpy as np


def ramps(size: tuple[int, int]) -> np.ndarray:
    """Channels x and y in [0, 1] from edge to edge, and a third that is 1 inside the photo."""
    height, width = size
    photo = np.ones((height, width, 3), dtype=np.float32)
    photo[..., 0] = (np.arange(width, dtype=np.float32) + 0.5) / width
    photo[..., 1] = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    return photo


def misplacement(photo: np.ndarray, image: np.ndarray, view: np.ndarray) -> np.ndarray:
    """How many pixels of the view lie between where a pixel is and where the view says it is."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(
        (np.arange(width) + 0.5) * 2 / width - 1, (np.arange(height) + 0.5) * 2 / height - 1
    )
    here = np.stack([x, y, np.ones_like(x)], axis=-1)
    origin = here @ np.linalg.inv(view).T
    # Within half a photo pixel of an edge, the photo's or a crop's, interpolation repeats the edge.
    half = 1 / np.array([photo.shape[1], photo.shape[0]])
    inside = (abs(origin[..., :2]) < 1 - half).all(axis=-1) & (image[..., 2] > 0.999)
    inside &= (abs(here[..., :2]) < 1 - abs(view[:2, :2]) @ half).all(axis=-1)
    seen = np.concatenate([image[..., :2] * 2 - 1, np.ones_like(x)[..., None]], axis=-1)[inside]
    return abs((seen @ view.T - here[inside])[:, :2]) * (width / 2, height / 2)
