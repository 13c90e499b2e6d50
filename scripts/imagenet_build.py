"""Write media_pipeline/models/data/imagenet-1k.csv: the 1,000 classes of ImageNet as concepts.

Reads   timm's list of class ids and of their words (in its wheel), WordNet 3.0 (Debian's package
        `wordnet-base` puts it into /usr/share/wordnet)
Writes  index, wnid, concept, name
Fails   with the class whose WordNet entry has other words than timm's list

    python -m scripts.imagenet_build [FOLDER OF WORDNET]

A wnid is the place of an entry in WordNet 3.0: n02110958 is the line at byte 2110958 of data.noun.
A concept is what NLTK calls that entry: its first word, `n`, and which sense of the word it is.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

DESTINATION = Path(__file__).parent.parent / "media_pipeline/models/data/imagenet-1k.csv"

WORDNET = Path("/usr/share/wordnet")

# Where the first word of the entry says too little without its picture, or something else.
PLAINER = """\
n01514668 rooster
n01558993 american robin
n01608432 kite bird
n01631663 eft newt
n01664065 loggerhead turtle
n01685808 whiptail lizard
n01687978 agama lizard
n01755581 diamondback rattlesnake
n01756291 sidewinder rattlesnake
n01774384 black widow spider
n01817953 african grey parrot
n01847000 male duck
n01871265 tusked animal
n02011460 bittern bird
n02012849 crane bird
n02086910 papillon dog
n02088238 basset hound
n02088632 bluetick coonhound
n02090379 redbone coonhound
n02096051 airedale terrier
n02096177 cairn terrier
n02096585 boston terrier
n02098413 lhasa apso
n02101556 clumber spaniel
n02102040 english springer spaniel
n02105412 kelpie dog
n02108089 boxer dog
n02111129 leonberger
n02111277 newfoundland dog
n02112137 chow chow
n02113023 pembroke welsh corgi
n02113186 cardigan welsh corgi
n02113978 mexican hairless dog
n02123045 tabby cat
n02134084 polar bear
n02229544 cricket insect
n02231487 stick insect
n02276258 admiral butterfly
n02277742 ringlet butterfly
n02279972 monarch butterfly
n02281787 lycaenid butterfly
n02328150 angora rabbit
n02389026 sorrel horse
n02488702 colobus monkey
n02493509 titi monkey
n02486261 patas monkey
n02492035 capuchin monkey
n02497673 ring-tailed lemur
n02509815 red panda
n02536864 coho salmon
n02606052 rock beauty fish
n02655020 pufferfish
n02704792 amphibious vehicle
n02747177 trash can
n02797295 wheelbarrow
n02814533 station wagon
n02840245 ring binder
n02879718 bow weapon
n02892201 memorial plaque
n02930766 taxi
n02939185 cauldron
n02963159 cardigan sweater
n02966687 tool kit
n02992529 mobile phone
n03014705 storage chest
n03017168 wind chime
n03126707 crane machine
n03337140 filing cabinet
n03459775 radiator grille
n03483316 hair dryer
n03584829 clothes iron
n03594734 jeans
n03595614 t-shirt
n03673027 ocean liner
n03710637 maillot tights
n03710721 maillot swimsuit
n03782006 computer monitor
n03786901 mortar bowl
n03793489 computer mouse
n03825788 baby bottle nipple
n03832673 notebook computer
n03854065 pipe organ
n03877472 pajamas
n03929660 guitar pick
n03930630 pickup truck
n03950228 pitcher jug
n03954731 carpenter's plane
n03991062 flowerpot
n04019541 hockey puck
n04037443 race car
n04118776 ruler
n04141076 saxophone
n04141975 weighing scale
n04152593 crt screen
n04243546 slot machine
n04344873 sofa bed
n04367480 mop
n04372370 electric switch
n04389033 military tank
n04399382 teddy bear
n04515003 upright piano
n04517823 vacuum cleaner
n04523525 vaulted ceiling
n04554684 washing machine
n04592741 airplane wing
n04606251 shipwreck
n06359193 website
n07579787 plate of food
n07613480 trifle dessert
n07714571 cabbage
n09835506 baseball player
n10148035 bridegroom
n12620546 rose hip
n12768682 horse chestnut
n13133613 ear of corn
n15075141 toilet paper
"""


def main() -> None:
    """Write the file."""
    wordnet = Path(sys.argv[1]) if len(sys.argv) > 1 else WORDNET
    table = rows(wordnet)
    DESTINATION.parent.mkdir(exist_ok=True)
    with DESTINATION.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("index", "wnid", "concept", "name"))
        writer.writerows(table)
    print(f"{len(table)} classes in {DESTINATION}")


def rows(wordnet: Path) -> list[tuple[int, str, str, str]]:
    """Index, wnid, concept and name of every class, in the order of a model's outputs."""
    wnids, words = _timm_lists()
    plainer = dict(line.split(" ", 1) for line in PLAINER.splitlines())
    assert set(plainer) <= set(wnids), sorted(set(plainer) - set(wnids))
    nouns = (wordnet / "data.noun").read_bytes()
    senses = _senses(wordnet / "index.noun")
    table = []
    for index, wnid in enumerate(wnids):
        lemmas = _lemmas(nouns, int(wnid[1:]))
        assert ", ".join(lemmas).replace("_", " ") == words[wnid], (wnid, lemmas, words[wnid])
        first = lemmas[0].lower()
        sense = senses[first].index(int(wnid[1:])) + 1
        name = plainer.get(wnid, first.replace("_", " "))
        table.append((index, wnid, f"{first}.n.{sense:02d}", name))
    names = [name for *_, name in table]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return table


def _timm_lists() -> tuple[list[str], dict[str, str]]:
    import timm.data

    folder = Path(timm.data.__file__).parent / "_info"
    wnids = (folder / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    return wnids, dict(line.split("\t", 1) for line in lines)


def _lemmas(nouns: bytes, place: int) -> Sequence[str]:
    """The words of the entry at a place of data.noun; see wndb(5WN)."""
    fields = nouns[place : nouns.index(b"\n", place)].decode("utf-8").split(" ")
    assert int(fields[0]) == place, f"{place} is no entry: is this WordNet 3.0?"
    count = int(fields[3], 16)
    return fields[4 : 4 + 2 * count : 2]


def _senses(index: Path) -> Mapping[str, list[int]]:
    """The places of every word's senses, in their order, from index.noun; see wndb(5WN)."""
    found = {}
    for line in index.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):  # the licence is indented
            fields = line.split()
            found[fields[0]] = [int(place) for place in fields[-int(fields[2]) :]]
    return found


if __name__ == "__main__":
    main()
