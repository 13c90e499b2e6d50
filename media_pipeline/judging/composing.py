"""Composed captions: a sentence made from recorded facts, and the list of facts it was made from.

No model writes it and no pixel is looked at. A sentence says less rather than more than is known:
see `judging.facts` for what counts as a fact.

    A photo of a person, taken in Houston, United States, on a March morning in 2019.
    A dark 12-second video of two people and a cat, labelled party and cake.
    A black-and-white photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from media_pipeline.judging.facts import Facts, Moment, Seen, facts_of
from media_pipeline.judging.grammar import article, counted, listed
from media_pipeline.judging.places import Place

__all__ = ["Facts", "compose", "facts_of"]

MOST_CHARACTERS = 200

GROUP = 5
"""So many people are a group: a detector's count of more is none."""

VERBS = {"photo": "taken", "video": "recorded"}
"""How a kind comes about."""

LONGEST_S = 100 * 3600.0
"""A longer duration is a header that lies."""

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def compose(facts: Facts) -> tuple[str, list[str]]:
    """One sentence, and the facts in it in words with where they come from.

    Where the sentence would be longer than 200 characters, labels go first, then animals, then the
    place; what is not said is not listed either.

    Args:
        facts: What is known.

    Returns:
        The sentence: one line, a capital first and a full stop last. The facts, such as
        `people: 2 faces (opencv-people-cats, probability 0.97)`.
    """
    for said in _ever_shorter(facts):
        sentence = _sentence(said)
        if len(sentence) <= MOST_CHARACTERS:
            break
    return sentence, _told(said)


def _ever_shorter(facts: Facts) -> Iterator[Facts]:
    yield facts
    for count in reversed(range(len(facts.labels))):
        yield replace(facts, labels=facts.labels[:count])
    for count in reversed(range(len(facts.animals))):
        yield replace(facts, labels=(), animals=facts.animals[:count])
    yield replace(facts, labels=(), animals=(), place=None)


def _sentence(facts: Facts) -> str:
    what = [*_adjectives(facts), facts.kind]
    sentence = f"{article(what[0])} {' '.join(what)}"
    if seen := _beings(facts):
        sentence += f" of {listed(seen)}"
    if facts.labels:
        sentence += (
            "," if seen else ""
        ) + f" labelled {listed([one.name for one in facts.labels])}"
    where_and_when = ", ".join(_where(facts.place) + _when(facts.moment))
    if where_and_when:
        separator = ", " if seen or facts.labels else " "
        sentence += f"{separator}{_verb(facts)} {where_and_when}"
    return sentence[0].upper() + sentence[1:] + "."


def _verb(facts: Facts) -> str:
    """A picture was taken where a place or the time of the shutter is recorded, else made."""
    shutter = facts.moment is not None and facts.moment.source == "exif_original"
    is_taken = facts.kind == "picture" and (shutter or facts.place is not None)
    return "taken" if is_taken else VERBS.get(facts.kind, "made")


def _adjectives(facts: Facts) -> list[str]:
    words = [look.word for look in facts.looks]
    words += [facts.shape] if facts.shape else []
    return words + ([length] if (length := _length(facts.duration_s)) else [])


def _length(duration_s: float | None) -> str:
    """Such as `12-second`; empty where there is none that can be believed."""
    if duration_s is None or not 0.5 <= duration_s <= LONGEST_S:
        return ""
    for unit, seconds in (("second", 1), ("minute", 60), ("hour", 3600)):
        count = max(1, round(duration_s / seconds))
        if count < 100 or unit == "hour":
            break
    return f"{count}-{unit}"


def _beings(facts: Facts) -> list[str]:
    people = [_people(facts.people)] if facts.people else []
    return people + [counted(seen.kind, seen.count) for seen in facts.animals]


def _people(people: Seen) -> str:
    return "a group of people" if people.count >= GROUP else counted("person", people.count)


def _where(place: Place | None) -> list[str]:
    if place is None:
        return []
    names = [place.city] if place.country in ("", place.city) else [place.city, place.country]
    return [f"{'in' if place.is_inside else 'near'} {', '.join(names)}"]


def _when(moment: Moment | None) -> list[str]:
    if moment is None:
        return []
    if moment.month is None:
        return [f"in {moment.year}"]
    month = MONTHS[moment.month - 1]
    if moment.part_of_day is None:
        return [f"in {month} {moment.year}"]
    return [f"on {article(month)} {month} {moment.part_of_day} in {moment.year}"]


def _told(facts: Facts) -> list[str]:
    """Every fact of a sentence."""
    told = [f"kind: {facts.kind}" + (f" (metadata, {facts.format})" if facts.format else "")]
    told += [f"look: {look.word} (quality, {look.evidence})" for look in facts.looks]
    if facts.shape:
        width_px, height_px = facts.size_px
        told.append(f"shape: {facts.shape} (metadata, {width_px} x {height_px} px)")
    if _length(facts.duration_s):
        told.append(f"duration: {facts.duration_s:.1f} s (metadata)")
    if facts.people:
        told.append(f"people: {facts.people.evidence}")
    told += [f"animals: {seen.evidence}" for seen in facts.animals]
    told += [f"label: {one.name} ({one.evidence})" for one in facts.labels]
    if facts.place:
        told.append(
            f"place: {_where(facts.place)[0]} (metadata, GPS {facts.place.distance_km:.1f} km away)"
        )
    if facts.moment:
        told.append(f"time: {facts.moment.reading} (metadata, {facts.moment.source})")
    return told
