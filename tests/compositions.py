"""Hydra with a memory: it looks up and merges each choice of options once in a process.

Half of a short command's time is Hydra reading the same files of `conf/`. The values of a command
line are not remembered: Hydra parses them and applies them to a copy, as it always does.
"""

import copy
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import yaml
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import DefaultsList, Overrides
from omegaconf import DictConfig

from oaa_pl.files.installed import root_of

find = config_loader_impl.create_defaults_list
merge = ConfigLoaderImpl._compose_config_from_defaults_list


@contextmanager
def remembered() -> Iterator[None]:
    """Remember choices, and read YAML with libyaml where PyYAML has it."""
    found: dict[Hashable, DefaultsList] = {}
    merged: dict[Hashable, DictConfig] = {}

    def find_once(repo: Any, config_name: Any, overrides_list: Any, **how: bool) -> DefaultsList:
        if not constant(repo):
            return find(repo, config_name, overrides_list, **how)
        chosen = Overrides(repo, overrides_list)
        choices = (chosen.override_choices, chosen.append_group_defaults, chosen.deletions)
        key = (config_name, repr(choices), *how.values())
        if key not in found:
            found[key] = find(repo, config_name, overrides_list, **how)
        known = found[key]
        chosen.known_choices = dict(known.overrides.known_choices)
        return DefaultsList(known.defaults, known.defaults_tree, chosen.config_overrides, chosen)

    def merge_once(loader: Any, defaults: Any, repo: Any) -> DictConfig:
        if not constant(repo):
            return merge(loader, defaults, repo)
        key = repr(defaults)
        if key not in merged:
            merged[key] = merge(loader, defaults, repo)
        return copy.deepcopy(merged[key])

    with (
        mock.patch.object(config_loader_impl, "create_defaults_list", find_once),
        mock.patch.object(ConfigLoaderImpl, merge.__name__, merge_once),
        mock.patch.object(yaml, "SafeLoader", getattr(yaml, "CSafeLoader", yaml.SafeLoader)),
    ):
        yield


def constant(repo: Any) -> bool:
    """Whether only the package's and Hydra's own folders are searched: no test changes these."""
    return {one.full_path() for one in repo.get_sources()} <= PLACES


PLACES = {f"file://{root_of('conf')}", "pkg://hydra.conf", "structured://"}
