"""Options that name a user's media."""

from __future__ import annotations

from dataclasses import dataclass

from avssl.config_fields import choice
from avssl.media.channel_layouts import NAMES
from avssl.synth.render_dataset import SceneOptions
from avssl.synth.user_media.room_response import FORMATS


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
