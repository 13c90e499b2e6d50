"""A small Florence-2: random weights, the real architecture, processor and kind of tokenizer.

The weights are drawn wide, so that the likeliest token differs from picture to picture and stands
clear of the next one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline_tests.models.checkpoints.texts import SENTENCES

SIDE_PX = 64
PICTURE_TOKENS = 1 + 2 * 2
"""The tower shrinks by 4, 2, 2, 2; one token more for the mean."""

WIDTH = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BOS, PAD, EOS = 0, 1, 2
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
MAX_NEW_TOKENS = 12

CARD = ModelCard(
    id="small-florence2",
    title="Small Florence-2 with random weights",
    task="captioner",
    loader="florence2",
    repository="tests/small-florence2",
    preprocessing=Preprocessing(
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        resize="exact",
        crop_fraction=1.0,
        interpolation="bicubic",
        mean=MEAN,
        std=STD,
    ),
    parameters={"max_new_tokens": MAX_NEW_TOKENS, "num_beams": 1, "prompt": "<CAPTION>"},
    licence="CC0-1.0",
)


def write(folder: Path) -> ModelCard:
    """Save the checkpoint in `folder`, which is <models>/<card id>."""
    import torch
    from transformers import Florence2ForConditionalGeneration, GenerationConfig

    tokenizer = _tokenizer()
    _processor(tokenizer).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Florence2ForConditionalGeneration(_config(tokenizer))
    # As the real one has it: three beams, no run of three tokens twice.
    model.generation_config = GenerationConfig(
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        decoder_start_token_id=EOS,
        forced_bos_token_id=BOS,
        forced_eos_token_id=EOS,
        num_beams=3,
        no_repeat_ngram_size=3,
        early_stopping=True,
    )
    model.save_pretrained(folder)
    return CARD


def _tokenizer() -> Any:
    """A byte-level BPE as BART has it, of the letters of our sentences only."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BartTokenizer

    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=list(SPECIAL), show_progress=False)
    pieces.train_from_iterator([*SENTENCES, "What does the image describe?"], trainer)
    model = json.loads(pieces.to_str())["model"]
    return BartTokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        extra_special_tokens={"image_token": "<image>"},
    )


def _processor(tokenizer: Any) -> Any:
    from transformers import Florence2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    pictures = CLIPImageProcessorPil(
        size={"height": SIDE_PX, "width": SIDE_PX},
        do_center_crop=False,
        image_mean=list(MEAN),
        image_std=list(STD),
        image_seq_length=PICTURE_TOKENS,
    )
    return Florence2Processor(pictures, tokenizer, post_processor_config={"pure_text": {}})


def _config(tokenizer: Any) -> Any:
    from transformers import Florence2Config

    special = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS}
    return Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": WIDTH,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 64,
            "init_std": 0.5,
            "decoder_start_token_id": EOS,
            "forced_eos_token_id": EOS,
            **special,
        },
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [16, 16, 32, 32],
            "num_heads": [2, 2, 2, 2],
            "num_groups": [2, 2, 2, 2],
            "window_size": 4,
            "projection_dim": WIDTH,
            "initializer_range": 0.2,
        },
        image_token_id=tokenizer.image_token_id,
        **special,
    )
