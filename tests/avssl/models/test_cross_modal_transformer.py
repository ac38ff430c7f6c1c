"""Cross-modal transformers: parameters of AVSA's, and equality with torch's layers."""

import pytest
import torch
from torch import nn

from avssl.models.cross_modal_transformer import Attention, CrossModalTransformer

# From AVSA's published checkpoint, under `train_criterion`: `losses.0.v2a_transformer.` and these, for width 512.
PUBLISHED = {
    "attention.query": (512, 512), "attention.key": (512, 512), "attention.value": (512, 512),
    "attention.dense": (512, 512), "attention_norm": (512,), "dense.0": (2048, 512), "dense.2": (512, 2048),
    "dense_norm": (512,),
}  # fmt: skip


@pytest.fixture
def crops():
    return torch.randn(5, 4, 48, generator=torch.Generator().manual_seed(0))


def translator(**settings):
    torch.manual_seed(1)
    transformer = CrossModalTransformer(48, **settings)
    for name, value in transformer.named_parameters():
        if name.endswith(("norm.weight", "bias")):
            nn.init.normal_(value, 0.5, 0.3)
    return transformer


def copy_attention(ours, theirs):
    """Torch's single-head attention with our weights."""
    parts = [ours.query, ours.key, ours.value]
    theirs.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    theirs.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
    theirs.out_proj.load_state_dict(ours.dense.state_dict())


def copy_layer(ours):
    """Torch's encoder layer with our weights; it ends before the last ReLU."""
    width, hidden = ours.dense[0].in_features, ours.dense[0].out_features
    theirs = nn.TransformerEncoderLayer(width, 1, hidden, batch_first=True, norm_first=False).eval()
    copy_attention(ours.attention, theirs.self_attn)
    for one, other in (
        (ours.dense[0], theirs.linear1),
        (ours.dense[2], theirs.linear2),
        (ours.attention_norm, theirs.norm1),
        (ours.dense_norm, theirs.norm2),
    ):
        other.load_state_dict(one.state_dict())
    return theirs


def test_two_of_width_512_have_the_published_number_of_parameters():
    assert 2 * sum(each.numel() for each in CrossModalTransformer(512).parameters()) == 12_609_536


def test_parameters_have_the_published_names_and_shapes():
    expected = {f"transformer.{layer}.{name}.weight": size for layer in (0, 1) for name, size in PUBLISHED.items()}
    expected |= {name.replace("weight", "bias"): size[:1] for name, size in expected.items()}
    assert {name: tuple(each.shape) for name, each in CrossModalTransformer(512).state_dict().items()} == expected


def test_attention_equals_torchs_single_head(crops):
    torch.manual_seed(2)
    ours, theirs = Attention(48), nn.MultiheadAttention(48, 1, batch_first=True)
    copy_attention(ours, theirs)
    torch.testing.assert_close(ours(crops), theirs(crops, crops, crops)[0])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_transformer_equals_torchs_encoder_layers_with_relu(crops, depth):
    ours = translator(depth=depth).eval()
    expected = crops
    for layer in ours.transformer:
        expected = copy_layer(layer)(expected).relu()
    torch.testing.assert_close(ours(crops), expected)


def test_gradients_equal_those_of_torchs_layers(crops):
    ours = translator(depth=1, dropout=0.0)
    theirs = copy_layer(ours.transformer[0])
    ours(crops).square().sum().backward()
    theirs(crops).relu().square().sum().backward()
    torch.testing.assert_close(ours.transformer[0].dense[0].weight.grad, theirs.linear1.weight.grad)
    queries = theirs.self_attn.in_proj_weight.grad[:48]
    torch.testing.assert_close(ours.transformer[0].attention.query.weight.grad, queries, atol=1e-5, rtol=1e-4)


def test_transformer_is_equivariant_to_the_order_of_crops(crops):
    ours = translator().eval()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(ours(crops[:, order]), ours(crops)[:, order])


def test_predictions_depend_on_crops_of_the_same_clip_only(crops):
    ours = translator().eval()
    changed = crops.clone()
    changed[2, 1] += 1
    moved = (ours(changed) - ours(crops)).abs().amax(-1) > 1e-4
    assert moved[2].all()
    assert moved.sum() == 4


def test_full_dropout_leaves_the_normalised_embedding(crops):
    ours = translator(depth=1, dropout=1.0).train()
    layer = ours.transformer[0]
    torch.testing.assert_close(ours(crops), layer.dense_norm(layer.attention_norm(crops)).relu())
    torch.testing.assert_close(ours.eval()(crops), copy_layer(layer)(crops).relu())
