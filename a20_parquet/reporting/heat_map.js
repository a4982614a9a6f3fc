// ---- the heat map: windows by site and day --------------------------------------------------------

const LEAST_BREAK_DAYS = 30;
const MOST_BREAK_DAYS = 400; // where no site has anything for longer, the axis is cut
const BREAK_PX = 14;
const BIN_DAYS = [1, 2, 7, 14, 28, 91, 364, 3640, 36400];
const ALL_ROWS_PX = 1400;
const PRINTED_ROWS_PX = 900; // a sheet of A4
const [LEAST_ROW_PX, MOST_ROW_PX] = [2, 24];
const LABEL_PX = 14;

const canvas = $("cells");
const days = data.days.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));
const bytes = Uint8Array.from(atob(data.cells), (character) => character.charCodeAt(0));
const amountNumbers = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[data.cell_bytes](bytes.buffer);
/** Windows of a site on the day with this number in `days`. */
const windowsOf = (site, column) => data.amounts[amountNumbers[site * days.length + column]];
const spans = data.sites.map((_, site) => {
  let [first, last] = [0, days.length - 1];
  while (first <= last && !windowsOf(site, first)) first += 1;
  while (last > first && !windowsOf(site, last)) last -= 1;
  return first <= last ? [days[first], days[last]] : [Infinity, -Infinity];
});

const colourStep = (minutes) =>
  minutes >= data.reached * data.top_minutes
    ? data.steps - 1
    : Math.min(Math.floor((minutes / data.top_minutes) * (data.steps - 1)), data.steps - 2);

// ---- which days are shown, and where ---------------------------------------------------------

let shown = [days[0], days[days.length - 1]];
let view = null;

// A few recordings in different years would be hairlines if the axis had all days.
const breakDays = Math.min(Math.max(days.length, LEAST_BREAK_DAYS), MOST_BREAK_DAYS);

/** Stretches of the shown days, cut where no site has anything for very long. */
function stretches() {
  const found = [];
  for (const [start, count] of data.days) {
    const [first, last] = [Math.max(start, shown[0]), Math.min(start + count - 1, shown[1])];
    if (first > last) continue;
    const before = found[found.length - 1];
    if (before && first - before[1] <= breakDays) before[1] = last;
    else found.push([first, last]);
  }
  return found;
}

/** Columns of one or more days, {first, last, x, width} in whole device pixels. */
function layOut(width, ratio) {
  const parts = stretches();
  const room = Math.max(width - BREAK_PX * (parts.length - 1), 1) * ratio;
  const count = (size) => parts.reduce((sum, [first, last]) => sum + Math.ceil((last - first + 1) / size), 0);
  const step = BIN_DAYS.find((size) => count(size) * ratio <= room) ?? BIN_DAYS[BIN_DAYS.length - 1];
  let cell = room / count(step);
  if (cell >= 6 && cell < 30) cell = Math.floor(cell);
  const bins = [];
  let origin = 0;
  let column = days.findIndex((day) => day >= shown[0]);
  for (const [first, last] of parts) {
    for (let day = first, i = 0; day <= last; day += step, i += 1) {
      const bin = { first: day, last: Math.min(day + step - 1, last), from: column };
      while (days[column] <= bin.last) column += 1;
      const x = origin + Math.round(i * cell);
      bins.push({ ...bin, to: column, x, width: origin + Math.round((i + 1) * cell) - x });
    }
    const end = bins[bins.length - 1];
    origin = end.x + end.width + Math.round(BREAK_PX * ratio);
  }
  return { bins, step, perDay: cell / step / ratio, parts: parts.length };
}

/** What a site has in a column: windows, days with and without any between its first and last. */
function summed(site, bin) {
  let windows = 0;
  let recorded = 0;
  for (let column = bin.from; column < bin.to; column += 1) {
    const count = windowsOf(site, column);
    windows += count;
    if (count) recorded += 1;
  }
  const [first, last] = [Math.max(bin.first, spans[site][0]), Math.min(bin.last, spans[site][1])];
  return { windows, recorded, missing: Math.max(last - first + 1, 0) - recorded };
}

// ---- drawing -------------------------------------------------------------------------------------

function draw() {
  hideTip();
  $("heat-map").hidden = !days.length || !order.length;
  if ($("heat-map").hidden) return;
  const ratio = window.devicePixelRatio || 1;
  const room = "print" in root.dataset ? PRINTED_ROWS_PX : ALL_ROWS_PX;
  const rowPx = Math.max(LEAST_ROW_PX, Math.min(MOST_ROW_PX, Math.floor(room / order.length)));
  drawLabels(rowPx);
  view = { ...layOut($("field").clientWidth, ratio), ratio, rowPx };
  const end = view.bins[view.bins.length - 1];
  canvas.width = end.x + end.width;
  canvas.height = Math.round(order.length * rowPx * ratio);
  canvas.style.width = `${canvas.width / ratio}px`;
  canvas.style.height = `${order.length * rowPx}px`;
  drawCells(view);
  drawAxis(view);
  $("cell-means").textContent = meaning(view);
}

function meaning({ step, parts }) {
  const column = step === 1 ? "a day" : `${step} days`;
  const mean = "the colour is the mean of those with a recording";
  const share = ", the lower part of a cell is orange for the share of those without";
  const cut = `The axis is cut where no site recorded for more than ${breakDays} days.`;
  return [
    `One row is a site, one column ${column}${step === 1 ? "" : `: ${mean}${data.sparse ? "" : share}`}.`,
    ...(data.sparse ? ["Most sites were recorded on some of their days only: days without are pale."] : []),
    ...(parts > 1 ? [cut] : []),
  ].join(" ");
}

function drawCells({ bins, ratio, rowPx }) {
  const scale = Array.from({ length: data.steps }, (_, i) => colour(`--c${i}`));
  const [gap, outside] = [colour(data.sparse ? "--seldom" : "--gap"), colour("--outside")];
  const pen = canvas.getContext("2d");
  const between = rowPx >= 12 ? Math.round(2 * ratio) : rowPx >= 8 ? 1 : 0;
  order.forEach((site, row) => {
    const top = Math.round(row * rowPx * ratio);
    const height = Math.round((row + 1) * rowPx * ratio) - top - between;
    const [behind, front] = [strip(pen, top), strip(pen, top)];
    for (const bin of bins) {
      const width = bin.width - (bin.width >= 8 * ratio ? between : 0);
      const { windows, recorded, missing } = summed(site, bin);
      behind.add(recorded + missing ? gap : outside, bin.x, width, height);
      if (!recorded) continue;
      // A single missing day still shows, and so does a single recorded one.
      const share = Math.round((height * recorded) / (recorded + missing));
      const filled = missing && !data.sparse ? Math.max(1, Math.min(height - 1, share)) : height;
      front.add(scale[colourStep((windows * data.window_minutes) / recorded)], bin.x, width, filled);
    }
    behind.paint();
    front.paint();
  });
}

/** Rectangles of one row; those that touch and look the same become one, which is far fewer. */
function strip(pen, top) {
  const found = [];
  const add = (colour, x, width, height) => {
    const before = found[found.length - 1];
    if (before?.colour === colour && before.height === height && before.x + before.width === x) before.width += width;
    else found.push({ colour, x, width, height });
  };
  const paint = () => {
    for (const { colour, x, width, height } of found) {
      pen.fillStyle = colour;
      pen.fillRect(x, top, width, height);
    }
  };
  return { add, paint };
}

function drawLabels(rowPx) {
  const labels = $("labels");
  labels.replaceChildren();
  const pen = canvas.getContext("2d");
  const { fontSize, fontFamily } = getComputedStyle(labels);
  pen.font = `${fontSize} ${fontFamily}`;
  const longest = Math.max(...data.sites.map((name) => pen.measureText(name).width));
  labels.style.width = `${Math.min(longest + 4, 220, $("heat-map").clientWidth * 0.3)}px`;
  const every = Math.ceil(LABEL_PX / rowPx);
  order.forEach((site, row) => {
    if (row % every) return;
    const top = row * rowPx + rowPx / 2 - LABEL_PX / 2;
    place(labels, data.sites[site], { top: `${top}px` }).title = siteName(site);
  });
}

function drawAxis({ bins, ratio, perDay }) {
  const axis = $("axis");
  axis.replaceChildren();
  const byDay = perDay >= 18;
  const months = [1, 3, 6].find((step) => step * 30 * perDay >= 32);
  const [minor, major] = [[], []];
  bins.forEach((bin, i) => {
    const x = bin.x / ratio;
    const [date, before] = [new Date(bin.last * DAY_MS), i ? new Date(bins[i - 1].last * DAY_MS) : null];
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    const isNewYear = !before || before.getUTCFullYear() !== year;
    const isCut = i > 0 && bin.first !== bins[i - 1].last + 1;
    const isNewMonth = isNewYear || isCut || before.getUTCMonth() !== month;
    if (byDay) {
      minor.push({ x, text: String(date.getUTCDate()), width: `${bin.width / ratio}px` });
      if (isNewMonth) major.push({ x, text: `${MONTHS[month]} ${year}` });
    } else {
      if (isNewYear) major.push({ x, text: String(year) });
      if (months && isNewMonth && (isCut || month % months === 0)) minor.push({ x, text: MONTHS[month] });
    }
  });
  // Where two are too close, the later one starts the longer stretch.
  const end = canvas.width / ratio;
  const spaced = (ticks, least) => ticks.filter((tick, i) => (ticks[i + 1]?.x ?? end) - tick.x >= least);
  for (const tick of spaced(major, byDay ? 64 : 36)) place(axis, tick.text, { left: `${tick.x}px` }, "major");
  for (const tick of byDay ? minor : spaced(minor, 26))
    place(axis, tick.text, { left: `${tick.x}px`, width: tick.width ?? "auto" }, byDay ? "day" : "");
}

// ---- pointing at a cell -----------------------------------------------------------------------

let pointed = null;

function cellText(site, bin) {
  const { windows, recorded, missing } = summed(site, bin);
  const audio = `${number(windows)} windows, ${duration(windows * data.window_minutes)} of audio`;
  const length = bin.last - bin.first + 1;
  const when = length === 1 ? iso(bin.first) : `${iso(bin.first)} to ${iso(bin.last)}`;
  const what = recorded ? audio : missing ? "no recording" : bin.last < spans[site][0] ? "before its first day" : "after its last day";
  return [siteName(site), when, what, ...(recorded && length > 1 ? [`${recorded} of ${length} days recorded`] : [])];
}

function unpoint() {
  $("cursor").hidden = true;
  $("labels").querySelector(".here")?.remove();
  pointed = null;
}

function point(row, column) {
  hideTip();
  pointed = { row, column };
  const { bins, ratio, rowPx } = view;
  const bin = bins[column];
  const site = order[row];
  const cursor = $("cursor");
  Object.assign(cursor.style, {
    left: `${bin.x / ratio}px`, top: `${row * rowPx}px`, width: `${bin.width / ratio}px`, height: `${rowPx}px`,
  });
  cursor.hidden = false;
  place($("labels"), data.sites[site], { top: `${row * rowPx + rowPx / 2 - LABEL_PX / 2}px` }, "here");
  showTip(cellText(site, bin), cursor.getBoundingClientRect());
}

function pointAt(event) {
  const box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) * view.ratio;
  const row = Math.floor((event.clientY - box.top) / view.rowPx);
  const column = view.bins.findIndex((bin) => x >= bin.x && x < bin.x + bin.width);
  if (column < 0 || row < 0 || row >= order.length) hideTip();
  else if (pointed?.row !== row || pointed?.column !== column) point(row, column);
}

function moveByKey(event) {
  if (event.key === "Escape") return hideTip();
  const move = ARROWS[event.key];
  if (!move) return undefined;
  event.preventDefault();
  const { row, column } = pointed ?? { row: 0, column: 0 };
  const inside = (value, count) => Math.min(Math.max(value, 0), count - 1);
  const next = pointed ? [row + move[0], column + move[1]] : [row, column];
  return point(inside(next[0], order.length), inside(next[1], view.bins.length));
}

// ---- years --------------------------------------------------------------------------------------

function offerYears() {
  const years = [...new Set(days.map(yearOf))];
  if (years.length < 2) return;
  const [first, last] = [days[0], days[days.length - 1]];
  const ranges = years.map((year) => {
    const start = Date.UTC(year, 0, 1) / DAY_MS;
    return [Math.max(start, first), Math.min(Date.UTC(year + 1, 0, 1) / DAY_MS - 1, last)];
  });
  offer($("years"), ["all", ...years.map(String)], (i) => {
    shown = i ? ranges[i - 1] : [first, last];
    draw();
  });
}
