"""A small SigLIP 2: random weights, the real architecture, processor and kind of tokenizer."""

from __future__ import annotations

from pathlib import Path

from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.loaders.pretrained import quiet_library
from media_pipeline_tests.models.checkpoints.texts import SENTENCES, merges_of

SIDE_PX = 32
DIM = 32
TEXT_TOKENS = 64
VOCABULARY = 400
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
LOGIT_SCALE = 4.5
LOGIT_BIAS = -12.0

CARD = ModelCard(
    id="small-siglip2",
    title="Small SigLIP 2 with random weights",
    task="embedder",
    loader="siglip2",
    repository="tests/small-siglip2",
    preprocessing=Preprocessing(
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        resize="exact",
        crop_fraction=1.0,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
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
    from transformers import SiglipConfig, SiglipModel

    tower = {
        "hidden_size": DIM,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = SiglipConfig(
        text_config={
            **tower,
            "vocab_size": vocabulary,
            "max_position_embeddings": TEXT_TOKENS,
            "projection_size": DIM,
            "pad_token_id": SPECIAL.index("<pad>"),
            "eos_token_id": SPECIAL.index("<eos>"),
            "bos_token_id": SPECIAL.index("<bos>"),
        },
        vision_config={**tower, "image_size": SIDE_PX, "patch_size": 8},
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = SiglipModel(config)
    with torch.no_grad():
        model.logit_scale.fill_(LOGIT_SCALE)
        model.logit_bias.fill_(LOGIT_BIAS)
    model.save_pretrained(folder)


def _write_tokenizer(folder: Path) -> int:
    """A Gemma tokenizer, set up as SigLIP 2 ships it; gives the size of its vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import GemmaTokenizer

    pieces = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    pieces.normalizer = normalizers.Replace(" ", "▁")
    pieces.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    one_per_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=[*SPECIAL, *one_per_byte], show_progress=False
        ),
    )
    tokenizer = GemmaTokenizer(
        vocab=pieces.get_vocab(),
        merges=merges_of(pieces),
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        model_input_names=["input_ids"],  # the model has never seen a mask
    )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def _write_processor(folder: Path) -> None:
    from PIL import Image
    from transformers import SiglipImageProcessorPil

    SiglipImageProcessorPil(
        size={"height": SIDE_PX, "width": SIDE_PX}, resample=Image.Resampling.BILINEAR
    ).save_pretrained(folder)
