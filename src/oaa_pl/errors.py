"""Named errors. A message says which argument, what was expected, what it got and what to do.

Every error is an `OaaError`. The command line prints it as one line, with exit status 2. Each error
also subclasses the builtin exception that other code would catch.
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
    "ExportError",
    "InUseError",
    "IncompleteDataError",
    "JobFailedError",
    "JobsFailedError",
    "MissingImageError",
    "MissingInputError",
    "MissingMaskError",
    "MissingSplitError",
    "NoForegroundError",
    "NoSuchMapError",
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
    """An archive of a data set could not be downloaded; the message says how to do it by hand."""


class IncompleteDataError(OaaError, ValueError):
    """A published data set is incomplete: a count differs from the published one."""


class BadImageError(OaaError, ValueError):
    """An image file is empty, truncated or in an unknown format."""


class MissingMaskError(OaaError, FileNotFoundError):
    """Evaluation needs a mask that the data set does not have."""


class BadMaskError(OaaError, ValueError):
    """A mask (or saliency map) has an unknown id, or not the size of its photo."""


class UntaggedImageError(OaaError, ValueError):
    """An image has no tag, so it cannot be trained on."""


class UnfitDataError(OaaError, ValueError):
    """`oaa data check` found faults that would stop a training."""


class UnfitNetworkError(OaaError, ValueError):
    """No score map can be computed from a network as it is."""


class UnknownClassError(OaaError, ValueError):
    """A tag names a class that the data set does not have."""


class BadTagFileError(OaaError, ValueError):
    """A row of a tag file (or an annotation) cannot be read; the message has file and line."""


class NonAffineTransformError(OaaError, ValueError):
    """A training transform moves pixels, and no affine view can undo it."""


class WeightsError(OaaError, ValueError):
    """Weights do not exist, cannot be read, or do not fit the network key by key."""


class ConfigError(OaaError, ValueError):
    """A value of the configuration is unknown or out of range."""


class DivergedError(OaaError, ArithmeticError):
    """The loss of a training is NaN or infinite."""


class JobFailedError(OaaError):
    """A job of a sweep failed; the message names it with its reason."""


class JobsFailedError(OaaError):
    """Jobs of a sweep failed; the message names each of them with its reason.

    Args:
        message: the text.
        defects: whether one of the reasons is a defect of the program.
    """

    def __init__(self, message: str, defects: bool = False) -> None:
        super().__init__(message)
        self.defects = defects


class MissingInputError(OaaError, FileNotFoundError):
    """An input is missing, such as the result of an earlier stage."""


class RunMismatchError(OaaError, ValueError):
    """A run folder was made with another configuration than the current one."""


class OutputError(OaaError, OSError):
    """A run folder or an output file cannot be written."""


class ExportError(OaaError, RuntimeError):
    """A network cannot be exported, or the exported file gives other values than the checkpoint."""


class NoForegroundError(OaaError, ValueError):
    """No image of a split has any foreground in its proxy label."""


class ShapeError(OaaError, ValueError):
    """A tensor does not have the expected shape or type."""


class StoreError(OaaError, OSError):
    """An attention store cannot be opened, is damaged, or is in use."""


class InUseError(StoreError):
    """A folder is being written, by this process or by another."""


class NoSuchMapError(OaaError, KeyError, IndexError):
    """An attention store has no such image or class, or the image has no such tag."""

    # A KeyError shows its message in quotes.
    __str__ = Exception.__str__


class UnsupportedSystemError(OaaError, ImportError):
    """The operating system lacks what the package needs."""


class StoreMismatchError(StoreError, ValueError):
    """An attention store was made for another data set, grid, fusion or gate."""


class StoreNotEmptyError(StoreError, FileExistsError):
    """A new training would empty a store that holds committed maps."""


def first_few(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, for a message.

    Examples:
        >>> first_few(["a", "b", "c"], most=2)
        'a, b, ...'
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
