"""The sliders for one invented person, without a browser."""

import io

import numpy as np
import pytest
from PIL import Image

from arl import faces
from arl.config import ATTRIBUTES
from arl.workbook.people import SLIDERS, PersonSliders, explore


@pytest.fixture
def people():
    return PersonSliders(seed=4, size=48)


def shown(people) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(people.picture.value)))


def drawn(who, which, **names) -> np.ndarray:
    return faces.render_params(4, who, which, 48, **names)[0][0].transpose(1, 2, 0)


def test_every_slider_moves_a_trait():
    assert {"yaw", *SLIDERS} <= set(faces.parameters(4, 0)[1])


def test_it_starts_with_the_photograph_itself_and_its_traits(people):
    assert np.array_equal(shown(people), drawn(0, 0))
    _, traits = faces.parameters(4, 0)
    for name, (low, high) in SLIDERS.items():
        assert people.traits[name].value == pytest.approx(np.clip(traits[name][0], low, high), abs=0.01), name


def test_a_slider_redraws_and_another_person_resets_the_sliders(people):
    before = shown(people)
    people.traits["yaw"].value = 0.4
    assert np.abs(shown(people).astype(int) - before).mean() > 2
    people.who.value, people.which.value = 3, 2
    assert np.array_equal(shown(people), drawn(3, 2))
    _, traits = faces.parameters(4, 3, 2)
    assert people.traits["yaw"].value == pytest.approx(traits["yaw"][0], abs=0.01)


def test_an_attribute_is_turned_on_and_listed(people):
    people.forced.value = ("Wearing_Hat", "Smiling")
    assert np.array_equal(shown(people), drawn(0, 0, force={"Wearing_Hat": True, "Smiling": True}))
    listed = people.has.value.split("<br>")
    labels = faces.render_params(4, 0, 0, 48, force={"Wearing_Hat": True, "Smiling": True})[1][0]
    assert listed == [name for name, on in zip(ATTRIBUTES, labels, strict=True) if on]


def test_explore_is_a_box_of_all_of_it():
    box = explore(4, 32)
    assert len(box.children[0].children) == 2 + len(SLIDERS)
