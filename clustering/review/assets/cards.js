// Faces, contact sheets and cards, and a list that draws the cards in sight. Nothing here makes HTML of text.
"use strict";

const $ = (id) => document.getElementById(id);
const points = (value) => value.toFixed(2).replace(/^(-?)0\./, "$1.");
const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function el(tag, className = "", ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

function button(text, action, className = "") {
  const node = el("button", className, text);
  node.type = "button";
  node.addEventListener("click", (event) => { event.stopPropagation(); action(); });
  return node;
}

// Draws what is in an element anew, and puts the focus back on the control that stands where the focused one stood.
function keepFocus(holder, draw) {
  const controls = () => [...(holder()?.querySelectorAll("button, input") || [])];
  const at = controls().indexOf(document.activeElement);
  draw();
  if (at >= 0) controls()[at]?.focus({ preventScroll: true });
}

const isTyping = (node) => node.contains(document.activeElement) && document.activeElement.matches("input");
const focusPane = () => $($("closer").open ? "closer-pane" : "pane").focus();

function face(at, marked) {
  const node = el("i", `face${marked.get(rows[at]) || ""}`);
  const side = REVIEW.columns, sheet = Math.floor(at / (side * side)), place = at % (side * side);
  node.dataset.at = at;
  node.style.backgroundImage = `url("sheets/${String(sheet).padStart(5, "0")}.jpg")`;
  node.style.backgroundPosition = `calc(var(--face) * ${-(place % side)}) calc(var(--face) * ${-Math.floor(place / side)})`;
  return node;
}

function marks(place) {
  const marked = new Map();
  for (const part of partsOf(names[place])) for (const row of part) marked.set(row, " part");
  for (const row of out(names[place])) marked.set(row, " out");
  for (const at of foundIn(place)) marked.set(rows[at], `${marked.get(rows[at]) || ""} found`);
  return marked;
}

// As many faces as there is room for, and a tile that says how many more there are.
function sheet(place, list, room) {
  const marked = marks(place);
  const shown = list.length > room ? list.slice(0, Math.max(room - 1, 1)) : list;
  const node = el("div", "sheet", ...shown.map((at) => face(at, marked)));
  if (shown.length < list.length) node.append(button(`+${list.length - shown.length}`, () => openCluster(place), "more"));
  return node;
}

const first = (place, room) => Array.from({ length: Math.min(sizes[place], room + 1) }, (_, at) => starts[place] + at);
const worst = (place, room) => sheetOf(place, foundFirst(place, first(place, room)), room);
const typical = (place, room) => sheetOf(place, first(place, room).map((at) => 2 * starts[place] + sizes[place] - 1 - at), room);

// The faces that were looked for come before the others.
const foundIn = (place) => (found ? [...found.positions].filter((at) => atOrBelow(starts, at) === place) : []);
const foundFirst = (place, list) => [...new Set([...foundIn(place), ...list])].slice(0, list.length);

function sheetOf(place, list, room) {
  const node = sheet(place, list, room);
  const more = node.querySelector(".more");
  if (more) more.textContent = `+${(sizes[place] - room + 1).toLocaleString("en")}`;
  return node;
}

const named = (place) => button(`#${names[place]}`, () => openCluster(place), "link");

function badges(place) {
  const name = names[place], found = [];
  const add = (kind, text) => found.push(Object.assign(el("span", `badge ${kind}`, text), { title: text, dir: "auto" }));
  if (called(name)) add("called", called(name));
  if (status(name)) add(status(name), status(name) === "keep" ? "kept" : "dropped");
  if (partsOf(name).length) add("split", `${many(partsOf(name).length, "part")} split off`);
  if (out(name).length) add("out", `${many(out(name).length, "face")} out`);
  if (bonds.merge.has(name)) add("merge", `with ${others(name, "merge").map((other) => `#${other}`).join(" ")}`);
  return found;
}

const inside = (place) => (sizes[place] > 1 ? points(cohesion[place]) : "–");
const kindOf = (name) => status(name) || (partsOf(name).length ? "split" : "") || (bonds.merge.has(name) ? "merge" : "");

function figures(place) {
  const meter = el("i", confidence[place] < 0.9 ? "low" : "");
  meter.style.width = `${100 * confidence[place]}%`;
  return [
    el("p", "head", named(place), many(sizes[place], "face")),
    el("div", "meter", meter),
    el("p", "", `${Math.floor(100 * confidence[place])} % sure`, sizes[place] > 1 ? `, alike ${points(cohesion[place])}` : ""),
    ...(wrong(place) >= 0.05 ? [el("p", "", `about ${many(rounded(wrong(place)), "face")} wrong`)] : []),
  ];
}

// The faces of a cluster that are expected to be somebody else's.
const wrong = (place) => sizes[place] * (1 - confidence[place]);
const rounded = (value) => (value < 9.95 ? Math.round(10 * value) / 10 : Math.round(value));

// What a key does, as a button of a card; it acts on that card.
function action(index, key, text, { isOn = false, isOff = false } = {}) {
  const node = button(text, () => { select(index); press(key); }, `act ${key}`);
  node.title = `key ${key}`;
  node.setAttribute("aria-pressed", String(isOn));
  node.disabled = isOff;
  return node;
}

// Who a cluster is.
function nameField(place) {
  const node = el("input", "who");
  Object.assign(node, { type: "text", placeholder: "name", maxLength: 100, size: 14, value: called(names[place]), autocomplete: "off", dir: "auto" });
  node.setAttribute("list", "people");
  node.setAttribute("aria-label", `Who #${names[place]} is`);
  node.addEventListener("change", () => callSoon(place, node.value));
  node.addEventListener("keydown", (event) => { if (event.key === "Enter") setTimeout(focusPane); });
  return node;
}

function levelNote(place) {
  const below = dividing(place), above = levels.findIndex((_, level) => joinedAbove(place, level).length);
  const found = [];
  if (below >= 0) found.push(el("p", "", `${levels[below].count[place]} parts on level ${below}`));
  if (above >= 0) found.push(el("p", "", `joins ${joinedAbove(place, above).length} more on level ${above}`));
  return found;
}

function card(kind, index, content, className = "") {
  const node = el("div", `card ${className} ${kind}`, ...content);
  node.dataset.index = index;
  node.setAttribute("aria-current", String(index === selected));
  return node;
}

const turn = new Map();
const candidate = (place) => {
  const found = candidates(place);
  return found.length ? found[(turn.get(place) || 0) % found.length] : null;
};

function turnBy(place, step) {
  const count = candidates(place).length;
  if (count) turn.set(place, ((turn.get(place) || 0) + step + count) % count);
  redraw();
}

const linesFor = (count, least) => Math.min(LINES, Math.max(least, Math.ceil(count / across.main)));
const clusterLines = (place) => linesFor(sizes[place], 2);
const pairLines = (pair) => linesFor(Math.max(sizes[pairs.places[2 * pair]], sizes[pairs.places[2 * pair + 1]]), 1);
const mergeLines = (at) => linesFor(Math.max(merges.sizes[at], sizes[merges.places[at]] - merges.sizes[at]), 1);

function clusterCard(place, index) {
  const lines = clusterLines(place);
  const about = el("div", "about", ...figures(place), ...levelNote(place));
  const nearest = candidate(place), side = el("div", "side"), name = names[place];
  if (nearest) {
    side.append(
      el("div", "name", "closest", named(nearest.place), `alike ${points(nearest.similarity)}`,
        el("span", "turn", button("‹", () => turnBy(place, -1)), button("›", () => turnBy(place, 1)))),
      typical(nearest.place, across.side * lines),
    );
  }
  const canSplit = out(name).length || dividing(place) >= 0;
  const actions = el("div", "actions",
    action(index, "k", "Keep", { isOn: status(name) === "keep" }), action(index, "d", "Drop", { isOn: status(name) === "drop" }),
    action(index, "s", "Split", { isOn: partsOf(name).length > 0, isOff: !canSplit }), action(index, "Enter", "Open"), nameField(place),
    el("div", "badges", ...badges(place)),
    ...(nearest ? [action(index, "m", `Merge with #${names[nearest.place]}`, { isOn: decided.get(pairKey(name, names[nearest.place])) === "merge" })] : []));
  const faces = worst(place, across.main * lines);
  if (sizes[place] * LARGE <= across.main * LINE) faces.classList.add("few");
  return card(kindOf(name), index, [about, faces, side, actions]);
}

function sideOf(place, caption, faces) {
  return el("div", "side", el("div", "name", named(place), caption, ...badges(place)), faces);
}

function pairCard(pair, index) {
  const [a, b] = [pairs.places[2 * pair], pairs.places[2 * pair + 1]];
  const kind = decided.get(pairKey(names[a], names[b])) || "";
  const about = el("div", "about",
    el("p", "figure", `alike ${points(pairs.similarity[pair])}`),
    el("p", "", `within ${inside(a)} · ${inside(b)}`));
  const actions = el("div", "actions",
    action(index, "m", "One person", { isOn: kind === "merge" }), action(index, "k", "Two people", { isOn: kind === "apart" }),
    el("div", "badges", ...(kind ? [el("span", `badge ${kind}`, kind === "merge" ? "one person" : "two people")] : [])));
  const half = (place) => sideOf(place, many(sizes[place], "face"), typical(place, across.main * pairLines(pair)));
  return card(kind, index, [about, half(a), half(b), actions], "two");
}

function mergeCard(at, index) {
  const place = merges.places[at], part = levels[merges.level[at]].part;
  const own = positions(place, (face) => part[face] === merges.part[at]).reverse();
  const rest = positions(place, (face) => part[face] !== merges.part[at]).reverse();
  const kind = mergeKind(at), room = across.main * mergeLines(at);
  const about = el("div", "about",
    el("p", "figure", named(place), ` alike ${points(merges.similarity[at])}`),
    el("p", "", `within ${inside(place)} · level ${merges.level[at]}`));
  const actions = el("div", "actions",
    action(index, "s", "Split: the right part is somebody else", { isOn: isSplitOff(at) }),
    action(index, "k", "Keep together", { isOn: kind === "keep" }), action(index, "d", "Drop", { isOn: kind === "drop" }),
    el("div", "badges", ...badges(place)));
  return card(kind, index, [
    about,
    el("div", "side", el("div", "name", many(rest.length, "face")), sheet(place, rest, room)),
    el("div", "side", el("div", "name", `joined by ${many(own.length, "face")}`), sheet(place, own, room)),
    actions,
  ], "two");
}

const mergeKind = (at) => {
  const name = names[merges.places[at]];
  return kindOf(name) === "split" && !isSplitOff(at) ? "" : kindOf(name);
};
const mergeFaces = (at) => positions(merges.places[at], (face) => levels[merges.level[at]].part[face] === merges.part[at]);
const isSplitOff = (at) => {
  const split = new Set(partsOf(names[merges.places[at]]).flat());
  return mergeFaces(at).every((face) => split.has(rows[face]));
};

// A list of which only the rows in sight are in the document, however long it is.
const TALLEST = 8e6;  // browsers cut elements off at some 17 million pixels

class Rows {
  constructor(pane) {
    Object.assign(this, { pane, tops: new Float64Array(1), drawn: new Map(), draw: null, spacer: el("div", "spacer") });
    pane.append(this.spacer);
    pane.addEventListener("scroll", () => this.paint(), { passive: true });
  }

  get total() {
    return this.tops[this.tops.length - 1];
  }

  // How much further the list moves than the scroll bar.
  get ratio() {
    const view = this.pane.clientHeight;
    return this.total > TALLEST ? (this.total - view) / (TALLEST - view) : 1;
  }

  show(count, height, draw) {
    this.draw = draw;
    this.tops = new Float64Array(count + 1);
    for (let index = 0; index < count; index++) this.tops[index + 1] = this.tops[index] + height(index);
    this.spacer.style.height = `${Math.min(this.total, TALLEST)}px`;
    this.repaint();
  }

  // Draws the rows anew, except one in which somebody types.
  repaint() {
    const [held] = [...this.drawn].find(([, node]) => node.contains(document.activeElement)) || [];
    keepFocus(() => this.drawn.get(held), () => {
      for (const [index, node] of this.drawn) if (!isTyping(node)) this.take(index);
      this.paint();
    });
  }

  take(index) {
    this.drawn.get(index).remove();
    this.drawn.delete(index);
  }

  paint() {
    const top = this.pane.scrollTop * this.ratio, count = this.tops.length - 1;
    const from = Math.max(0, atOrBelow(this.tops, top) - 1);
    const to = Math.min(count - 1, atOrBelow(this.tops, top + this.pane.clientHeight) + 1);
    for (const [index, node] of this.drawn) {
      if (index >= count || ((index < from || index > to) && !isTyping(node))) this.take(index);
    }
    for (let index = from; index <= to; index++) {
      if (this.drawn.has(index)) continue;
      const node = el("div", "row", this.draw(index));
      const next = Math.min(...[...this.drawn.keys()].filter((other) => other > index));
      this.spacer.insertBefore(node, this.drawn.get(next) || null);  // Tab goes through them in their order
      this.drawn.set(index, node);
    }
    for (const [index, node] of this.drawn) {
      node.style.height = `${this.tops[index + 1] - this.tops[index]}px`;
      node.style.transform = `translateY(${this.pane.scrollTop - top + this.tops[index]}px)`;
    }
  }

  reveal(index) {
    const top = this.pane.scrollTop * this.ratio, view = this.pane.clientHeight;
    if (this.tops[index] < top) this.pane.scrollTop = this.tops[index] / this.ratio;
    else if (this.tops[index + 1] > top + view) this.pane.scrollTop = (this.tops[index + 1] - view) / this.ratio;
    this.paint();
  }
}
