// ---- the picture of the embeddings ---------------------------------------------------------------

const sample = JSON.parse($("sample").textContent);
const MOST_SITES = 8;
const MOST_NAMED = 4;
const [POINT_PX, NEAR_PX, PICTURE_MARGIN_PX] = [3.2, 7, 16];
const HOUR_S = 3600;

/** What the points can be coloured by: a number for each point, or null, and the colours' names. */
const COLOURINGS = [
  { name: "hour of the day", of: (i) => localHour(sample.start[i]), colours: 24, ends: ["00:00", "23:00"] },
  { name: "site", of: (i) => siteColour(sample.site[i]), colours: MOST_SITES },
  { name: "month", of: (i) => localMonth(sample.start[i]), colours: 12, ends: ["Jan", "Dec"] },
];

function localHour(start) {
  return start === null ? null : Math.floor((((start % 86400) + 86400) % 86400) / HOUR_S);
}

function localMonth(start) {
  return start === null ? null : new Date(start * 1000).getUTCMonth();
}

const sitesByPoints = (() => {
  const counts = new Map();
  for (const site of sample?.site ?? []) counts.set(site, (counts.get(site) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([site]) => site);
})();

function siteColour(site) {
  const rank = sitesByPoints.indexOf(site);
  return rank < MOST_SITES ? rank : null;
}

let coloured = COLOURINGS[0];
let spots = [];
let spot = -1;

const colourName = (i) => (coloured.colours === MOST_SITES ? `--s${i}` : `--t${Math.round((i * 24) / coloured.colours)}`);

function drawPicture() {
  if (!sample) return;
  hideTip();
  const picture = $("picture");
  const ratio = window.devicePixelRatio || 1;
  const width = picture.parentElement.clientWidth;
  const height = Math.round(Math.min(Math.max(width * 0.66, 260), 560));
  Object.assign(picture, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  Object.assign(picture.style, { width: `${width}px`, height: `${height}px` });
  const extent = (values) => [Math.min(...values), Math.max(...values)];
  const [[left, right], [low, high]] = [extent(sample.x), extent(sample.y)];
  const room = [width - 2 * PICTURE_MARGIN_PX, height - 2 * PICTURE_MARGIN_PX];
  const scale = Math.min(room[0] / Math.max(right - left, 1), room[1] / Math.max(high - low, 1));
  spots = sample.x.map((x, i) => ({
    i,
    x: width / 2 + (x - (left + right) / 2) * scale,
    y: height / 2 - (sample.y[i] - (low + high) / 2) * scale,
  }));
  const pen = picture.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const palette = Array.from({ length: coloured.colours }, (_, i) => colour(colourName(i)));
  const isOn = ({ i }) => chosen === null || chosen.has(sample.site[i]);
  for (const on of [false, true])
    for (const each of spots.filter((one) => isOn(one) === on)) {
      const value = coloured.of(each.i);
      pen.globalAlpha = on ? 0.8 : 0.12;
      pen.fillStyle = value === null ? colour("--soft") : palette[value];
      pen.beginPath();
      pen.arc(each.x, each.y, POINT_PX, 0, 2 * Math.PI);
      pen.fill();
    }
}

function key(parent, css, text) {
  const entry = Object.assign(document.createElement("span"), { className: "key" });
  const swatch = document.createElement("i");
  swatch.style.background = css;
  entry.append(swatch, text);
  parent.append(entry);
}

function drawPictureLegend() {
  const legend = $("picture-legend");
  legend.replaceChildren();
  if (coloured.ends) {
    const ramp = Object.assign(document.createElement("span"), { className: "ramp" });
    for (let i = 0; i < coloured.colours; i += 1) {
      const step = document.createElement("i");
      step.style.background = `var(${colourName(i)})`;
      ramp.append(step);
    }
    const scale = Object.assign(document.createElement("span"), { className: "key scale" });
    scale.append(coloured.ends[0], ramp, coloured.ends[1]);
    legend.append(scale);
  } else {
    const named = sitesByPoints.slice(0, MOST_SITES);
    named.forEach((site, rank) => key(legend, `var(--s${rank})`, siteName(site)));
    const others = sitesByPoints.length - named.length;
    if (others) key(legend, "var(--soft)", `${number(others)} other sites`);
  }
  if (sample.start.includes(null) && coloured.ends) key(legend, "var(--soft)", "time unknown");
}

// ---- pointing at a point ------------------------------------------------------------------------

const localTime = (start) => (start === null ? "time unknown" : new Date(start * 1000).toISOString().slice(0, 19).replace("T", " "));
const windowName = (i) =>
  `${sample.names[sample.name[i]]}@${sample.offset[i]}${sample.channel[i] ? `, channel ${sample.channel[i]}` : ""}`;

function pointAtSpot(nearest) {
  hideTip();
  spot = nearest;
  const at = spots[nearest];
  const near = spots.filter((one) => Math.hypot(one.x - at.x, one.y - at.y) <= NEAR_PX && one !== at);
  const shown = [at, ...near].slice(0, MOST_NAMED);
  const lines = shown.flatMap(({ i }) => [`${siteName(sample.site[i])}, ${localTime(sample.start[i])}`, windowName(i)]);
  if (near.length >= MOST_NAMED) lines.push(`and ${near.length + 1 - MOST_NAMED} more windows here`);
  const box = $("picture").getBoundingClientRect();
  const ring = $("ring");
  Object.assign(ring.style, { left: `${at.x - NEAR_PX}px`, top: `${at.y - NEAR_PX}px` });
  ring.hidden = false;
  showTip(lines, new DOMRect(box.left + at.x - NEAR_PX, box.top + at.y - NEAR_PX, 2 * NEAR_PX, 2 * NEAR_PX));
}

function pointInPicture(event) {
  const box = $("picture").getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let [nearest, least] = [-1, 2 * NEAR_PX];
  spots.forEach((one, index) => {
    const apart = Math.hypot(one.x - x, one.y - y);
    if (apart < least && (chosen === null || chosen.has(sample.site[one.i]))) [nearest, least] = [index, apart];
  });
  if (nearest < 0) hideTip();
  else if (nearest !== spot) pointAtSpot(nearest);
}

/** Go to the nearest point that lies in the arrow's direction. */
function moveInPicture(event) {
  if (event.key === "Escape") return hideTip();
  const move = ARROWS[event.key];
  if (!move) return undefined;
  event.preventDefault();
  if (spot < 0) return pointAtSpot(0);
  const from = spots[spot];
  let [next, least] = [spot, Infinity];
  spots.forEach((one, index) => {
    const along = (one.x - from.x) * move[1] + (one.y - from.y) * move[0];
    const across = Math.abs((one.x - from.x) * move[0]) + Math.abs((one.y - from.y) * move[1]);
    if (along > NEAR_PX && along + 2 * across < least) [next, least] = [index, along + 2 * across];
  });
  return pointAtSpot(next);
}

function fillSample() {
  const body = $("sample-rows");
  if (body.rows.length) return;
  for (let i = 0; i < sample.x.length; i += 1) {
    const row = body.insertRow();
    for (const text of [siteName(sample.site[i]), localTime(sample.start[i]), windowName(i), sample.x[i], sample.y[i]])
      row.insertCell().textContent = text;
  }
}

function beginPicture() {
  if (!sample) return;
  const picture = $("picture");
  offer($("colouring"), COLOURINGS.map(({ name }) => name), (i) => {
    coloured = COLOURINGS[i];
    drawPicture();
    drawPictureLegend();
  });
  hiders.push(() => {
    $("ring").hidden = true;
    spot = -1;
  });
  choosers.push(drawPicture);
  picture.addEventListener("pointermove", pointInPicture);
  picture.addEventListener("pointerdown", pointInPicture);
  picture.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hideTip());
  picture.addEventListener("keydown", moveInPicture);
  picture.addEventListener("blur", hideTip);
  $("sample-table").addEventListener("toggle", fillSample);
  $("picture-controls").hidden = false;
  drawPicture();
  drawPictureLegend();
}
