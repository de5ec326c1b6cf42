"""Why a job failed, as one line that says what to do."""

import re
import traceback

from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from oaa_pl.errors import OaaError

__all__ = ["reason_of"]

_KNOWN = (OaaError, HydraException, OmegaConfBaseException, OSError)


def reason_of(error: BaseException) -> str | None:
    """The reason in one line, if the user can act on it; None if the error is a defect.

    Args:
        error: as it was raised; other packages may have wrapped it.
    """
    known = _known_cause(error) or _from_another_process(error)
    return None if known is None else _one_line(known)


def _known_cause(error: BaseException) -> BaseException | None:
    """The error that the user can act on: ours, if other packages have wrapped one."""
    chain = [error]
    while (below := _below(chain[-1])) is not None:
        chain.append(below)
    ours = [one for one in chain if isinstance(one, OaaError)]
    if ours:
        return ours[0]
    if misnamed := [found for one in chain if (found := _misnamed(one))]:
        return misnamed[0]
    # Hydra wraps whatever a constructor raises; if that is a defect, its traceback must be seen.
    if not isinstance(chain[-1], _KNOWN):
        return None
    return next((one for one in chain if isinstance(one, _KNOWN)), None)


def _misnamed(error: BaseException) -> OaaError | None:
    """What to do about a part that Hydra cannot find, or not call with the given arguments.

    None for an error inside the part: that is a defect, and its traceback must be seen.
    """
    cause, target = error.__cause__, re.search("target '([^']+)'", str(error))
    if not isinstance(error, InstantiationException) or cause is None or target is None:
        return None
    frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
    if not frames or not frames[-1].f_globals["__name__"].startswith("hydra."):
        return None
    missing = cause.__cause__  # of another kind if the module itself fails while it is imported
    if isinstance(cause, ImportError) and isinstance(missing, ImportError | AttributeError):
        return OaaError(
            f"_target_ {target[1]} cannot be imported: {missing}; correct its name, or put the "
            "folder of its module on PYTHONPATH"
        )
    if isinstance(cause, TypeError):
        return OaaError(
            f"_target_ {target[1]} cannot be called: {cause}; correct its arguments, or add "
            "_partial_: true to a function that a stage calls later"
        )
    return None


def _below(error: BaseException) -> BaseException | None:
    """What an error was raised from or during, unless it was raised `from None`."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _from_another_process(error: BaseException) -> OaaError | None:
    """Our own error at the end of the traceback that a spawned training passes on as text."""
    told = re.search(r"^oaa_pl\.errors\.\w+: ([^\n]*)\Z", str(error).strip(), re.MULTILINE)
    return OaaError(told[1]) if told else None


def _one_line(error: BaseException) -> str:
    if isinstance(error, OaaError):
        # A loader's process passes its error with the whole traceback inside the message.
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        *_, last = re.split(rf"^{re.escape(name)}: ", str(error), flags=re.MULTILINE)
        return " ".join(last.split())
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group} must be one of {', '.join(error.options)}; got {name!r}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(line for line in lines[:2] if not line.startswith("See http"))
    word = getattr(error, "override", None)  # of Hydra's parser, which points at a place in it
    what = f"cannot read {word!r}" if word else type(error).__name__
    return f"{what}: {text}; see 'oaa COMMAND --help' for what can be chosen"
