"""The score maps of any LightningModule, read by a hook while it trains.

Its `training_step` stays as it is, and may return only the loss.

Shapes: B images, C classes, D features, h x w cells.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from oaa_pl.callbacks.layer import (
    find_layer,
    head_layers,
    layer_of,
    probe_named,
    require_breakable,
    takes_channels_last,
)
from oaa_pl.errors import ConfigError, UnfitNetworkError
from oaa_pl.nets.pieces import Pieces
from oaa_pl.nets.probe import compiler_is_loaded, evaluating
from oaa_pl.nets.stock import map_from

__all__ = ["HookedScoreMap"]

# Relative differences of a map's mean and the score that rounding does not explain: in float32, and
# where a multiplication may round to fewer bits.
_LEAST, _LEAST_ROUNDED = 1e-3, 3e-2


class HookedScoreMap:
    """Forward hooks that keep the current batch's score map, detached, until it is read.

    The map is computed inside the forward pass, from the weights that the batch was scored with.
    Only the forward passes of training count: those of a validation in between are left alone. A
    layer that is run again for activation checkpointing counts once. What `torch.compile` made is
    compiled again, with the hooks; it must not be compiled with `fullgraph=True`.

    Args:
        module: what is trained; its mode tells training from validation.
        layer: path of the layer whose output (B, D, h, w) is pooled, `model.layer4` for example;
            or, without `head`, of one that returns scores of each cell, (B, C, h, w). With `head`
            its channels may come last. None: found by a run on a probe image, in the module or, if
            its own `forward` is not a classifier's, in one of its parts.
        head: path of what comes after the pooling, `model.fc` for example: a layer, or a
            `Sequential` of layers.

    Raises:
        ConfigError: if there is no such layer, it is compiled as above, a head is given without a
            layer, or, on a probe image, the mean of their map is not the score.
        UnfitNetworkError: if neither is given, and no network that fits is found, or several are.
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
            self._network, self._pieces, self._name = find_layer(module)
        else:
            self._network, self._pieces = module, None
            self._name = layer
            layer_of(module, layer)
            if head is not None:
                self._pieces = Pieces(layer, "channels first", (head_layers(module, head),))
        self._map: Tensor | None = None
        self._several = False
        self._patches: tuple[int, ...] = ()
        self._knows_layout = layer is None
        if layer is not None and head is not None:
            self._require_scores(layer, head)
        self._handles = []
        if self._pieces is not None and self._pieces.patches:
            patches = layer_of(self._network, self._pieces.patches)
            self._handles.append(patches.register_forward_hook(self._see_patches))
        path = self._name if self._pieces is None else self._pieces.layer
        cells = layer_of(self._network, path)
        require_breakable(module, cells, self._name)
        self._handles.append(cells.register_forward_hook(self._see))
        _compile_again()

    def __deepcopy__(self, _: Any) -> "HookedScoreMap":
        # An averaged copy of a hooked network has its hooks as well: there they do nothing.
        copied = HookedScoreMap.__new__(HookedScoreMap)
        copied._module = nn.Identity().eval()
        copied._patches = ()
        return copied

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
                f"{self._name} did not run in this training step; give the path of a layer that "
                "each step runs"
            )
        return found

    def needs_head(self, score_map: Tensor, labels: Tensor) -> bool:
        """Whether a layer without a head returned features (B, D, h, w) in place of classes' maps.

        Args:
            score_map: what was read, (B, D, h, w).
            labels: the batch's tags, (B, C).
        """
        same = score_map.shape[1:2] == labels.shape[1:2]
        return self._pieces is None and score_map.ndim == 4 and labels.ndim == 2 and not same

    def drop(self) -> None:
        """Forget the map of the current batch."""
        self._map, self._several = None, False

    def remove(self) -> None:
        """Take the hooks off the module."""
        self.drop()
        for handle in self._handles:
            handle.remove()
        _compile_again()

    @torch.no_grad()
    def _require_scores(self, layer: str, head: str) -> None:
        """Check on a probe image, where one can be run, that the map's mean is the score."""
        probed = probe_named(self._module, layer, head)
        if probed is None or probed[0].ndim != 4:
            return
        # Also of the head: its batch norm and dropout as in the probe.
        with evaluating(self._module), torch.autocast(probed[0].device.type, enabled=False):
            mean = self._score_map(probed[0]).mean((2, 3))
        scores = probed[1] if probed[1].shape[1] == mean.shape[1] else probed[1].movedim(-1, 1)
        if scores.ndim > 2:
            scores = scores.flatten(2).mean(2)  # a head that the network itself applies to cells
        if not bool(mean.isfinite().all() & scores.isfinite().all()):
            return  # a training that has failed already, or statistics that are not trained yet
        exact = scores.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
        least = max(_LEAST if exact else _LEAST_ROUNDED, 16 * torch.finfo(scores.dtype).eps)
        if mean.shape != scores.shape or (mean - scores).abs().max() > least * scores.abs().max():
            row = ", ".join(f"{value:.4g}" for value in mean[0, :3].tolist())
            other = ", ".join(f"{value:.4g}" for value in scores.flatten(1)[0, :3].tolist())
            raise ConfigError(
                f"layer={layer!r} and head={head!r} do not belong together: on a probe image the "
                f"mean of their map is {row} for the first classes, and the scores that the head "
                f"returned are {other}. Between them is more than a mean pooling, such as a ReLU "
                "or a maximum pooling; give the last layer before a mean pooling, or layer='auto', "
                "or score_map=, a function that returns the map"
            )

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _see_patches(self, _: nn.Module, __: Any, output: Tensor) -> None:
        self._patches = tuple(output.shape)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _see(self, _: nn.Module, __: Any, output: Any) -> None:
        if not self._module.training:
            return
        tokens = isinstance(output, Tensor) and output.ndim == 3 and not self._knows_layout
        if not isinstance(output, Tensor) or output.ndim not in (3, 4) or tokens:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            why = "; which cell a transformer's token is of is not known from a name" * tokens
            raise ConfigError(
                f"layer={self._name!r} must return one value for each cell, (B, D, h, w), got "
                f"{got}{why}; give the path of another layer before the pooling, or layer='auto', "
                "which finds one, or score_map=, a function that returns the map"
            )
        score_map = self._score_map(output.detach())
        if self._map is None:
            self._map = score_map
        elif self._map.shape != score_map.shape or not torch.allclose(self._map, score_map):
            self._several = True

    def _score_map(self, output: Tensor) -> Tensor:
        if self._pieces is None:
            return output.clone()  # the next layer may work in place
        pieces = self._pieces
        (first, _), *_ = pieces.heads[0] or [(None, ())]
        if not (self._knows_layout or first is None):
            last = takes_channels_last(layer_of(self._network, first), output)
            pieces = replace(pieces, layout="channels last") if last else pieces
        try:
            return map_from(pieces, self._network, output, self._patches)
        except UnfitNetworkError:
            raise
        except RuntimeError as error:
            heads = ", ".join(str(name) for name, _ in self._pieces.heads[0])
            raise ConfigError(
                f"the head ({heads}) cannot be applied to the cells of {self._name}, "
                f"{tuple(output.shape)} ({str(error).splitlines()[0]}); give the layer that is "
                "pooled just before that head"
            ) from error


def _compile_again() -> None:
    """Forget compiled code: it does not notice hooks that come, or go, after its compilation."""
    if compiler_is_loaded():
        torch.compiler.reset()
