"""What the documents say is true: commands, options, targets, files, columns and links exist.

README.md carries two kinds of fenced block that are read here: `console` blocks, whose lines
beginning with `$` are commands, and one file tree, the block with a line `media_pipeline/`. In the
tree every line is one path (folders end with `/`), indented below its folder, and what follows the
path is a comment.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from media_pipeline.schema import TABLES
from scripts.tables_doc import DESTINATION, document

REPOSITORY = Path(__file__).parent.parent
README = REPOSITORY / "README.md"
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in REPOSITORY.glob(pattern)
)
MADE_ON_FIRST_USE = {"data"}

FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)")
TREE_LINE = re.compile(r"^(?P<indent>[\s│├└─]*)(?P<name>[^\s│├└─]\S*)")
MAKE_TARGET = re.compile(r"^([a-z]+):.*##", re.MULTILINE)


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix()
)
def test_links_to_files_and_headings_resolve(path: Path) -> None:
    assert [target for target in _links(path) if not _resolves(path, target)] == []


def test_every_command_in_the_readme_parses() -> None:
    from media_pipeline.cli import app

    commands = [words for words in _commands(README) if words[0] == "media-pipeline"]
    assert commands, "README.md shows no `$ media-pipeline ...` in a console block"
    for words in commands:
        _parse(app, words[1:])


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(MAKE_TARGET.findall((REPOSITORY / "Makefile").read_text(encoding="utf-8")))
    named = {name for path in DOCUMENTS for name in _make_targets(path)}
    assert {"demo", "test"} <= named
    assert named <= targets


def test_every_path_in_the_readme_tree_exists() -> None:
    listed = _tree(README.read_text(encoding="utf-8"))
    wrong = [name for name in listed if not _is_there(name)]
    assert wrong == []


def test_the_readme_tree_lists_every_module_at_the_top_of_the_package() -> None:
    listed = {name.rstrip("/") for name in _tree(README.read_text(encoding="utf-8"))}
    package = REPOSITORY / "media_pipeline"
    modules = {path for path in package.glob("*.py") if not path.name.startswith("__")}
    rooms = {path.parent for path in package.glob("*/*.py")}
    on_disk = {path.relative_to(REPOSITORY).as_posix() for path in modules | rooms}
    assert on_disk - listed == set()


def test_the_tables_document_is_what_the_schema_says() -> None:
    written = DESTINATION.read_text(encoding="utf-8")
    assert written == document(), "run `make docs`"
    assert all(f"| `{c.name}`" in written for t in TABLES.values() for c in t.columns)


def test_a_tree_is_read_with_either_kind_of_indentation() -> None:
    plain = (
        "```text\nmedia_pipeline/   code\n  scan/    walk\n    walk.py\n  paths.py   names\n```\n"
    )
    drawn = "```\nmedia_pipeline/\n├── scan/   walk\n│   └── walk.py\n└── paths.py   names\n```\n"
    expected = [
        "media_pipeline/",
        "media_pipeline/scan/",
        "media_pipeline/scan/walk.py",
        "media_pipeline/paths.py",
    ]
    assert _tree(plain) == expected
    assert _tree(drawn) == expected


def test_a_command_that_does_not_exist_is_noticed() -> None:
    app = typer.Typer()

    @app.command()
    def run(paths: list[str], form: Literal["csv", "json"] = "csv") -> None: ...

    @app.command()
    def scan(count: int = 0) -> None: ...

    for words in (["run", "here", "there", "--form", "json"], ["scan", "--help"], ["--help"]):
        _parse(app, words)
    wrong = (["ran"], ["run"], ["run", "x", "--from", "csv"], ["run", "x", "--form", "xml"])
    for words in (*wrong, ["scan", "x"], []):
        with pytest.raises(ValueError, match="not a command"):
            _parse(app, words)


def _links(path: Path) -> list[str]:
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    targets = [match["target"] for match in LINK.finditer(prose)]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def _resolves(path: Path, target: str) -> bool:
    name, _, heading = target.partition("#")
    file = (path.parent / name) if name else path
    if not file.exists():
        return False
    return not heading or file.suffix != ".md" or heading in _headings(file)


def _headings(path: Path) -> set[str]:
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    return {_anchor(line) for line in re.findall(r"^#+ +(.*)$", prose, re.MULTILINE)}


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = (c for c in heading.strip().lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def _commands(path: Path) -> Iterator[list[str]]:
    """The commands of a document's console blocks, as words, without what they are piped into."""
    for block in FENCE.finditer(path.read_text(encoding="utf-8")):
        if block["language"].strip() == "console":
            for line in re.findall(r"^\$ (.*)$", block["text"], re.MULTILINE):
                yield from _split(line)


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;<>()"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"[A-Z_]+=", word):
            words.append(word)


def _make_targets(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    typed = {words[1] for words in _commands(path) if words[0] == "make" and len(words) > 1}
    return typed | set(re.findall(r"`make ([a-z]+)", text))


def _parse(app: typer.Typer, words: list[str]) -> None:
    """Parse words as the command line would, without running anything.

    Raises:
        ValueError: No such command, option or choice, or too few or too many arguments.
    """
    command, rest = typer.main.get_command(app), list(words)
    try:
        while isinstance(command, TyperGroup):
            parser = command.make_parser(command.context_class(command))
            options, rest, _ = parser.parse_args(rest)
            if options.get("help"):
                return
            name = rest.pop(0) if rest else ""
            if name not in command.commands:
                raise ValueError(f"not a command: {words}: expected one of {[*command.commands]}")
            command = command.commands[name]
        command.make_context(command.name, rest)
    except typer.Exit:  # --help and its like end here
        return
    except TyperException as error:
        raise ValueError(f"not a command: {words}: {error}") from error


def _tree(text: str) -> list[str]:
    """The paths of the file tree, relative to the repository."""
    blocks = [block["text"] for block in FENCE.finditer(text)]
    trees = [block for block in blocks if re.search(r"^media_pipeline/", block, re.MULTILINE)]
    assert len(trees) == 1, "README.md needs one fenced file tree with a line `media_pipeline/`"
    paths: list[str] = []
    above: list[tuple[int, str]] = []
    for line in trees[0].splitlines():
        match = TREE_LINE.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        above = [(depth, folder) for depth, folder in above if depth < indent]
        path = (above[-1][1] if above else "") + match["name"]
        paths.append(path)
        if path.endswith("/"):
            above.append((indent, path))
    return paths


def _is_there(name: str) -> bool:
    path = REPOSITORY / name
    if name.rstrip("/") in MADE_ON_FIRST_USE:
        return True
    return path.is_dir() if name.endswith("/") else path.is_file()
