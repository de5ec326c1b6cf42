"""`python -m oaa_pl` is `oaa`."""

import sys

from oaa_pl.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
