"""Read and write video and sound: the only folder that imports `av`."""

from avssl.data.media.write import VideoWriter, write_sound, write_video

__all__ = ["VideoWriter", "write_sound", "write_video"]
