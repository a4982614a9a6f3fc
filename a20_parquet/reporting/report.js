"use strict";
(() => {
  const DAY_MS = 864e5;
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const BREAK_DAYS = 400; // where no site has anything for longer, the axis is cut
  const BREAK_PX = 14;
  const BIN_DAYS = [1, 2, 7, 14, 28, 91, 364, 3640, 36400];
  const MOST_CELL_PX = 96;
  const ALL_ROWS_PX = 1400;
  const PRINTED_ROWS_PX = 900; // a sheet of A4
  const [LEAST_ROW_PX, MOST_ROW_PX] = [2, 24];
  const LABEL_PX = 14;

  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const canvas = $("cells");
  const tip = $("tip");
  const data = JSON.parse($("data").textContent);
  const rows = [...$("sites").tBodies[0].rows];

  // ---- what the page knows: windows by site and day ------------------------------------------

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

  const number = (value) => value.toLocaleString("en");
  const iso = (day) => new Date(day * DAY_MS).toISOString().slice(0, 10);
  const yearOf = (day) => new Date(day * DAY_MS).getUTCFullYear();
  const duration = (minutes) =>
    minutes < 60 ? `${+minutes.toPrecision(3)} min` : `${+(minutes / 60).toPrecision(3)} h`;
  const colourStep = (minutes) =>
    minutes >= data.reached * data.top_minutes
      ? data.steps - 1
      : Math.min(Math.floor((minutes / data.top_minutes) * (data.steps - 1)), data.steps - 2);

  // ---- which days are shown, and where ---------------------------------------------------------

  let shown = [days[0], days[days.length - 1]];
  let order = rows.map((row) => +row.dataset.site);
  let view = null;

  /** Stretches of the shown days, cut where no site has anything for very long. */
  function stretches() {
    const found = [];
    for (const [start, count] of data.days) {
      const [first, last] = [Math.max(start, shown[0]), Math.min(start + count - 1, shown[1])];
      if (first > last) continue;
      const before = found[found.length - 1];
      if (before && first - before[1] <= BREAK_DAYS) before[1] = last;
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
    let cell = Math.min(room / count(step), MOST_CELL_PX * ratio);
    if (cell >= 6) cell = Math.floor(cell);
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
    return { bins, step, perDay: cell / step / ratio };
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
    if (!days.length) return;
    hideTip();
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
    $("cell-means").textContent =
      view.step === 1
        ? "One row is a site, one column a day."
        : `One row is a site, one column ${view.step} days: the colour is the mean of those with a ` +
          "recording, the lower part of a cell is orange for the share of those without.";
  }

  function drawCells({ bins, ratio, rowPx }) {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    const scale = Array.from({ length: data.steps }, (_, i) => colour(`--c${i}`));
    const [gap, outside] = [colour("--gap"), colour("--outside")];
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
        const filled = missing ? Math.max(1, Math.min(height - 1, share)) : height;
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

  function place(parent, text, style, name = "") {
    const label = document.createElement("span");
    label.textContent = text;
    label.className = name;
    Object.assign(label.style, style);
    parent.append(label);
    return label;
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
      const label = place(labels, data.sites[site], { top: `${top}px` });
      label.title = data.sites[site];
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
      const isNewMonth = isNewYear || before.getUTCMonth() !== month;
      if (byDay) {
        minor.push({ x, text: String(date.getUTCDate()), width: `${bin.width / ratio}px` });
        if (isNewMonth) major.push({ x, text: `${MONTHS[month]} ${year}` });
      } else {
        if (isNewYear) major.push({ x, text: String(year) });
        if (months && isNewMonth && month % months === 0) minor.push({ x, text: MONTHS[month] });
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
    return [data.sites[site], when, what, ...(recorded && length > 1 ? [`${recorded} of ${length} days recorded`] : [])];
  }

  function showTip(lines, box) {
    tip.replaceChildren(
      ...lines.map((line, i) => Object.assign(document.createElement(i ? "span" : "strong"), { textContent: line })),
    );
    tip.hidden = false;
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    const left = Math.min(Math.max(box.left + box.width / 2 - width / 2, 8), root.clientWidth - width - 8);
    const top = box.top - height - 10 >= 8 ? box.top - height - 10 : box.bottom + 10;
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  function hideTip() {
    tip.hidden = true;
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

  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

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

  // ---- sorting and years -------------------------------------------------------------------------

  const heads = [...$("sites").tHead.rows[0].cells];
  const ASCENDING_FIRST = new Set([0, 3, 4]);

  function sortBy(column, descending) {
    const key = (row) => (column ? row.cells[column].dataset.value : row.dataset.site);
    const sign = descending ? -1 : 1;
    rows.sort((a, b) => {
      if ((key(a) === "") !== (key(b) === "")) return key(a) === "" ? 1 : -1; // the unknown comes last
      return sign * (key(a) - key(b)) || a.dataset.site - b.dataset.site;
    });
    $("sites").tBodies[0].append(...rows);
    order = rows.map((row) => +row.dataset.site);
    heads.forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    for (const button of $("order").querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(+button.dataset.column === column));
    draw();
  }

  heads.forEach((head, column) =>
    head.firstElementChild.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sortBy(column, now ? now === "ascending" : !ASCENDING_FIRST.has(column));
    }),
  );
  for (const button of $("order").querySelectorAll("button"))
    button.addEventListener("click", () => sortBy(+button.dataset.column, !ASCENDING_FIRST.has(+button.dataset.column)));

  function offerYears() {
    const years = [...new Set(days.map(yearOf))];
    if (years.length < 2) return;
    const [first, last] = [days[0], days[days.length - 1]];
    const choices = [["all", [first, last]]];
    for (const year of years) {
      const start = Date.UTC(year, 0, 1) / DAY_MS;
      choices.push([String(year), [Math.max(start, first), Math.min(Date.UTC(year + 1, 0, 1) / DAY_MS - 1, last)]]);
    }
    const buttons = choices.map(([name, range], i) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.setAttribute("aria-pressed", String(i === 0));
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        shown = range;
        draw();
      });
      return button;
    });
    $("years").append(...buttons);
  }

  // ---- begin -------------------------------------------------------------------------------------

  $("controls").hidden = !days.length;
  offerYears();
  draw();
  let width = $("heat-map").clientWidth;
  new ResizeObserver(() => {
    if (width === $("heat-map").clientWidth) return;
    width = $("heat-map").clientWidth;
    draw();
  }).observe($("heat-map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  canvas.addEventListener("pointermove", pointAt);
  canvas.addEventListener("pointerdown", pointAt);
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hideTip(); // a finger leaves as soon as it has tapped
  });
  window.addEventListener("scroll", hideTip, { passive: true });
  canvas.addEventListener("keydown", moveByKey);
  canvas.addEventListener("blur", hideTip);
  document.addEventListener("pointerover", (event) => {
    if (event.target === canvas) return;
    const cell = event.target.closest?.("[data-tip]");
    if (cell) showTip(cell.dataset.tip.split("|"), cell.getBoundingClientRect());
    else hideTip();
  });
  window.addEventListener("beforeprint", () => {
    root.dataset.print = "";
    draw();
  });
  window.addEventListener("afterprint", () => {
    delete root.dataset.print;
    draw();
  });
})();
