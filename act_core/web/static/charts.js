// Draws what the figures of a page say: stacked areas and bars by CE, or lines. Times are UTC.
"use strict";

const Charts = (() => {
  const drawn = new Map(); // id → {plot, said}
  const HEIGHT = 210, SHORTEST = 7;
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (i, name) => (name === "others" ? style("--c-others") : style(`--c${i % 8}`));
  const seconds = (point) => Date.parse(point.length > 10 ? `${point}:00:00Z` : `${point}T00:00:00Z`) / 1000;
  const shown = (n) => (n == null ? "–" : Math.abs(n) >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString("en-US").replaceAll(",", "\u202f") : n.toFixed(1));

  // Each series on top of those before it; the top one is drawn first, so that all show.
  function stacked(series) {
    const sums = [];
    const below = new Array(series[0].values.length).fill(0);
    for (const one of series) {
      one.values.forEach((v, i) => { below[i] += v || 0; });
      sums.push([...below]);
    }
    return sums.reverse();
  }

  function options(said, width, ids, legend) {
    const bars = said.kind === "bars", lines = said.kind === "lines";
    const axis = { stroke: style("--muted"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
    const paths = bars ? uPlot.paths.bars({ size: [0.72, 46], align: 0 }) : uPlot.paths.linear();
    return {
      width, height: HEIGHT,
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "UTC"),
      legend: { show: false },
      cursor: { y: false, points: { show: lines }, drag: { x: false, y: false } },
      scales: { x: { range: bars ? (_u, lo, hi) => [lo - 43200, hi + 43200] : undefined }, y: { range: (_u, _lo, hi) => [0, hi > 0 ? hi * 1.06 : 1] } },
      axes: [
        { ...axis, size: 30, splits: (u) => marks(u, said, bars), values: (_u, ticks) => ticks.map((s) => mark(s, bars)) },
        { ...axis, size: 46, values: (_u, ticks) => ticks.map((n) => (n >= 1e6 ? `${n / 1e6}M` : n >= 1e4 ? `${n / 1e3}k` : n)), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6] },
      ],
      series: [{}, ...ids.map((i) => {
        const c = colour(i, said.series[i].name);
        return { paths, stroke: c, fill: lines ? undefined : c, width: lines ? 2 : bars ? 0 : 0.5, points: { show: !bars && said.points.length < 3 } };
      })],
      hooks: { setCursor: [(u) => tell(legend, said, u.cursor.idx)] },
    };
  }

  // As many marks below the figure as there is room for: days, or midnights and the hours between them.
  function marks(u, said, bars) {
    const room = Math.max(2, Math.floor(u.width / 70)), all = said.points.map(seconds);
    const steps = bars ? [1, 2, 7, 14] : [1, 3, 6, 12, 24, 48, 72];
    const step = steps.find((n) => all.length / n <= room) ?? steps.at(-1);
    return bars ? all.filter((_s, i) => (all.length - 1 - i) % step === 0) : all.filter((s) => (s / 3600) % step === 0);
  }
  function mark(s, bars) {
    const at = new Date(s * 1000), day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
    return bars || at.getUTCHours() === 0 ? day : `${String(at.getUTCHours()).padStart(2, "0")}:00`;
  }
  // Points before the first job tell nothing.
  function trimmed(said) {
    const first = said.points.findIndex((_p, i) => said.series.some((one) => one.values[i]));
    const from = Math.max(0, Math.min(first, said.points.length - SHORTEST));
    return { ...said, points: said.points.slice(from), series: said.series.map((one) => ({ ...one, values: one.values.slice(from) })) };
  }

  function makeLegend(box, said) {
    const legend = document.createElement("ul");
    legend.className = "key";
    const time = document.createElement("li");
    time.className = "time";
    legend.append(time);
    said.series.forEach((one, i) => {
      const item = document.createElement("li"), mark = document.createElement("i"), value = document.createElement("b");
      mark.style.background = colour(i, one.name);
      item.append(mark, one.name, value);
      legend.append(item);
    });
    box.append(legend);
    return legend;
  }

  function tell(legend, said, at) {
    const i = at ?? said.points.length - 1;
    const [time, ...items] = legend.children;
    if (i < 0 || !time) return;
    const day = said.points[i];
    time.textContent = day.length > 10 ? `${day.slice(5, 10)} ${day.slice(11)}:00` : day;
    items.forEach((item, n) => { item.lastChild.textContent = shown(said.series[n].values[i]); });
  }

  function draw(box) {
    const source = document.getElementById(box.dataset.from);
    if (!source) return;
    const text = source.dataset.chart, width = Math.floor(box.clientWidth);
    const old = drawn.get(box.id);
    if (!width || (old && old.box === box && old.text === text && old.width === width && box.firstChild)) return;
    const said = trimmed(JSON.parse(text));
    if (old) old.plot.destroy();
    box.replaceChildren();
    const ids = said.series.map((_one, i) => i);
    const lines = said.kind === "lines";
    const values = lines ? said.series.map((one) => one.values) : stacked(said.series);
    const place = document.createElement("div");
    box.append(place);
    const legend = makeLegend(box, said);
    const plot = new uPlot(options(said, width, lines ? ids : ids.reverse(), legend), [said.points.map(seconds), ...values], place);
    tell(legend, said, null);
    drawn.set(box.id, { plot, text, width, box });
  }

  function all(again) {
    if (again) drawn.forEach((one) => { one.text = null; });
    for (const box of document.querySelectorAll(".plot[data-from]")) draw(box);
    for (const [id, one] of drawn) if (!document.contains(one.box)) { one.plot.destroy(); drawn.delete(id); }
  }

  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 120); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all(true));
  return { all };
})();
