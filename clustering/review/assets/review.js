// The three views, keys and clicks.
"use strict";

// ---------------------------------------------------------------- the three views

// In pixels, as review.css has them: a line of faces, a line of few large ones, what is around a card's lines with its
// buttons, a caption, and on a narrow screen the text above the faces.
const LINES = 3, LINE = 59, LARGE = 87, AROUND = 76, CAPTION = 25, ABOVE = { one: 54, two: 30 };
const narrow = window.matchMedia("(max-width: 45rem)");
const around = (sides) => AROUND + (narrow.matches ? ABOVE[sides] : 0);
const list = new Rows($("pane"));
const across = { main: 1, side: 1 };
let view = "clusters", items = [], selected = 0;
let found = null;  // what was looked for: positions of faces and places of their clusters

const VIEWS = {
  clusters: {
    all: () => Array.from(sizes.keys()), draw: clusterCard, height: (place) => around("one") + LINE * clusterLines(place), decided: (place) => isDecided(names[place]),
    empty: "No cluster is left.",
    help: [["↑ ↓", "move"], ["Enter", "open"], ["k", "keep"], ["d", "drop"], ["s", "split"], ["← →", "another candidate"],
      ["m", "merge with it"], ["u", "undo"], ["1–9", "first faces out"], ["click", "a face out"]],
    keys: {
      k: (place) => keep(place) || true, d: (place) => drop(place) || true,
      s: (place) => splitCluster(place, dividing(place)),
      m: (place) => (candidate(place) ? merge(place, candidate(place).place) : false),
      ArrowLeft: (place) => turnBy(place, -1), ArrowRight: (place) => turnBy(place, 1), Enter: (place) => openCluster(place),
    },
  },
  pairs: {
    all: () => Array.from(pairs.similarity.keys()), draw: pairCard, height: (pair) => around("two") + CAPTION + LINE * pairLines(pair),
    decided: (pair) => decided.has(pairKey(names[pairs.places[2 * pair]], names[pairs.places[2 * pair + 1]])),
    empty: "No pair of clusters is left.",
    help: [["↑ ↓", "move"], ["Enter", "open the left one"], ["m", "merge: one person"], ["k", "keep apart: two people"], ["u", "undo"],
      ["click", "a face out"]],
    keys: {
      m: (pair) => merge(pairs.places[2 * pair], pairs.places[2 * pair + 1]),
      k: (pair) => apart(pairs.places[2 * pair], pairs.places[2 * pair + 1]),
      Enter: (pair) => openCluster(pairs.places[2 * pair]),
    },
  },
  merges: {
    all: () => Array.from(merges.similarity.keys()), draw: mergeCard, height: (at) => around("two") + CAPTION + LINE * mergeLines(at),
    decided: (at) => Boolean(mergeKind(at)),
    empty: merges.similarity.length ? "No merge is left." : "No finer level divides these clusters, so there are no merges to look at.",
    help: [["↑ ↓", "move"], ["Enter", "open"], ["s", "split: the right part is somebody else"], ["k", "keep together"], ["d", "drop"],
      ["u", "undo"], ["click", "a face out"]],
    keys: {
      s: (at) => (isSplitOff(at) ? toast("Already split off; u takes it back.") : split(merges.places[at], [mergeFaces(at)])),
      k: (at) => keep(merges.places[at]) || true, d: (at) => drop(merges.places[at]) || true,
      Enter: (at) => openCluster(merges.places[at]),
    },
  },
};

const ORDERS = {
  wrong: null,
  doubt: (place) => confidence[place],
  near: (place) => -(near.count ? near.similarity[place * near.count] : 0),
  size: (place) => -sizes[place],
};

// How many faces go side by side in the cards of this view.
function measure() {
  const probe = el("div", "row", view === "clusters"
    ? el("div", "card", el("div", "about"), el("div", "sheet"), el("div", "side", el("div", "sheet")))
    : el("div", "card two", el("div", "about"), el("div", "side", el("div", "sheet")), el("div", "side")));
  probe.style.visibility = "hidden";
  list.spacer.append(probe);
  const fits = (node) => {
    const size = parseFloat(getComputedStyle(node).getPropertyValue("--face"));
    return Math.max(1, Math.floor((node.clientWidth + 3) / (size + 3)));
  };
  const sheets = [...probe.querySelectorAll(".sheet")].map(fits);
  across.main = sheets[0];
  across.side = sheets[sheets.length - 1];
  probe.remove();
}

function choose(name, place = -1) {
  if (isTyping($("pane"))) focusPane();
  view = name;
  const { all, decided: done } = VIEWS[view];
  items = view === "clusters" && found ? all().filter((place) => found.places.has(place)) : all();
  const order = view === "clusters" && ORDERS[$("order").value];
  if (order) {
    const keys = Float64Array.from(items, order);
    items.sort((a, b) => keys[a] - keys[b] || a - b);
  }
  if ($("open").checked) items = items.filter((item) => !done(item) || item === place);
  selected = Math.max(0, place < 0 ? 0 : items.indexOf(place));
  for (const node of document.querySelectorAll("nav button")) node.setAttribute("aria-current", String(node.dataset.view === view));
  $("order-label").hidden = view !== "clusters";
  $("help").replaceChildren(...VIEWS[view].help.flatMap(([key, text]) => [el("span", "", el("kbd", "", key), ` ${text}`), " "]));
  $("pane").scrollTop = 0;
  measure();
  refill();
  list.reveal(selected);
}

function refill() {
  list.pane.querySelector(".empty")?.remove();
  if (!items.length) list.pane.append(el("p", "empty", VIEWS[view].empty));
  list.show(items.length, (index) => VIEWS[view].height(items[index]), (index) => VIEWS[view].draw(items[index], index));
}

function redraw() {
  list.repaint();
  if ($("closer").open) keepFocus(() => $("closer"), drawCloser);
  const seen = new Set();
  for (const [key, kind] of decided) {
    if (!key.startsWith("pair:")) seen.add(Number(key.split(":")[1]));
    else if (kind === "merge") ends(key).forEach((name) => seen.add(name));
  }
  $("progress").textContent = `${seen.size.toLocaleString("en")} of ${many(sizes.length, "cluster")} decided`;
  $("undo").disabled = !undone.length;
  const people = new Set([...decided.entries()].filter(([key]) => key.startsWith("called:")).map(([, name]) => name));
  $("people").replaceChildren(...[...people].sort().map((name) => Object.assign(el("option"), { value: name })));
}

function select(index) {
  if (!items.length) return;
  selected = Math.min(Math.max(index, 0), items.length - 1);
  list.reveal(selected);
  for (const node of $("pane").querySelectorAll(".card")) node.setAttribute("aria-current", String(Number(node.dataset.index) === selected));
}

// ---------------------------------------------------------------- keys, clicks, names

// Does what a key means; moves on when that has decided about a card.
function press(key) {
  if (key === "u") return undo();
  if (DIGIT.test(key)) {
    const faces = document.querySelectorAll($("closer").open ? "#closer-pane .face" : '.card[aria-current="true"] > .sheet .face');
    return faces.length < key ? undefined : toggleFace(Number(faces[key - 1].dataset.at));
  }
  if ($("closer").open) {
    const isNext = CLOSER[key]?.(closer.place);
    if (isNext && view === "clusters" && items[selected] === closer.place) select(selected + 1);
    return undefined;
  }
  const action = items.length ? VIEWS[view].keys[key] : undefined;
  if (action && action(items[selected]) === true) select(selected + 1);
  return undefined;
}

const DIGIT = /^[1-9]$/;
const page = () => Math.max(1, atOrBelow(list.tops, list.tops[selected] + $("pane").clientHeight) - selected - 1);
const MOVES = {
  ArrowDown: () => select(selected + 1), ArrowUp: () => select(selected - 1), PageDown: () => select(selected + page()),
  PageUp: () => select(selected - page()), Home: () => select(0), End: () => select(items.length - 1),
};

document.addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;  // with Shift or Caps Lock, too
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("[type=text], [type=search], select")) return;
  if (event.target.matches("button, [type=file]") && key === "Enter") return;
  const known = $("closer").open ? CLOSER : { ...VIEWS[view].keys, ...MOVES };
  if (!(key in known) && key !== "u" && !DIGIT.test(key)) return;
  event.preventDefault();
  if (!$("closer").open && MOVES[key]) MOVES[key]();
  else press(key);
});

for (const pane of [$("pane"), $("closer-pane"), $("closer-side")]) {
  pane.addEventListener("click", (event) => {
    const shown = event.target.closest(".card");
    if (shown) select(Number(shown.dataset.index));
    const node = event.target.closest(".face");
    if (node) toggleFace(Number(node.dataset.at));
  });
  pane.addEventListener("mouseover", (event) => {
    const node = event.target.closest(".face");
    if (node) label(node);
  });
}

let fading = 0;
function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => $("toast").classList.remove("shown"), 4000);
}

// ---------------------------------------------------------------- begin

restore();
document.title = REVIEW.title;
$("title").textContent = REVIEW.title;
$("facts").textContent = `${many(sizes.length, "cluster")}, ${many(rows.length, "face")}`;
for (const node of document.querySelectorAll("nav button")) {
  node.querySelector(".count").textContent = VIEWS[node.dataset.view].all().length.toLocaleString("en");
  node.addEventListener("click", () => { choose(node.dataset.view); $("pane").focus(); });
}
document.documentElement.style.setProperty("--across", REVIEW.columns);
$("undo").addEventListener("click", undo);
$("save").addEventListener("click", save);
$("load").addEventListener("change", async () => { if ($("load").files.length) await load($("load").files[0]); $("load").value = ""; });
$("order").addEventListener("change", () => { choose(view); $("pane").focus(); });
$("open").addEventListener("change", () => choose(view));
$("find").addEventListener("change", async () => { await find($("find").value.trim()); $("pane").focus(); });
$("found").addEventListener("click", () => { asked++; clearSearch(); $("pane").focus(); });
$("commands").replaceChildren(...REVIEW.commands.map((text) => el("pre", "", text)));
$("saved-close").addEventListener("click", () => { $("saved").hidden = true; $("pane").focus(); });
narrow.addEventListener("change", () => choose(view));
$("closer").addEventListener("close", () => { document.body.append($("toast")); $("pane").focus(); redraw(); });
new ResizeObserver(() => { measure(); refill(); if ($("closer").open) drawCloser(); }).observe($("pane"));
window.addEventListener("pagehide", () => { document.activeElement?.blur(); takeTyped(); if (storing) store(); });
choose("clusters");
redraw();
$("pane").focus();
