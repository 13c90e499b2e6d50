"""Checkpoints of the real architectures and sizes with random weights: for speed only.

A model's speed does not depend on its weights, its answers do: nothing that these models say means
anything, and nothing about quality is measured with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_pipeline.models.cards import ModelCard, load_cards
from media_pipeline.models.loaders.pretrained import quiet_library
from media_pipeline.models.loaders.rt_detr_v2 import KINDS

if TYPE_CHECKING:
    import torch

FILES = ("config.json", "model.safetensors")


def write_checkpoint(name: str, models: Path) -> ModelCard:
    """Write `<models>/<name>`, once, and give the card that loads it.

    Args:
        name: Id of one of our cards.
        models: Scratch folder; never a folder of real weights.
    """
    card = load_cards()[name].model_copy(
        update={"files": FILES, "sha256": {}, "repository": "random/weights"}
    )
    folder = models / name
    if not all((folder / file).exists() for file in FILES):
        folder.mkdir(parents=True, exist_ok=True)
        with quiet_library():
            WRITERS[name](folder)
    return card


def _mobilenet(folder: Path) -> None:
    import timm
    from timm.models import save_for_hf

    model = timm.create_model("mobilenetv3_small_100", pretrained=False)
    save_for_hf(model, str(folder), safe_serialization=True)
    config = json.loads((folder / "config.json").read_text())
    del config["model_args"]  # not in the hub's files; transformers trips over it
    (folder / "config.json").write_text(json.dumps(config))


def _vit(folder: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    labels = {number: f"class {number}" for number in range(1000)}
    config = ViTConfig(id2label=labels, label2id={name: n for n, name in labels.items()})
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def _siglip2(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    # base, patch 16, 224 px; the text half is kept small, no picture goes through it
    text: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "vocab_size": 1000,
    }
    text |= {"bos_token_id": 1, "eos_token_id": 2}
    config = SiglipConfig(
        text_config={**text, "num_attention_heads": 4, "projection_size": 768},
        vision_config={"image_size": 224, "patch_size": 16},
    )
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)


def _rt_detr_v2(folder: Path) -> None:
    from transformers import (
        RTDetrImageProcessor,
        RTDetrResNetConfig,
        RTDetrV2Config,
        RTDetrV2ForObjectDetection,
    )

    labels = dict(enumerate([*KINDS, *(f"thing {n}" for n in range(80 - len(KINDS)))]))
    backbone = RTDetrResNetConfig(  # ResNet-18, as in PekingU/rtdetr_v2_r18vd
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
        decoder_layers=3,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    model = RTDetrV2ForObjectDetection(config)
    _spread(model)
    model.save_pretrained(folder)
    RTDetrImageProcessor().save_pretrained(folder)


def _spread(model: torch.nn.Module) -> None:
    """Draw weights that let pictures through.

    As the library draws them signals fade to 1e-14, every query scores the same, and which ones are
    taken is left to chance.
    """
    import torch

    for part in model.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
        elif isinstance(part, torch.nn.Linear):
            torch.nn.init.xavier_uniform_(part.weight)
        elif isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(part.weight)  # the library draws them around 0


def _blip(folder: Path) -> None:
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = [*special, *(f"word{number}" for number in range(30_522 - len(special)))]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    BlipForConditionalGeneration(BlipConfig()).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(), tokenizer).save_pretrained(folder)


WRITERS: Mapping[str, Callable[[Path], Any]] = {
    "mobilenetv3-small-100": _mobilenet,
    "vit-base-patch16-224": _vit,
    "siglip2-base-patch16-224": _siglip2,
    "rt-detr-v2-r18vd": _rt_detr_v2,
    "blip-image-captioning-base": _blip,
}


def parameters_of(folder: Path) -> int:
    """How many numbers the weights are, read from the header of the file."""
    with (folder / "model.safetensors").open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= side
            total += count
    return total
