"""Same picture: groups without chains, found through an index that equals comparing all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from media_pipeline.errors import UsageError
from media_pipeline.imaging.geometry import luma, shrunk_to, upright
from media_pipeline.imaging.hashing import dihedral_hashes, signature
from media_pipeline.judging.duplicates import Member, differences, group_same_picture
from media_pipeline.judging.hash_index import near_pairs
from media_pipeline.recipes import stage

LIMITS = stage("duplicates").parameters
BITS, DIFFERENCE = LIMITS["max_distance_bits"], LIMITS["max_difference"]

Looks = dict[str, tuple[list[int], np.ndarray]]


def look(rgb: np.ndarray) -> tuple[list[int], np.ndarray]:
    small = shrunk_to(np.ascontiguousarray(rgb), 512)
    gray = luma(small) if small.ndim == 3 else small
    return dihedral_hashes(gray), np.frombuffer(signature(gray), dtype=np.uint8)


def group(looks: Looks, sizes: list[int] | None = None) -> list[Member]:
    variants = np.array([hashes for hashes, _ in looks.values()], dtype=np.uint64)
    signatures = np.array([pixels for _, pixels in looks.values()])
    return group_same_picture(
        list(looks),
        variants[:, 0],
        variants,
        signatures,
        np.array(sizes or [1] * len(looks)),
        BITS,
        DIFFERENCE,
    )


def groups_of(members: list[Member]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for member in members:
        found.setdefault(member.centre, set()).add(member.media_id)
    return found


def photo(name: str) -> np.ndarray:
    return np.asarray(getattr(skimage.data, name)())


def random_hashes(count: int, seed: int = 0) -> np.ndarray:
    """Random hashes, a quarter of them within 8 bits of another one, some equal."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    for i in range(count // 4):
        for bit in rng.choice(64, rng.integers(0, 9), replace=False):
            hashes[-1 - i] = hashes[i] ^ (np.uint64(1) << np.uint64(bit))
            hashes[i] = hashes[-1 - i]
    hashes[: count // 50] = hashes[0]
    return hashes


@pytest.mark.parametrize("limit", [0, 1, 3, 6])
def test_the_index_finds_exactly_the_pairs_that_comparing_all_finds(limit: int) -> None:
    hashes = random_hashes(2000)
    variants = np.stack([np.roll(hashes, shift) for shift in (0, 700, 1400)], axis=1)
    pairs = near_pairs(hashes, variants, limit)
    distances = np.bitwise_count(variants[:, :, np.newaxis] ^ hashes)
    rows, variant, found = np.nonzero(distances <= limit)
    expected = sorted(zip(rows, found, variant, strict=True))
    columns = (pairs.query, pairs.found, pairs.variant)
    assert list(zip(*columns, strict=True)) == expected
    assert (
        pairs.distance_bits == distances[rows, variant, found][_order(rows, found, variant)]
    ).all()


def _order(rows: np.ndarray, found: np.ndarray, variant: np.ndarray) -> np.ndarray:
    return np.lexsort((variant, found, rows))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30), st.integers(0, 6))
def test_the_index_equals_all_pairs_for_any_hashes(values: list[int], limit: int) -> None:
    near = [value ^ 0b1010101 for value in values]
    hashes = np.array(values + near, dtype=np.uint64)
    pairs = near_pairs(hashes, hashes[:, np.newaxis], limit)
    expected = np.bitwise_count(hashes[:, np.newaxis] ^ hashes) <= limit
    assert (np.argwhere(expected) == np.stack([pairs.query, pairs.found], axis=1)).all()


def test_limits_beyond_the_index_are_refused() -> None:
    hashes = random_hashes(10)
    with pytest.raises(UsageError, match="max_distance_bits is 7: the index finds 0 to 6"):
        near_pairs(hashes, hashes[:, np.newaxis], 7)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_flips_and_rotations_are_the_same_picture_with_their_orientation(orientation: int) -> None:
    rgb = photo("chelsea")
    turned = np.ascontiguousarray(upright(rgb, orientation))
    members = group({"centre": look(rgb), "turned": look(turned), "other": look(photo("coffee"))})
    assert groups_of(members) == {"centre": {"centre", "turned"}}
    assert members[1].transform == orientation
    assert members[1].difference < 2
    assert members[0] == Member("centre", "centre", 0, 0.0, 1)


def test_grey_smaller_and_darker_copies_are_the_same_picture() -> None:
    rgb = photo("astronaut")
    copies = {
        "centre": rgb,
        "grey": luma(rgb),
        "half": shrunk_to(rgb, 256),
        "gamma": np.rint(255 * (rgb / 255) ** 1.15).astype(np.uint8),
    }
    members = group({name: look(pixels) for name, pixels in copies.items()}, [9, 1, 2, 3])
    assert groups_of(members) == {"centre": set(copies)}


def test_a_stereo_pair_is_two_pictures() -> None:
    left, right, _ = skimage.data.stereo_motorcycle()
    assert group({"left": look(left), "right": look(right)}) == []


def test_different_photographs_are_in_no_group() -> None:
    names = ("astronaut", "chelsea", "coffee", "rocket", "camera", "page", "brick", "grass", "moon")
    assert group({name: look(photo(name)) for name in names}) == []


def test_blank_pages_and_black_frames_do_not_all_group() -> None:
    rng = np.random.default_rng(0)
    blanks = {
        f"blank{i}": look(u8(rng.normal(level, 1.5, (300, 200))))
        for i, level in enumerate((2, 3, 128, 250, 251, 252))
    }
    assert group(blanks) == []
    assert groups_of(group({**blanks, "copy of 3": blanks["blank3"]})) == {
        "blank3": {"blank3", "copy of 3"}
    }


def u8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def test_the_largest_is_the_centre_and_the_smallest_name_among_equals() -> None:
    same = look(photo("coffee"))
    looks = {"c": same, "a": same, "b": same}
    assert {member.centre for member in group(looks, [5, 5, 9])} == {"b"}
    assert {member.centre for member in group(looks, [5, 5, 5])} == {"a"}


def test_too_few_pictures_and_columns_that_disagree() -> None:
    assert group({"alone": look(photo("coffee"))}) == []
    hashes = random_hashes(3)
    with pytest.raises(UsageError, match="columns of different length"):
        group_same_picture(
            ["a", "b"], hashes, hashes[:, np.newaxis], np.zeros((3, 256)), hashes, 6, 8
        )


@st.composite
def chains(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures that drift: each a few bits and grey levels from the one before."""
    count = draw(st.integers(2, 25))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (count, 8), dtype=np.uint64)
    signatures = rng.integers(0, 256, (count, 256), dtype=np.int64)
    for i in range(1, count):
        if rng.random() < 0.9:
            flips = rng.choice(64, rng.integers(0, 5), replace=False).astype(np.uint64)
            hashes[i] = hashes[i - 1] ^ np.bitwise_or.reduce(np.uint64(1) << flips, initial=0)
            signatures[i] = signatures[i - 1] + rng.integers(-6, 7, 256)
    return hashes, np.clip(signatures, 0, 255).astype(np.uint8), rng.integers(1, 4, count)


@settings(max_examples=25, deadline=None)
@given(chains(), st.integers(0, 2**32 - 1))
def test_groups_never_chain_and_do_not_depend_on_the_order_of_input(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> None:
    variants, signatures, sizes = drawn
    names = [f"{i:02d}" for i in range(len(variants))]
    members = group_same_picture(names, variants[:, 0], variants, signatures, sizes, 6, 8.0)
    assert len({member.media_id for member in members}) == len(members)
    place = {name: i for i, name in enumerate(names)}
    for member in members:
        centre, other = place[member.centre], place[member.media_id]
        turned = variants[centre, member.transform - 1]
        distance = int(turned ^ variants[other, 0]).bit_count()
        transform = np.array([member.transform - 1])
        apart = differences(
            signatures[centre], signatures[[other]], transform, np.array([distance])
        )
        if centre != other:
            assert member.distance_bits == distance <= 6
            assert member.difference == pytest.approx(float(apart[0]))
            assert apart[0] <= 8.0
            assert sizes[centre] >= sizes[other]
    order = np.random.default_rng(seed).permutation(len(names))
    shuffled = group_same_picture(
        [names[i] for i in order],
        variants[order, 0],
        variants[order],
        signatures[order],
        sizes[order],
        6,
        8.0,
    )
    assert shuffled == members


def test_a_drift_of_many_small_steps_is_cut_at_the_limit_of_the_centre() -> None:
    base = np.random.default_rng(0).integers(0, 2**64, 8, dtype=np.uint64)
    steps = [base ^ np.uint64((1 << 2 * i) - 1) for i in range(10)]  # 2 bits more each time
    picture = np.random.default_rng(1).integers(0, 256, 256).astype(np.uint8)
    looks = {f"{i}": (list(map(int, step)), picture) for i, step in enumerate(steps)}
    found = groups_of(group(looks))
    assert found == {"0": set("0123"), "4": set("4567"), "8": set("89")}
    for one, other in itertools.combinations(found.values(), 2):
        assert not one & other


def test_differences_forgive_brightness_and_contrast_but_not_content() -> None:
    rng = np.random.default_rng(0)
    centre = rng.integers(40, 120, 256).astype(np.uint8)
    others = np.stack([centre, centre + 50, (centre - 40) * 2, rng.permutation(centre)])
    apart = differences(centre, others, np.zeros(4, dtype=int), np.zeros(4, dtype=int))
    assert apart[:3] == pytest.approx([0, 0, 0], abs=0.01)
    assert apart[3] > 40
