"use strict";
// ---- what all parts of the page share ------------------------------------------------------------

const DAY_MS = 864e5;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const tip = $("tip");
const data = JSON.parse($("data").textContent);
const rows = [...$("sites").tBodies[0].rows];

/** The chosen sites, by their numbers, in the order of the table; null if all are. */
let chosen = null;
let order = rows.map((row) => +row.dataset.site);

const number = (value) => value.toLocaleString("en");
const iso = (day) => new Date(day * DAY_MS).toISOString().slice(0, 10);
const yearOf = (day) => new Date(day * DAY_MS).getUTCFullYear();
const duration = (minutes) =>
  minutes < 60 ? `${+minutes.toPrecision(3)} min` : `${+(minutes / 60).toPrecision(3)} h`;
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

/** A site's key, and the recorder's name where that says more. */
function siteName(site) {
  const [key, recorder] = [data.sites[site], data.recorders[site]];
  return recorder && recorder !== key ? `${key} ${recorder}` : key;
}

function place(parent, text, style, name = "") {
  const label = document.createElement("span");
  label.textContent = text;
  label.className = name;
  Object.assign(label.style, style);
  parent.append(label);
  return label;
}

/** Show lines beside a box of the window; the first one is the heading. */
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

/** Called whenever what is pointed at changes or ends. */
const hiders = [];

function hideTip() {
  tip.hidden = true;
  for (const hide of hiders) hide();
}

/** Buttons of which one is pressed; `choose` gets its number. */
function offer(parent, names, choose) {
  const buttons = names.map((name, i) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.setAttribute("aria-pressed", String(i === 0));
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose(i);
    });
    return button;
  });
  parent.append(...buttons);
}
