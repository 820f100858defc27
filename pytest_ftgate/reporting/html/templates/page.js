
// Commands --------------------------------------------------------------------------------
for (const code of document.querySelectorAll("code.command"))
  code.after(createButton("Copy", (button) => copyText(code.textContent, button), "small"));

// Tables ----------------------------------------------------------------------------------
// A click on a header sorts by the first number of each cell, else by its text.
const cellKey = (row, index) => {
  const text = (row.cells[index]?.textContent || "").trim().replaceAll("−", "-").replaceAll(",", "")
    .replace(/^down /, "-").replace(/^up /, "").replace(/^(no change|unchanged).*/, "0");
  const number = text.match(/^[<>≥≤+]?\s*(-?\d+(?:\.\d+)?)/);
  return number ? Number(number[1]) : text.toLowerCase();
};
function compareKeys(x, y) {
  if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1;
  if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
  return x < y ? -1 : x > y ? 1 : 0;
}
function sortTable(header) {
  const table = header.closest("table"), index = header.cellIndex, body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => ({ row, key: cellKey(row, index) }));
  const isNumber = keyed.some(({ key }) => typeof key === "number"), before = header.getAttribute("aria-sort");
  const order = before ? (before === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
  const sign = order === "ascending" ? 1 : -1;
  keyed.sort((x, y) => x.key === "" || y.key === "" ? compareKeys(x.key, y.key) : sign * compareKeys(x.key, y.key));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  body.append(...keyed.map(({ row }) => row));
}
for (const table of document.querySelectorAll("table.sortable")) {
  if (table.tBodies[0].rows.length < 3) continue;
  for (const header of table.tHead.rows[0].cells) {
    const text = header.textContent;
    if (text) header.replaceChildren(createButton(text, () => sortTable(header)));
  }
}

// Anchors and the bar at the top ----------------------------------------------------------
addEventListener("beforeprint", () => document.querySelectorAll("details.card, details.why").forEach((card) => { card.open = true; }));
function openTarget() {
  const hash = location.hash.slice(1), target = hash && !hash.includes("=") && byId(hash);
  for (let box = target || null; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const visible = new Set();
const spy = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) visible[isIntersecting ? "add" : "delete"](target.id);
  const current = [...links.keys()].find((id) => visible.has(id));
  for (const [id, link] of links) if (id === current) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  const link = links.get(current);
  if (link) link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - 40;
}, { rootMargin: "-70px 0px -55% 0px" });
document.querySelectorAll("main section").forEach((section) => spy.observe(section));
