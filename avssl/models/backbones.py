"""Backbones of torchvision and timm as towers, by name, with random weights; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.models.tower import Tower, TowerOutput
from avssl.plugins import hint

LIBRARIES = ("torchvision", "timm")
# Their position embeddings fix the image size and the number of frames.
FIXED_SIZE = ("vit_", "mvit_", "maxvit_")


class Backbone(Tower):
    """Network without its classifier.

    Args:
        network: maps inputs to `(batch, width)`.
        width: embedding dimension.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network, self.width = network, width

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Embeddings, and the feature maps before the last adaptive pooling.

        Raises:
            ValueError: a network without adaptive pooling.
        """
        captured: list[Tensor] = []
        hook = _pooling(self.network).register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
        try:
            return TowerOutput(self.network(x), captured[-1])
        finally:
            hook.remove()

    def early(self, x: Tensor) -> Tensor:
        """Feature maps of the first block: the first submodule that contains convolutions.

        Raises:
            ValueError: no such block, or its output is not maps of its convolutions (tokens, or channels last).
        """
        captured: list[Tensor] = []
        block = next(_blocks(self.network), nn.Identity())
        hook = block.register_forward_hook(lambda _module, _inputs, output: captured.append(output))
        try:
            self.network(x)
        finally:
            hook.remove()
        channels = {each.out_channels for each in block.modules() if isinstance(each, nn.Conv2d)}
        if not captured or captured[0].ndim != x.ndim or captured[0].shape[1] not in channels:
            return super().early(x)
        return captured[0]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, ...)` to `(batch, width)`."""
        features: Tensor = self.network(x)
        return features


class PerFrame(Backbone):
    """Image network applied to every frame; embeddings are averaged over time."""

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
    """Video tower such as `torchvision/r3d_18` or `timm/resnet18.a1_in1k`.

    Args:
        name: library and model name, of an image or a video network.

    Raises:
        ValueError: unknown name, or an unsupported network.
    """
    network, width = _network(name, 3)
    is_video_network = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return Backbone(network, width) if is_video_network else PerFrame(network, width)


def audio_backbone(name: str, maps: int) -> Tower:
    """Audio tower: an image network whose first convolution takes `maps` channels.

    Args:
        name: library and model name, such as `timm/resnet18`.
        maps: number of feature maps.

    Raises:
        ValueError: unknown name, or a video network.
    """
    return Backbone(*_network(name, maps))


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """Submodules that contain a convolution, in order; sequences are expanded."""
    for each in network.children():
        if isinstance(each, nn.Sequential | nn.ModuleList):
            yield from _blocks(each)
        elif any(isinstance(part, nn.Conv2d) for part in list(each.modules())[1:]):
            yield each


def _pooling(network: nn.Module) -> nn.Module:
    """Last adaptive average pooling of a network."""
    pooling = [each for each in network.modules() if isinstance(each, nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d)]
    if not pooling:
        raise InputError(f"expected a backbone with adaptive pooling for feature maps, got {type(network).__name__}")
    return pooling[-1]


def _network(name: str, channels: int) -> tuple[nn.Module, int]:
    library, _, model = name.partition("/")
    if library not in LIBRARIES or not model:
        raise InputError(f"expected backbone torchvision/NAME or timm/NAME, got {name!r}{hint(library, LIBRARIES)}")
    return _timm(model, channels) if library == "timm" else _torchvision(model, channels)


def _timm(name: str, channels: int) -> tuple[nn.Module, int]:
    import timm  # 2 s, with torchvision

    if not timm.is_model(name):
        near = hint(name.partition(".")[0], timm.list_models())
        raise InputError(f"expected a model of timm, got {name!r}{near}; see timm.list_models()")
    settings: dict[str, Any] = {"pretrained": False, "num_classes": 0, "in_chans": channels}
    try:
        # Transformers of timm need this for variable image sizes; other networks do not have the argument.
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
            f"expected a model of torchvision with variable image size, got {name!r}{hint(name, known)}; "
            "see torchvision.models.list_models()"
        )
    extra: dict[str, Any] = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    network = models.get_model(name, weights=None, **extra)
    if channels != 3:
        _replace_stem(network, channels, name)
    return network, _remove_classifier(network, name)


def _remove_classifier(network: nn.Module, name: str) -> int:
    """Remove the classifier, the last linear layer; returns its input width."""
    path, head = list(network.named_modules())[-1]
    if not isinstance(head, nn.Linear):
        raise InputError(f"expected a backbone that ends in a linear layer, got torchvision/{name}")
    network.set_submodule(path, nn.Identity())
    return head.in_features


def _replace_stem(network: nn.Module, channels: int, name: str) -> None:
    """Replace the first convolution by one of `channels` input channels, with new weights."""
    path, stem = next(
        (path, each) for path, each in network.named_modules() if isinstance(each, (nn.Conv2d, nn.Conv3d))
    )
    if isinstance(stem, nn.Conv3d):
        raise InputError(f"expected an image network for audio, got the video network torchvision/{name}")
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
