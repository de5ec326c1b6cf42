"""What `oaa --help` and `oaa <command> --help` print."""

from collections.abc import Sequence

from oaa_pl.commands.manual import COMMANDS, STORE
from oaa_pl.files.installed import root_of

__all__ = ["command_page", "front_page"]


def front_page() -> str:
    """The manual's first page."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, (what, _, _) in COMMANDS.items())
    return f"""oaa: from image tags to pixel masks by online attention accumulation

usage: oaa COMMAND [KEY=VALUE ...] [-m]

commands:
{commands}

Every value of the configuration is a KEY=VALUE; -m runs one job per combination of
comma-separated values. In paths, ~ and $HOME are expanded. A value with other signs is
quoted within quotes: 'name="Höhle (1)"'. What can be chosen:
{_groups()}

  oaa COMMAND --help             a command's page, with examples
  oaa COMMAND --cfg job          the configuration that would be used; -p KEY: a part of it
  oaa COMMAND --info defaults    where it comes from; --hydra-help: Hydra's other options
  oaa COMMAND --config-dir DIR   also choose from your own DIR/<group>/<name>.yaml
  eval "$(oaa -sc install=bash)" completes commands, groups and keys in this shell; zsh: the same;
                                 fish: oaa -sc install=fish | source
  oaa --version

status: 0 done, 1 unexpected error, 2 bad input (one line says what to do), 130 interrupted
"""


def command_page(name: str) -> str:
    """The manual's page of one command."""
    what, text, examples = COMMANDS[name]
    indented = "\n".join(f"  {line}" for line in text.splitlines())
    shown = "\n".join(f"  {line}" for line in examples)
    if name == STORE:
        return f"""oaa {name}: {what}

usage: oaa {name} ACTION PATH ...

{indented}

examples:
{shown}
"""
    return f"""oaa {name}: {what}

usage: oaa {name} [KEY=VALUE ...] [-m]

{indented}

examples:
{shown}

What can be chosen:
{_groups()}

Values used most often:
  seed=0            of initialisation, order and augmentation
  runs=runs         folder of all runs; a run is in <runs>/<name>/seed-<seed>
  name=NAME         of the run, the experiment's by default
  trainer.precision=auto              bf16-mixed where it is native; else 32-true, or 16-mixed
                                      on a GPU
  logger=wandb      W&B beside the CSV; offline unless a key is configured
"""


def _groups() -> str:
    """The configuration groups and their options, read from `conf`."""
    conf = root_of("conf")
    found = {group.name: sorted(group.glob("*.yaml")) for group in conf.iterdir() if group.is_dir()}
    # `tuned` has folders only: it follows from the experiment and the network.
    options = {name: [file.stem for file in files] for name, files in found.items() if files}
    return "\n".join(_wrapped(f"  {group}=", names) for group, names in sorted(options.items()))


def _wrapped(start: str, names: Sequence[str]) -> str:
    """Alternatives behind a text, with the next lines below the first one."""
    lines = [start]
    for name in names:
        if len(lines[-1]) + len(name) > 96:
            lines.append(" " * len(start))
        lines[-1] += f"{name}|"
    return "\n".join(lines)[:-1]
