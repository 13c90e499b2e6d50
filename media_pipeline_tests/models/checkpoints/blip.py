"""A small BLIP captioner: random weights, the real architecture, processor and tokenizer.

The weights are drawn wide (`SPREAD`), so that the likeliest word differs from picture to picture
and stands clear of the next one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline_tests.models.checkpoints.texts import SENTENCES

SIDE_PX = 48
WIDTH = 32
SPREAD = 0.5
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_NEW_TOKENS = 12

CARD = ModelCard(
    id="small-blip",
    title="Small BLIP with random weights",
    task="captioner",
    loader="blip",
    repository="tests/small-blip",
    preprocessing=Preprocessing(
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        resize="exact",
        crop_fraction=1.0,
        interpolation="bicubic",
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    ),
    parameters={"max_new_tokens": MAX_NEW_TOKENS, "num_beams": 1},
    licence="CC0-1.0",
)


def write(folder: Path) -> ModelCard:
    """Save the checkpoint in `folder`, which is <models>/<card id>."""
    import torch
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = sorted({word for sentence in SENTENCES for word in sentence.lower().split()})
    tokenizer = BertTokenizer(vocab={token: i for i, token in enumerate([*SPECIAL, *words])})
    size = {"height": SIDE_PX, "width": SIDE_PX}
    BlipProcessor(BlipImageProcessorPil(size=size), tokenizer).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = BlipForConditionalGeneration(_config(len(tokenizer)))
    model.save_pretrained(folder)
    return CARD


def _config(words: int) -> Any:
    from transformers import BlipConfig

    both = {
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "initializer_range": SPREAD,
    }
    return BlipConfig(
        text_config={
            **both,
            # As in the real one: the start token and one more are unknown to the tokenizer.
            "vocab_size": words + 2,
            "bos_token_id": words,
            "eos_token_id": SPECIAL.index("[CLS]"),
            "sep_token_id": SPECIAL.index("[SEP]"),
            "pad_token_id": SPECIAL.index("[PAD]"),
            "max_position_embeddings": 64,
        },
        vision_config={**both, "image_size": SIDE_PX, "patch_size": 16},
        projection_dim=16,
        image_text_hidden_size=16,
        initializer_range=SPREAD,
    )
