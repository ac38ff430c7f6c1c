"""Synthetic datasets whose objects, backgrounds, rooms and ambience may be a user's own media."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from avssl.config_fields import choice
from avssl.media.channel_layouts import NAMES
from avssl.synth.drawn_object import BUILT_IN
from avssl.synth.render_dataset import SceneDataset, SceneOptions, is_test
from avssl.synth.scene import MEDIA, Scene
from avssl.synth.scene_object import Cast
from avssl.synth.user_media.room_response import FORMATS
from avssl.synth.user_media.user_media import UserMedia, load_user_media

AnyScene = TypeVar("AnyScene", bound=Scene)
NARROWEST, WIDEST = 5.0, 150.0
"""Vertical field of view of the cameras of user clips, degrees."""


@dataclass(frozen=True)
class MediaOptions(SceneOptions):
    """Options of data sets that may be made of a user's media; no file of theirs is in both splits."""

    sources: str = ""
    """User clips to cut objects and their sounds from: annotation file (JSON), folder of LABEL/clip.mp4, or folder of
    clips, whose names are the kinds; empty: built-in objects."""
    segmenter: str = ""
    """Segmentation model for user clips: torchvision/maskrcnn_resnet50_fpn:WEIGHTS, or a .pt, .onnx or OpenVINO model
    of ultralytics; empty: bounding boxes."""
    cut_rate: float = 4.0
    """Frames per second that are cut from user clips."""
    sources_fov: float = 50.0
    """Vertical field of view, in degrees, of the cameras that filmed the user clips: an object is seen under the angle
    that it was filmed under, within the bounds of built-in objects."""
    backgrounds: str = ""
    """Folder of images as backgrounds; empty: drawn backgrounds."""
    rirs: str = ""
    """Folder of first-order room impulse responses: 4-channel audio or SOFA files; a subfolder is a room, whose sources
    take different ones, and a file beside it another. Turned so that the direct sound comes from the source; empty:
    simulated rooms."""
    rir_format: str = choice("ambix", FORMATS)
    """Channel order and normalization of the responses: ambix (ACN, SN3D), fuma, or acn-n3d."""
    ambience: str = ""
    """Folder of first-order recordings as background sound, turned by a random yaw; short ones are looped; empty:
    diffuse noise."""
    ambience_format: str = choice("auto", ("auto", *NAMES))
    """Channel layout of the recordings; auto: by the declaration of the file, or else its number of channels."""
    ambience_snr: float = 20.0
    """Level of the sources over the ambience in decibels."""


class MediaDataset(SceneDataset[AnyScene]):
    """Scenes of built-in objects and rooms, or of a user's media."""

    Options: ClassVar[type] = MediaOptions
    panoramic: ClassVar[bool]
    """Whether backgrounds have to be panoramas."""
    options: MediaOptions

    def __init__(self, options: MediaOptions) -> None:
        super().__init__(options)
        self.media: UserMedia | None = None

    @property
    def names_media(self) -> bool:
        """Whether the options name a user's media."""
        return any((self.options.sources, self.options.backgrounds, self.options.rirs, self.options.ambience))

    def read_inputs(self, out: Path) -> None:
        """Find and check the user's media, and split them."""
        if self.names_media:
            failures: list[str] = []
            self.media = load_user_media(self.options, out, self.panoramic, failures)
            self.failures = tuple(failures)

    def prepare(self, out: Path, progress: bool) -> None:
        """Cut the sources out."""
        if self.media is not None and self.media.clips is not None:
            self.media.clips.prepare(self.form, progress)

    @abstractmethod
    def draw(self, index: int, cast: Cast) -> AnyScene:
        """Sample scene number `index` with built-in surroundings: a pure function of it, the seed and the cast."""

    def describe(self, index: int) -> AnyScene:
        """Sample scene number `index`; see `SceneDataset.describe`."""
        if self.media is None:
            assert not self.names_media, "read_inputs comes before scenes of a user's media"
            return self.draw(index, BUILT_IN)
        test = is_test(index, self.options.test_share)
        scene = self.draw(index, self.media.cast(test) or BUILT_IN)
        rng = np.random.default_rng((self.options.seed, index, MEDIA))
        return replace(scene, **self.media.surroundings(rng, len(scene.things), test))

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on; media by their contents."""
        return super().settings() | (self.media.settings() if self.media is not None else {})

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every data set of scenes, and numbers that have a meaning."""
        yield from super().constraints()
        fov, snr = self.options.sources_fov, self.options.ambience_snr
        yield NARROWEST <= fov <= WIDEST, f"sources_fov is from {NARROWEST:g} to {WIDEST:g} degrees, not {fov:g}"
        yield math.isfinite(snr) and abs(snr) <= 100, f"ambience_snr is from -100 to 100 dB, not {snr:g}"
