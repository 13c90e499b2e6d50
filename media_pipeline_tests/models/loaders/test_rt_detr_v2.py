"""RT-DETR v2: what its outputs mean, and a small checkpoint against the library's own path."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, UsageError
from media_pipeline.models.cards import Calibration, ModelCard
from media_pipeline.models.loaders import rt_detr_v2
from media_pipeline.models.onnx_files import write_onnx
from media_pipeline.models.protocols import Box
from media_pipeline.models.sessions import OnnxSession, TorchSession
from media_pipeline_tests.models.checkpoints import rt_detr_v2 as checkpoint
from media_pipeline_tests.models.loaders.pictures import many

LABELS = ("person", "car", "cat")
NOTHING = -9.0


class Outputs:
    """A session that gives the logits and boxes it was told, whatever it is asked."""

    is_parallel = True

    def __init__(self, logits: Any, boxes: Any) -> None:
        self.outputs = [np.array([logits], np.float32), np.array([boxes], np.float32)]

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return self.outputs


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def detector(
    folder: Path,
    session: Any,
    labels: tuple[str, ...] = LABELS,
    **card: Any,
) -> rt_detr_v2.BoxDetector:
    config = {"model_type": "rt_detr_v2", "id2label": {str(n): x for n, x in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(config))
    changed: ModelCard = checkpoint.CARD.model_copy(update=card)
    return rt_detr_v2.adapter(changed, folder, session)


def found(folder: Path, logits: Any, boxes: Any, **card: Any) -> list[Box]:
    model = detector(folder, Outputs(logits, boxes), **card)
    return model.infer([np.zeros((3, 128, 128), dtype=np.float32)])[0]


def test_people_and_animals_come_as_boxes_likeliest_first_and_cars_do_not(tmp_path: Path) -> None:
    boxes = found(
        tmp_path,
        [
            [logit(0.75), NOTHING, NOTHING],
            [NOTHING, logit(0.95), NOTHING],
            [NOTHING, NOTHING, logit(0.9)],
        ],
        [[0.5, 0.5, 0.5, 0.25], [0.5, 0.5, 1, 1], [0.25, 0.75, 0.5, 0.5]],
    )
    assert [box.kind for box in boxes] == ["cat", "person"]
    assert boxes[0].score == pytest.approx(0.9)
    assert boxes[0].probability is None
    assert (boxes[0].left, boxes[0].top, boxes[0].width, boxes[0].height) == (0, 0.5, 0.5, 0.5)
    assert (boxes[1].left, boxes[1].top, boxes[1].width, boxes[1].height) == (
        0.25,
        0.375,
        0.5,
        0.25,
    )


def test_a_score_at_the_threshold_does_not_count(tmp_path: Path) -> None:
    logits, boxes = [[0.0, NOTHING, NOTHING]], [[0.5, 0.5, 0.5, 0.5]]
    assert found(tmp_path, logits, boxes) == []
    assert len(found(tmp_path, logits, boxes, parameters={"score_threshold": 0.49})) == 1


def test_boxes_are_cut_at_the_edges_and_dropped_outside(tmp_path: Path) -> None:
    one = [logit(0.9), NOTHING, NOTHING]
    boxes = found(
        tmp_path,
        [one, one, one],
        [[0.0, 1.0, 0.5, 0.5], [1.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.0, 0.5]],
    )
    (box,) = boxes
    assert (box.left, box.top, box.width, box.height) == (0, 0.75, 0.25, 0.25)


def test_no_box_ever_leaves_the_picture(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    places = random.random((500, 4)) * [1.2, 1.2, 2, 2]
    logits = np.full((500, 3), NOTHING)
    logits[:, 0] = 3
    for box in found(tmp_path, logits, places):
        assert box.left >= 0
        assert box.left + box.width <= 1
        assert box.top >= 0
        assert box.top + box.height <= 1
        assert box.width > 0
        assert box.height > 0


def test_two_boxes_of_one_thing_are_one_and_of_two_kinds_are_two(tmp_path: Path) -> None:
    boxes = found(
        tmp_path,
        [
            [logit(0.8), NOTHING, NOTHING],
            [logit(0.9), NOTHING, NOTHING],
            [NOTHING, NOTHING, logit(0.7)],
            [logit(0.6), NOTHING, NOTHING],
        ],
        [[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.41], [0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.2]],
    )
    assert [(box.kind, round(box.score, 2)) for box in boxes] == [
        ("person", 0.9),
        ("cat", 0.7),
        ("person", 0.6),
    ]


def test_a_query_may_be_two_things_but_only_as_many_pairs_count_as_there_are_queries(
    tmp_path: Path,
) -> None:
    boxes = found(
        tmp_path,
        [[logit(0.9), NOTHING, logit(0.8)], [logit(0.7), NOTHING, NOTHING]],
        [[0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1]],
    )
    assert [box.kind for box in boxes] == ["person", "cat"]


def test_probability_is_calibrated_by_kind_and_decides_the_order(tmp_path: Path) -> None:
    boxes = found(
        tmp_path,
        [[logit(0.9), NOTHING, NOTHING], [NOTHING, NOTHING, logit(0.8)]],
        [[0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1]],
        calibration={
            "person": Calibration(slope=0.0, offset=0.0),
            "any": Calibration(slope=1.0, offset=0.2),
        },
    )
    assert [box.kind for box in boxes] == ["cat", "person"]
    assert boxes[0].probability == pytest.approx(1 / (1 + math.exp(-1.0)))
    assert boxes[1].probability == 0.5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["logits", "boxes"])
def test_numbers_that_are_none_are_passed_on_as_one_box_of_nan(
    tmp_path: Path, bad: float, where: str
) -> None:
    logits, boxes = np.full((2, 3), NOTHING), np.full((2, 4), 0.5)
    (logits if where == "logits" else boxes)[1, 2] = bad
    (box,) = found(tmp_path, logits, boxes)
    assert math.isnan(box.score)
    assert math.isnan(box.left)


def test_extreme_scores_overflow_nothing(tmp_path: Path) -> None:
    (box,) = found(tmp_path, [[3e4, -3e4, -3e4]], [[0.5, 0.5, 0.5, 0.5]])
    assert box.score == 1


def test_a_card_may_call_the_classes_as_it_likes(tmp_path: Path) -> None:
    boxes = found(
        tmp_path,
        [[logit(0.9), logit(0.8), logit(0.7)]] * 3,
        [[0.5, 0.5, 0.4, 0.4]] * 3,
        parameters={"kinds": {"car": "vehicle"}},
    )
    assert [box.kind for box in boxes] == []  # the three best pairs are all of `person`
    boxes = found(
        tmp_path,
        [[NOTHING, logit(0.8), NOTHING]],
        [[0.5, 0.5, 0.4, 0.4]],
        parameters={"kinds": {"car": "vehicle"}},
    )
    assert [box.kind for box in boxes] == ["vehicle"]


def test_a_card_that_names_a_class_the_checkpoint_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'cta' in \[parameters.kinds\].*person, car, cat"):
        detector(tmp_path, Outputs([], []), parameters={"kinds": {"cta": "cat"}})


def test_a_checkpoint_without_people_or_animals_needs_kinds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps no class"):
        detector(tmp_path, Outputs([], []), labels=("car", "bus"))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, "high"])
def test_a_threshold_that_is_no_score_is_refused(tmp_path: Path, threshold: object) -> None:
    with pytest.raises(UsageError, match=r"score_threshold .*: give one in \[0, 1\]"):
        detector(tmp_path, Outputs([], []), parameters={"score_threshold": threshold})


def test_another_number_of_classes_than_the_config_names_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedWeights, match=r"gives 2 classes, its config\.json names 3"):
        found(tmp_path, [[0.0, 0.0]], [[0.5, 0.5, 0.5, 0.5]])


@pytest.mark.parametrize("labels", [None, {}, {"1": "cat"}])
def test_a_config_without_names_of_classes_is_damage(tmp_path: Path, labels: object) -> None:
    config = {"model_type": "rt_detr_v2", "id2label": labels}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DamagedWeights, match="id2label"):
        rt_detr_v2.adapter(checkpoint.CARD, tmp_path, Outputs([], []))


def test_no_inputs_give_no_answers(tmp_path: Path) -> None:
    assert detector(tmp_path, Outputs([], [])).infer([]) == []


# The rest needs torch and transformers.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / checkpoint.CARD.id
    checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> rt_detr_v2.BoxDetector:
    session = TorchSession(rt_detr_v2.build_module(checkpoint.CARD, folder))
    return rt_detr_v2.adapter(checkpoint.CARD, folder, session)


def by_the_library(folder: Path, pictures: list[Any]) -> list[Mapping[str, Any]]:
    import torch
    from transformers import RTDetrImageProcessorPil, RTDetrV2ForObjectDetection

    processor = RTDetrImageProcessorPil.from_pretrained(folder)
    library_model = RTDetrV2ForObjectDetection.from_pretrained(folder).eval()
    # By itself the library takes a picture of one row for one of channels first.
    pixels = processor(pictures, input_data_format="channels_last", return_tensors="pt")
    with torch.inference_mode():
        outputs = library_model(pixels["pixel_values"])
    answers: list[Mapping[str, Any]] = processor.post_process_object_detection(
        outputs, threshold=0.5
    )
    return answers


@pytest.mark.slow
def test_preprocessing_is_that_of_the_library(folder: Path, model: rt_detr_v2.BoxDetector) -> None:
    from transformers import RTDetrImageProcessorPil

    processor = RTDetrImageProcessorPil.from_pretrained(folder)
    theirs = processor(many(), input_data_format="channels_last", return_tensors="np")
    ours = np.stack([model.prepare(picture) for picture in many()])
    assert np.abs(ours - theirs["pixel_values"]).max() < 1e-3


@pytest.mark.slow
def test_boxes_are_those_of_the_library(folder: Path, model: rt_detr_v2.BoxDetector) -> None:
    ours = model.infer([model.prepare(picture) for picture in many()])
    kept = 0
    for boxes, answer in zip(ours, by_the_library(folder, many()), strict=True):
        wanted = [
            (checkpoint.LABELS[number], score, corners.clamp(0, 1))
            for number, score, corners in zip(
                answer["labels"].tolist(), answer["scores"], answer["boxes"], strict=True
            )
            if checkpoint.LABELS[number] in rt_detr_v2.KINDS
        ]
        kept += len(wanted)
        assert [box.kind for box in boxes] == [kind for kind, _, _ in wanted]
        for box, (_, score, corners) in zip(boxes, wanted, strict=True):
            assert box.score == pytest.approx(float(score), abs=1e-3)
            edges = (box.left, box.top, box.left + box.width, box.top + box.height)
            assert edges == pytest.approx(corners.tolist(), abs=1e-3)
    assert kept > 10, "the small model must find something for this to mean anything"


@pytest.mark.slow
def test_each_layer_of_the_decoder_keeps_heads_of_its_own(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    stored = load_file(folder / "model.safetensors")
    loaded = rt_detr_v2.build_module(checkpoint.CARD, folder).state_dict()
    names = [f"model.decoder.bbox_embed.{layer}.layers.0.weight" for layer in (0, 1)]
    assert not torch.equal(stored[names[0]], stored[names[1]])
    assert all(torch.equal(stored[name], loaded[f"model.{name}"]) for name in names)


@pytest.mark.slow
def test_an_export_agrees_with_torch_for_any_batch(
    folder: Path, model: rt_detr_v2.BoxDetector, tmp_path: Path
) -> None:
    module = rt_detr_v2.build_module(checkpoint.CARD, folder)
    assert write_onnx(module, checkpoint.CARD, tmp_path / "model.onnx") == "any"
    exported, inputs = OnnxSession(tmp_path / "model.onnx"), [model.prepare(x) for x in many(5)]
    for count in (1, 5):
        stack = np.stack(inputs[:count])
        for ours, theirs in zip(exported.run(stack), model.session.run(stack), strict=True):
            assert np.abs(ours - theirs).max() < 1e-3
    again = rt_detr_v2.adapter(checkpoint.CARD, folder, exported)
    assert [len(boxes) for boxes in again.infer(inputs)] == [
        len(boxes) for boxes in model.infer(inputs)
    ]


@pytest.mark.slow
def test_an_export_leaves_the_library_as_it_was(folder: Path) -> None:
    from transformers.models.rt_detr_v2 import modeling_rt_detr_v2

    before = dict(vars(modeling_rt_detr_v2))
    with rt_detr_v2.exportable():
        assert vars(modeling_rt_detr_v2) != before
    assert vars(modeling_rt_detr_v2) == before


@pytest.mark.slow
def test_a_picture_alone_has_the_boxes_it_has_among_32(model: rt_detr_v2.BoxDetector) -> None:
    inputs = [model.prepare(picture) for picture in many(32)]
    for one, among_many in zip(inputs, model.infer(inputs), strict=True):
        alone = model.infer([one])[0]
        assert [box.kind for box in alone] == [box.kind for box in among_many]
        for ours, theirs in zip(alone, among_many, strict=True):
            assert ours.score == pytest.approx(theirs.score, abs=1e-4)
            assert ours.left == pytest.approx(theirs.left, abs=1e-4)
            assert ours.height == pytest.approx(theirs.height, abs=1e-4)
