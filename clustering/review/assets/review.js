// The three views, one cluster closer, keys and clicks.
"use strict";

// ---------------------------------------------------------------- the three views

// In pixels, as review.css has them: a line of faces, a line of few large ones, what is around a card's lines, a caption.
const LINES = 3, LINE = 59, LARGE = 87, AROUND = 40, CAPTION = 25;
const list = new Rows($("pane"));
const across = { main: 1, side: 1 };
let view = "clusters", items = [], selected = 0;

const VIEWS = {
  clusters: {
    all: () => Array.from(sizes.keys()), draw: clusterCard, height: (place) => AROUND + LINE * clusterLines(place), decided: (place) => isDecided(names[place]),
    empty: "No cluster is left.",
    help: [["↑ ↓", "move"], ["Enter", "open"], ["k", "keep"], ["d", "drop"], ["s", "split"], ["← →", "another candidate"],
      ["m", "merge with it"], ["u", "undo"], ["click", "a face out"]],
    keys: {
      k: (place) => keep(place) || true, d: (place) => drop(place) || true,
      s: (place) => splitCluster(place, dividing(place)),
      m: (place) => (candidate(place) ? merge(place, candidate(place).place) : false),
      ArrowLeft: (place) => turnBy(place, -1), ArrowRight: (place) => turnBy(place, 1), Enter: (place) => openCluster(place),
    },
  },
  pairs: {
    all: () => Array.from(pairs.similarity.keys()), draw: pairCard, height: (pair) => AROUND + CAPTION + LINE * pairLines(pair),
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
    all: () => Array.from(merges.similarity.keys()), draw: mergeCard, height: (at) => AROUND + CAPTION + LINE * mergeLines(at),
    decided: (at) => Boolean(mergeKind(at)),
    empty: REVIEW.levels.length ? "No merge is left." : "This clustering has no levels below it, so there are no merges to look at.",
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
  doubt: null,
  wrong: (place) => -sizes[place] * (1 - confidence[place]),
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
  view = name;
  const { all, decided: done } = VIEWS[view];
  items = all();
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
  if ($("closer").open) drawCloser();
  const seen = new Set();
  for (const [key, kind] of decided) {
    if (!key.startsWith("pair:")) seen.add(Number(key.split(":")[1]));
    else if (kind === "merge") ends(key).forEach((name) => seen.add(name));
  }
  $("progress").textContent = `${seen.size.toLocaleString("en")} of ${many(sizes.length, "cluster")} decided`;
  $("undo").disabled = !undone.length;
}

function select(index) {
  if (!items.length) return;
  selected = Math.min(Math.max(index, 0), items.length - 1);
  list.reveal(selected);
  for (const node of $("pane").querySelectorAll(".card")) node.setAttribute("aria-selected", String(Number(node.dataset.index) === selected));
}

// ---------------------------------------------------------------- one cluster, closer

const closer = { place: 0, level: -1, list: new Rows($("closer-pane")) };

function openCluster(place) {
  Object.assign(closer, { place, level: dividing(place) });
  if (!$("closer").open) {
    $("closer").showModal();
    $("closer").append($("toast"));
  }
  $("closer-pane").scrollTop = 0;
  drawCloser();
  $("closer-pane").focus();
}

function drawCloser() {
  const { place } = closer, name = names[place];
  $("closer-title").textContent = `#${name}`;
  $("closer-facts").replaceChildren(
    `${many(sizes[place], "face")}, ${Math.floor(100 * confidence[place])} % sure, alike ${points(cohesion[place])} `, ...badges(place));
  const act = (key, text) => {
    const node = button(text, () => press(key));
    node.prepend(el("kbd", "", key));
    return node;
  };
  const who = el("input");
  Object.assign(who, { id: "closer-name", placeholder: "name", maxLength: 100, size: 16, value: called(name) });
  who.setAttribute("aria-label", "Who this is");
  // Later: a click that ends the typing must still find its button, which a redraw replaces.
  who.addEventListener("change", () => setTimeout(() => call(place, who.value), 250));
  $("closer-actions").replaceChildren(who, act("k", "Keep"), act("d", "Drop"), act("s", out(name).length ? "Split off the marked faces" : "Split into these parts"),
    act("Esc", "Close"));
  $("closer-actions").children[3].disabled = !out(name).length && closer.level < 0;
  $("closer-side").replaceChildren(...hierarchy(place), ...closest(place));
  drawFaces(place);
}

function drawFaces(place) {
  const groups = closer.level < 0 ? [positions(place)] : divided(place, closer.level);
  const across = Math.max(1, Math.floor(($("closer-pane").clientWidth - 36 + 3) / 83));
  const lines = [], marked = marks(place);
  for (const [number, group] of groups.entries()) {
    if (groups.length > 1) lines.push(`Part ${number + 1} · ${many(group.length, "face")}`);
    for (let at = 0; at < group.length; at += across) lines.push(group.slice(at, at + across));
  }
  closer.list.show(lines.length, (index) => (typeof lines[index] === "string" ? 44 : 83), (index) => (typeof lines[index] === "string"
    ? el("div", "strip title", lines[index])
    : el("div", "strip", ...lines[index].map((at) => face(at, marked)))));
}

// The levels, coarsest first: what joins this cluster above, what it is made of below.
function hierarchy(place) {
  const lines = [];
  let here = null, top = 0;
  for (let level = levels.length - 1; level >= 0; level--) {
    const above = joinedAbove(place, level), count = levels[level].count[place];
    if (above.length) {
      const shown = above.slice(0, 12).flatMap((other) => [named(other), " "]);
      lines.push(el("li", "", `level ${level}: with `, ...shown, above.length > 12 ? `and ${above.length - 12} more` : ""));
    } else if (count > 1) {
      const show = button(`${count} parts`, () => { closer.level = closer.level === level ? -1 : level; drawCloser(); });
      show.setAttribute("aria-pressed", String(closer.level === level));
      lines.push(el("li", "", `level ${level}: `, show));
    } else if (here) {
      here.textContent = `levels ${top} to ${level}: this cluster`;
    } else {
      top = level;
      here = el("li", "here", `level ${level}: this cluster`);
      lines.push(here);
    }
  }
  return lines.length ? [el("section", "", el("h3", "", "Hierarchy"), el("ol", "", ...lines))] : [];
}

function closest(place) {
  const chosen = candidate(place);
  const entries = candidates(place).map(({ place: other, similarity }) => {
    const key = pairKey(names[place], names[other]);
    const node = el("div", "near",
      el("div", "name", named(other), `${many(sizes[other], "face")}, alike ${points(similarity)}`,
        button(decided.get(key) === "merge" ? "merged" : "Merge", () => merge(place, other))),
      typical(other, 12));
    node.setAttribute("aria-selected", String(chosen.place === other));
    return node;
  });
  return entries.length ? [el("section", "", el("h3", "", "Closest clusters", el("kbd", "", "← →"), el("kbd", "", "m")), ...entries)] : [];
}

const CLOSER = {
  Esc: () => $("closer").close(),
  k: (place) => { keep(place); $("closer").close(); return true; },
  d: (place) => { drop(place); $("closer").close(); return true; },
  s: (place) => void splitCluster(place, closer.level),
  m: (place) => void (candidate(place) && merge(place, candidate(place).place)),
  ArrowLeft: (place) => turnBy(place, -1),
  ArrowRight: (place) => turnBy(place, 1),
};

// ---------------------------------------------------------------- keys, clicks, names

// Does what a key means; moves on when that has decided about a card.
function press(key) {
  if (key === "u") return undo();
  if ($("closer").open) {
    const isNext = CLOSER[key]?.(closer.place);
    if (isNext && view === "clusters" && items[selected] === closer.place) select(selected + 1);
    return undefined;
  }
  const action = items.length ? VIEWS[view].keys[key] : undefined;
  if (action && action(items[selected]) === true) select(selected + 1);
  return undefined;
}

const page = () => Math.max(1, atOrBelow(list.tops, list.tops[selected] + $("pane").clientHeight) - selected - 1);
const MOVES = {
  ArrowDown: () => select(selected + 1), ArrowUp: () => select(selected - 1), PageDown: () => select(selected + page()),
  PageUp: () => select(selected - page()), Home: () => select(0), End: () => select(items.length - 1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  if (event.target.matches("button") && event.key === "Enter") return;
  const known = $("closer").open ? CLOSER : { ...VIEWS[view].keys, ...MOVES };
  if (!(event.key in known) && event.key !== "u") return;
  event.preventDefault();
  if (!$("closer").open && MOVES[event.key]) MOVES[event.key]();
  else press(event.key);
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

const known = new Map();  // number of a script of keys: its keys, or the faces that wait for them

function label(node) {
  const at = Number(node.dataset.at), number = Math.floor(at / REVIEW.keys), keys = known.get(number);
  if (keys && !(keys instanceof Set)) {
    node.title = `${keys[at % REVIEW.keys]}\nface ${rows[at]}, fit ${points(fit[at])}`;
  } else if (keys) {
    keys.add(node);
  } else {
    known.set(number, new Set([node]));
    const script = document.createElement("script");
    script.src = `keys/${String(number).padStart(5, "0")}.js`;
    document.head.append(script);
  }
}

REVIEW.named = (number, keys) => {
  const waiting = known.get(number);
  known.set(number, keys);
  waiting.forEach(label);
};

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
$("goto").addEventListener("change", () => {
  const place = placeOf.get(Number($("goto").value.replace("#", "").trim() || NaN));
  if (place === undefined) return toast("No such cluster.");
  choose("clusters", place);
  return $("pane").focus();
});
$("closer").addEventListener("close", () => { document.body.append($("toast")); $("pane").focus(); redraw(); });
new ResizeObserver(() => { measure(); refill(); if ($("closer").open) drawCloser(); }).observe($("pane"));
window.addEventListener("pagehide", () => { if (storing) store(); });
choose("clusters");
redraw();
$("pane").focus();
