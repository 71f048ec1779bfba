"""A soak as a picture: `python -m benchmarks.soak_plot soak.json > docs/pictures/soak.svg`. Needs the extra `plot`.

Charts over one time axis, below lanes with the faults that struck, numbered as in docs/soak.md. The colours are light
ones, on a ground of their own; where the reader's system is dark, a style sheet within the picture takes others.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.soak_figures import NoSoak, Points, processes, read, series, speed, told
from benchmarks.soak_plan import ARC, CRIC, DATABASE, PAGE, PANDA, SERVER, STORAGE, WORKER

INK, GROUND, GRID, BAND, MARK = "#24292f", "#fefefe", "#d0d7df", "#fbe6d6", "#c2570d"
LINES = ("#0a58b8", "#b3261f", "#1d7a3a", "#7d3fc0", "#9a6601")
DARK = {
    INK: "#e2e8ee", GROUND: "#0e1218", GRID: "#30373e", BAND: "#35261b", MARK: "#f0a869",
    "#0a58b8": "#6cb0ff", "#b3261f": "#ff8f86", "#1d7a3a": "#5ed183", "#7d3fc0": "#cda5ff", "#9a6601": "#e5b94e",
}  # fmt: skip
WIDE, HEIGHTS = 11.0, (2.4, 1.8, 1.8, 2.4, 2.4, 1.8)  # inches
GAP_S, NARROW = 12.0, 0.003  # a longer gap between samples breaks a line; the least width of a mark, of all
LANES = (CRIC, STORAGE, ARC, PANDA, DATABASE, PAGE, SERVER, WORKER)
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "soak", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.edgecolor": GRID, "axes.labelcolor": INK, "axes.titlecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.facecolor": GROUND, "figure.facecolor": GROUND, "grid.color": GRID,
    "legend.frameon": False,
}  # fmt: skip


def _line(axes: Axes, points: Points, colour: str, label: str) -> None:
    """Broken where nothing was seen."""
    xs, ys, before = list[float](), list[float](), None
    for at, value in points:
        if before is not None and at - before > GAP_S:
            xs.append(before / 60)
            ys.append(float("nan"))
        xs.append(at / 60)
        ys.append(value)
        before = at
    axes.plot(xs, ys, color=colour, linewidth=1.4, label=label)


def _ended(one: Mapping[str, Any], end: float) -> float:
    return float(end if one["ended"] is None else one["ended"])


def _lanes(axes: Axes, strikes: Sequence[Mapping[str, Any]], end: float) -> None:
    """What struck whom, with its number."""
    axes.set_yticks(range(len(LANES)), ["a CE" if lane == ARC else lane for lane in LANES])
    axes.tick_params(axis="y", length=0)
    for n, one in enumerate(strikes, 1):
        lane, long = LANES.index(one["target"]), max(_ended(one, end) - one["began"], NARROW * end)
        axes.broken_barh([(one["began"] / 60, long / 60)], (lane - 0.4, 0.8), facecolor=MARK, zorder=3)
        at = (one["began"] + long) / 60 + NARROW * end / 90
        axes.text(at, lane, str(n), va="center", fontsize=7)
    axes.set_ylim(-0.6, len(LANES) - 0.4)


def _bands(axes: Axes, strikes: Sequence[Mapping[str, Any]], end: float) -> None:
    """Behind the lines; those of CRIC, which strikes beside the others, in their lane alone."""
    for one in strikes:
        if one["target"] != CRIC:
            until = max(_ended(one, end), one["began"] + NARROW * end)
            axes.axvspan(one["began"] / 60, until / 60, color=BAND, linewidth=0, zorder=0)


def drawn(held: Mapping[str, Any]) -> Figure:
    samples, asked, strikes = held["samples"], held["options"], held["strikes"]
    end = samples[-1]["at"]
    figure = Figure(figsize=(WIDE, sum(HEIGHTS)), layout="constrained")
    FigureCanvasSVG(figure)
    lanes, jobs, waiting, *charts, late = figure.subplots(len(HEIGHTS), 1, sharex=True, height_ratios=HEIGHTS)
    _lanes(lanes, strikes, end)
    _line(jobs, speed(samples), LINES[0], "jobs finished a second, of the last minute")
    jobs.axhline(asked["rate"], color=INK, linewidth=0.8, linestyle="--", label="ordered a second")
    _line(waiting, told(samples, "waiting"), LINES[0], "jobs that were ordered and are not over")
    for axes, what in zip(charts, ("memory", "descriptors"), strict=True):
        for colour, name in zip(LINES, processes(samples), strict=False):
            _line(axes, series(samples, name, what), colour, name)
    charts[0].set_ylabel("memory, MB")
    charts[1].set_ylabel("descriptors")
    _line(late, told(samples, "sweep_late"), LINES[0], "status sweep")
    _line(late, told(samples, "heartbeat_late"), LINES[1], "oldest heartbeat")
    late.set_ylabel("late, s")
    late.set_xlabel("minutes from the first order on")
    for axes in (jobs, waiting, *charts, late):
        _bands(axes, strikes, end)
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=5, borderaxespad=0, fontsize=9)
    for axes in (lanes, jobs, waiting, *charts, late):
        axes.axvline(asked["seconds"] / 60, color=INK, linewidth=0.8, linestyle=":")
        axes.grid(visible=True, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    jobs.set_xlim(0, end / 60)
    return figure


def with_dark(svg: str) -> str:
    """The style sheet for dark systems, into a picture of matplotlib's."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark} !important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    return svg.replace("<defs>", f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n <defs>", 1)


def picture(held: Mapping[str, Any]) -> str:
    """SVG; the same of the same."""
    with mpl.rc_context(cast(Any, STYLE)):
        text = io.StringIO()
        drawn(held).savefig(text, format="svg", metadata={"Date": None})
    return with_dark(text.getvalue())


if __name__ == "__main__":
    try:
        sys.stdout.write(picture(read(Path(sys.argv[1]))))
    except NoSoak as err:
        sys.exit(str(err))
