// ---- sorting and choosing sites -----------------------------------------------------------------

const heads = [...$("sites").tHead.rows[0].cells];
const ASCENDING_FIRST = new Set([0, 3, 4]);

/** Called after the chosen sites have changed. */
const choosers = [];

function sortBy(column, descending) {
  const key = (row) => (column ? row.cells[column].dataset.value : row.dataset.site);
  const sign = descending ? -1 : 1;
  rows.sort((a, b) => {
    if ((key(a) === "") !== (key(b) === "")) return key(a) === "" ? 1 : -1; // the unknown comes last
    return sign * (key(a) - key(b)) || a.dataset.site - b.dataset.site;
  });
  $("sites").tBodies[0].append(...rows);
  heads.forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  for (const button of $("order").querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(+button.dataset.column === column));
  showSites();
}

/** Show the rows of the chosen sites, in the order of the table. */
function showSites() {
  for (const row of rows) row.hidden = chosen !== null && !chosen.has(+row.dataset.site);
  order = rows.filter((row) => !row.hidden).map((row) => +row.dataset.site);
  draw();
}

/** Choose sites by a part of their names; words that are separated by commas are alternatives. */
function find(text) {
  const words = text.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
  const fits = (site) => words.some((word) => siteName(site).toLowerCase().includes(word));
  chosen = words.length ? new Set(data.sites.map((_, site) => site).filter(fits)) : null;
  $("clear").hidden = !words.length;
  $("found").textContent = chosen ? `${number(chosen.size)} of ${number(data.sites.length)} sites` : "";
  showSites();
  for (const show of choosers) show();
}

function findBy(text) {
  $("find").value = text;
  find(text);
}

heads.forEach((head, column) =>
  head.firstElementChild.addEventListener("click", () => {
    const now = head.getAttribute("aria-sort");
    sortBy(column, now ? now === "ascending" : !ASCENDING_FIRST.has(column));
  }),
);
for (const button of $("order").querySelectorAll("button"))
  button.addEventListener("click", () => sortBy(+button.dataset.column, !ASCENDING_FIRST.has(+button.dataset.column)));
$("find").addEventListener("input", () => find($("find").value));
$("clear").addEventListener("click", () => {
  findBy("");
  $("find").focus();
});
