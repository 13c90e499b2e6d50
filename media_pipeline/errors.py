"""Every error this program raises on purpose.

    MediaPipelineError
    ├── UsageError             the caller asked for something that does not exist
    │   ├── UnknownStage
    │   └── UnknownPath
    ├── LibraryError           the library cannot be used as it is
    │   ├── LibraryBusy        another command line run holds it
    │   ├── LibraryTooNew      written by a newer program
    │   ├── LibraryNotWritable
    │   ├── DiskFull
    │   └── CorruptLibraryFile one of our own files cannot be read
    ├── ModelError             a model cannot be had, or its device failed
    │   ├── MissingWeights     its files are not in the models folder
    │   ├── DamagedWeights     they are not what they should be
    │   ├── OutOfDeviceMemory  a batch was too large for the device
    │   └── ShapeError         a caller gave an array of another shape or dtype
    ├── MachineryFailed        a run ended without the states it promised
    ├── Interrupted            the user asked to stop; what is done is kept
    └── ItemError              one file's problem: becomes a row, never ends a run

Items fail as rows, assumptions fail as exceptions. Every message says what was wrong, the value,
what was expected and what to do.
"""

from __future__ import annotations

EXIT_INTERRUPTED = 130
"""Exit code of a command that was asked to stop: 128 + SIGINT, as shells have it."""


class MediaPipelineError(Exception):
    """Root of the tree: anything this program raises on purpose."""


class UsageError(MediaPipelineError):
    """The caller asked for something that does not exist or cannot be meant."""


class UnknownStage(UsageError):
    """A stage name that no table carries."""


class UnknownPath(UsageError):
    """A path that does not exist or is not part of the library."""


class LibraryError(MediaPipelineError):
    """The library folder cannot be used as it is."""


class LibraryBusy(LibraryError):
    """Another command line run works on this library."""


class LibraryTooNew(LibraryError):
    """The library was written by a newer program."""


class LibraryNotWritable(LibraryError):
    """The library folder, or something in it, cannot be written."""


class DiskFull(LibraryError):
    """No space is left where the library lives."""


class CorruptLibraryFile(LibraryError):
    """One of our own files cannot be read back."""


class ModelError(MediaPipelineError):
    """A model cannot be had, or the device it runs on failed."""


class MissingWeights(ModelError):
    """The files of a model are not in the models folder."""


class DamagedWeights(ModelError):
    """The files of a model are not what they should be."""


class OutOfDeviceMemory(ModelError):
    """A batch was too large for the memory of the device."""


class ShapeError(ModelError):
    """A caller gave an array of another shape or dtype than a model takes."""


class MachineryFailed(MediaPipelineError):
    """A run ended without giving every file its state."""


class Interrupted(MediaPipelineError):
    """The user asked to stop; finished items are kept."""


class ItemError(MediaPipelineError):
    """One file's problem, on its way to becoming a row.

    Args:
        reason: Short snake_case code, one of `schema.REASONS`.
        message: What was wrong, with the value.
        retryable: Whether trying again later could succeed without the bytes changing.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(reason, message, retryable)
        self.reason = reason
        self.message = message
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, tuple[str, str, bool]]:
        # Workers send these home by pickle, which knows nothing of keyword-only arguments.
        return (_item_error, (self.reason, self.message, self.retryable))

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def _item_error(reason: str, message: str, retryable: bool) -> ItemError:
    return ItemError(reason, message, retryable=retryable)
