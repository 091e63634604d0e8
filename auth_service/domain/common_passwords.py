"""What guessers try first: passwords that lead every published list, and how people make them longer."""

import re

_LIST = """
admin administrator andrew april arsenal asdfgh asdfghjkl ashley august autumn barcelona baseball batman
blessed butterfly changeme charlie chelsea chocolate computer corvette cthutq daniel december default
dragon elephant everything facebook february football forever freedom friday fylhtq gfhjkm gfhjkmgfhjkm
ghbdtn google guest ilove iloveyou internet january jennifer jessica jordan joshua july june juventus
letmein liverpool login london loveyou march master may michael monday monkey moscow mustang newyork
nothing november october pass passw0rd password passwort pokemon princess qazwsx qazwsxedc qweasdzxc
qwerty qwertyasdfgh qwertyui qwertyuiop root samsung saturday secret september shadow spring starwars
summer sunday sunshine superman temp temporary test testing thursday trustno tuesday user vfrcbv
wednesday welcome whatever winter yfnfif ytgfhjkm zxcvbnm
админ администратор александр андрей дмитрий зенит йцукен йцукенгшщз любовь максим марина москва наташа
пароль парольпароль привет россия секрет сергей солнышко спартак фывапролдж ячсмить
"""
WORDS = frozenset(_LIST.split())
"""Common passwords by themselves, in two alphabets, and as the keyboard of the other writes them."""

KEYBOARD = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю")
LEET = str.maketrans("01345$@!", "oieassai")
DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")
WALK_MIN = 10


def is_common(password: str) -> bool:
    """Whether this is a common word with decoration, the same over and over, or a walk over the keyboard."""
    lower = password.lower()
    # One word alone, whatever figures and signs stand around and inside it.
    bare = DECORATION.sub("", lower)
    stems = {re.sub(r"[\W\d_]", "", spelled) for spelled in (bare, bare.translate(LEET))}
    if stems & WORDS or _is_repeated(lower):
        return True
    return any(lower in walk * 3 or lower in walk[::-1] * 3 for walk in KEYBOARD) and len(lower) >= WALK_MIN


def _is_repeated(text: str) -> bool:
    """`abcabcabc`: found again in itself before its end."""
    return len(text) > 1 and text in (text + text)[1:-1]
