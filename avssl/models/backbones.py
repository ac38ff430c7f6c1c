"""Backbones of torchvision and timm as towers, by name and always with random weights: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.models.tower import Tower, TowerOutput
from avssl.plugins import hint

LIBRARIES = ("torchvision", "timm")
# Their position codes are laid out for one size of picture and one number of frames.
FIXED_SIZE = ("vit_", "mvit_", "maxvit_")


class Backbone(Tower):
    """A network without its classifier.

    Args:
        network: gives `(batch, width)`.
        width: numbers of one embedding.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network, self.width = network, width

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Embeddings, and what the network's last adaptive pooling takes in.

        Raises:
            ValueError: the network has no such pooling.
        """
        taken: list[Tensor] = []
        hook = _pooling(self.network).register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
        try:
            return TowerOutput(self.network(x), taken[-1])
        finally:
            hook.remove()

    def early(self, x: Tensor) -> Tensor:
        """What leaves the first block: the first part, of whatever sequences the network is made, with convolutions.

        Raises:
            ValueError: there is none, or none of its convolutions made these maps: they are tokens, or channels last.
        """
        taken: list[Tensor] = []
        block = next(_blocks(self.network), nn.Identity())
        hook = block.register_forward_hook(lambda _module, _inputs, output: taken.append(output))
        try:
            self.network(x)
        finally:
            hook.remove()
        made = {each.out_channels for each in block.modules() if isinstance(each, nn.Conv2d)}
        if not taken or taken[0].ndim != x.ndim or taken[0].shape[1] not in made:
            return super().early(x)
        return taken[0]

    def forward(self, x: Tensor) -> Tensor:
        """What any network takes, `(batch, channels, ...)`, to `(batch, width)`."""
        features: Tensor = self.network(x)
        return features


class PerFrame(Backbone):
    """A network of single pictures, applied to every frame; the embeddings are averaged over time."""

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Embeddings averaged over time, and the maps of each frame."""
        frames, maps = super().forward_features(rearrange(x, "B C T H W -> (B T) C H W"))
        return TowerOutput(self._mean(frames, len(x)), rearrange(maps, "(B T) C H W -> B C T H W", B=len(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `(clips, 3, time, height, width)` to `(clips, width)`."""
        return self._mean(super().forward(rearrange(x, "B C T H W -> (B T) C H W")), len(x))

    def _mean(self, frames: Tensor, clips: int) -> Tensor:
        return rearrange(frames, "(B T) W -> B T W", B=clips).mean(1)


def video_backbone(name: str) -> Tower:
    """A picture tower such as `torchvision/r3d_18` or `timm/resnet18.a1_in1k`.

    Args:
        name: library and name; networks of pictures as well as of clips.

    Raises:
        ValueError: unknown name, or a network that does not fit.
    """
    network, width = _network(name, 3)
    takes_clips = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return Backbone(network, width) if takes_clips else PerFrame(network, width)


def audio_backbone(name: str, maps: int) -> Tower:
    """A sound tower: a network of pictures whose first convolution takes so many maps.

    Args:
        name: library and name, such as `timm/resnet18`.
        maps: input maps of the features.

    Raises:
        ValueError: unknown name, or a network of clips.
    """
    return Backbone(*_network(name, maps))


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """Parts of a network that have parts themselves, a convolution among them, in order; sequences are looked into."""
    for each in network.children():
        if isinstance(each, nn.Sequential | nn.ModuleList):
            yield from _blocks(each)
        elif any(isinstance(part, nn.Conv2d) for part in list(each.modules())[1:]):
            yield each


def _pooling(network: nn.Module) -> nn.Module:
    """The pooling that forgets where things are."""
    found = [each for each in network.modules() if isinstance(each, nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d)]
    if not found:
        raise InputError(f"maps are what a network's last adaptive pooling takes in, {type(network).__name__} has none")
    return found[-1]


def _network(name: str, channels: int) -> tuple[nn.Module, int]:
    library, _, model = name.partition("/")
    if library not in LIBRARIES or not model:
        raise InputError(f"backbone {name!r} is not torchvision/NAME or timm/NAME{hint(library, LIBRARIES)}")
    return _timm(model, channels) if library == "timm" else _torchvision(model, channels)


def _timm(name: str, channels: int) -> tuple[nn.Module, int]:
    import timm  # 2 s, with torchvision

    if not timm.is_model(name):
        near = hint(name.partition(".")[0], timm.list_models())
        raise InputError(f"timm has no model {name!r}{near}; see timm.list_models()")
    settings: dict[str, Any] = {"pretrained": False, "num_classes": 0, "in_chans": channels}
    try:
        # Transformers of timm take any size of picture when asked; other networks know no such argument.
        network = timm.create_model(name, dynamic_img_size=True, dynamic_img_pad=True, **settings)
    except TypeError:
        network = timm.create_model(name, **settings)
    width: Any = getattr(network, "head_hidden_size", None) or network.num_features
    return network, width


def _torchvision(name: str, channels: int) -> tuple[nn.Module, int]:
    from torchvision import models  # 1 s to import

    known = [
        each
        for module in (models, models.video)
        for each in models.list_models(module=module)
        if not each.startswith(FIXED_SIZE)
    ]
    if name not in known:
        raise InputError(
            f"torchvision has no model {name!r} of any size{hint(name, known)}; see torchvision.models.list_models()"
        )
    extra: dict[str, Any] = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    network = models.get_model(name, weights=None, **extra)
    if channels != 3:
        _widen_stem(network, channels, name)
    return network, _behead(network, name)


def _behead(network: nn.Module, name: str) -> int:
    """Take off the classifier, the last linear layer; what it took in is the width."""
    path, head = list(network.named_modules())[-1]
    if not isinstance(head, nn.Linear):
        raise InputError(f"torchvision/{name} does not end in a linear layer that could be taken off")
    network.set_submodule(path, nn.Identity())
    return head.in_features


def _widen_stem(network: nn.Module, channels: int, name: str) -> None:
    """Let the first convolution take so many channels, with new weights."""
    path, stem = next(
        (path, each) for path, each in network.named_modules() if isinstance(each, (nn.Conv2d, nn.Conv3d))
    )
    if isinstance(stem, nn.Conv3d):
        raise InputError(f"torchvision/{name} takes clips of pictures; sound needs a network of pictures")
    network.set_submodule(
        path,
        nn.Conv2d(
            channels,
            stem.out_channels,
            stem.kernel_size,  # type: ignore[arg-type]
            stem.stride,  # type: ignore[arg-type]
            stem.padding,  # type: ignore[arg-type]
            bias=stem.bias is not None,
        ),
    )
