"""Texts at the edge of what a rule allows: shortest, longest, and odd ones."""

import random
from collections.abc import Callable
from enum import Enum
from itertools import cycle, islice


class Size(Enum):
    """How far to go: to one end of every bound, to the other, or anywhere in between."""

    SMALLEST = "smallest"
    LARGEST = "largest"
    ANY = "any"


# Combining, right to left, zero width, joined, astral, beside the surrogates, no character at all, control.
ODD = (
    "e\u0301\u0302\u0303", "\u202eevil\u202c", "\u05d0\u0627\u200f", "a\u200b\u200d\ufeffb", "\U0001f469\u200d\U0001f52c",
    "\ud7ff\ue000", "\ufffd\ufffe\uffff", "\U0010ffff", "\u2028\u2029\x85", "\t\r\n", "\x1b[31m\x7f", "İßﬃǅ", "%s{0}${x}",
    "'\"\\;--", "<script>", "\u3164\u2800",
)  # fmt: skip
Maker = Callable[[random.Random, Size, int], str]


def text(picks: random.Random, size: Size, longest: int) -> str:
    """Return any text: no rule but its length, which counts code points, as the API server does."""
    match size:
        case Size.SMALLEST:
            return "x"
        case Size.LARGEST:
            return _filled(picks.choice(ODD), longest)
        case Size.ANY:
            return _filled("".join(picks.sample(ODD, 3)), picks.randint(1, longest))


def _chosen(smallest: str, largest: str, *others: str) -> Maker:
    def make(picks: random.Random, size: Size, longest: int) -> str:
        del longest
        match size:
            case Size.SMALLEST:
                return smallest
            case Size.LARGEST:
                return largest
            case Size.ANY:
                return picks.choice([smallest, largest, *others])

    return make


def _repeated(unit: str, *, ending: str = "", beginning: str = "") -> Maker:
    def make(picks: random.Random, size: Size, longest: int) -> str:
        room = longest - len(beginning) - len(ending)
        match size:
            case Size.SMALLEST:
                length = 1
            case Size.LARGEST:
                length = room
            case Size.ANY:
                length = picks.randint(1, room)
        return beginning + _filled(unit, length) + ending

    return make


def _subdomain(picks: random.Random, size: Size, longest: int) -> str:
    return _repeated("a.b-c.9")(picks, size, longest - 1) + "z"


def _label(picks: random.Random, size: Size, longest: int) -> str:
    return picks.choice("0az") + _repeated("--9")(picks, size, longest - 2) + "z"


RULES: dict[str, Maker] = {
    # What a rule's expression begins with, to a text that it holds for.
    "self != '' && self.matches('^([0-9]{1,4}d)?": _chosen("0s", "9999d99999h999999m99999s", "1ms", "99999999ms", "99999999s", "0d0h0m0s0ms"),
    "self.matches('^[0-9]{1,5}[smh]$')": _chosen("0s", "86400s", "24h", "1440m", "00000s"),
    "self.matches('^[0-9]{1,4}[smh]$')": _chosen("1s", "3600s", "1h", "60m", "0001s", "0060m"),
    "self.matches('^[1-9][0-9]{0,3}[mhd]$')": _chosen("1m", "9999m", "9999d", "24h", "9h"),
    "self.matches('^[0-9]{1,4}([.][0-9]{1,4})?%$') &&": _chosen("0.0001%", "99.9999%", "0001.5%", "50%", "99.99%"),
    "self.matches('^[0-9]{1,4}([.][0-9]{1,4})?%$')": _chosen("0%", "9999.9999%", "0.0001%", "00%"),
    "self.matches('^[0-9]{1,3}([.][0-9]{1,2})?x$')": _chosen("1.01x", "999.99x", "2x", "01.5x"),
    "self.matches('^-?[0-9]{1,15}([.][0-9]{1,9})?$')": _chosen(
        "-999999999999999.999999999", "999999999999999.999999999", "-0", "0.000000001", "-0.000000000", "000000000000001"
    ),
    "self.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')": _label,
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.]": _subdomain,
    "self.matches('^([*][.])?": lambda picks, size, longest: picks.choice(["*.", ""]) + _subdomain(picks, size, longest - 2),
    "self.matches('^[A-Za-z0-9]([A-Za-z0-9._+-]*": _repeated("Z+._-0", ending="0"),
    "self.matches('^https?://[a-z0-9]": _repeated("aZ~._/-0", beginning="https://j.example:65535/"),
    "self.matches('^/[-A-Za-z0-9/._~": _repeated("a~!$&*+,;=:@.b", beginning="/"),
    "self.matches('^[A-Za-z_][A-Za-z0-9_]*([.]": _repeated("_.a", beginning="_", ending="Z"),
    "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')": _repeated("_Z0", beginning="_"),
    "self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')": _repeated("_a0", beginning="_"),
    "self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')": _repeated("_:0", beginning=":"),
}  # fmt: skip
RULES |= {
    # All the time, or now and then: what is open at the one end of the bounds is so at the other.
    "self.matches('^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$')": _chosen(
        "* * * * *", "0-59 0-23 1-31 1-12 0-7", "0 9 * * MON-FRI", "0 0 30 2 *", "0 0 */31 2 MON#5", "x - # , /"
    ),
    "self.matches('^([0-9]{1,3}h)?([0-9]{1,4}m)?$')": _chosen("1m", "999h9999m", "000h1m", "0h0001m", "24h"),
    "self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/": _chosen(
        "UTC", "America/Argentina/ComodRivadavia", "Z" * 64, "Etc/GMT+12"
    ),
}
TIMES = (
    "2026-11-24T15:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59Z",
    "2026-11-24T15:00:00.123456789+14:00", "2026-11-24T15:00:00-23:59", "2200-12-31T23:59:59-23:59",
)  # fmt: skip


def ruled(rule: str) -> Maker:
    """Return what makes texts for a rule of a field.

    Raises:
        ValueError: nobody has said yet how; add it to `RULES`.
    """
    found = next((maker for beginning, maker in RULES.items() if rule.startswith(beginning)), None)
    if found is None:
        raise ValueError(f"no text is known that meets the rule {rule!r}: add one to local/hostile/texts.py")
    return found


def _filled(unit: str, length: int) -> str:
    return "".join(islice(cycle(unit), length))
