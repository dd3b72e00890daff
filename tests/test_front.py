"""The utility–privacy front: who is on it, where everything stands, and that paper and page agree on it."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from arl.config import RunConfig
from arl.paper import front as fronts
from arl.paper.figures import COLOURS
from arl.paper.front import FAINT, Point
from arl.workbook import cards


def point(privacy, utility, half=0.01, **options):
    row = SimpleNamespace(config=RunConfig.preset("tiny", lambda1=privacy))
    x, y = ((v, v - half, v + half) for v in (privacy, utility))
    return Point(row, x, y, **options)


POINTS = [
    point(0.9, 0.70, protected=False),
    point(0.5, 0.65),
    point(0.6, 0.60),  # beaten by the one before
    point(0.3, 0.40),
    point(0.1, 0.90, alike=False),
]


def line(label, privacy, mcc, paper=()):
    figures = {
        "face_similarity": {"value": privacy, "low": privacy - 0.02, "high": privacy + 0.02},
        "mean_mcc": {"value": mcc, "low": None, "high": None},
    }
    return SimpleNamespace(
        setting=SimpleNamespace(label=label, paper=dict(paper)), figure=figures.get, floor=lambda metric: 0.2
    )


LINES = [
    line("λ2 = 0", 0.8, 0.7, {"face_similarity": 0.54, "mean_mcc": 0.64}),
    line("λ2 = 1", 0.5, 0.6, {"face_similarity": 0.41, "mean_mcc": 0.61}),
    line("λ2 = 2", 0.4, 0.5),
]


@pytest.fixture
def axis():
    yield plt.subplots()[1]
    plt.close("all")


def test_the_front_holds_whom_no_other_beats_from_the_most_private_on():
    found = fronts.undominated(POINTS)
    assert [p.x[0] for p in found] == [0.1]
    assert [p.x[0] for p in fronts.undominated(POINTS[:4])] == [0.3, 0.5, 0.9]
    assert fronts.undominated([]) == []


def test_each_point_has_its_mark_and_the_line_goes_through_those_that_are_alike():
    found = fronts.of_points(POINTS, POINTS[2].row)
    assert [mark.kind for mark in found.marks] == ["plain", "protected", "chosen", "protected", "protected"]
    assert [mark.shape for mark in found.marks] == list("soooo") and [m.opacity for m in found.marks] == [
        1,
        1,
        1,
        1,
        FAINT,
    ]
    assert [(m.x, m.y) for m in found.marks] == [(p.x, p.y) for p in POINTS]
    (path,) = found.paths
    assert [x for x, _ in path.places] == [0.3, 0.5, 0.9]
    with pytest.raises(ValueError, match="points: found none"):
        fronts.of_points([])


def test_a_table_is_joined_in_its_order_beside_the_paper():
    found = fronts.of_lines(LINES)
    ours, paper = found.paths
    assert ours.places == ((0.8, 0.7), (0.5, 0.6), (0.4, 0.5)) and paper.places == ((0.54, 0.64), (0.41, 0.61))
    assert paper.broken and not ours.broken and found.floor == pytest.approx(0.2)
    assert found.x.low < 0.2, "the floor is in the figure"
    assert [mark.name for mark in found.marks] == ["0", "1", "2", "0", "1"]
    assert found.marks[0].y == (0.7, 0.7, 0.7), "a figure without an interval has none"


def test_every_interval_and_tick_is_inside_the_axes():
    found = fronts.of_points(POINTS)
    for scale, values in ((found.x, [v for p in POINTS for v in p.x]), (found.y, [v for p in POINTS for v in p.y])):
        assert all(0 < scale.at(v) < 1 for v in values) and scale.at(scale.low) == 0 and scale.at(scale.high) == 1
        assert len(scale.ticks) >= 3 and all(0 <= scale.at(tick) <= 1 for tick in scale.ticks)
    alone = fronts.scale([0.5], "")
    assert alone.low < 0.5 < alone.high


def test_names_keep_away_from_points_and_from_one_another():
    places = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 8.0], [100.0, 100.0]])
    names = fronts.label_places(places, away=8.0)
    assert np.linalg.norm(names - places, axis=1) == pytest.approx(8.0)
    everything = np.concatenate([places, names])
    apart = np.linalg.norm(everything[:, None] - everything[None], axis=2)[np.triu_indices(len(everything), 1)]
    assert apart.min() > 4
    assert fronts.label_places(np.empty((0, 2))).shape == (0, 2)


def test_paper_draws_every_mark_where_the_front_says(axis):
    found = fronts.of_points(POINTS, POINTS[2].row)
    fronts.draw(axis, found)
    assert axis.get_xlim() == found.x[:2] and axis.get_ylim() == found.y[:2]
    assert tuple(axis.get_xticks()) == found.x.ticks
    drawn = [container.lines[0] for container in axis.containers]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in drawn] == [(p.x[0], p.y[0]) for p in POINTS]
    assert to_hex(drawn[2].get_color()) == COLOURS[1].lower(), "the chosen one stands out"


def test_the_page_draws_every_mark_where_the_front_says():
    found = fronts.of_points(POINTS, POINTS[2].row)
    drawn = cards.front_svg(POINTS, POINTS[2].row)
    width, height = cards.WIDTH - cards.LEFT - cards.RIGHT, cards.HEIGHT - cards.BOTTOM - cards.TOP
    for p, (left, top) in zip(POINTS, drawn.places, strict=True):
        assert (left / 100 * cards.WIDTH - cards.LEFT) / width == pytest.approx(found.x.at(p.x[0]))
        assert 1 - (top / 100 * cards.HEIGHT - cards.TOP) / height == pytest.approx(found.y.at(p.y[0]))
    assert drawn.figure.count("<circle") == 4 and drawn.figure.count("<rect") == 1
    assert drawn.figure.count('fill="var(--you)"') == 1 and 'opacity="0.35"' in drawn.figure
    assert len(re.search(r'<polyline points="([^"]*)"', drawn.figure)[1].split()) == 3
    assert "No stored run" in cards.front_svg([], None).figure


def test_the_figure_of_a_table_says_what_is_what():
    figure = fronts.front_figure(LINES)
    (axis,) = figure.axes
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["ours", "the paper (CelebA)", "floor: the mean face (ours)"]
    assert [text.get_text() for text in axis.texts] == ["0", "1", "2", "0", "1"]
    assert "more private" in axis.get_xlabel() and "more useful" in axis.get_ylabel()
    plt.close(figure)
