"""Named errors: each says which argument, what was expected, what came and what to do.

Every error here is an `OaaError`, which the command line turns into one line and exit status 2;
each also subclasses the builtin that a caller without this package would expect.
"""

from collections.abc import Sequence

__all__ = [
    "BadImageError",
    "BadListError",
    "BadMaskError",
    "BadTagFileError",
    "ConfigError",
    "DivergedError",
    "DownloadError",
    "EmptySplitError",
    "IncompleteDataError",
    "MissingImageError",
    "MissingInputError",
    "MissingMaskError",
    "MissingSplitError",
    "NoForegroundError",
    "NonAffineTransformError",
    "OaaError",
    "OutputError",
    "RunMismatchError",
    "ShapeError",
    "StoreError",
    "StoreMismatchError",
    "StoreNotEmptyError",
    "UnfitDataError",
    "UnfitNetworkError",
    "UnknownClassError",
    "UnsupportedSystemError",
    "UntaggedImageError",
    "WeightsError",
    "first_few",
]


class OaaError(Exception):
    """Base of every error that this package raises on purpose."""


class MissingSplitError(OaaError, FileNotFoundError):
    """The list of a split does not exist."""


class BadListError(OaaError, ValueError):
    """A split's list cannot be read; the message has file and line, or file and encoding."""


class EmptySplitError(OaaError, ValueError):
    """A split lists no image."""


class MissingImageError(OaaError, FileNotFoundError):
    """A split, or a tag file, names an image that has no file."""


class DownloadError(OaaError, OSError):
    """An archive of a data set could not be fetched; the message says how to fetch it by hand."""


class IncompleteDataError(OaaError, ValueError):
    """A published data set is not whole: a count is not what it must be."""


class BadImageError(OaaError, ValueError):
    """An image file is empty, truncated or of no known format."""


class MissingMaskError(OaaError, FileNotFoundError):
    """Evaluation asked for a mask that the data set does not have."""


class BadMaskError(OaaError, ValueError):
    """A mask (or saliency map) has an id outside the classes, or another size than its photo."""


class UntaggedImageError(OaaError, ValueError):
    """An image has no tag at all, so nothing can be attended."""


class UnfitDataError(OaaError, ValueError):
    """`oaa data check` found faults that a training would stop at."""


class UnfitNetworkError(OaaError, ValueError):
    """A network has no form in which its scores can be told cell by cell."""


class UnknownClassError(OaaError, ValueError):
    """A tag names a class that the data set does not have."""


class BadTagFileError(OaaError, ValueError):
    """A row of a tag file (or an annotation) cannot be read; the message has file and line."""


class NonAffineTransformError(OaaError, ValueError):
    """A training transform moves pixels in a way that no affine view can undo."""


class WeightsError(OaaError, ValueError):
    """Weights do not exist, cannot be read, or do not fit the network key by key."""


class ConfigError(OaaError, ValueError):
    """A value of the configuration is unknown or out of range."""


class DivergedError(OaaError, ArithmeticError):
    """A training's loss is no number any more."""


class MissingInputError(OaaError, FileNotFoundError):
    """A stage was asked for before the stage that makes its input."""


class RunMismatchError(OaaError, ValueError):
    """A run folder was made with another configuration than the one asked for."""


class OutputError(OaaError, OSError):
    """A run folder or an output file cannot be written."""


class NoForegroundError(OaaError, ValueError):
    """No image of a split has any foreground in its proxy label."""


class ShapeError(OaaError, ValueError):
    """A tensor has another shape or type than a border of this package takes."""


class StoreError(OaaError, OSError):
    """An attention store cannot be opened, is damaged, or is in use."""


class UnsupportedSystemError(OaaError, ImportError):
    """The operating system lacks what the package needs."""


class StoreMismatchError(StoreError, ValueError):
    """An attention store was made for another data set, grid, fusion or gate."""


class StoreNotEmptyError(StoreError, FileExistsError):
    """A new training would empty a store that holds committed maps."""


def first_few(names: Sequence[str], most: int = 5) -> str:
    """What a message shows of a list that may be long.

    Example:
        >>> first_few(["a", "b", "c"], most=2)
        'a, b, ...'
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
