"""What a picture shows, and where, by a vote of the words of its plain captions.

Conditional users want different styles for different kinds. Topics are interests that users state in their profile;
they say nothing of the style.
"""

from collections.abc import Sequence

from components.data.captions import split_words

VERSION = 1
"""Raised whenever the same captions are found to show something else."""

_ANIMALS = """
    dog dogs puppy puppies pup poodle greyhound greyhounds retriever terrier collie shepherd dalmatian
    bulldog cat cats kitten horse horses pony bird birds seagull seagulls duck ducks goose geese cow
    cows bull bulls goat goats sheep lamb monkey elephant camel fish animal animals hound hounds pug
    dachshund labrador husky beagle
"""
_CHILDREN = """
    child children kid kids boy boys girl girls baby babies toddler toddlers infant teenager teenagers
    teen teens
"""
_SPORTS = """
    player players team soccer football basketball baseball tennis hockey volleyball rugby golf lacrosse
    softball skateboard skateboarder skateboarding skateboarders snowboard snowboarder snowboarding ski
    skier skiers skiing skis surfer surfers surfing surfboard surf wakeboard wakeboarder kayak kayaker
    kayaking raft rafting climber climbers climbing climbs bike bikes biker bikers biking bicycle
    bicyclist cyclist cyclists motorcycle motorcyclist motocross racing race racer racers runner runners
    athlete wrestler wrestling boxer boxing karate gymnast ramp hurdle parachute paraglider swimmer
    diver sledding sled rollerblading rollerblader skater skating skates trick tricks
"""
_PEOPLE = """
    man men woman women lady ladies guy guys person people adult adults couple crowd group male female
    someone gentleman bride groom friends family worker workers musician band dancer dancers policeman
    soldier
"""
KIND_WORDS = {
    "animals": frozenset(_ANIMALS.split()),
    "children": frozenset(_CHILDREN.split()),
    "sports": frozenset(_SPORTS.split()),
    "people": frozenset(_PEOPLE.split()),
}
"""The kinds before `other`, and words that name them; a picture is of the first that half of its captions name."""
KINDS = (*KIND_WORDS, "other")

_WATER = """
    water pool ocean sea lake river wave waves surf surfing swimming swim swims swimmer splash splashing
    splashes boat boats canoe kayak fountain creek stream pond puddle wet
"""
_SNOW = "snow snowy snowboard snowboarder snowboarding ski skier skiing skis ice icy sled winter"
_GRASS = "grass grassy field lawn meadow park yard garden backyard flowers"
_STREET = """
    street sidewalk city road building buildings store shop bus car cars train traffic crosswalk corner
    market town urban downtown square
"""
_BEACH = "beach sand sandy shore shoreline coast"
_MOUNTAINS = """
    mountain mountains rock rocks rocky cliff hill hills hillside trail canyon forest woods wooded trees
    path
"""
_INDOORS = """
    room couch bed table kitchen chair indoors inside restaurant bar office floor sofa stage gym bowling
    living carpet desk computer
"""
TOPIC_WORDS = {
    "water": frozenset(_WATER.split()),
    "snow": frozenset(_SNOW.split()),
    "grass": frozenset(_GRASS.split()),
    "street": frozenset(_STREET.split()),
    "beach": frozenset(_BEACH.split()),
    "mountains": frozenset(_MOUNTAINS.split()),
    "indoors": frozenset(_INDOORS.split()),
}
TOPICS = tuple(TOPIC_WORDS)


def kind_of(captions: Sequence[str]) -> int:
    """Return the index in `KINDS` of what a picture with these plain captions shows."""
    texts = [set(split_words(caption)) for caption in captions]
    for kind, words in enumerate(KIND_WORDS.values()):
        if 2 * sum(not words.isdisjoint(text) for text in texts) >= len(texts):
            return kind
    return len(KIND_WORDS)


def topic_of(captions: Sequence[str]) -> int:
    """Return the index in `TOPICS`, from 1, of what most of a picture's plain captions name; 0 if they name none."""
    texts = [set(split_words(caption)) for caption in captions]
    votes = [sum(not words.isdisjoint(text) for text in texts) for words in TOPIC_WORDS.values()]
    return votes.index(max(votes)) + 1 if 2 * max(votes) >= len(texts) else 0
