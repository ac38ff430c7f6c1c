"""Read and write video and sound: the only folder that imports `av`."""

from avssl.data.media.avi import write_avi
from avssl.data.media.containers import close_all
from avssl.data.media.pictures import iterate_frames, read_frames
from avssl.data.media.probe import MediaInfo, SoundStream, VideoStream, probe
from avssl.data.media.sound import read_all_sound, read_resampled, read_sound
from avssl.data.media.spatial_mp4 import write_spatial_mp4
from avssl.data.media.spherical import read_spatial
from avssl.data.media.write import write_sound, write_video

__all__ = [
    "MediaInfo",
    "SoundStream",
    "VideoStream",
    "close_all",
    "iterate_frames",
    "probe",
    "read_all_sound",
    "read_frames",
    "read_resampled",
    "read_sound",
    "read_spatial",
    "write_avi",
    "write_sound",
    "write_spatial_mp4",
    "write_video",
]
