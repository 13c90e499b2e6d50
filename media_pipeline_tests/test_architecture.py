"""The rules of the house: where imports go, what an import does, how large things grow."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "media_pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
OUR_CODE = sorted(
    path
    for folder in ("media_pipeline", "media_pipeline_tests", "benchmarks", "scripts")
    for path in (REPOSITORY / folder).rglob("*.py")
)

LONGEST_FUNCTION_LINES = 60
LONGEST_FILE_LINES = 400
HEAVY = {"dagster", "cv2", "av", "pyarrow", "pandas", "torch", "scipy", "skimage"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
BROAD_EXCEPTS = {
    "imaging/worker.py": "the one place that turns whatever a decoder raises into a row",
}
ENVIRONMENT_READERS = {
    "settings.py": "the one module that reads the environment",
    "imaging/sandbox.py": "tells its workers to use one thread, and puts back what was there",
}


def test_imports_point_one_way() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = _run(str(lint_imports), "--no-cache", "--no-logo", cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from media_pipeline.cli import main\n"
        "sys.argv = ['media-pipeline', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"sys.exit(' '.join({HEAVY!r} & sys.modules.keys()) or 0)\n"
    )
    done = _run(sys.executable, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, f"imported by --help: {done.stderr}"
    assert "Usage" in done.stdout


def test_importing_every_module_prints_nothing_and_makes_no_file(tmp_path: Path) -> None:
    program = (
        "import importlib, pkgutil, media_pipeline\n"
        "for module in pkgutil.walk_packages(media_pipeline.__path__, 'media_pipeline.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
    )
    done = _run(sys.executable, "-B", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert list(tmp_path.rglob("*")) == []


def test_only_settings_read_the_environment() -> None:
    names = {"environ", "environb", "getenv", "getenvb"}
    readers = {
        _inside(path)
        for path, node in _nodes(MODULES)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
    }
    assert readers <= ENVIRONMENT_READERS.keys()


def test_only_the_allowed_places_catch_everything() -> None:
    catchers = {
        _inside(path)
        for path, node in _nodes(MODULES)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
    }
    assert catchers <= BROAD_EXCEPTS.keys()


def test_only_the_command_line_prints() -> None:
    printers = {
        _inside(path)
        for path, node in _nodes(MODULES)
        if isinstance(node, ast.Call) and _name(node.func) == "print"
    }
    assert printers <= {"cli/shared.py"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [_inside(path) for path in PACKAGE.rglob("*") if path.stem in VAGUE_NAMES]


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}": _lines(node)
        for path, node in _nodes(OUR_CODE)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _lines(node) > LONGEST_FUNCTION_LINES
    }
    assert not long


def test_no_file_is_a_crowded_room() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in OUR_CODE}
    assert not {str(path): count for path, count in lines.items() if count > LONGEST_FILE_LINES}


def test_dagster_accepts_the_instance_file_that_ships(tmp_path: Path) -> None:
    import dagster as dg

    shipped = PACKAGE / "dagster.yaml"
    (tmp_path / "dagster.yaml").write_bytes(shipped.read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
    assert (REPOSITORY / "dagster.yaml").resolve() == shipped


def test_the_rules_see_what_they_forbid() -> None:
    swallowed = "try:\n    pass\nexcept (ValueError, Exception):\n    pass\n"
    cleaned_up = "try:\n    pass\nexcept BaseException:\n    raise\n"
    narrow = "try:\n    pass\nexcept ValueError:\n    pass\n"
    handlers = [_handler(text) for text in (swallowed, cleaned_up, narrow)]
    assert [_is_broad(one) for one in handlers] == [True, True, False]
    assert [_raises_again(one) for one in handlers] == [False, True, False]


@pytest.mark.parametrize("rule", [BROAD_EXCEPTS, ENVIRONMENT_READERS], ids=["excepts", "readers"])
def test_every_exception_to_a_rule_is_about_a_file_that_exists(rule: dict[str, str]) -> None:
    assert not [name for name in rule if not (PACKAGE / name).is_file()]


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("DAGSTER_HOME", None)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def _nodes(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            yield path, node


def _inside(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _name(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or _name(one) in ("Exception", "BaseException") for one in caught)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _handler(text: str) -> ast.ExceptHandler:
    statement = ast.parse(text).body[0]
    assert isinstance(statement, ast.Try)
    return statement.handlers[0]
