"""SOFA files and folders of responses of others: other files, absurd sizes, pipes."""

import os

import h5py
import numpy as np
import pytest
import soundfile

from avssl.media.hrir_files import read_hrirs


def test_a_variable_that_claims_terabytes_is_refused_unread(sofa):
    path = sofa(**{"Data.IR": None})
    with h5py.File(path, "a") as file:
        file.create_dataset("Data.IR", shape=(1 << 30, 2, 1 << 10), dtype="f8", chunks=(1, 2, 1 << 10))
    with pytest.raises(ValueError, match="expected 40000000 values of Data.IR at most"):
        read_hrirs(path)


@pytest.mark.parametrize("kind", ["link", "soft link", "storage", "virtual"])
@pytest.mark.parametrize("name", ["Data.IR", "Data.Delay", "SourcePosition", "ListenerPosition"])
def test_variables_of_other_files_are_refused(sofa, kind, name):
    other = sofa(name="other.sofa")
    path = sofa(**{name: None})
    with h5py.File(other) as file:
        shape, kept = file[name].shape, dict(file[name].attrs)
    with h5py.File(path, "a") as file:
        if kind == "link":
            file[name] = h5py.ExternalLink(str(other), name)
        elif kind == "soft link":
            file["all"] = h5py.ExternalLink(str(other), "/")
            file[name] = h5py.SoftLink(f"/all/{name}")
        elif kind == "storage":
            file.create_dataset(name, shape, "f8", external=[(str(other), 0, h5py.h5f.UNLIMITED)])
        else:
            layout = h5py.VirtualLayout(shape, "f8")
            layout[...] = h5py.VirtualSource(str(other), name, shape)
            file.create_virtual_dataset(name, layout)
        if "link" not in kind:
            file[name].attrs.update(kept)
    message = rf"head\.sofa: expected {name} in the file itself, got (a link|values of other)"
    with pytest.raises(ValueError, match=message):
        read_hrirs(path)


def test_a_chunk_that_unpacks_to_gigabytes_is_refused_unread(sofa):
    path = sofa(**{"Data.IR": None})
    with h5py.File(path, "a") as file:
        shape, chunks = (4, 2, 32), (4, 2, 2**26)
        file.create_dataset("Data.IR", shape, "f8", chunks=chunks, maxshape=(4, 2, None), compression="gzip")
    with pytest.raises(ValueError, match="expected 40000000 values of Data.IR at most, got 536870912"):
        read_hrirs(path)


def test_delays_that_would_take_gigabytes_are_refused(sofa):
    count = 2000
    azimuth = np.linspace(0, 360, count, endpoint=False)
    impulses = np.zeros((count, 2, 8))
    impulses[:, :, 2] = 1
    source = np.stack([azimuth, np.zeros(count), np.ones(count)], 1)
    path = sofa(**{"Data.IR": impulses, "SourcePosition": source, "Data.Delay": np.full((1, 2), 48000.0)})
    with pytest.raises(ValueError, match="expected 40000000 values of delayed responses at most, got 192"):
        read_hrirs(path)


@pytest.mark.parametrize("name", ["head.sofa", "folder"])
def test_pipes_in_place_of_responses_are_refused(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    os.mkfifo(path / "0azleft.wav" if name == "folder" else path)
    with pytest.raises(ValueError, match="in a regular file, got a named pipe"):
        read_hrirs(path)


def test_a_response_that_declares_billions_of_samples_is_refused(tmp_path):
    path = tmp_path / "azi_0_ele_0.wav"
    soundfile.write(path, np.zeros((64, 2)), 48000, format="FLAC", subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # the 36 bits of the number of samples
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(ValueError, match="azi_0_ele_0.wav: expected a response of 1048576 samples at most"):
        read_hrirs(tmp_path)
