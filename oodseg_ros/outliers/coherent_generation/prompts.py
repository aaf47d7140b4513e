"""What is asked for in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SCENE = "An image sampled from various stereo video sequences taken by dash cam"
QUALITY = "best quality, extremely detailed, realistic, high resolution"
NEGATIVE = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, worst quality, "
    "low quality, time-lapse photography, blurry, pixelated, low resolution, cartoon, grey picture"
)
WEATHERS = ("cloudy", "rainy", "snowy", "foggy", "clear")
PLACES = (
    *("New York City", "Los Angeles", "Chicago", "Houston", "Seattle", "Boston", "Miami", "Las Vegas", "Toronto"),
    *("Vancouver", "Montreal", "Calgary", "London", "Manchester", "Edinburgh", "Dublin", "Paris", "Nice", "Madrid"),
    *("Barcelona", "Lisbon", "Rome", "Milan", "Florence", "Zurich", "Geneva", "Frankfurt", "Warsaw", "Budapest"),
    *("Athens", "Istanbul", "Moscow", "Tel Aviv", "Jerusalem", "Cairo", "Casablanca", "Marrakech", "Lagos", "Accra"),
    *("Nairobi", "Addis Ababa", "Kigali", "Dar Es Salaam", "Lusaka", "Windhoek", "Cape Town", "Johannesburg"),
    *("Durban", "Dubai", "Abu Dhabi", "Doha", "Riyadh", "Mumbai", "Delhi", "Bengaluru", "Hyderabad", "Kolkata"),
    *("Singapore", "Ho Chi Minh City", "Hong Kong", "Shenzhen", "Guangzhou", "Shanghai", "Hangzhou", "Beijing"),
    *("Seoul", "Tokyo", "Osaka", "Kyoto", "Sydney", "Melbourne", "Brisbane", "Perth", "Auckland"),
)


@dataclass(frozen=True)
class Prompt:
    """Words for one picture.

    Attributes:
        text, negative: what it should show, and what not.
        domain: weather, time and place for the file name, e.g. `_rainy_night_Cape_Town`; may be empty.
    """

    text: str
    negative: str
    domain: str


def build_prompt(
    rng: np.random.Generator,
    name: str,
    *,
    shifted: float = 0.5,
    day: float = 0.7,
    weathers: Sequence[str] = WEATHERS,
    places: Sequence[str] = PLACES,
) -> Prompt:
    """A prompt for a scene with the object `name`.

    Args:
        shifted: probability that a place, weather and time are asked for.
        day: probability of day where they are.
    """
    scene, domain = f"{SCENE}.", ""
    if rng.random() < shifted:
        weather, place = weathers[int(rng.integers(len(weathers)))], places[int(rng.integers(len(places)))]
        time = "day" if rng.random() < day else "night"
        scene = f"{SCENE} in {place} in a {weather} {time}."
        domain = f"_{weather}_{time}_{place.replace(' ', '_')}"
    return Prompt(f"{scene}, There is a {name} accidentally staying on the road., {QUALITY}", NEGATIVE, domain)
