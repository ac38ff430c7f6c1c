"""A file of splits chooses clips of a manifest and gives them splits; what does not fit is refused in one line."""

import pytest
from avssl_downstream.spatialize.clip_splits import read_split_manifest

from avssl.datasets.manifest import read_manifest
from avssl.errors import InputError


def test_clips_get_the_splits_of_the_file_and_others_are_left_out(filmed_noise, tmp_path):
    path = tmp_path / "splits.csv"
    path.write_text("key,split\nnear_1,test\nodd_7,train\n")
    found = read_split_manifest(str(filmed_noise), str(path))
    assert {row.key: row.split for row in found} == {"near_1": "test", "odd_7": "train"}
    assert found.root == read_manifest(filmed_noise).root
    assert read_split_manifest(str(filmed_noise), "") == read_manifest(filmed_noise)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,split\nnobody,test\n", "expected clips of .*, got 'nobody'"),
        ("clip,split\n", "columns key,split, got 'clip,split'"),
        ("", "columns key,split, got ''"),
        ("key,split\nnear_1\n", "expected key,split, got 'near_1' .line 2."),
        ("key,split\nnear_1,\n", "got 'near_1,' .line 2."),
    ],
)
def test_a_file_that_does_not_fit_is_refused(filmed_noise, tmp_path, text, message):
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_split_manifest(str(filmed_noise), str(path))
    assert "\n" not in str(caught.value)
