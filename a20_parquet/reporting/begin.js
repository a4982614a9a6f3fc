// ---- begin --------------------------------------------------------------------------------------

const canvases = [canvas, $("picture")];

function drawAll() {
  draw();
  drawPicture();
}

hiders.push(unpoint);
$("controls").hidden = false;
for (const id of ["years", "order"]) $(id).hidden = !days.length;
offerYears();
draw();
beginMap();
beginPicture();
let width = $("page").clientWidth;
new ResizeObserver(() => {
  if (width === $("page").clientWidth) return;
  width = $("page").clientWidth;
  drawAll();
}).observe($("page"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
canvas.addEventListener("pointermove", pointAt);
canvas.addEventListener("pointerdown", pointAt);
canvas.addEventListener("pointerleave", (event) => {
  if (event.pointerType === "mouse") hideTip(); // a finger leaves as soon as it has tapped
});
window.addEventListener("scroll", hideTip, { passive: true });
canvas.addEventListener("keydown", moveByKey);
canvas.addEventListener("blur", hideTip);
document.addEventListener("pointerover", (event) => {
  if (canvases.includes(event.target)) return;
  hideTip();
  const cell = event.target.closest?.("[data-tip]");
  if (!cell) return;
  showTip(cell.dataset.tip.split("\n"), cell.getBoundingClientRect());
});
window.addEventListener("beforeprint", () => {
  root.dataset.print = "";
  drawAll();
});
window.addEventListener("afterprint", () => {
  delete root.dataset.print;
  drawAll();
});
