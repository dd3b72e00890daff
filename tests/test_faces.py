"""The invented people: reproducible to the byte, labelled truthfully, as frequent as in CelebA."""

import ast
import hashlib
from pathlib import Path

import numpy as np
import pytest

from arl import faces
from arl.config import ATTRIBUTES
from arl.faces.factors import DERIVED, HIDDEN, MIXED

# Percent positive as commonly reported from CelebA's list_attr_celeba.txt (Liu et al., ICCV 2015), in its order.
CELEBA = (
    11.11, 26.70, 51.25, 20.46, 2.24, 15.16, 24.08, 23.45, 23.93, 14.80, 5.09, 20.52, 14.22, 5.76, 4.67, 6.51, 6.28,
    4.19, 38.69, 45.50, 41.68, 48.34, 4.15, 11.51, 83.49, 28.41, 4.29, 27.74, 7.98, 6.57, 5.65, 48.21, 20.84, 31.96,
    18.89, 4.85, 47.24, 12.30, 7.27, 77.36,
)  # fmt: skip


@pytest.fixture(scope="module")
def small():
    return faces.render(6, 3, 32, seed=5)


@pytest.fixture(scope="module")
def crowd():
    """Attributes of 12 000 people, one photograph each: dict of bool arrays; nothing is drawn."""
    return faces.parameters(9, np.arange(12_000))[0]


def test_shapes(small):
    assert small.images.shape == (18, 3, 32, 32) and small.images.dtype == np.uint8
    assert small.attributes.shape == (18, 40) and small.attributes.dtype == bool
    assert small.identities.dtype == np.int64
    assert small.identities.tolist() == [i // 3 for i in range(18)]


def test_pictures_use_the_range_of_a_photograph(small):
    assert 60 < small.images.mean() < 190
    assert small.images.min() < 30 and small.images.max() > 190
    assert (small.images.reshape(18, -1).std(1) > 15).all()


def test_labels_are_the_same_everywhere():
    """Labels come from integer hashes and 64-bit floats: this digest must hold on every machine."""
    a, _ = faces.parameters(0, np.arange(300))
    bits = np.packbits(np.stack([a[name] for name in ATTRIBUTES], 1))
    assert hashlib.sha256(bits.tobytes()).hexdigest()[:16] == "b31e428754dc4c4c"


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batch_size_changes_no_byte(small, batch):
    again = faces.render(6, 3, 32, seed=5, batch=batch)
    assert np.array_equal(again.images, small.images)
    assert np.array_equal(again.attributes, small.attributes)


def test_no_picture_depends_on_its_neighbours():
    """Parts of a picture are computed in rectangles that hold them in a whole batch: alone, the picture is the same."""
    people, photos = np.repeat(np.arange(60), 2), np.tile(np.arange(2), 60)
    worn = {
        name: np.arange(120) % 7 == i
        for i, name in enumerate(("Wearing_Hat", "Eyeglasses", "Double_Chin", "Wearing_Necktie"))
    }
    together, _ = faces.render_params(8, people, photos, 40, force=worn)
    for i in range(0, 120, 3):
        one, _ = faces.render_params(
            8, people[i], photos[i], 40, force={name: value[i] for name, value in worn.items()}
        )
        assert np.array_equal(one[0], together[i]), f"person {people[i]}, photograph {photos[i]}"


def test_a_larger_set_begins_with_the_smaller(small):
    larger = faces.render(7, 3, 32, seed=5)
    assert np.array_equal(larger.images[:18], small.images)


def test_any_slice_is_the_same_slice(small):
    part = faces.render(2, 3, 32, seed=5, first_identity=4)
    assert np.array_equal(part.images, small.images[12:])
    assert np.array_equal(part.attributes, small.attributes[12:])
    assert part.identities.tolist() == [4, 4, 4, 5, 5, 5]


def test_more_photographs_keep_the_first(small):
    more = faces.render(2, 5, 32, seed=5)
    assert np.array_equal(more.images[:3], small.images[:3])
    assert np.array_equal(more.images[5:8], small.images[3:6])


def test_seed_domain_person_and_photograph_all_matter(small):
    def draw(seed, people, photos, domain="standard"):
        return faces.render_params(seed, people, photos, 32, domain=domain)[0]

    first = draw(5, 0, 0)
    assert np.array_equal(first[0], small.images[0])
    for other in (draw(6, 0, 0), draw(5, 1, 0), draw(5, 0, 1), draw(5, 0, 0, "shifted")):
        assert np.abs(first.astype(int) - other).mean() > 5


def test_written_straight_into_out(small, tmp_path):
    store = np.memmap(tmp_path / "faces.u8", np.uint8, "w+", shape=(18, 3, 32, 32))
    result = faces.render(6, 3, 32, seed=5, out=store, batch=5)
    assert result.images is store
    assert np.array_equal(store, small.images)


def test_frequencies_are_celebas(crowd):
    ours = np.array([100 * crowd[name].mean() for name in ATTRIBUTES])
    table = "\n".join(f"{n:20s} {o:6.2f} {c:6.2f}" for n, o, c in zip(ATTRIBUTES, ours, CELEBA, strict=True))
    assert np.abs(ours - CELEBA).max() < 2, table


def test_correlations_have_celebas_signs(crowd):
    def phi(one, two):
        return np.corrcoef(crowd[one], crowd[two])[0, 1]

    assert phi("Heavy_Makeup", "Wearing_Lipstick") > 0.6
    assert phi("Smiling", "High_Cheekbones") > 0.4
    assert phi("Smiling", "Mouth_Slightly_Open") > 0.3
    assert phi("Chubby", "Double_Chin") > 0.3
    assert phi("Male", "No_Beard") < -0.4
    assert phi("Male", "Wearing_Lipstick") < -0.6
    assert phi("Young", "Gray_Hair") < -0.25
    assert phi("Attractive", "Young") > 0.2


def test_no_contradictions(crowd):
    c = crowd
    hair = c["Black_Hair"] * 1 + c["Blond_Hair"] + c["Brown_Hair"] + c["Gray_Hair"] + c["Bald"]
    assert hair.max() == 1
    assert not (c["Straight_Hair"] & c["Wavy_Hair"]).any()
    assert not (c["Bangs"] & (c["Bald"] | c["Receding_Hairline"] | c["Wearing_Hat"])).any()
    assert (c["No_Beard"] | c["Male"]).all()
    assert not (c["No_Beard"] & (c["Goatee"] | c["Mustache"])).any()


def test_a_person_stays_the_person():
    """Bone, skin and hair do not change from one photograph to the next; pose and light do."""
    _, one = faces.parameters(2, np.arange(200), 0)
    _, two = faces.parameters(2, np.arange(200), 7)
    for name in (
        "skull_width",
        "jaw_power",
        "eye_x",
        "eye_tilt",
        "brow_y",
        "nose_width",
        "mouth_y",
        "skin_tone",
        "age",
    ):
        assert np.array_equal(one[name], two[name]), name
        assert len(np.unique(one[name])) > 190, name  # continuous: no two alike
    for name in ("yaw", "pitch", "light_x", "exposure", "noise"):
        assert not np.isclose(one[name], two[name]).any(), name
    assert {"skull_width", "age"} <= set(faces.person(2, [0, 1])[1])
    assert "yaw" not in faces.person(2, [0, 1])[1]


# Where an attribute shows: left, top, right, bottom, in head units from between the eyes; the least mean change
# there, in grey levels of 255. None: everywhere.
REGIONS = {
    "5_o_Clock_Shadow": ((-0.8, 0.6, 0.8, 1.5), 3), "Arched_Eyebrows": ((-0.8, -0.65, 0.8, -0.1), 3),
    "Attractive": (None, 0.1), "Bags_Under_Eyes": ((-0.8, 0.05, 0.8, 0.4), 3), "Bald": ((-1, -1.7, 1, -0.8), 15),
    "Bangs": ((-0.7, -1.1, 0.7, -0.4), 12), "Big_Lips": ((-0.4, 0.75, 0.4, 1.3), 3),
    "Big_Nose": ((-0.4, 0.1, 0.4, 0.85), 2), "Black_Hair": ((-1, -1.7, 1, -0.9), 8),
    "Blond_Hair": ((-1, -1.7, 1, -0.9), 15), "Blurry": (None, 2), "Brown_Hair": ((-1, -1.7, 1, -0.9), 8),
    "Bushy_Eyebrows": ((-0.8, -0.55, 0.8, -0.1), 3), "Chubby": ((-1.2, 0.3, 1.2, 1.7), 5),
    "Double_Chin": ((-0.7, 1.2, 0.7, 1.9), 3), "Eyeglasses": ((-0.9, -0.3, 0.9, 0.35), 5),
    "Goatee": ((-0.35, 1.1, 0.35, 1.5), 8), "Gray_Hair": ((-1, -1.7, 1, -0.9), 12),
    "Heavy_Makeup": ((-0.8, -0.3, 0.8, 0.2), 3), "High_Cheekbones": ((-1, 0.1, 1, 1.1), 2), "Male": (None, 5),
    "Mouth_Slightly_Open": ((-0.4, 0.8, 0.4, 1.3), 8), "Mustache": ((-0.4, 0.65, 0.4, 1.05), 8),
    "Narrow_Eyes": ((-0.75, -0.15, 0.75, 0.15), 5), "No_Beard": ((-0.8, 0.7, 0.8, 1.5), 8),
    "Oval_Face": ((-1.1, 0.4, 1.1, 1.8), 4), "Pale_Skin": ((-0.6, -0.6, 0.6, 1.2), 15),
    "Pointy_Nose": ((-0.4, 0, 0.4, 0.9), 2), "Receding_Hairline": ((-0.8, -1.5, 0.8, -0.7), 5),
    "Rosy_Cheeks": ((-0.9, 0.2, 0.9, 0.8), 4), "Sideburns": ((-1.1, -0.2, 1.1, 0.8), 3),
    "Smiling": ((-0.6, 0.6, 0.6, 1.4), 4), "Straight_Hair": (None, 1), "Wavy_Hair": (None, 2),
    "Wearing_Earrings": ((-1.4, 0.4, 1.4, 1), 2), "Wearing_Hat": ((-1.2, -1.7, 1.2, -0.7), 15),
    "Wearing_Lipstick": ((-0.4, 0.8, 0.4, 1.3), 6), "Wearing_Necklace": ((-0.8, 1.6, 0.8, 2.3), 2),
    "Wearing_Necktie": ((-0.6, 1.7, 0.6, 2.3), 10), "Young": ((-1, -1, 1, 1.4), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute_shows_where_it_belongs(name):
    """The same photographs with the attribute off and on differ, and where it is differ most."""
    still = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "zoom": 1.0, "centre_x": 0.5, "centre_y": 0.45}
    plain = {"Wearing_Hat": False, "Eyeglasses": False, "No_Beard": True, "5_o_Clock_Shadow": False, "Bangs": False}
    plain = {k: v for k, v in plain.items() if k != name and not (k == "No_Beard" and name in ("Goatee", "Mustache"))}
    if name in ("Receding_Hairline", "Bangs", "Wavy_Hair", "Straight_Hair") or name.endswith("_Hair"):
        plain["Bald"] = False
    people, shots = np.arange(8), np.arange(8)
    off, labels_off = faces.render_params(3, people, shots, 64, force=plain | {name: False}, traits=still)
    on, labels_on = faces.render_params(3, people, shots, 64, force=plain | {name: True}, traits=still)
    column = ATTRIBUTES.index(name)
    assert not labels_off[:, column].any() and labels_on[:, column].all()
    change = np.abs(on.astype(float) - off).mean((0, 1))
    box, least = REGIONS[name]
    if box is None:
        assert change.mean() > least
        return
    left, top, right, bottom = ((np.array(box) * 64 / faces.UNITS) + 64 * np.array([0.5, 0.45] * 2)).round().astype(int)
    inside = np.zeros((64, 64), bool)
    inside[max(top, 0) : bottom, max(left, 0) : right] = True
    assert change[inside].mean() > least
    assert change[inside].mean() > 1.5 * change[~inside].mean()


def test_blurry_pictures_are_blurred():
    def detail(value):
        images, _ = faces.render_params(3, np.arange(8), 0, 64, force={"Blurry": value}, traits={"noise": 0.0})
        return np.abs(np.diff(images.astype(float), axis=3)).mean()

    assert detail(True) < 0.7 * detail(False)


def test_forcing_keeps_labels_consistent():
    a, _ = faces.parameters(1, np.arange(50), force={"Blond_Hair": True, "Goatee": True})
    assert not (a["Black_Hair"] | a["Brown_Hair"] | a["Gray_Hair"] | a["Bald"] | a["No_Beard"]).any()


def test_a_given_trait_changes_what_is_derived_from_it():
    fair, dark = (faces.render_params(4, np.arange(4), 0, 48, traits={"skin_tone": tone})[0] for tone in (1.0, 5.5))
    cheek = np.s_[:, :, 26:30, 17:21]
    assert fair[cheek].mean() > dark[cheek].mean() + 40


def test_shifted_domain_is_older_and_darker():
    _, one = faces.parameters(1, np.arange(2000))
    _, two = faces.parameters(1, np.arange(2000), domain="shifted")
    assert two["age"].mean() > one["age"].mean() + 2
    assert two["skin_tone"].mean() > one["skin_tone"].mean() + 0.5
    assert two["noise"].mean() > one["noise"].mean()


def test_every_trait_is_in_one_factor_or_in_none():
    _, traits = faces.parameters(1, 0)
    named = [name for names in faces.FACTORS.values() for name in names]
    named += [*MIXED, *DERIVED, *HIDDEN]
    phases = {name for name in traits if "phase" in name}
    assert sorted(named) == sorted(set(traits) - phases)


def test_factors_are_the_traits_and_belong_to_person_or_photograph():
    people = np.arange(100)
    one, two = (faces.factors(6, people, photo) for photo in (0, 1))
    _, traits = faces.parameters(6, people, 0)
    assert set(one) == set(faces.FACTORS) and one["skin"].shape == (100, 6 + 4 + 9)
    assert np.array_equal(one["pose"], np.stack([traits["yaw"], traits["pitch"], traits["roll"]], 1))
    assert np.array_equal(one["background"][:, 4:], traits["scene_rgb2"])
    for name in ("geometry", "skin", "age"):
        assert np.array_equal(one[name], two[name]), name
    for name in ("expression", "pose", "light", "background", "camera", "clothes"):
        assert (one[name] != two[name]).any(1).all(), name
    assert all(np.isfinite(values).all() and (values.std(0) > 0).any() for values in one.values())
    shifted = faces.factors(6, people, domain="shifted")
    assert shifted["age"][:, 0].mean() > one["age"][:, 0].mean()


def test_the_room_imports_nothing_of_arl_but_config_and_messages():
    for path in Path(faces.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Import) or not any(a.name.startswith("arl") for a in node.names), path
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "arl":
                assert node.module in ("arl.config", "arl.messages") or node.module.startswith("arl.faces"), path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_identities": 0}, "n_identities: found 0"),
        ({"per_identity": 0}, "per_identity: found 0"),
        ({"size": 15}, "size: found 15"),
        ({"seed": -1}, "seed: found -1"),
        ({"first_identity": -1}, "first_identity: found -1"),
        ({"domain": "moon"}, "domain: found 'moon', accepted are standard, shifted"),
        ({"out": np.zeros((2, 3, 16, 16), np.float32)}, "out: found float32"),
        ({"out": np.zeros((2, 3, 17, 16), np.uint8)}, "out: found uint8"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        faces.render(**{"n_identities": 2, "per_identity": 1, "size": 16} | arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "message"), [("force", "force: unknown attribute 'Wings'"), ("traits", "traits: unknown")]
)
def test_unknown_names_are_named(what, message):
    with pytest.raises(ValueError, match=message):
        faces.render_params(0, 0, 0, 16, **{what: {"Wings": True}})
