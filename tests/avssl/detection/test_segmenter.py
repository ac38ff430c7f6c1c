import numpy as np
import pytest
import torch
from torch import nn

from avssl.detection.backends import segmenter
from avssl.detection.backends.segmenter import Instances, MaskRcnn, YoloSegmenter, chosen, load_segmenter
from avssl.detection.backends.torchvision import Vision
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.yolo import Yolo


def instances(*boxes, scores=(0.9, 0.8, 0.7), labels=("dog", "cat", "dog")):
    edges = np.array(boxes, np.float32).reshape(-1, 4)
    return Instances(edges, np.array(scores[: len(edges)], np.float32), list(labels[: len(edges)]), np.zeros(0, bool))


def test_the_instance_is_the_one_in_the_box_and_without_one_the_surest():
    found = instances((0, 0, 10, 10), (20, 0, 30, 10), (21, 0, 33, 10))
    assert chosen(found, None, "") == 0
    assert chosen(found, np.array([20.0, 0, 30, 10]), "") == 1
    assert chosen(found, np.array([20.0, 0, 30, 10]), "dog") == 2
    assert chosen(found, None, "cat") == 1
    assert chosen(found, None, "horse") is None
    assert chosen(found, np.array([50.0, 50, 60, 60]), "") is None
    assert chosen(instances(), None, "") is None


class Known(nn.Module):
    """Two objects in every picture, one of them unsure, and one without a pixel."""

    def forward(self, frames):
        masks = torch.zeros(3, 1, *frames[0].shape[1:])
        masks[0, 0, 2:6, 3:9] = 0.8
        masks[1, 0, :4, :4] = 0.9
        masks[2, 0, :4, :4] = 0.3
        boxes = torch.tensor([[3.0, 2, 9, 6], [0, 0, 4, 4], [0, 0, 4, 4]])
        found = {"boxes": boxes, "scores": torch.tensor([0.9, 0.1, 0.9]), "labels": torch.tensor([1, 2, 1])}
        return [found | {"masks": masks} for _ in frames]


def test_masks_of_torchvision_are_cut_at_one_half():
    (found, _) = MaskRcnn(Vision(Known(), ["none", "dog", "cat"], "known", "")).segment(
        np.zeros((2, 12, 16, 3), np.uint8)
    )
    expected = np.zeros((1, 12, 16), bool)
    expected[0, 2:6, 3:9] = True
    assert np.array_equal(found.masks, expected)
    assert (found.labels, found.edges.tolist()) == (["dog"], [[3, 2, 9, 6]])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = ultralytics().nn.tasks.SegmentationModel("yolo11n-seg.yaml", nc=3, verbose=False).eval()
    for layer in network.model[-1].cv3:
        nn.init.normal_(layer[-1].weight, std=2.0)
        nn.init.zeros_(layer[-1].bias)
    return network


def test_masks_of_ultralytics_are_those_of_its_own_predictor(network, monkeypatch, tmp_path):
    monkeypatch.setattr(segmenter, "LEAST_SCORE", 0.5)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    with torch.random.fork_rng():
        (mine,) = YoloSegmenter(Yolo(network, "net", "", 128)).segment(image[None])
        model = ultralytics().YOLO("yolo11n-seg.yaml", task="segment")
        model.model = network
        (theirs,) = model.predict(image[..., ::-1].copy(), imgsz=(96, 128), conf=0.5, iou=0.7, verbose=False,
                                  project=str(tmp_path))  # fmt: skip
    assert len(mine.scores) == len(theirs.boxes) > 0
    assert mine.edges == pytest.approx(theirs.boxes.xyxy.numpy(), abs=0.5)
    assert np.mean(mine.masks == theirs.masks.data.numpy().astype(bool)) > 0.995


def test_masks_come_back_at_the_size_of_the_image(network, monkeypatch):
    monkeypatch.setattr(segmenter, "LEAST_SCORE", 0.1)
    frames = np.random.default_rng(0).integers(0, 255, (2, 90, 161, 3), np.uint8)
    for found in YoloSegmenter(Yolo(network, "net", "", 96)).segment(frames):
        assert found.masks.shape == (len(found.scores), 90, 161)
        for mask, (left, top, right, bottom) in zip(found.masks, found.edges, strict=True):
            rows, columns = np.nonzero(mask)
            assert (rows.min() >= top - 2, rows.max() <= bottom + 2) == (True, True)
            assert (columns.min() >= left - 2, columns.max() <= right + 2) == (True, True)


def test_a_detector_without_masks_is_refused():
    network = ultralytics().nn.tasks.DetectionModel("yolo11n.yaml", nc=3, verbose=False).eval()
    with pytest.raises(ValueError, match="expected a segmenter, this finds boxes only"):
        YoloSegmenter(Yolo(network, "net", "", 64))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("yolo11n-seg.pt", "no such segmenter here, and none is downloaded"),
        ("torchvision/fasterrcnn_resnet50_fpn", "expected a segmenter of torchvision"),
        ("torchvision/maskrcnn_resnet50_fpn:gone.pth", "gone.pth: no such weights"),
        ("torchvision/maskrcnn_resnet5_fpn", "has no detector"),
    ],
)
def test_what_is_no_segmenter_is_one_line(tmp_path, monkeypatch, model, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load_segmenter(model)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_one_line(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="x.pt") as caught:
        load_segmenter(str(tmp_path / "x.pt"))
    assert "\n" not in str(caught.value)
