"""docs/models.md and the table of README.md are what the cards say."""

from __future__ import annotations

import pytest

from media_pipeline.models.cards import load_cards
from scripts import models_doc


def test_docs_models_is_written_from_the_cards() -> None:
    assert models_doc.DESTINATION.read_text(encoding="utf-8") == models_doc.page(), "run make docs"


def test_every_card_is_in_the_table_and_has_its_section() -> None:
    table, page = models_doc.table(), models_doc.page()
    for card in load_cards().values():
        assert card.title in table
        assert f"\n## {card.id}\n" in page
        assert card.revision in page


def test_the_table_replaces_what_stood_between_the_markers_and_nothing_else() -> None:
    before = f"above\n{models_doc.START}\nold\n{models_doc.END}\nbelow\n"
    after = models_doc.with_table(before)
    assert after.startswith(f"above\n{models_doc.START}\n| task |")
    assert after.endswith(f"|\n{models_doc.END}\nbelow\n")
    assert "old" not in after
    assert models_doc.with_table(after) == after


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="README"):
        models_doc.with_table("no markers")
