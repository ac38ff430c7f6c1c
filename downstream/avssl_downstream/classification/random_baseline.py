"""Baseline of random encoders."""

from __future__ import annotations

import torch

from avssl.models.encoders import Encoders


def random_encoders(encoders: Encoders, seed: int) -> Encoders:
    """Encoders of the same architecture and feature statistics with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random = Encoders(encoders.model_config, encoders.feature_config)
    random.features.load_state_dict(encoders.features.state_dict())
    return random.eval()
