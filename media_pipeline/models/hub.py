"""The model hub: what a card's repository holds, and bringing it here.

Only this module knows `huggingface_hub`. Nothing here decides whether what came is right; `store`
does, and puts it into place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from media_pipeline.errors import DamagedWeights, MissingWeights, UsageError
from media_pipeline.models.cards import ModelCard

Report = Callable[[int, int], None]
"""Told now and then how many bytes of how many are here."""

LOOK_EVERY_S = 0.25


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    Attributes:
        size_bytes: As the hub says.
        sha256: As the hub says; `None` for small files, of which it keeps none.
    """

    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class HubFiles:
    """What there is to fetch for a card.

    Attributes:
        revision: The commit, 40 hex digits.
        files: Name in the repository to size and checksum; only those the card asks for.
    """

    revision: str
    files: dict[str, HubFile]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files.values())


def look_up(card: ModelCard, revision: str, endpoint: str | None = None) -> HubFiles:
    """Ask the hub which files of a card there are.

    Args:
        card: The card.
        revision: Branch, tag or commit.
        endpoint: Address of the hub; `None` takes HF_ENDPOINT, else huggingface.co.

    Raises:
        MissingWeights: The hub cannot be reached, or has no such repository or revision.
        DamagedWeights: The repository lacks a file that the card asks for, or names one that would
            lie elsewhere.
        UsageError: The card's repository is not `owner/name`.
    """
    hub = _library()
    with _explained(card):
        api = hub.HfApi(endpoint=endpoint)
        info = api.model_info(card.repository, revision=revision, files_metadata=True)
    files = {
        one.rfilename: HubFile(one.size or 0, one.lfs.sha256 if one.lfs else None)
        for one in info.siblings or []
        if any(fnmatch(one.rfilename, pattern) for pattern in card.files)
    }
    outside = [name for name in files if name.startswith("/") or ".." in name.split("/")]
    if outside:
        raise DamagedWeights(
            f"{card.id}: {card.repository} names a file {outside[0]!r}; not fetched"
        )
    for pattern in card.files:
        if not any(fnmatch(name, pattern) for name in files):
            raise DamagedWeights(
                f"{card.id}: {card.repository} at {revision} holds no file {pattern!r}: correct "
                "`files` or `revision` of the card"
            )
    return HubFiles(str(info.sha), files)


def bring(
    card: ModelCard, wanted: HubFiles, folder: Path, report: Report, endpoint: str | None = None
) -> None:
    """Download files into a folder; those that lie there whole from an earlier try stay.

    Args:
        card: The card.
        wanted: What `look_up` found.
        folder: Where to; made if need be. What else lies there is left.
        report: Told how far it is.
        endpoint: As in `look_up`.

    Raises:
        MissingWeights: The hub cannot be reached any more.
    """
    hub = _library()
    folder.mkdir(parents=True, exist_ok=True)
    with _explained(card), _watched(folder, wanted.size_bytes, report):
        hub.snapshot_download(
            card.repository,
            revision=wanted.revision,
            allow_patterns=sorted(wanted.files),
            local_dir=folder,
            endpoint=endpoint,
            tqdm_class=_silent_bar(),
        )


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UsageError(
            "fetching models needs the package huggingface_hub, which is not installed: "
            "`make models` in the checkout, or `pip install 'media-pipeline[models]'`"
        ) from error
    return huggingface_hub


def _silent_bar() -> Any:
    """A progress bar that draws nothing: progress is told by what lies on the disk."""

    class Silent(_library().utils.tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})

    return Silent


@contextmanager
def _watched(folder: Path, total: int, report: Report) -> Iterator[None]:
    """Report how much of a folder is there, until the work inside is done."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY_S):
            report(min(_size_of(folder), total), total)

    thread = threading.Thread(target=look, name="fetch-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    report(total, total)


def _size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # a temporary file that was just renamed
            continue
    return size


@contextmanager
def _explained(card: ModelCard) -> Iterator[None]:
    """Turn every way in which the hub cannot be had into one message with its remedy."""
    from huggingface_hub import errors

    transport = vars(errors)["HTTPError"]  # httpx's, or httpx2's from version 2 on
    where = f"{card.repository} (model {card.id!r})"
    log = logging.getLogger("huggingface_hub")  # it tells of every try; we say how it ended
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(
            f"the card {card.id!r} has the repository {card.repository!r}: it must be owner/name"
        ) from error
    except errors.GatedRepoError as error:
        raise MissingWeights(
            f"{where} is given out after its licence was accepted: do that at {_page(card)}, then "
            "log in with `hf auth login` and fetch again"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise MissingWeights(
            f"the model hub has no {where} at {card.revision!r}: correct `repository` or "
            "`revision` of the card, or log in with `hf auth login` if it is private"
        ) from error
    except (
        transport,
        errors.OfflineModeIsEnabled,
        errors.EntryNotFoundError,
        RuntimeError,  # hf_xet, which brings large files, has nothing more precise
    ) as error:
        raise MissingWeights(
            f"cannot fetch {where}: {_reason(error)}. Fetch it on a machine with a network "
            f"(`media-pipeline models fetch {card.id}`) and copy the folder {card.id!r} of its "
            "models folder into the one here"
        ) from error
    finally:
        log.setLevel(level)


def _page(card: ModelCard) -> str:
    return card.homepage or f"https://huggingface.co/{card.repository}"


def _reason(error: BaseException) -> str:
    if "offline" in type(error).__name__.lower() or "offline mode" in str(error):
        return "offline mode is on (HF_HUB_OFFLINE)"
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"the model hub does not answer as it should ({first})"
