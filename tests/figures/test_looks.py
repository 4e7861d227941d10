"""Lines that stay apart, and logarithmic axes whose labels do not overlap."""

import itertools
import json

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nwm_jax.figures import compare, style


@pytest.mark.parametrize("marked", [False, True])
def test_the_ninth_line_is_unlike_the_others(marked):
    looks = style.looks(24, marked=marked)
    assert len({(look["color"], look["linestyle"]) for look in looks}) == 24
    if marked:
        assert looks[8]["marker"] != looks[2]["marker"]


@pytest.mark.parametrize(
    "span",
    [(500, 4_000), (0.03, 0.2), (1e-5, 1.0), (500, 40_000), (310, 460), (0.6, 70)],
)
def test_labels_of_a_logarithmic_axis_are_apart(span):
    figure = style.new_figure(4.0, 3.0)
    axes = style.add_axes_inches(figure, 0.8, 0.2, 3.0, 2.2)
    axes.plot(span, [1, 2])
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    FigureCanvasAgg(figure).draw()
    labels = [text for text in axes.get_xticklabels(which="both") if text.get_text()]
    inside = [t for t in labels if span[0] <= t.get_position()[0] <= span[1]]
    assert len(inside) >= 2
    boxes = sorted((text.get_window_extent() for text in inside), key=lambda b: b.x0)
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_a_comparison_of_nine_runs(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(style, "save_png", lambda figure, path: kept.append(figure))
    for number in range(9):
        rows = [{"step": s, "mse": 0.5 / s + number} for s in range(1, 41)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{number}.jsonl").write_text(text)
    runs = {str(n): tmp_path / f"{n}.jsonl" for n in range(9)}
    compare.draw_comparison(tmp_path / "a.png", runs, {"train": "mse"})
    third, ninth = (kept[0].axes[0].lines[n] for n in (2, 8))
    assert third.get_color() == ninth.get_color()
    assert third.get_linestyle() != ninth.get_linestyle()
    handles = kept[0].legends[0].legend_handles
    assert handles[8].get_linestyle() == ninth.get_linestyle()


def test_long_names_of_runs_stand_below_each_other(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(style, "save_png", lambda figure, path: kept.append(figure))
    (tmp_path / "a.jsonl").write_text('{"step": 1, "mse": 1.0}\n')
    for name, columns in (("short", 2), ("nwm_readout_linear_T_30_model_dt_0_25", 1)):
        runs = {f"{name}_{n}": tmp_path / "a.jsonl" for n in range(4)}
        compare.draw_comparison(tmp_path / "a.png", runs, {"train": "mse"})
        FigureCanvasAgg(kept[-1]).draw()
        legend = kept[-1].legends[0]
        assert legend._ncols == columns
        assert legend.get_window_extent().x1 <= kept[-1].bbox.x1


def test_a_long_title_is_not_cut(tmp_path):
    figure = style.new_figure(3.0, 1.0)
    style.title(
        figure, 0.2, 0.2, "mass_spring_colors_friction_nwm2d:laptop, step 4,000"
    )
    style.save_png(figure, tmp_path / "a.png")
    assert figure.texts[0].get_size() < style.TITLE
