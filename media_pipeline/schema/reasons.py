"""Every reason a row can carry."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    # skipped, by which rule
    "not_media": "neither the name nor the first bytes say photo or video",
    "not_a_regular_file": "a FIFO, socket, device or something else that is not a file of bytes",
    "symlink": "symbolic links are not followed",
    "apple_double": "a `._` file: macOS resource data, not the picture",
    "unsupported_format": "a picture or video format this program does not read",
    "forgotten": "the user asked for everything made from it to be removed (`forget`)",
    # skipped by a stage: no model was asked
    "not_evaluated": "the profile in use has no model for it",
    # failed before anything could be read
    "permission_denied": "the operating system refuses to open it",
    "name_too_long": "the path is longer than the operating system accepts",
    "empty_file": "zero bytes",
    "growing": "the file changed while it was being read",
    "original_unavailable": "the file is gone or its drive is away",
    "original_changed": "the file is no longer what was scanned; the next scan takes it up",
    "io_error": "the disk or network reported an error",
    # failed while decoding
    "unrecognised_format": "the bytes are no format this program knows, whatever the name says",
    "too_many_pixels": "decoding would take more memory than a worker may use",
    "truncated": "the data ends early; what was there is used",
    "damaged": "the data contradicts itself; what could be decoded is used",
    "undecodable": "nothing could be decoded",
    "no_video_track": "a container without pictures",
    "encrypted": "the content is encrypted",
    "no_frame": "no frame could be decoded",
    # failed in the sandbox
    "out_of_memory": "decoding needed more memory than a worker may use",
    "cpu_limit": "decoding took more CPU time than a file may use",
    "timeout": "decoding took longer than a file may take",
    "worker_crashed": "the decoder crashed (signal)",
    "worker_killed": "the worker was killed from outside, most often for memory",
    "worker_exited": "the worker ended by itself",
    "internal_error": "an error of this program; please report it",
    # failed because something before failed
    "input_failed": "an earlier stage has no usable row for it",
    # failed in a model
    "no_caption": "the captioning model gave no words",
    "non_finite": "the model's answer holds numbers that are not finite",
    "thumbnail_missing": "the thumbnail is not where it should be",
}
"""Every reason a row can carry, and what it means to a person."""
