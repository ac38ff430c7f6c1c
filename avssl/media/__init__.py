"""Read and write video and audio: the only package that imports `av`."""

from avssl.media.audio_segments import read_all_audio, read_audio, read_resampled
from avssl.media.avi_writer import write_avi
from avssl.media.container_cache import close_all
from avssl.media.mp4.metadata import read_spatial
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4
from avssl.media.probe import AudioStreamInfo, MediaInfo, VideoStreamInfo, probe
from avssl.media.video_decode import iterate_frames, read_frames
from avssl.media.video_writer import write_audio, write_video

__all__ = [
    "AudioStreamInfo",
    "MediaInfo",
    "VideoStreamInfo",
    "close_all",
    "iterate_frames",
    "probe",
    "read_all_audio",
    "read_audio",
    "read_frames",
    "read_resampled",
    "read_spatial",
    "write_audio",
    "write_avi",
    "write_spatial_mp4",
    "write_video",
]
