"""Calling the command line from tests: in this process where that will do, else as people do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from media_pipeline.cli import main
from media_pipeline.library.opened import Library, open_library

PROGRAM = Path(sys.executable).with_name("media-pipeline")


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def call(*arguments: str | Path) -> Answer:
    """Call `main` in this process, with the arguments of a command line."""
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(2))
    before, sys.argv = sys.argv, ["media-pipeline", *map(os.fspath, arguments)]
    code: Any = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    return Answer(int(code), _text(out), _text(err))


def _text(stream: TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, BytesIO)
    return buffer.getvalue().decode()


def spawn(*arguments: str | Path, prefix: tuple[str, ...] = ()) -> Answer:
    """Call the installed program in a process of its own."""
    command = [*prefix, PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=300)
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def succeeded(answer: Answer) -> Answer:
    """The same answer, when the command ended well."""
    assert answer.code == 0, answer.out + answer.err
    return answer


def refused(answer: Answer, *words: str, code: int = 1) -> Answer:
    """The same answer, when the command ended with one clear message that has these words."""
    assert answer.code == code, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    assert answer.err.count("error:") == 1, answer.err
    for word in words:
        assert word in answer.err, answer.err
    return answer


def status(library: Path) -> dict[str, Any]:
    """The library's status, whose states must add up."""
    found: dict[str, Any] = succeeded(call("status", "--json", "--library", library)).json
    states = (found[state] for state in ("ok", "degraded", "failed", "skipped"))
    assert sum(states) == found["files"]
    return found


def tables_of(library: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table as it is read now."""
    opened: Library = open_library(library)
    try:
        return {
            stage.name: (
                opened.read_stage(stage.name) if stage.per_batch else opened.read_whole(stage.name)
            ).to_pylist()
            for stage in opened.stages
            if stage.has_table
        }
    finally:
        opened.close()


def contents_below(folder: Path) -> dict[bytes, tuple[bytes | str | None, int]]:
    """What lies below a folder: each entry's bytes (or link target) and modification time."""
    found: dict[bytes, tuple[bytes | str | None, int]] = {}
    for place, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(place, name)
            stat = os.lstat(path)
            content: bytes | str | None = None
            if os.path.islink(path):
                content = os.fsdecode(os.readlink(path))
            elif os.path.isfile(path) and os.access(path, os.R_OK):
                with open(path, "rb") as handle:
                    content = handle.read()
            found[path] = (content, stat.st_mtime_ns)
    return found


def make_stale(opened: Library, stage: str) -> None:
    """Put the tables of a stage under an older recipe, as a later version would find them."""
    folder = opened.layout.tables / stage
    (folder / opened.recipes[stage]).rename(folder / "00000000")
    with opened.ledger.transaction():
        opened.ledger.set_active(stage, "00000000")
