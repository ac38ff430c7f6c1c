"""Synthetic datasets whose objects, backgrounds, rooms and ambience may be a user's own media."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from avssl.media.channel_layouts import NAMES
from avssl.synth.dataset_base import require
from avssl.synth.drawn_object import BUILT_IN
from avssl.synth.render_dataset import SceneDataset, is_test
from avssl.synth.scene import MEDIA, Scene
from avssl.synth.scene_object import Cast
from avssl.synth.user_media.media_options import MediaOptions
from avssl.synth.user_media.room_response import FORMATS
from avssl.synth.user_media.user_media import UserMedia, load_user_media

AnyScene = TypeVar("AnyScene", bound=Scene)
NARROWEST, WIDEST = 5.0, 150.0
"""Vertical field of view of the cameras of user clips, degrees."""


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
        require(self.name, self.media_constraints())
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
        image, responses, ambience = self.media.surroundings(rng, len(scene.things), test)
        return replace(scene, image=image, responses=responses, ambience=ambience)

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on; media by their contents."""
        return super().settings() | (self.media.settings() if self.media is not None else {})

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every data set of scenes, and of the user's media."""
        yield from super().constraints()
        yield from self.media_constraints()

    def media_constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints that are checked before media are read."""
        options, layouts = self.options, ("auto", *NAMES)
        fov, snr = options.sources_fov, options.ambience_snr
        yield 0 <= options.test_share <= 1, f"test_share lies in 0..1, not {options.test_share}"
        yield options.rir_format in FORMATS, f"rir_format is {', '.join(FORMATS)}, not {options.rir_format!r}"
        known = options.ambience_format in layouts
        yield known, f"ambience_format is {', '.join(layouts)}, not {options.ambience_format!r}"
        yield NARROWEST <= fov <= WIDEST, f"sources_fov is from {NARROWEST:g} to {WIDEST:g} degrees, not {fov:g}"
        yield math.isfinite(snr) and abs(snr) <= 100, f"ambience_snr is from -100 to 100 dB, not {snr:g}"
