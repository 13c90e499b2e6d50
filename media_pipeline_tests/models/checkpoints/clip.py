"""A small CLIP: random weights, the real architecture, processor and kind of tokenizer."""

from __future__ import annotations

from pathlib import Path

from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.loaders.pretrained import quiet_library
from media_pipeline_tests.models.checkpoints.texts import SENTENCES, merges_of

SIDE_PX = 32
DIM = 24
TEXT_TOKENS = 77
MERGES = 100
LOGIT_SCALE = 4.6052  # ln 100, where CLIP ended
LEGACY_END = 2
"""What OpenAI's config says is the end of a text; the library then takes the highest token."""

CARD = ModelCard(
    id="small-clip",
    title="Small CLIP with random weights",
    task="embedder",
    loader="clip",
    repository="tests/small-clip",
    preprocessing=Preprocessing(
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        resize="short_side",
        crop_fraction=1.0,
        interpolation="bicubic",
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    ),
    licence="CC0-1.0",
)


def write(folder: Path) -> ModelCard:
    """Save the checkpoint in `folder`, which is <models>/<card id>."""
    with quiet_library():
        _write_model(folder, _write_tokenizer(folder))
        _write_processor(folder)
    return CARD


def _write_model(folder: Path, vocabulary: int) -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    tower = {"num_hidden_layers": 2, "num_attention_heads": 4, "projection_dim": DIM}
    config = CLIPConfig(
        text_config={
            **tower,
            "hidden_size": 32,
            "intermediate_size": 48,
            "vocab_size": vocabulary,
            "max_position_embeddings": TEXT_TOKENS,
            "bos_token_id": 0,
            "eos_token_id": LEGACY_END,
            "pad_token_id": 1,
        },
        vision_config={
            **tower,
            "hidden_size": 40,
            "intermediate_size": 64,
            "image_size": SIDE_PX,
            "patch_size": 8,
        },
        projection_dim=DIM,
        logit_scale_init_value=LOGIT_SCALE,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        CLIPModel(config).save_pretrained(folder)


def _write_tokenizer(folder: Path) -> int:
    """A CLIP tokenizer with every byte in its vocabulary; gives the size of the vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    pieces.normalizer = normalizers.Lowercase()
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    pieces.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=len(letters) + MERGES,
            end_of_word_suffix="</w>",
            initial_alphabet=letters,
            show_progress=False,
        ),
    )
    merges = merges_of(pieces)
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *dict.fromkeys(left + right for left, right in merges),
        "<|startoftext|>",
        "<|endoftext|>",  # the highest, as in the real vocabulary
    ]
    tokenizer = CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=merges
    )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def _write_processor(folder: Path) -> None:
    from PIL import Image
    from transformers import CLIPImageProcessorPil

    CLIPImageProcessorPil(
        size={"shortest_edge": SIDE_PX},
        crop_size={"height": SIDE_PX, "width": SIDE_PX},
        resample=Image.Resampling.BICUBIC,
    ).save_pretrained(folder)
