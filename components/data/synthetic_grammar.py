"""The words and sentence patterns of generated passages and questions.

A pattern has several ways to state its facts and, for each fact, several ways to ask for it, in other words than the
sentence has. A fact is a phrase with its core in square brackets: the core is the shortest answer, the phrase the
longest one, and the clause around them goes further. `{slot}` stands for a phrase or for the thing that the sentence
is about, `{group:}` for one of a group of words that mean the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FIRST_NAMES = (
    *(
        "Anna",
        "Boris",
        "Clara",
        "David",
        "Emma",
        "Felix",
        "Greta",
        "Hugo",
        "Irene",
        "Jonas",
        "Karin",
        "Lukas",
    ),
    *("Marta", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tilda", "Viktor", "Wanda", "Yann", "Zelda", "Oskar"),
)
LAST_NAMES = (
    *("Holm", "Brandt", "Corelli", "Dahl", "Ekström", "Farkas", "Grimm", "Hansen", "Ivanova", "Jansen"),
    *("Keller", "Lindt", "Moreau", "Novak", "Olsen", "Petrov", "Quist", "Rossi", "Sander", "Tarnow"),
)
TOWN_BEGINNINGS = ("Nor", "Al", "Ber", "Kars", "Lun", "Mar", "Ost", "Pel", "Ras", "Sten", "Tor", "Wes")
TOWN_ENDINGS = ("vik", "bera", "stad", "mark", "holm", "ford", "burg", "dorf", "haven", "by")
THINGS = (
    *(
        "bridge",
        "tower",
        "mill",
        "library",
        "harbour",
        "theatre",
        "museum",
        "chapel",
        "school",
        "market",
        "castle",
    ),
    *("station", "fountain", "hospital", "garden", "lighthouse"),
)
LOOKS = ("stone", "old", "red", "round", "iron", "wooden", "white", "royal")

GROUPS: Mapping[str, tuple[str, ...]] = {
    "built": ("built", "constructed", "erected", "founded"),
    "restored": ("restored", "repaired", "renovated", "rebuilt"),
    "stands": ("stands", "lies", "rises"),
    "owns": ("owns", "runs", "manages"),
    "closed": ("closed", "shut", "abandoned"),
    "shows": ("shows", "displays", "keeps"),
    "carried": ("carried", "moved", "brought"),
}

PHRASES: Mapping[str, tuple[str, ...]] = {
    "builder": ("the {manner} {craft} [{name}]", "the {craft} called [{name}]", "[{name}] from {town}"),
    "restorer": ("the {manner} {craft} [{name}]", "the {craft} called [{name}]", "[{name}] from {town}"),
    "year": ("the {season} of [{number_year}]", "the end of [{number_year}]", "{season} [{number_year}]"),
    "later": ("the {season} of [{number_year}]", "the end of [{number_year}]", "{season} [{number_year}]"),
    "end": ("the {season} of [{number_year}]", "the end of [{number_year}]", "{season} [{number_year}]"),
    "reason": ("[{victim} {fate}] {circumstance}",),
    "place": ("{beside} [{landmark}] {whereabouts}",),
    "windows": ("{about} [{number}] {quality} windows",),
    "steps": ("{about} [{number}] {quality} steps",),
    "guild": ("the guild of the [{guild_name}]", "the order of the [{guild_name}]"),
    "treasure": ("[{treasure_name}] {feature}",),
    "means": ("[{vehicle}] {route}",),
    "material": ("[{stuff}] {origin}",),
    "purpose": ("[{aim}] {season_of_need}",),
}
"""What each slot of a sentence is filled with; the words in braces are drawn from `WORDS`."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "manner": ("young", "famous", "quiet", "clever", "brave", "old"),
    "craft": ("engineer", "painter", "sailor", "teacher", "doctor", "farmer", "mason", "merchant"),
    "season": ("spring", "summer", "autumn", "winter"),
    "victim": ("the old ferry", "the town wall", "the salt store", "the wooden hall", "the river gate"),
    "fate": ("had sunk", "had burned down", "had collapsed", "was too small", "was lost"),
    "circumstance": (
        *("in a heavy storm", "during the long war", "after the great flood", "within a single night"),
        "before the king arrived",
    ),
    "beside": ("beside", "behind", "near", "opposite"),
    "landmark": (
        "the fish market",
        "the north gate",
        "the town hall",
        "the lake",
        "the cemetery",
        "the bakery",
    ),
    "whereabouts": (
        "of the upper quarter",
        "on the eastern shore",
        "at the end of the road",
        "below the hill",
    ),
    "about": ("about", "nearly", "more than", "exactly"),
    "number": (
        *("seven", "nine", "eleven", "twelve", "thirty", "forty", "sixty", "ninety", "25", "38", "64", "110"),
        *("130", "240"),
    ),
    "quality": ("narrow", "tall", "broken", "painted", "marble"),
    "guild_name": ("Weavers", "Bakers", "Grey Sisters", "Carpenters", "Fishermen", "Printers", "Night Watch"),
    "treasure_name": ("a clock", "a map", "a ship", "a crown", "a bell", "a letter", "a sword", "a piano"),
    "feature": ("with a golden face", "from a distant island", "of the last queen", "made of whale bone"),
    "vehicle": ("by sledge", "by boat", "by mule", "by train", "on foot", "on rafts"),
    "route": (
        "across the frozen lake",
        "along the muddy river",
        "over the high pass",
        "through the dark forest",
    ),
    "stuff": ("with bricks", "with copper", "with oak", "with marble", "with glass"),
    "origin": (
        "from the ruined fort",
        "from the southern quarry",
        "of the sunken ships",
        "out of the old palace",
    ),
    "aim": (
        "to save money",
        "to honour the dead",
        "to please the bishop",
        "to stop the thieves",
        "to spare coal",
    ),
    "season_of_need": (
        "during the hard years",
        "in the time of hunger",
        "before the election",
        "after the plague",
    ),
}


@dataclass(frozen=True)
class Pattern:
    """Facts that one sentence states, and how they are asked for."""

    sentences: tuple[str, ...]
    questions: Mapping[str, tuple[str, ...]]
    """Ways to ask for each slot that is asked for."""


PATTERNS = (
    Pattern(
        (
            "{thing} was {built:} by {builder} in {year}, because {reason}.",
            "In {year}, {builder} {built:} {thing} because {reason}.",
            "Because {reason}, {thing} was {built:} in {year} by {builder}.",
        ),
        {
            "builder": (
                "Who {built:} {thing}?",
                "By whom was {thing} {built:}?",
                "Name the person that {built:} {thing}.",
            ),
            "year": ("When was {thing} {built:}?", "In which year was {thing} {built:}?"),
            "reason": ("Why was {thing} {built:}?", "Why did people want {thing} to be {built:}?"),
        },
    ),
    Pattern(
        (
            "{thing} was {restored:} {material} in {later}, and {restorer} led the work there.",
            "In {later}, {restorer} {restored:} {thing} {material}, although few people had asked for it.",
            "{restorer} {restored:} {thing} in {later}, and it was done {material}.",
        ),
        {
            "restorer": ("Who {restored:} {thing}?", "By whom was {thing} {restored:}?"),
            "later": ("When was {thing} {restored:}?", "In what year was {thing} {restored:}?"),
            "material": ("How was {thing} {restored:}?", "How did they get {thing} {restored:}?"),
        },
    ),
    Pattern(
        (
            "{thing} {stands:} {place}, and it has {windows} above {steps}.",
            "With {windows} and {steps}, {thing} {stands:} {place}.",
            "{thing} has {steps} and {windows}, while it {stands:} {place}.",
        ),
        {
            "place": ("Where does one find {thing}?", "Where is {thing}?", "Where can people visit {thing}?"),
            "windows": ("How many windows does {thing} have?", "How many windows are there in {thing}?"),
            "steps": ("How many steps does {thing} have?", "How many steps lead up to {thing}?"),
        },
    ),
    Pattern(
        (
            "{guild} {owns:} {thing} today, and {treasure} is what it {shows:} to visitors.",
            "Today {thing} {shows:} {treasure} to its guests, while {guild} {owns:} the house.",
            "Visitors come because {thing} {shows:} {treasure}, although {guild} {owns:} it now.",
        ),
        {
            "guild": ("Which group {owns:} {thing}?", "Which people look after {thing}?"),
            "treasure": (
                "What does one see in {thing}?",
                "What is on show at {thing}?",
                "What do visitors of {thing} admire?",
            ),
        },
    ),
    Pattern(
        (
            "{thing} was {closed:} in {end} {purpose}, and its bricks were {carried:} away {means}.",
            "{purpose}, the council {closed:} {thing} in {end}, and everything was {carried:} away {means}.",
            "Its doors were taken away {means}, after {thing} was {closed:} {purpose} in {end}.",
        ),
        {
            "end": ("When was {thing} {closed:}?", "In which year was {thing} {closed:}?"),
            "purpose": (
                "Why was {thing} {closed:}?",
                "Why did the council decide that {thing} be {closed:}?",
            ),
            "means": ("How was everything taken away from {thing}?", "How did parts of {thing} get away?"),
        },
    ),
)
