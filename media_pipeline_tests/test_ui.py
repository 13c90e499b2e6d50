"""Dagster's UI in a real browser: the assets are found and one partition is materialised.

Needs a chromium on PATH, such as Debian's; `.ci/run` installs it. With MEDIA_TEST_SCREENSHOTS set
to a folder, what the browser sees is kept there.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright

from media_pipeline.instance import open_instance
from media_pipeline.library.opened import Library
from media_pipeline.recipes import STAGES
from media_pipeline_tests.running import PATIENCE_S, command, copy_of, eventually, session

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BOTH_GROUPS = "global%40global%3Aper_batch%2Cglobal%40global%3Awhole_library"


@dataclass
class Served:
    """A library whose UI is open in a browser.

    Attributes:
        library: The library.
        page: A page of the browser.
        address: Where the UI is.
        foreign: Addresses outside this machine that the page asked for.
        pictures: Where screenshots go.
    """

    library: Library
    page: Page
    address: str
    foreign: list[str]
    pictures: Path

    def open(self, path: str) -> Page:
        """Go to a page of the UI."""
        self.page.goto(self.address + path)
        return self.page

    def keep(self, name: str) -> None:
        """Keep what the browser shows."""
        self.page.screenshot(path=self.pictures / f"{name}.png")


WHOLE_GRAPH: ViewportSize = {"width": 2600, "height": 3600}
"""Large enough to hold every node: Dagster draws none that lies outside."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: install it (on Debian `apt-get install chromium`)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def served(
    browser: Browser, ran: Library, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("ui")
    pictures = Path(os.environ.get("MEDIA_TEST_SCREENSHOTS", folder))
    library = copy_of(ran, folder / "library")
    port = free_port()
    with (
        open(folder / "dev.log", "w") as log,
        session(command("dev", library, "--port", str(port)), log=log),
    ):
        eventually("the UI answers", lambda: answers(port))
        page = browser.new_page(viewport={"width": 1500, "height": 800})
        page.set_default_timeout(1000 * PATIENCE_S)
        served = Served(library, page, f"http://127.0.0.1:{port}", [], pictures)

        def guard(route: Route) -> None:
            if route.request.url.startswith((served.address, "data:", "blob:")):
                route.continue_()
            else:
                served.foreign.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        yield served
        page.close()
    library.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_graph_shows_every_asset_in_its_group(served: Served) -> None:
    served.page.set_viewport_size(WHOLE_GRAPH)
    page = served.open(f"/asset-groups/?expanded={BOTH_GROUPS}")
    for group in ("per_batch", "whole_library"):
        expect(page.get_by_text(group, exact=True).last).to_be_visible(timeout=60_000)
    for stage in STAGES:
        expect(page.get_by_text(stage.name, exact=True).last).to_be_visible(timeout=60_000)
    page.wait_for_timeout(2_000)  # the edges fade in
    served.keep("dagster-graph")


def test_an_asset_tells_what_it_holds(served: Served) -> None:
    thumbnails = next(stage for stage in STAGES if stage.name == "thumbnails")
    page = served.open("/assets/thumbnails")
    column = thumbnails.table.columns[0]
    for said in (thumbnails.meaning, "per_batch", "Parquet", column.name, column.meaning):
        expect(page.get_by_text(said).first).to_be_visible(timeout=60_000)
    served.keep("dagster-columns")


def test_one_partition_is_materialised_through_the_ui(served: Served) -> None:
    page = served.open("/assets/thumbnails?view=partitions&partition=b000001")
    expect(page.get_by_text("items_per_second")).to_be_visible(timeout=60_000)
    served.keep("dagster-asset")
    with open_instance(served.library) as instance:
        before = materialisations(instance)
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_role("button", name="Launch 1 run").click()
        eventually(
            "the run is over",
            lambda: len(materialisations(instance)) > len(before),
            pause=lambda: page.wait_for_timeout(500),  # the page's requests go on meanwhile
        )
        (made,) = [m for m in materialisations(instance) if m not in before]
        assert made.partition == "b000001"
        assert made.metadata["copied"].value == 4  # it was there; nothing is decoded again
    page = served.open("/assets/thumbnails?view=partitions&partition=b000001")
    expect(page.get_by_text("View all historical events (2)")).to_be_visible(timeout=60_000)
    served.keep("dagster-materialised")
    assert served.foreign == []


def materialisations(instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    records = instance.fetch_materializations(dg.AssetKey("thumbnails"), limit=100).records
    return [r.asset_materialization for r in records if r.asset_materialization is not None]
