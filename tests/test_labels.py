"""Tables of labels: right by name, or one line."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources import refused

from arl.config import ATTRIBUTES
from arl.data.tables import Faults, read_identities, read_labels, rows_for
from arl.messages import ConfigError


def table(tmp_path, text, name="labels.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


# -- no label shifts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, found",
    [
        ("image,Smiling,Male\na.png,0,1,1\n", "4 columns"),
        ("image,Smiling,Male\na.png,0,1\nb.png,1\n", "2 columns"),
        ("image,Smiling,Male\na.png,0,1,\n", "4 columns"),  # a comma at the end
        ("image,Smiling,,Male\na.png,0,1,1\n", "without a name"),
        ("image,Smiling,Male,Smiling\na.png,0,1,1\n", "'smiling' twice"),
        ("image,Smiling,smiling\na.png,0,1\n", "twice"),
        ('image,Smiling,Male\na.png,"0,1"\n', "2 columns"),
        ("image,Smiling\n,1\n", "without an image"),
        ('image,Smiling\n"a.png,1\n', "broken CSV"),
        ("image\tSmiling\na.png\t1\n", "line 1"),
        ("image;Smiling\na.png;1\n", "line 1"),
        ("image,Smiling,id\na.png,0,1\n", "'id'"),  # who it is, not an attribute
        ("image,Smiling\na.png,0\nb.png,1\nc.png,-1\n", "both 0 and -1 in Smiling"),  # one may mean unknown
        ("", "line 1"),
    ],
)
def test_a_csv_whose_rows_do_not_fit_its_header_is_refused(tmp_path, text, found):
    path = table(tmp_path, text)
    refused(lambda: read_labels(path), str(path), found, "accepted")


@pytest.mark.parametrize("gone", ["5_o_Clock_Shadow", "Bald", "Young"])
def test_a_header_that_lost_a_name_is_refused(tmp_path, gone):
    names = " ".join(name for name in ATTRIBUTES if name != gone)
    row = " ".join(["1"] + ["-1"] * 39)
    path = table(tmp_path, f"1\n{names}\n000001.jpg {row}\n", "list_attr_celeba.txt")
    refused(lambda: read_labels(path, known=ATTRIBUTES), "41 columns", "000001.jpg", "40 columns")


@pytest.mark.parametrize("strange", ["Bold", "bald", "Smilling"])
def test_names_that_celeba_does_not_have_are_refused(tmp_path, strange):
    path = table(tmp_path, f"1\nYoung {strange}\n000001.jpg 1 -1\n", "list_attr_celeba.txt")
    refused(lambda: read_labels(path, known=ATTRIBUTES), repr(strange), "Bald")


def test_a_subset_of_the_names_in_another_order_is_read_by_name(tmp_path):
    path = table(tmp_path, "2\nYoung Bald Male\na.jpg 1 -1 -1\nb.jpg -1 1 -1\n", "list_attr_celeba.txt")
    labels = read_labels(path, known=ATTRIBUTES)
    assert labels.names == ("Young", "Bald", "Male")
    assert labels.values == {"a.jpg": (True, False, False), "b.jpg": (False, True, False)}


# -- rows that are there twice, and rows that fit several images ----------------------------------------------------


@pytest.mark.parametrize("second", ["a.png,1,0", "./a.png,1,0", "a.png , 1,false"])
def test_a_row_twice_with_the_same_values_is_one(tmp_path, second):
    path = table(tmp_path, f"image,Smiling,Male\na.png,1,0\n{second}\n")
    assert read_labels(path).values == {"a.png": (True, False)}


@pytest.mark.parametrize("second", ["a.png,1,1,anna", "./a.png,0,0,anna", "a.png,1,0,carl"])
def test_a_row_twice_with_other_values_is_refused(tmp_path, second):
    path = table(tmp_path, f"image,Smiling,Male,identity\na.png,1,0,anna\nb.png,1,0,carl\n{second}\n")
    refused(lambda: read_labels(path), "a.png twice", "one row for each image")


def test_rows_of_celebas_own_tables_twice(tmp_path):
    path = table(tmp_path, "3\nBald\na.jpg 1\nb.jpg 1\na.jpg -1\n", "list_attr_celeba.txt")
    refused(lambda: read_labels(path), "a.jpg twice")
    path = table(tmp_path, "a.jpg 7\nb.jpg 8\na.jpg 7\n", "identity_CelebA.txt")
    assert read_identities(path) == {"a.jpg": 7, "b.jpg": 8}
    path = table(tmp_path, "a.jpg 7\nb.jpg 8\na.jpg 8\n", "identity_CelebA.txt")
    refused(lambda: read_identities(path), "a.jpg twice", "as 7 and as 8")


def test_a_row_belongs_to_the_image_that_it_names(tmp_path):
    images = ["p0/1.png", "p0/2.png", "p1/1.png", "p1/3.png"]
    rows = {"p0/1.png": 0, "2.png": 1, "p1/1.png": 2, "3.png": 3}
    assert rows_for(tmp_path, rows, images) == ["p0/1.png", "2.png", "p1/1.png", "3.png"]
    nested = [f"train/{name}" for name in images]
    assert rows_for(tmp_path, rows, nested) == ["p0/1.png", "2.png", "p1/1.png", "3.png"]
    assert rows_for(tmp_path, {"1.png": 0, "a/1.png": 1}, ["1.png", "a/1.png"]) == ["1.png", "a/1.png"]


@pytest.mark.parametrize(
    "rows, images",
    [
        (["1.png"], ["p0/1.png", "p7/1.png"]),
        (["1.png", "p0/1.png"], ["p0/1.png", "p7/1.png"]),
        (["anna/1.png"], ["train/anna/1.png", "val/anna/1.png"]),
    ],
)
def test_a_row_that_fits_several_images_is_refused(tmp_path, rows, images):
    refused(lambda: rows_for(tmp_path, dict.fromkeys(rows), images), repr(rows[0]), "fits 2 images", images[1])


def test_two_rows_that_fit_one_image_and_differ_are_refused(tmp_path):
    rows = {"p0/1.png": (True,), "1.png": (False,), "p1/2.png": (True,)}
    images = ["p0/1.png", "p1/2.png"]
    refused(lambda: rows_for(tmp_path, rows, images), "p0/1.png and 1.png", "other values")
    assert rows_for(tmp_path, rows | {"1.png": (True,)}, images) == images


def test_zero_in_one_column_and_minus_one_in_another_is_read(tmp_path):
    path = table(tmp_path, "image,Smiling,Male\na.png,0,-1\nb.png,1,1\n")
    assert read_labels(path).values == {"a.png": (False, False), "b.png": (True, True)}


# -- all that is wrong is said at once ------------------------------------------------------------------------------


def faults_of(call):
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value).splitlines()


def test_all_faults_of_a_table_are_said_at_once(tmp_path):
    rows = [
        "a.png,0,1,anna",
        "b.png,2,1,anna",
        "c.png,0,carl",
        "a.png,1,1,anna",
        "d.png,-1,1,carl",
        "e.png,1,1,",
        ",1,1,x",
    ]
    path = table(tmp_path, "\n".join(["image,Smiling,id,identity", *rows]))
    lines = faults_of(lambda: read_labels(path))
    found = [
        "'id'",
        "both 0 and -1",
        "'2' in the row of b",
        "3 columns in the row of c",
        "a.png twice",
        "of e",
        "without an image",
    ]
    assert all(any(part in line for line in lines) for part in found) and len(lines) == len(found), lines
    assert all(line.startswith(f"{path}: found ") and ", accepted: " in line for line in lines)
    who = table(tmp_path, "a.jpg 1\nb.jpg\na.jpg 2\nc.jpg x\n", "identity_CelebA.txt")
    assert len(faults_of(lambda: read_identities(who))) == 3


def test_of_many_faults_the_first_ten_and_their_number_are_said(tmp_path):
    path = table(tmp_path, "image,Smiling\n" + "".join(f"{k}.png,x{k}\n" for k in range(500)))
    lines = faults_of(lambda: read_labels(path))
    assert len(lines) == 11 and "0.png" in lines[0] and lines[-1] == f"{path}: 500 faults, 490 more than these 10"
    path = table(tmp_path, "image,Smiling\n" + "".join(f"{k}.png,x\n" for k in range(500)))
    (line,) = faults_of(lambda: read_labels(path))
    assert "the value 'x' in 500 rows, the first is that of 0.png" in line, "one fault, made again and again"


def test_images_without_a_row_are_said_beside_the_faults_of_the_rows(tmp_path):
    faults = Faults(tmp_path)
    rows = {"a/1.png": None, "1.png": (True,), "2.png": (True,)}
    rows_for(tmp_path, rows, ["a/1.png", "a/2.png", "b/2.png", "b/3.png"], faults)
    assert [line.split("found ")[1][:9] for line in faults.said()] == ["the row '", "no row fo"]


# -- encodings ------------------------------------------------------------------------------------------------------

WORDS = "image,Fröhlich,Bärtig\njosé.png,1,0\nzoë.png,0,1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_texts_of_every_kind_are_read(tmp_path, encoding, end):
    path = table(tmp_path, WORDS.replace("\n", end) + end, encoding=encoding)
    labels = read_labels(path)
    assert labels.names == ("Fröhlich", "Bärtig")
    assert labels.values == {"josé.png": (True, False), "zoë.png": (False, True)}
    txt = table(tmp_path, f"1{end}Bald Young{end}a.jpg 1 -1{end}{end}  {end}", "list_attr.txt", encoding)
    assert read_labels(txt).values == {"a.jpg": (True, False)}


@pytest.mark.parametrize(
    "data", [bytes(range(256)), b"\x89PNG\r\n\x1a\n\0\0\0", b"\xff\xfe\0", b"image,a\n\x81.png,1\n"]
)
def test_bytes_that_are_no_text_are_refused(tmp_path, data):
    path = table(tmp_path, data)
    refused(lambda: read_labels(path), str(path))


@pytest.mark.parametrize("name", ["josé/1.png", "Ångström/é.png"])
def test_composed_and_decomposed_letters_are_the_same(tmp_path, name):
    one, other = unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)
    assert one != other
    for in_table, on_disk in ((one, other), (other, one)):
        labels = read_labels(table(tmp_path, f"image,Smiling\n{in_table},1\n"))
        assert labels.values[rows_for(tmp_path, labels.values, [on_disk])[0]] == (True,)


def test_identities_with_a_mark_blank_lines_and_commas(tmp_path):
    expected = {"a.jpg": 2880, "b.jpg": 7}
    for text, name in (
        ("\ufeffa.jpg 2880\nb.jpg 7\n\n \n", "identity_CelebA.txt"),
        ("a.jpg\t2880\r\nb.jpg  7", "identity_CelebA.txt"),
        ("image_id,identity\na.jpg,2880\nb.jpg,7\n\n", "identity_CelebA.csv"),
        ("a.jpg,2880\nb.jpg,7\n", "identity_celeba.csv"),
    ):
        assert read_identities(table(tmp_path, text, name)) == expected


@pytest.mark.parametrize(
    "line", ["a.jpg", "a.jpg two", "a.jpg 1 2", "a.jpg ²", "a.jpg -1", "a.jpg " + "9" * 20, "a.jpg 1.0"]
)
def test_identities_that_are_no_numbers_are_refused(tmp_path, line):
    refused(lambda: read_identities(table(tmp_path, line + "\n", "identity.txt")), "a number a line", line[:30])


@pytest.mark.parametrize("nobody", ["", "NaN", "null", " ", "-1", "Unknown", "?"])
def test_a_row_without_a_person_is_refused(tmp_path, nobody):
    path = table(tmp_path, f"image,Smiling,identity\na.png,1,anna\nb.png,0,{nobody}\n")
    refused(lambda: read_labels(path), "nobody", "b.png")


# -- anything at all: right by name, or one line --------------------------------------------------------------------

NAMES = st.sampled_from(["Smiling", "Male", "Bald", "Young", "smiling", "", "identity", "Bärtig", "a b"])
IMAGES = st.sampled_from(["a.png", "p/a.png", "p\\a.png", "./a.png", "é.png", "e\u0301.png", "b.png", "", "c d.png"])
CELLS = st.sampled_from(["0", "1", "-1", "true", "FALSE", " 1", "", "2", "yes", "x"])
GOOD = st.sampled_from(["0", "1", "-1", "true", "false"])
CODES = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])


@st.composite
def tables(draw):
    """(text, encoding): a table that is nearly or wholly right."""
    names = draw(st.lists(NAMES, max_size=4, unique=draw(st.booleans())))
    lines = [",".join(["image", *names])]
    cells = draw(st.sampled_from([GOOD, CELLS]))
    for image in draw(st.lists(IMAGES, max_size=5)):
        width = len(names) + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1]))
        lines.append(",".join([image, *draw(st.lists(cells, min_size=max(width, 0), max_size=max(width, 0)))]))
        lines += [""] * draw(st.sampled_from([0, 0, 1]))
    return "\n".join(lines), draw(CODES)


def reference(text):
    """{image: {name: value}} by the plainest reading, or None where any two readings could differ."""
    truth = {"0": False, "-1": False, "false": False, "1": True, "true": True}
    header, *rows = [[cell.strip() for cell in line.split(",")] for line in text.split("\n") if line]
    names = header[1:]
    if "" in names or len({name.lower() for name in names}) < len(names):
        return None
    for k, name in enumerate(names, 1):
        if name != "identity" and {"0", "-1"} <= {row[k] for row in rows if k < len(row)}:
            return None
    found = {}
    for row in rows:
        image = unicodedata.normalize("NFC", row[0].replace("\\", "/").removeprefix("./"))
        if len(row) != len(header) or not image:
            return None
        values = dict(zip(names, row[1:], strict=True))
        person = values.pop("identity", "somebody")
        if person in ("", "-1") or any(value.lower() not in truth for value in values.values()):
            return None
        one = {name: truth[value.lower()] for name, value in values.items()} | {"": person}
        if found.setdefault(image, one) != one:
            return None
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(tables())
def test_any_table_is_read_right_by_name_or_refused(tmp_path, drawn):
    text, encoding = drawn
    try:
        path = table(tmp_path, text.encode(encoding))
    except UnicodeEncodeError:  # not a letter of Windows-1252
        return
    expected = reference(text)
    if expected is None:
        with pytest.raises(ConfigError) as caught:
            read_labels(path)
        assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())
        return
    labels = read_labels(path)
    assert set(labels.values) == set(expected)
    for image, values in labels.values.items():
        found = dict(zip(labels.names, values, strict=True)) | {"": labels.people.get(image, "somebody")}
        assert found == expected[image]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.binary(max_size=80), st.sampled_from(["labels.csv", "list_attr.txt", "identity.txt"]))
def test_any_bytes_are_a_table_or_one_line(tmp_path, data, name):
    path = table(tmp_path, data, name)
    try:
        read_identities(path) if name == "identity.txt" else read_labels(path)
    except ConfigError as error:
        assert all(line.startswith(f"{path}: ") for line in str(error).splitlines()) and str(error)
