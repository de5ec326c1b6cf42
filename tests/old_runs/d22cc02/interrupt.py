"""Run `oaa` with the given arguments; kill it when its second checkpoint is about to be renamed."""

import os
import signal
import sys
from pathlib import Path

from oaa_pl.commands.main import main

replace, checkpoints = Path.replace, []


def replace_or_die(self: Path, target: Path) -> Path:
    if Path(target).name == "last.ckpt":
        checkpoints.append(target)
        if len(checkpoints) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)


if __name__ == "__main__":
    Path.replace = replace_or_die  # type: ignore[method-assign]  # it is put back by no one
    sys.exit(main(sys.argv[1:]))
