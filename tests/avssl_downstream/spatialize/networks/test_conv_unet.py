"""Decoder of the U-Net: some columns of its output are those of the whole output."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from avssl_downstream.spatialize.networks.conv_unet import FULL, SMALL, ConvBlock, Decoder, Encoder

UNEVEN = (ConvBlock(4, (3, 3), (2, 2), (1, 1)), ConvBlock(8, (3, 5), (2, 3), (0, 2)))
"""Layers that leave rows and columns over at the end."""


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    ("layers", "size"),
    [(tuple(replace(each, channels=4) for each in FULL), (1024, 127)), (SMALL, (32, 48)), (UNEVEN, (21, 30))],
)
def test_some_columns_are_those_of_the_whole_output(layers, size, norm):
    torch.manual_seed(0)
    encoder = Encoder(1, size, layers, norm).double().eval()
    decoder = Decoder(encoder, 2, 3).double().eval()
    maps = encoder(torch.rand(2, 1, *size, dtype=torch.float64))
    extra = torch.rand(2, 2, *encoder.sizes[-1], dtype=torch.float64)
    whole = decoder(maps, extra)
    for columns in (range(size[1]), range(3), range(size[1] // 2 - 4, size[1] // 2 + 3), range(size[1] - 1, size[1])):
        part = decoder(maps, extra, columns)
        torch.testing.assert_close(part, whole[..., columns.start : columns.stop], rtol=1e-12, atol=1e-12)
