"""The score maps of any LightningModule, read by a hook while it trains.

Its `training_step` stays as it is, and may return only the loss.

Shapes: B images, C classes, D features, h x w cells.
"""

import difflib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from oaa_pl.errors import ConfigError, UnfitNetworkError
from oaa_pl.nets.pieces import Pieces, find_pieces
from oaa_pl.nets.probe import probe_image, record_calls, uncompiled
from oaa_pl.nets.stock import map_from

__all__ = ["HookedScoreMap", "layer_of"]


class HookedScoreMap:
    """Forward hooks that keep the current batch's score map, detached, until it is read.

    The map is computed inside the forward pass, from the weights that the batch was scored with.
    Only the forward passes of training count: those of a validation in between are left alone. A
    layer that is run again for activation checkpointing counts once. A module that is compiled has
    to be hooked before its first batch, and not with `fullgraph=True`.

    Args:
        module: what is trained; its mode tells training from validation.
        layer: path of the layer whose output (B, D, h, w) is pooled, `model.layer4` for example;
            or, without `head`, of one that returns scores of each cell, (B, C, h, w). None: found
            by a run on a probe image, in the module or in one of its parts.
        head: path of what comes after the pooling, `model.fc` for example: a layer, or a
            `Sequential` of layers.

    Raises:
        ConfigError: if there is no such layer, or a head is given without a layer.
        UnfitNetworkError: if neither is given, and no network that fits is found.
    """

    def __init__(
        self, module: nn.Module, layer: str | None = None, head: str | None = None
    ) -> None:
        self._module = module
        if layer is None:
            if head is not None:
                raise ConfigError(
                    f"head={head!r} needs layer=..., the path of the layer that is pooled"
                )
            self._network, self._pieces, self._name = _find(module)
        else:
            self._network, self._pieces = module, None
            self._name = layer
            layer_of(module, layer)
            if head is not None:
                self._pieces = Pieces(layer, "channels first", (tuple(_layers(module, head)),))
        self._map: Tensor | None = None
        self._several = False
        self._patches: tuple[int, ...] = ()
        self._handles = []
        if self._pieces is not None and self._pieces.patches:
            patches = layer_of(self._network, self._pieces.patches)
            self._handles.append(patches.register_forward_hook(self._see_patches))
        path = self._name if self._pieces is None else self._pieces.layer
        self._handles.append(layer_of(self._network, path).register_forward_hook(self._see))

    @property
    def layer(self) -> str:
        """Path of the layer that is read, inside the module."""
        return self._name

    def read(self) -> Tensor:
        """The score map of the batch since the last reading, which is forgotten with it.

        Returns:
            Detached, (B, C, h, w).

        Raises:
            ConfigError: if the layer did not run in training mode since then, or ran several times
                on different images: which of the maps belongs to the batch's tags is not known.
        """
        found, several = self._map, self._several
        self.drop()
        if several:
            raise ConfigError(
                f"{self._name} ran several times in one training step, on different images, and "
                "attention accumulation needs one map of each; give score_map=, a function that "
                "returns the map of the images that the tags belong to"
            )
        if found is None:
            raise ConfigError(
                f"{self._name} did not run in this training step (or inside a network that was "
                "compiled before it was hooked); give the path of a layer that each step runs"
            )
        return found

    def drop(self) -> None:
        """Forget the map of the current batch."""
        self._map, self._several = None, False

    def remove(self) -> None:
        """Take the hooks off the module."""
        self.drop()
        for handle in self._handles:
            handle.remove()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _see_patches(self, _: nn.Module, __: Any, output: Tensor) -> None:
        self._patches = tuple(output.shape)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _see(self, _: nn.Module, __: Any, output: Any) -> None:
        if not self._module.training:
            return
        if not isinstance(output, Tensor) or output.ndim not in (3, 4):
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ConfigError(
                f"layer={self._name!r} must return one value for each cell, (B, D, h, w), got "
                f"{got}; give the path of a layer before the pooling"
            )
        score_map = self._score_map(output.detach())
        if self._map is None:
            self._map = score_map
        elif self._map.shape != score_map.shape or not torch.allclose(self._map, score_map):
            self._several = True

    def _score_map(self, output: Tensor) -> Tensor:
        if self._pieces is None:
            return output.clone()  # the next layer may work in place
        try:
            return map_from(self._pieces, self._network, output, self._patches)
        except UnfitNetworkError:
            raise
        except RuntimeError as error:
            heads = ", ".join(str(name) for name, _ in self._pieces.heads[0])
            raise ConfigError(
                f"the head ({heads}) cannot be applied to the cells of {self._name}, "
                f"{tuple(output.shape)} ({str(error).splitlines()[0]}); give the layer that is "
                "pooled just before that head"
            ) from error


def layer_of(module: nn.Module, path: str) -> nn.Module:
    """A layer by its path, as it is written in the module; compiled parts are looked through.

    Args:
        module: where the path begins.
        path: attributes and places with dots between them, `model.layer4.0`.

    Raises:
        ConfigError: if there is no such layer; the message has the nearest paths.
    """
    layer = module
    for part in path.split("."):
        found = dict(uncompiled(layer).named_children()).get(part)
        if found is None:
            known = [name.replace("_orig_mod.", "") for name, _ in module.named_modules() if name]
            near = difflib.get_close_matches(path, known, n=4, cutoff=0.3) or known[-4:]
            raise ConfigError(
                f"{type(module).__name__} has no layer {path!r}; the nearest are {', '.join(near)}"
            )
        layer = found
    return uncompiled(layer)


def _layers(module: nn.Module, head: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The layers of a head in order, by path and shape of one vector."""
    layer = layer_of(module, head)
    if isinstance(layer, nn.Sequential):
        for name, _ in layer.named_children():
            yield from _layers(module, f"{head}.{name}")
    else:
        yield head, (-1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1,)


def _find(module: nn.Module) -> tuple[nn.Module, Pieces | None, str]:
    """The network inside a module whose forward is a classifier's, its pieces and its layer."""
    faults = []
    for name, part in [("", module), *module.named_children()]:
        network = uncompiled(part)
        if next(network.parameters(), None) is None:
            continue  # a metric, which a probe would update
        try:
            calls, logits = record_calls(network, probe_image(network))
            if logits.ndim == 4 and name:
                return module, None, name
            pieces = find_pieces(calls, logits, type(network).__name__)
        except UnfitNetworkError as error:
            faults.append(f"{name or 'the module itself'}: {error}")
            continue
        return network, pieces, ".".join(filter(None, (name, pieces.layer)))
    raise UnfitNetworkError(
        f"no classifier was found in {type(module).__name__}; give layer= and head=, for example "
        f"layer='model.layer4' and head='model.fc'. What was tried: {' | '.join(faults) or 'none'}"
    )
