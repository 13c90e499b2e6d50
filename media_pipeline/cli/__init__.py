"""The command line: one command per thing a person does.

Nothing heavy is imported here; every command imports what it needs when it runs, so that
`media-pipeline --help` answers at once.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from media_pipeline.cli import commands, models, words
from media_pipeline.cli.shared import EXIT_FAILED, complain
from media_pipeline.errors import EXIT_INTERRUPTED, Interrupted, MediaPipelineError

app = typer.Typer(
    name="media-pipeline",
    help="A folder of mixed photos and videos becomes a searchable, explained library.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(commands.app)
app.add_typer(words.app)
app.add_typer(models.app)


def main() -> None:
    """Run the command line; errors of ours become one message and an exit code."""
    import warnings

    warnings.filterwarnings("ignore", message=".*is currently in beta.*")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Interrupted as error:
        complain(str(error), "yellow")
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except MediaPipelineError as error:
        complain(f"error: {error}", "red")
        sys.exit(EXIT_FAILED)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or 'no file named'}"
        complain(f"error: the operating system says {what}; check the path and try again", "red")
        sys.exit(EXIT_FAILED)
