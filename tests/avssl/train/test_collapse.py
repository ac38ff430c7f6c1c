import pytest
import torch
from lightning_fabric import Fabric
from sklearn.neighbors import NearestNeighbors
from torch import nn

from avssl.train.collapse import collapse, effective_rank, nearest_neighbour, spread


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_spread_is_1_on_the_sphere_and_0_at_a_point():
    assert spread(normal(4000, 64)) == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(10, 64)) < 1e-3


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_rank_counts_the_dimensions_that_are_used(dimensions):
    vectors = torch.zeros(2000, 32)
    vectors[:, :dimensions] = normal(2000, dimensions)
    assert effective_rank(vectors) == pytest.approx(dimensions, rel=0.02)


def test_nearest_neighbour_agrees_with_scikit_learn():
    vectors = normal(50, 8)
    distance, _ = NearestNeighbors(n_neighbors=2, metric="cosine").fit(vectors).kneighbors(vectors)
    assert nearest_neighbour(vectors) == pytest.approx(1 - distance[:, 1].mean(), abs=1e-5)


class Task(nn.Module):
    def __init__(self, embeddings):
        super().__init__()
        self.found = embeddings

    def embeddings(self, batch):
        return self.found


def test_collapse_is_said_of_the_embedding_that_collapsed():
    fabric = Fabric(accelerator="cpu")
    scalars, warning = collapse(Task({"video": normal(32, 16), "audio": 1 + 1e-4 * normal(32, 16)}), {}, fabric)
    assert "audio embeddings have collapsed" in warning
    assert "video" not in warning
    assert scalars["nearest/audio"] > 0.999 > scalars["nearest/video"]
    assert collapse(Task({"video": normal(32, 16)}), {}, fabric)[1] == ""
    assert collapse(nn.Linear(1, 1), {}, fabric) == ({}, "")


def test_a_layer_called_embeddings_is_not_watched():
    task = nn.Module()
    task.embeddings = nn.Embedding(3, 2)
    assert collapse(task, {}, Fabric(accelerator="cpu")) == ({}, "")


def test_embeddings_that_are_not_finite_are_said_to_be_so():
    broken = normal(8, 4).index_fill(0, torch.tensor([3]), float("nan"))
    scalars, warning = collapse(Task({"video": broken, "audio": normal(8, 4)}), {}, Fabric(accelerator="cpu"))
    assert warning == "video embeddings are not finite"
    assert "rank/audio" in scalars
    assert "rank/video" not in scalars
