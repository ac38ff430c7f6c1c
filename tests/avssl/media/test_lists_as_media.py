"""Files named as media that list other files, which FFmpeg would open."""

import os
from pathlib import Path

import pytest

from avssl.errors import InputError
from avssl.media import read_audio, write_audio
from avssl.media.container_cache import open_container

LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile other.wav\n",
    "itself": "ffconcat version 1.0\nfile list.mp4\n",
    "pipe": "ffconcat version 1.0\nfile pipe.ts\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n../outside.ts\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?>\n<MPD type="static"><Period><BaseURL>../outside.mp4</BaseURL></Period></MPD>',
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".m4a"])
def test_a_list_of_other_files_is_refused_in_one_line(tmp_path, name, suffix):
    import torch

    write_audio(tmp_path / "other.wav", torch.zeros(1, 8000), 8000)
    os.mkfifo(tmp_path / "pipe.ts")  # nobody writes to it: opening it would wait for ever
    path = tmp_path / f"list{suffix}"
    path.write_text(LISTS[name].replace("list.mp4", path.name))
    with pytest.raises(InputError, match=rf"^{path}: expected video or sound, got a list of other files$"):
        open_container(path)


def test_audio_of_a_list_of_other_files_is_refused(tmp_path):
    path = Path(tmp_path / "list.m4a")
    path.write_text(LISTS["ffconcat"])
    with pytest.raises(InputError, match="got a list of other files"):
        read_audio(path, 0.0, 1.0)
