// ---- the map ------------------------------------------------------------------------------------

function beginMap() {
  const map = $("map");
  if (!map) return;
  const circles = [...map.querySelectorAll("circle")];
  const sitesOf = (circle) => circle.dataset.sites.split(" ").map(Number);
  const fromWest = [...circles].sort((a, b) => a.cx.baseVal.value - b.cx.baseVal.value);
  let at = -1;

  const pointAtCircle = (circle) => {
    for (const each of circles) each.classList.toggle("here", each === circle);
    if (circle) showTip(circle.dataset.tip.split("\n"), circle.getBoundingClientRect());
  };
  const choose = (circle) => findBy(sitesOf(circle).map((site) => data.sites[site]).join(", "));

  hiders.push(() => pointAtCircle(null));
  choosers.push(() => {
    for (const circle of circles) circle.classList.toggle("off", chosen !== null && !sitesOf(circle).some((site) => chosen.has(site)));
  });
  map.addEventListener("click", (event) => {
    if (event.target.dataset.sites) choose(event.target);
  });
  map.addEventListener("blur", hideTip);
  map.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hideTip();
    if (event.key === "Enter" && at >= 0) return choose(fromWest[at]);
    const move = ARROWS[event.key];
    if (!move) return undefined;
    event.preventDefault();
    at = Math.min(Math.max(at + move[0] + move[1], 0), fromWest.length - 1);
    hideTip();
    return pointAtCircle(fromWest[at]);
  });
}
