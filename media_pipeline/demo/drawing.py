"""Pictures drawn in code: a phone's screenshot, a meme, a typed page, a photographed receipt."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

PHONE_SCREEN_PX = (1170, 2532)
"""Portrait screen of a common 6.1-inch phone (width, height)."""

CHATS = (
    ("Anna", "See you at the station", "9:38", "#d1495b"),
    ("Book club", "Tom: chapter seven, then", "9:12", "#00798c"),
    ("Mum", "Did you water the plants?", "8:55", "#edae49"),
    ("Flat 3B", "The parcel is downstairs", "8:41", "#66a182"),
    ("Jonas", "Photo", "Yesterday", "#2e4057"),
    ("Running group", "Rain or shine, 7 o'clock", "Yesterday", "#8d6a9f"),
    ("Dentist", "Your appointment is on Monday", "Tuesday", "#5c6b73"),
    ("Lea", "Happy birthday!", "Tuesday", "#c06c84"),
    ("Choir", "New sheet music is online", "Monday", "#355c7d"),
    ("Landlord", "Thank you, received", "Sunday", "#99b898"),
    ("Paul", "Call me when you are home", "Saturday", "#b56576"),
)
SENTENCES = (
    "A photograph records the light that reached one place during one moment.",
    "Whoever keeps many of them keeps a diary without words, and sooner or later loses track.",
    "The same picture lies in three folders, and the good one beside its blurred brother.",
    "Between two birthdays lies the paper of a parking fine that was paid long ago.",
    "Sorting by hand takes an evening for every hundred.",
    "The order of the files says little, for a copied file forgets its day.",
    "Cameras number from the beginning whenever their card is changed.",
)
ITEMS = (
    ("Bread, whole grain", 349),
    ("Milk 1 l", 129),
    ("Apples 1.2 kg", 298),
    ("Coffee beans", 799),
    ("Cheese", 415),
    ("Tomatoes 0.5 kg", 175),
    ("Washing powder", 649),
    ("Bag", 20),
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def screenshot() -> Image.Image:
    """A list of chats on a phone: RGB, `PHONE_SCREEN_PX`, flat colours and sharp text."""
    width, height = PHONE_SCREEN_PX
    image = Image.new("RGB", PHONE_SCREEN_PX, "white")
    draw = ImageDraw.Draw(image)
    _status_bar(draw, width)
    draw.text((54, 170), "Chats", font=_font(96), fill="black")
    draw.rounded_rectangle((54, 310, width - 54, 410), 30, fill="#eeeeef")
    draw.text((90, 335), "Search", font=_font(48), fill="#8a8a8e")
    for row, chat in enumerate(CHATS):
        _chat_row(draw, 450 + row * 172, width, chat)
    draw.rectangle((0, height - 170, width, height), fill="#f7f7f7")
    draw.rounded_rectangle((390, height - 42, width - 390, height - 26), 8, fill="black")
    for place, label in enumerate(("Updates", "Calls", "Chats", "Settings")):
        colour = "#007aff" if label == "Chats" else "#8a8a8e"
        draw.text(
            (146 + place * 292, height - 110), label, font=_font(40), fill=colour, anchor="mm"
        )
    return image


def _status_bar(draw: ImageDraw.ImageDraw, width: int) -> None:
    draw.text((110, 48), "9:41", font=_font(52), fill="black")
    for bar in range(4):
        left = width - 290 + bar * 20
        draw.rectangle((left, 92 - 10 * (bar + 1), left + 13, 92), fill="black")
    draw.rounded_rectangle((width - 190, 54, width - 110, 94), 10, outline="black", width=4)
    draw.rectangle((width - 183, 61, width - 135, 87), fill="black")


def _chat_row(
    draw: ImageDraw.ImageDraw, top: int, width: int, chat: tuple[str, str, str, str]
) -> None:
    name, message, when, colour = chat
    draw.ellipse((54, top, 184, top + 130), fill=colour)
    draw.text((119, top + 65), name[0], font=_font(64), fill="white", anchor="mm")
    draw.text((220, top + 12), name, font=_font(52), fill="black")
    draw.text((220, top + 76), message, font=_font(44), fill="#8a8a8e")
    draw.text((width - 54, top + 16), when, font=_font(40), fill="#8a8a8e", anchor="ra")
    draw.line((220, top + 150, width, top + 150), fill="#d8d8dc", width=2)


def meme(photograph: Image.Image) -> Image.Image:
    """A photograph with a line of big white letters, edged in black, at the top and at the bottom.

    Args:
        photograph: RGB.
    """
    image = photograph.copy()
    draw = ImageDraw.Draw(image)
    width, height = image.size
    font = _font(height // 9)
    for text, line in (("WHEN IT IS MONDAY", 0.1), ("AND NOBODY TOLD YOU", 0.9)):
        draw.text(
            (width / 2, height * line), text, font=font, anchor="mm", fill="white",
            stroke_width=max(2, height // 150), stroke_fill="black",
        )  # fmt: skip
    return image


def page() -> Image.Image:
    """A typed page: RGB, A4 at 150 dots per inch (1240 x 1754 px), black on white."""
    image = Image.new("RGB", (1240, 1754), "white")
    draw = ImageDraw.Draw(image)
    draw.text((150, 150), "On keeping photographs", font=_font(52), fill="black")
    top = 260
    for first in range(5):
        sentences = [*SENTENCES[first:], *SENTENCES[:first]][: 7 - first % 3]
        for line in _wrapped(" ".join(sentences).split(), _font(27), 940):
            draw.text((150, top), line, font=_font(27), fill="#111111")
            top += 42
        top += 30
    draw.text((620, 1660), "1", font=_font(27), fill="black", anchor="mm")
    return image


def _wrapped(words: Iterable[str], font: Font, width_px: int) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def receipt() -> Image.Image:
    """A till receipt photographed on a table: RGB, 900 x 1200 px, slightly turned."""
    rng = np.random.default_rng(2)
    grain = rng.normal(0, 1, (1200, 1)).cumsum(axis=0) + rng.normal(0, 4, (1200, 900))
    wood = np.array([122, 84, 56]) + (grain - grain.mean())[..., None] * 0.7
    table = Image.fromarray(wood.clip(0, 255).astype(np.uint8))
    paper = _receipt_paper().rotate(-4, Image.Resampling.BICUBIC, expand=True)
    left, top = (900 - paper.width) // 2, (1200 - paper.height) // 2
    shadow = paper.getchannel("A").filter(ImageFilter.GaussianBlur(9)).point(lambda v: v * 0.5)
    table.paste("black", (left + 10, top + 12), shadow)
    table.paste(paper, (left, top), paper)
    return table


def _receipt_paper() -> Image.Image:
    paper = Image.new("RGBA", (470, 1040), "#f4f2ec")
    draw = ImageDraw.Draw(paper)
    draw.text((235, 60), "CORNER SHOP", font=_font(44), fill="#222222", anchor="mm")
    draw.text((235, 105), "12 Mill Lane", font=_font(24), fill="#333333", anchor="mm")
    draw.text((235, 140), "14.07.2023   18:22", font=_font(24), fill="#333333", anchor="mm")
    _dashes(draw, 175)
    for row, (name, cents) in enumerate(ITEMS):
        _receipt_line(draw, 215 + row * 52, name, cents, _font(28))
    _dashes(draw, 645)
    total = sum(cents for _, cents in ITEMS)
    _receipt_line(draw, 680, "TOTAL EUR", total, _font(38))
    _receipt_line(draw, 745, "Cash", 3000, _font(28))
    _receipt_line(draw, 790, "Change", 3000 - total, _font(28))
    _dashes(draw, 845)
    draw.text((235, 880), "Thank you!", font=_font(30), fill="#222222", anchor="mm")
    left = 70
    for bar in np.random.default_rng(3).integers(2, 7, 60):
        draw.rectangle((left, 920, left + int(bar) // 2, 1000), fill="#222222")
        left += int(bar) + 1
    return paper


def _receipt_line(draw: ImageDraw.ImageDraw, top: int, name: str, cents: int, font: Font) -> None:
    draw.text((36, top), name, font=font, fill="#222222")
    draw.text((434, top), f"{cents / 100:.2f}", font=font, fill="#222222", anchor="ra")


def _dashes(draw: ImageDraw.ImageDraw, top: int) -> None:
    for left in range(36, 434, 16):
        draw.line((left, top, left + 9, top), fill="#444444", width=2)


def _font(size_px: int) -> Font:
    return ImageFont.load_default(size_px)
