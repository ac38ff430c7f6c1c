"""What pretraining must beat."""

from __future__ import annotations

import torch

from avssl.models.encoders import Encoders


def random_encoders(encoders: Encoders, seed: int) -> Encoders:
    """The same architecture with random weights, on features with the same statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = Encoders(encoders.model_config, encoders.feature_config)
    found.features.load_state_dict(encoders.features.state_dict())
    return found.eval()
