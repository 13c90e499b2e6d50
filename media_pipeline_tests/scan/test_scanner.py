"""The scan against a real disk: what is new, moved, changed, gone, away, back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from media_pipeline.scan.batches import manifest_keys, manifest_path, read_manifest, restore_lost
from media_pipeline.scan.identity import identify
from media_pipeline.scan.ledger import Ledger
from media_pipeline.scan.rows import PathRow
from media_pipeline.scan.scanner import (
    LISTED,
    ScanJob,
    ScanReport,
    close_leftover,
    has_changes,
    scan,
)
from media_pipeline.scan.walk import look
from media_pipeline.settings import Root

JPEG_HEAD = b"\xff\xd8\xff\xe0"


def picture(path: Path, content: bytes | str = b"") -> Path:
    """A file that looks like a JPEG to a scan, with content of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content.encode() if isinstance(content, str) else content
    path.write_bytes(JPEG_HEAD + (text or path.name.encode()))
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.sqlite")
    yield made
    made.close()


@pytest.fixture
def job(ledger: Ledger, originals: Path, tmp_path: Path) -> ScanJob:
    root = Root("r0001", str(originals))
    return ScanJob(ledger, tmp_path / "batches", (root,), batch_size=4)


def rows(ledger: Ledger) -> dict[bytes, PathRow]:
    return {row.relative: row for row in ledger.paths()}


def test_equal_bytes_are_one_content(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg", "same")
    picture(originals / "b" / "c.jpg", "same")
    report = scan(job)
    assert (report.seen, report.read, report.new_contents) == (2, 2, 1)
    found = rows(job.ledger)
    assert found[b"a.jpg"].media_id == found[b"b/c.jpg"].media_id


def test_second_scan_reads_nothing_and_changes_nothing(job: ScanJob, originals: Path) -> None:
    for number in range(6):
        picture(originals / f"{number}.jpg")
    scan(job)
    before = job.ledger.generation
    report = scan(job)
    assert (report.seen, report.read, report.new_contents) == (6, 0, 0)
    assert job.ledger.generation == before


def test_full_batches_close_during_the_scan_and_the_rest_at_its_end(
    job: ScanJob, originals: Path
) -> None:
    for number in range(10):
        picture(originals / f"{number}.jpg")
    assert scan(job).batches == ["b000000", "b000001"]
    assert close_leftover(job.ledger, job.manifests, 4) == ["b000002"]
    assert job.ledger.batches() == {"b000000": 4, "b000001": 4, "b000002": 2}
    members = read_manifest(job.manifests, "b000000")
    assert [m.relative for m in members] == [b"0.jpg", b"1.jpg", b"2.jpg", b"3.jpg"]


def test_a_moved_tree_makes_no_new_content_and_nothing_missing(
    job: ScanJob, originals: Path
) -> None:
    for number in range(12):
        picture(originals / "old" / f"{number}.jpg")
    scan(job)
    (originals / "old").rename(originals / "new")
    report = scan(job)
    assert report.new_contents == 0
    assert (report.moved, report.missing) == (12, 0)
    assert report.offline == {}
    assert rows(job.ledger)[b"new/3.jpg"].presence == "present"


def test_a_file_edited_in_place_remembers_what_it_was(job: ScanJob, originals: Path) -> None:
    path = picture(originals / "a.jpg", "before")
    scan(job)
    before = rows(job.ledger)[b"a.jpg"].media_id
    picture(path, "after!")
    scan(job)
    row = rows(job.ledger)[b"a.jpg"]
    assert row.previous_media_id == before
    assert row.media_id != before


def test_a_deleted_file_is_missing_and_returns(job: ScanJob, originals: Path) -> None:
    path = picture(originals / "a.jpg")
    picture(originals / "b.jpg")
    scan(job)
    path.unlink()
    assert scan(job).missing == 1
    assert rows(job.ledger)[b"a.jpg"].presence == "missing"
    picture(path)
    assert scan(job).returned == 1
    assert rows(job.ledger)[b"a.jpg"].presence == "present"


def test_an_unreachable_root_is_offline_and_nothing_is_missing(
    job: ScanJob, originals: Path
) -> None:
    picture(originals / "a.jpg")
    scan(job)
    away = originals.rename(originals.with_name("away"))
    report = scan(job)
    assert report.missing == 0
    assert "cannot be listed" in report.offline["r0001"]
    assert rows(job.ledger)[b"a.jpg"].presence == "offline"
    away.rename(originals)
    back = scan(job)
    assert (back.returned, back.offline) == (1, {})
    assert rows(job.ledger)[b"a.jpg"].presence == "present"
    assert job.ledger.roots()[0][2] is None


def test_a_drive_that_returns_is_not_read_again(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    scan(job)
    away = originals.rename(originals.with_name("away"))
    scan(job)
    away.rename(originals)
    identity_before = rows(job.ledger)[b"a.jpg"].media_id
    (originals / "a.jpg").chmod(0o644)
    scan(job)
    assert rows(job.ledger)[b"a.jpg"].media_id == identity_before


def test_an_empty_mount_point_is_offline_not_deleted(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    scan(job)
    (originals / "a.jpg").unlink()
    report = scan(job)
    assert report.missing == 0
    assert "--accept-missing" in report.offline["r0001"]
    assert scan(job).offline.keys() == {"r0001"}
    assert rows(job.ledger)[b"a.jpg"].presence == "offline"


def test_mass_vanishing_is_offline_until_it_is_accepted(job: ScanJob, originals: Path) -> None:
    for number in range(30):
        picture(originals / f"{number:02}.jpg")
    scan(job)
    for number in range(25):
        (originals / f"{number:02}.jpg").unlink()
    report = scan(job)
    assert report.missing == 0
    assert "25 of 30 files vanished" in report.offline["r0001"]
    accepted = scan(replace(job, accept_missing=True))
    assert (accepted.missing, accepted.offline) == (25, {})


def test_a_tree_that_moved_during_a_scan_that_was_stopped_is_no_lost_drive(
    job: ScanJob, originals: Path
) -> None:
    for number in range(12):
        picture(originals / "z" / f"{number:02}.jpg")
    scan(job)
    (originals / "z").rename(originals / "a")
    stopped = replace(job, progress=lambda report: job.stop.set(), batch_size=1)
    scan(stopped)
    job.stop.clear()
    report = scan(job)
    assert (report.missing, report.offline) == (12, {})


def test_a_few_deletions_are_believed(job: ScanJob, originals: Path) -> None:
    for number in range(30):
        picture(originals / f"{number:02}.jpg")
    scan(job)
    for number in range(8):
        (originals / f"{number:02}.jpg").unlink()
    assert scan(job).missing == 8


def test_symlinks_fifos_and_other_files_are_skipped_by_a_rule(
    job: ScanJob, originals: Path
) -> None:
    picture(originals / "a.jpg")
    (originals / "loop").symlink_to(originals, target_is_directory=True)
    os.mkfifo(originals / "pipe.jpg")
    (originals / "note.txt").write_text("hello")
    (originals / "._a.jpg").write_bytes(JPEG_HEAD)
    (originals / "drawing.svg").write_text("<svg/>")
    (originals / "empty").touch()
    scan(job)
    reasons = {name: row.reason for name, row in rows(job.ledger).items() if row.state == "skipped"}
    assert reasons == {
        b"loop": "symlink",
        b"pipe.jpg": "not_a_regular_file",
        b"note.txt": "not_media",
        b"._a.jpg": "apple_double",
        b"drawing.svg": "unsupported_format",
        b"empty": "not_media",
    }


def test_a_picture_without_an_ending_is_found_by_its_content(job: ScanJob, originals: Path) -> None:
    picture(originals / "no_ending")
    assert scan(job).new_contents == 1


def test_empty_pictures_fail_at_the_scan(job: ScanJob, originals: Path) -> None:
    (originals / "empty.jpg").touch()
    scan(job)
    row = rows(job.ledger)[b"empty.jpg"]
    assert (row.state, row.reason, row.retryable) == ("failed", "empty_file", False)


def test_hard_links_are_read_once(job: ScanJob, originals: Path) -> None:
    path = picture(originals / "a.jpg")
    os.link(path, originals / "b.jpg")
    scan(job)
    found = rows(job.ledger)
    assert found[b"a.jpg"].inode == found[b"b.jpg"].inode
    assert found[b"a.jpg"].media_id == found[b"b.jpg"].media_id


def test_names_that_are_not_utf8_survive_the_manifest(job: ScanJob, originals: Path) -> None:
    name = b"caf\xe9\n\xf0\x9f\x8c\xb2.jpg"
    with open(os.path.join(os.fsencode(originals), name), "wb") as handle:
        handle.write(JPEG_HEAD)
    scan(job)
    close_leftover(job.ledger, job.manifests, 4)
    assert read_manifest(job.manifests, "b000000")[0].relative == name


def test_a_library_inside_a_root_is_not_entered(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    picture(originals / "library" / "thumbnails" / "t.jpg")
    (originals / "library" / ".media-library").touch()
    assert scan(job).seen == 1


def test_a_root_inside_a_root_is_scanned_once(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    picture(originals / "inner" / "b.jpg")
    roots = (*job.roots, Root("r0002", str(originals / "inner")))
    report = scan(replace(job, roots=roots))
    assert report.seen == 2
    assert {row.root_id for row in job.ledger.paths()} == {"r0001", "r0002"}


def test_scanning_below_a_folder_says_nothing_about_the_rest(job: ScanJob, originals: Path) -> None:
    picture(originals / "a" / "1.jpg")
    picture(originals / "b" / "2.jpg")
    scan(job)
    shutil.rmtree(originals / "b")
    report = scan(replace(job, below={"r0001": [b"a"]}))
    assert (report.seen, report.missing) == (1, 0)


def test_listed_files_are_looked_at_one_by_one(job: ScanJob, originals: Path) -> None:
    here = os.fsencode(picture(originals / "a.jpg")).lstrip(b"/")
    gone = os.fsencode(originals / "gone.jpg").lstrip(b"/")
    listed = replace(job, roots=(Root(LISTED, "/"),), below={LISTED: [here, gone]})
    assert scan(listed).seen == 2
    found = rows(job.ledger)
    assert found[here].media_id is not None
    assert (found[gone].state, found[gone].reason) == ("failed", "original_unavailable")


def test_an_unreadable_file_fails_and_keeps_what_is_known(
    job: ScanJob, originals: Path, is_root: bool
) -> None:
    if is_root:
        pytest.skip("file modes do not stop root")
    path = picture(originals / "a.jpg")
    scan(job)
    known = rows(job.ledger)[b"a.jpg"].media_id
    path.chmod(0)
    scan(job)
    assert rows(job.ledger)[b"a.jpg"].media_id == known
    other = picture(originals / "b.jpg")
    other.chmod(0)
    scan(job)
    assert rows(job.ledger)[b"b.jpg"].reason == "permission_denied"


def test_a_file_that_keeps_growing_is_recorded_as_such(
    originals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(originals / "a.jpg")
    entry = look(os.fsencode(path), b"a.jpg")
    real = os.fstat

    def growing(descriptor: int) -> os.stat_result:
        with open(path, "ab") as handle:
            handle.write(b"more")
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", growing)
    finding = identify(os.fsencode(originals), entry)
    assert (finding.state, finding.reason, finding.retryable) == ("failed", "growing", True)


def test_stop_ends_after_the_current_file_and_the_next_scan_goes_on(
    job: ScanJob, originals: Path
) -> None:
    for number in range(8):
        picture(originals / f"{number}.jpg")
    stopped = replace(job)
    stopped.stop.set()
    assert scan(stopped).stopped
    job.stop.clear()
    assert scan(job).new_contents == 8


def test_the_sensor_sees_changes_only_once_they_have_settled(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    assert not has_changes(job.ledger, job.roots, settle_s=60)
    assert has_changes(job.ledger, job.roots, settle_s=0)
    scan(job)
    assert not has_changes(job.ledger, job.roots, settle_s=0)
    (originals / "a.jpg").unlink()
    assert has_changes(job.ledger, job.roots, settle_s=60)


def test_a_lost_ledger_is_rebuilt_from_the_manifests(
    job: ScanJob, originals: Path, tmp_path: Path
) -> None:
    for number in range(6):
        picture(originals / f"{number}.jpg")
    scan(job)
    close_leftover(job.ledger, job.manifests, 4)
    fresh = Ledger(tmp_path / "fresh.sqlite")
    restore_lost(fresh, job.manifests, manifest_keys(job.manifests))
    assert [c.media_id for c in fresh.contents()] == [c.media_id for c in job.ledger.contents()]
    assert fresh.batches() == job.ledger.batches()
    report = scan(replace(job, ledger=fresh))
    assert (report.new_contents, report.batches) == (0, [])
    fresh.close()


def test_a_lost_manifest_is_written_again(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    scan(job)
    close_leftover(job.ledger, job.manifests, 4)
    path = manifest_path(job.manifests, "b000000")
    before = path.read_bytes()
    path.unlink()
    scan(job)
    assert path.read_bytes() == before


def test_progress_is_told_what_was_seen(job: ScanJob, originals: Path) -> None:
    picture(originals / "a.jpg")
    told: list[int] = []

    def tell(report: ScanReport) -> None:
        told.append(report.seen)

    scan(replace(job, progress=tell))
    assert told[-1] == 1


def test_what_cannot_be_read_does_not_keep_the_sensor_busy(job: ScanJob, originals: Path) -> None:
    (originals / "empty.jpg").touch()
    scan(job)
    row = rows(job.ledger)[b"empty.jpg"]
    with job.ledger.transaction():
        job.ledger.put_paths([replace(row, reason="permission_denied", retryable=True)])
    assert not has_changes(job.ledger, job.roots, settle_s=0)


def test_typescript_is_no_video(job: ScanJob, originals: Path) -> None:
    (originals / "index.ts").write_text("export const a = 1\n" * 300)
    scan(job)
    assert rows(job.ledger)[b"index.ts"].reason == "not_media"
