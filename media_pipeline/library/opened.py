"""An opened library: its folder, configuration, tables and recipes in one place."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from upath import UPath

from media_pipeline import recipes as recipe_book
from media_pipeline.errors import LibraryBusy, LibraryError, LibraryNotWritable, UsageError
from media_pipeline.judging.junk_thresholds import load_junk_thresholds
from media_pipeline.judging.labelling import SURE_SHARES
from media_pipeline.judging.thresholds import load_thresholds
from media_pipeline.library.decisions import Decisions, read_decisions, stamp_of
from media_pipeline.library.making import check_name, make, refuse_to_make
from media_pipeline.library.restoring import config_from_ledger, open_ledger
from media_pipeline.models.cards import ModelCard, Task, cards_in_use, load_cards
from media_pipeline.models.store import fingerprint
from media_pipeline.paths import MARKER, Layout, display, writing
from media_pipeline.recipes import Stage
from media_pipeline.scan.ledger import Ledger
from media_pipeline.scan.scanner import LISTED
from media_pipeline.settings import LibraryConfig, Root, read_config, read_settings, write_config
from media_pipeline.tables import TableStore
from media_pipeline.vocabulary import Vocabulary, load_vocabulary
from media_pipeline.vocabulary.prompts import PROMPTS_VERSION

CHOSEN = ("profile", "models", "thresholds", "junk_thresholds")
"""What a person chooses in `library.toml` that changes recipes."""

LOW_DISK_BYTES = 64 << 20
"""Less free space than this and no work is started."""


@dataclass
class Library:
    """One library folder, opened.

    Attributes:
        layout: Where things are kept.
        config: The contents of `library.toml`.
        stages: What the tables are made with; replaced in tests.
    """

    layout: Layout
    config: LibraryConfig
    stages: tuple[Stage, ...] = field(default=recipe_book.STAGES)
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _decisions: Decisions | None = field(default=None, repr=False)

    @property
    def ledger(self) -> Ledger:
        """This thread's connection to the ledger."""
        if not hasattr(self._local, "ledger"):
            self._local.ledger = open_ledger(self.layout)
        ledger: Ledger = self._local.ledger
        return ledger

    def close(self) -> None:
        """Close this thread's connection to the ledger."""
        if hasattr(self._local, "ledger"):
            self._local.ledger.close()
            del self._local.ledger

    @cached_property
    def store(self) -> TableStore:
        """The Parquet tables."""
        return TableStore(self._storage / "tables")

    @cached_property
    def thumbnails(self) -> UPath:
        """The folder of thumbnails."""
        return self._storage / "thumbnails"

    def has_thumbnails(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Whether every thumbnail that rows name is there; remote storage is not asked."""
        paths = [row["path"] for row in rows if row.get("path")]
        return not self.store.is_local or all((self.thumbnails / p).exists() for p in paths)

    @property
    def _storage(self) -> UPath:
        return UPath(self.config.storage or self.layout.root)

    @property
    def decisions(self) -> Decisions:
        """The user's word, read again when the file changed."""
        if self._decisions is None or self._decisions.stamp != stamp_of(self.layout.decisions):
            self._decisions = read_decisions(self.layout.decisions)
        return self._decisions

    def fresh(self) -> Library:
        """The same library as its configuration, cards and vocabulary are now, to be closed."""
        return _with_captions(Library(self.layout, read_config(self.layout), self.stages))

    @property
    def is_current(self) -> bool:
        """Whether nobody chose other models or thresholds since it was opened."""
        now = read_config(self.layout)
        return all(getattr(now, name) == getattr(self.config, name) for name in CHOSEN)

    @property
    def models(self) -> Path:
        """The folder of model files."""
        return read_settings().models or self.layout.models

    @cached_property
    def cards(self) -> dict[Task, ModelCard]:
        """The model card of every task that has one under the profile in use."""
        known = load_cards(self.models / "cards")
        return cards_in_use(self.config.profile, self.config.models, known)

    def card_of(self, stage: Stage) -> ModelCard | None:
        """The card of the model that a stage asks, `None` where there is none to ask."""
        return self.cards.get(cast(Task, stage.task))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What pictures are asked for, as of when it was first needed.

        One for the recipes and the tables made under them: the user's file may change meanwhile.
        """
        return load_vocabulary(self.layout.vocabulary)

    @cached_property
    def recipes(self) -> dict[str, str]:
        """The recipe every stage is wanted under."""
        return recipe_book.recipes(self.stages, self._ingredients())

    def _ingredients(self) -> dict[str, Any]:
        """What else changes what a stage writes: models, vocabulary, thresholds."""
        made_with: dict[str, Any] = {
            one.name: fingerprint(card, self.models)
            for one in self.stages
            if (card := self.card_of(one)) is not None
        }
        vocabulary = self.vocabulary.checksum
        if "embedder" in self.cards or "classifier" in self.cards:
            made_with["labels"] = [vocabulary, PROMPTS_VERSION, list(SURE_SHARES)]
        thresholds = load_thresholds(self.config.thresholds)
        junk_thresholds = load_junk_thresholds(self.config.junk_thresholds)
        made_with["verdicts"] = [thresholds.checksum, junk_thresholds.checksum, vocabulary]
        return made_with

    def batch_stages(self) -> list[Stage]:
        """Stages with one table per batch, in the order data flows."""
        return [s for s in self.stages if s.per_batch]

    def chosen(self, stage: str) -> dict[str, str]:
        """For every batch the recipe it is read under; batches without a table are left out.

        The recipe in use wins; a batch that has none under it is read under the wanted recipe, else
        under any other, so that a change on top of an unfinished change hides no batch.
        """
        order = [self.ledger.active().get(stage), self.recipes[stage]]
        others = [r for r in self.store.recipes_of(stage) if r not in order]
        known = self.ledger.batches()
        chosen: dict[str, str] = {}
        for recipe in [*filter(None, order), *others]:
            for batch in self.store.keys(stage, recipe) & known.keys():
                chosen.setdefault(batch, recipe)
        return dict(sorted(chosen.items()))

    def read_stage(self, stage: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a per-batch stage as they are read now, batches in order."""
        schema = self._schema_of(stage, columns)
        return pa.concat_tables([schema.empty_table(), *self.batch_tables(stage, columns)])

    def batch_tables(self, stage: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The same rows, one batch at a time."""
        schema = self._schema_of(stage, columns)
        for batch, recipe in self.chosen(stage).items():
            table = self.store.read(stage, recipe, batch, columns)
            if table is not None:
                yield table.select(schema.names).replace_schema_metadata(None).cast(schema)

    def _schema_of(self, stage: str, columns: Sequence[str] | None) -> pa.Schema:
        schema = recipe_book.stage(stage, self.stages).table.arrow
        return schema if columns is None else pa.schema([schema.field(name) for name in columns])

    def read_whole(self, stage: str) -> pa.Table:
        """The rows of a whole-library stage as they are read now; empty where there is no table."""
        recipe = self.ledger.active().get(stage) or self.recipes[stage]
        table = self.store.read(stage, recipe)
        if table is None:
            return recipe_book.stage(stage, self.stages).table.arrow.empty_table()
        return table

    @contextmanager
    def locked(self, name: str, busy: str | None = None) -> Iterator[None]:
        """Hold one of the library's locks.

        Args:
            name: Name of the lock.
            busy: Message when somebody else holds it; `None` waits instead.

        Raises:
            LibraryBusy: Somebody holds it and `busy` was given.
        """
        with writing(self.layout.locks):
            self.layout.locks.mkdir(exist_ok=True)
            descriptor = os.open(self.layout.locks / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError as error:
            os.close(descriptor)
            raise LibraryBusy(busy) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def check_disk(self) -> None:
        """Refuse to start work on a full disk.

        Raises:
            LibraryError: Less than `LOW_DISK_BYTES` free.
        """
        stat = os.statvfs(self.layout.root)
        free = stat.f_bavail * stat.f_frsize
        if free < LOW_DISK_BYTES:
            raise LibraryError(
                f"only {free / 1e6:.1f} MB free for {self.layout.root}, at least "
                f"{LOW_DISK_BYTES / 1e6:.0f} MB are needed to start: free some space or choose "
                "another folder with --library"
            )

    def add_roots(self, folders: Sequence[Path]) -> dict[str, list[bytes]]:
        """Make folders (or files) part of the library.

        Args:
            folders: Existing folders or files.

        Returns:
            Root id to the relative paths to scan below it.
        """
        below: dict[str, list[bytes]] = {}
        for folder in map(real_place, folders):
            _refuse_library(folder)
            root = self._root_of(os.fsencode(folder))
            if root is None:
                root = self._add_root(folder)
            relative = os.path.relpath(os.fsencode(folder), os.fsencode(root.path))
            below.setdefault(root.root_id, []).append(b"" if relative == b"." else relative)
        return below

    def _root_of(self, path: bytes) -> Root | None:
        inside = [
            root
            for root in self.config.roots
            if root.root_id != LISTED and _is_inside(path, os.fsencode(root.path))
        ]
        return max(inside, key=lambda root: len(root.path), default=None)

    def _add_root(self, folder: Path) -> Root:
        if folder.is_symlink() or not folder.is_dir():
            root = next((r for r in self.config.roots if r.root_id == LISTED), Root(LISTED, "/"))
        else:
            root = Root(self._new_root_id(), _utf8(folder))
            self._take_over_listed(os.fsencode(folder))
        if root not in self.config.roots:
            self.config = self.config.with_root(root)
            write_config(self.layout, self.config)
        return root

    def _new_root_id(self) -> str:
        """An id that no root has or ever had: the ledger remembers roots that were removed."""
        used = {r.root_id for r in self.config.roots} | {r for r, _, _ in self.ledger.roots()}
        numbers = [int(name[1:]) for name in used if re.fullmatch(r"r\d+", name)]
        return f"r{max(numbers, default=0) + 1:04d}"

    def _take_over_listed(self, folder: bytes) -> None:
        """Forget the files below a new root that were named one by one: its scan finds them."""
        listed = self.ledger.paths(LISTED)
        inside = [row for row in listed if _is_inside(b"/" + row.relative, folder)]
        if inside:
            with self.ledger.transaction():
                self.ledger.drop_paths(inside)
                self.ledger.touch()


def real_place(path: Path) -> Path:
    """Where a path really lies: links above it are resolved, a link itself stays a link."""
    return Path(os.path.realpath(path.parent)) / path.name


def _refuse_library(path: Path) -> None:
    inside = next((p for p in (path, *path.parents) if (p / MARKER).exists()), None)
    if inside is not None:
        raise UsageError(
            f"{display(str(path))} lies inside the library {inside}: name a folder of originals"
        )


def _is_inside(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _utf8(folder: Path) -> str:
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the folder {display(str(folder))} has a name that is not UTF-8: give a folder above "
            "it; files and folders inside may have any name"
        ) from error
    return str(folder)


def create_library(folder: Path) -> Library:
    """Open a library, making it first where there is none.

    Raises:
        LibraryError: The folder holds other things and is no library.
        LibraryNotWritable: It cannot be written.
        LibraryTooNew: Written by a newer program.
    """
    layout = Layout(folder.absolute())
    if not layout.marker.exists():
        check_name(layout.root)
        refuse_to_make(layout.root)
        make(layout)
    if not os.access(layout.root, os.W_OK):
        raise LibraryNotWritable(
            f"cannot write to the library {layout.root}: make it writable for this user or choose "
            "another folder with --library"
        )
    return open_library(folder)


def open_library(folder: Path) -> Library:
    """Open an existing library.

    Raises:
        LibraryError: There is none.
        LibraryTooNew: Written by a newer program.
        CorruptLibraryFile: `library.toml` cannot be read.
        UsageError: It names a threshold set that does not exist.
    """
    layout = Layout(folder.absolute())
    check_name(layout.root)
    if not layout.marker.exists():
        raise LibraryError(
            f"no library at {layout.root}: make one with `media-pipeline run FOLDER --library "
            f"{display(str(folder))}`, or name another with --library"
        )
    if not layout.config.exists():
        write_config(layout, config_from_ledger(layout))
    config = read_config(layout)
    load_thresholds(config.thresholds)  # a mistake there shows now, not half-way through
    return _with_captions(Library(layout, config))


def _with_captions(library: Library) -> Library:
    """The same library, its stage `captions` reading what its captioner needs."""
    captioner = library.cards.get("captioner")  # a mistake in a card shows now, too
    is_composed = captioner is None or captioner.loader == "composed"
    inputs = recipe_book.COMPOSED_FROM if is_composed else ("thumbnails",)
    library.stages = recipe_book.with_captions_from(library.stages, inputs)
    return library
