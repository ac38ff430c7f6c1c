"""A small SOFA file."""

import h5py
import numpy as np
import pytest


@pytest.fixture
def sofa(tmp_path):
    """A small SOFA file of four directions; arguments replace variables, `None` omits them."""

    def write(attrs=None, name="head.sofa", **variables):
        path = tmp_path / name
        azimuth = np.array([0.0, 90.0, 180.0, 270.0])
        impulses = np.zeros((4, 2, 32))
        impulses[:, 0, 5], impulses[:, 1, 5] = [1, 2, 1, 0.5], [1, 0.5, 1, 2]
        content = {
            "Data.IR": impulses,
            "Data.SamplingRate": np.array([48000.0]),
            "Data.Delay": np.zeros((1, 2)),
            "SourcePosition": np.stack([azimuth, np.zeros(4), np.ones(4)], 1),
            "ReceiverPosition": np.array([[[0], [0.09], [0]], [[0], [-0.09], [0]]]),
            "ListenerPosition": np.zeros((1, 3)),
            "ListenerView": np.array([[1.0, 0, 0]]),
            "ListenerUp": np.array([[0, 0, 1.0]]),
        } | variables
        types = {"SourcePosition": "spherical"} | dict.fromkeys(
            ("ReceiverPosition", "ListenerPosition", "ListenerView"), "cartesian"
        )
        with h5py.File(path, "w") as file:
            known = {"Conventions": "SOFA", "SOFAConventions": "SimpleFreeFieldHRIR", "DataType": "FIR"}
            for key, value in (known | (attrs or {})).items():
                file.attrs[key] = value
            for key, value in content.items():
                if value is not None:
                    values, kind = value if isinstance(value, tuple) else (value, types.get(key, ""))
                    file.create_dataset(key, data=values).attrs["Type"] = kind
        return path

    return write
