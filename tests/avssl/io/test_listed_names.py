"""Names in lists: those that lead out of their folder on any system are refused, odd ones inside are not."""

import pytest

from avssl.errors import InputError
from avssl.io.listed_names import check_inside, leads_out


@pytest.mark.parametrize(
    "name",
    [
        "../a.wav", "a/../../b.wav", "a/..", "..", "/etc/hostname", "//host/share/a.wav", "..\\a.wav",
        "a\\..\\..\\b.wav",
        "C:\\a.wav", "C:/a.wav", "\\\\host\\share\\a.wav", "\\a.wav", "a/..\\b.wav",
    ],
)  # fmt: skip
def test_names_that_lead_out_are_refused(name):
    assert leads_out(name)
    with pytest.raises(InputError, match="^list.txt: paths stay inside the data set's folder, .* does not$"):
        check_inside(["good.wav", name], "list.txt")


@pytest.mark.parametrize("name", ["a.wav", "a/b.wav", "..a.wav", "a..wav", "a/...", "-a", "é\n", "a:b.mp4", "", "~/a"])
def test_odd_names_that_stay_inside_are_taken(name):
    assert not leads_out(name)
    check_inside([name], "list.txt")
