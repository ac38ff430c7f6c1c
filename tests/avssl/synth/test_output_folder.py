import json

import pytest

from avssl.synth.output_folder import SETTINGS, output_folder

WRITTEN = {"world": "toy", "seed": 3, "size": (2, 1)}


def accepted(folder, settings):
    with output_folder(folder, "toy", settings):
        pass


def refused(folder, settings, message):
    before = (folder / SETTINGS).read_bytes()
    with pytest.raises(ValueError, match=message) as caught, output_folder(folder, "toy", settings):
        pass
    assert "\n" not in str(caught.value)
    assert (folder / SETTINGS).read_bytes() == before


def test_a_folder_goes_on_with_the_settings_of_either_side_only(tmp_path):
    accepted(tmp_path, WRITTEN)
    accepted(tmp_path, WRITTEN)
    refused(tmp_path, WRITTEN | {"seed": 4}, "expected seed 3, which it was written with, got 4; give another folder")
    refused(tmp_path, WRITTEN | {"more": True}, "expected more None, which it was written with, got True")
    fewer = {name: value for name, value in WRITTEN.items() if name != "size"}
    refused(tmp_path, fewer, r"expected size \[2, 1\], which it was written with, got None")


def test_an_order_that_is_not_written_is_the_first(tmp_path):
    (tmp_path / SETTINGS).write_text(json.dumps(WRITTEN))
    refused(tmp_path, WRITTEN | {"order": 2}, "expected order 1, which it was written with, got 2")
    accepted(tmp_path, WRITTEN | {"order": 1})
    accepted(tmp_path, WRITTEN)
