"""What pictures are asked for: everyday terms, general concepts, the user's own words.

    concepts    what there is: names, synonyms, what each is a kind of; the user's `vocabulary.txt`
    prompts     sentences about a concept, and their mean as one vector per concept

`data/vocabulary.tsv` is written by `scripts/vocabulary_build.py` from `curated.toml` and
`expansion.toml` beside it.
"""

from media_pipeline.vocabulary.concepts import Concept, Vocabulary, load_vocabulary
from media_pipeline.vocabulary.prompts import PROMPTS_VERSION, prompts_of, text_matrix

__all__ = [
    "PROMPTS_VERSION",
    "Concept",
    "Vocabulary",
    "load_vocabulary",
    "prompts_of",
    "text_matrix",
]
