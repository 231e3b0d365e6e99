// What has been decided, and the file that it is saved in.
"use strict";

// One flat map, so that every change can be undone and stored alike. Keys: "status:NAME" (keep or drop),
// "out:NAME" (rows), "parts:NAME" (lists of rows), "called:NAME" (who it is), "pair:LOWER-HIGHER" (merge or apart).
const decided = new Map();
const undone = [];
let bonds, people;  // clusters merged with a cluster or apart from it; clusters by who they are
bind();
let storing = 0;

const pairKey = (a, b) => `pair:${Math.min(a, b)}-${Math.max(a, b)}`;
const ends = (key) => key.slice(5).split("-").map(Number);
const status = (name) => decided.get(`status:${name}`);
const out = (name) => decided.get(`out:${name}`) || [];
const partsOf = (name) => decided.get(`parts:${name}`) || [];
const others = (name, kind) => [...(bonds[kind].get(name) || [])];
const called = (name) => decided.get(`called:${name}`) || "";
const isDecided = (name) => decided.has(`status:${name}`) || decided.has(`called:${name}`) || decided.has(`parts:${name}`) || decided.has(`out:${name}`) ||
  bonds.merge.has(name);

function change(changes) {
  undone.push(changes.map(([key]) => [key, decided.get(key)]));
  put(changes);
}

function put(changes) {
  for (const [key, value] of changes) {
    if (value === undefined) decided.delete(key);
    else decided.set(key, value);
  }
  bind();
  clearTimeout(storing);
  storing = setTimeout(store, 200);
  redraw();
}

function bind() {
  [bonds, people] = [{ merge: new Map(), apart: new Map() }, new Map()];
  for (const [key, value] of decided) {
    if (key.startsWith("pair:")) bindPair(key, value);
    else if (key.startsWith("called:")) addTo(people, value, Number(key.slice("called:".length)));
  }
}

function bindPair(key, kind) {
  const [a, b] = ends(key);
  addTo(bonds[kind], a, b);
  addTo(bonds[kind], b, a);
}

function addTo(sets, key, member) {
  if (!sets.has(key)) sets.set(key, new Set());
  sets.get(key).add(member);
}

function store() {
  storing = 0;
  try {
    localStorage.setItem(REVIEW.stored, JSON.stringify([...decided]));
  } catch {
    toast("This browser keeps nothing between visits: save your decisions before you leave.");
  }
}

// What this browser has kept; at the first visit what the page proposes.
function restore() {
  const found = [];
  try {
    const kept = localStorage.getItem(REVIEW.stored);
    if (kept !== null) for (const entry of JSON.parse(kept)) found.push(entry);
    else for (const item of REVIEW.proposed) found.push(...loaded(item));
  } catch {
    found.length = 0;
  }
  if (found.length) put(found);
}

function undo() {
  takeTyped();
  const last = undone.pop();
  if (last) put(last);
  else toast("Nothing to undo.");
}

function reached(name, next) {
  const found = new Set([name]);
  for (const one of found) for (const other of next(one)) found.add(other);
  return found;
}

const mergedWith = (name, without) => others(name, "merge").filter((other) => pairKey(name, other) !== without);
const namesakes = (name) => people.get(called(name)) || [];

// Everything merged with a cluster, directly or through others, itself too.
const group = (name, without = "") => reached(name, (one) => mergedWith(one, without));

// Everything that is one person with a cluster, by merges and names, itself too.
const person = (name, without = "") => reached(name, (one) => [...mergedWith(one, without), ...namesakes(one)]);

// Two of these clusters that were said to be different people.
function twoPeople(members, without = "") {
  for (const one of members) {
    for (const other of others(one, "apart")) if (members.has(other) && pairKey(one, other) !== without) return [one, other];
  }
  return null;
}

// Why two clusters cannot be merged; "" if they can.
function whyNot(a, b) {
  const [left, right] = [person(a), person(b)], against = twoPeople(new Set([...left, ...right]), pairKey(a, b));
  if (against) return saidApart(against);
  const [here, there] = [left, right].map((members) => [...members].find(called));
  if (here === undefined || there === undefined || called(here) === called(there)) return "";
  return `#${here} is ${called(here)} and #${there} is ${called(there)}: take one name back first.`;
}

const saidApart = ([one, other]) => `#${one} and #${other} were said to be different people: take that back first.`;

const unmerged = (name) => others(name, "merge").map((other) => [pairKey(name, other), undefined]);

function keep(place) {
  const name = names[place];
  change([[`status:${name}`, status(name) === "keep" ? undefined : "keep"], [`parts:${name}`, undefined]]);
}

function drop(place) {
  const name = names[place];
  if (status(name) === "drop") return change([[`status:${name}`, undefined]]);
  return change([[`status:${name}`, "drop"], [`parts:${name}`, undefined], [`out:${name}`, undefined], ...unmerged(name)]);
}

// Who a cluster is: a name that can be one of a folder; an empty one takes it back. Clusters merged with it that have
// another name lose that.
function call(place, text) {
  const name = names[place], who = folderName(text) || undefined;
  const alike = [...(people.get(who) || [])].flatMap((other) => [...person(other)]);
  const against = who && twoPeople(new Set([...group(name), ...alike]));
  if (against) {
    toast(saidApart(against));
    return redraw();
  }
  const renamed = who ? [...group(name)].filter((one) => one !== name && called(one) && called(one) !== who) : [];
  return change([[`called:${name}`, who], ...renamed.map((one) => [`called:${one}`, undefined])]);
}

// Without slashes, and of blanks only the usual one: other ones look like it in two names of one person.
const folderName = (text) => text.replace(/[\p{C}\p{Z}/\\]+/gu, " ").trim().replace(/^\.+/, "").trim().slice(0, 100).trim();

// Names that were just typed, by the places of their clusters. They are taken a moment later: a click that ends the
// typing must still find its button, which a redraw replaces.
const typed = new Map();
let taking = 0;

function callSoon(place, text) {
  typed.set(place, text);
  clearTimeout(taking);
  taking = setTimeout(takeTyped, 250);
}

function takeTyped() {
  clearTimeout(taking);
  const entries = [...typed];
  typed.clear();
  for (const [place, text] of entries) call(place, text);
}

// Makes faces clusters of their own: lists of positions.
function split(place, groups) {
  const name = names[place];
  const added = groups.map((group) => group.map((at) => rows[at]).sort((a, b) => a - b));
  const leaving = new Set(added.flat());
  const parts = [...partsOf(name).filter((part) => !part.some((row) => leaving.has(row))), ...added];
  if (parts.flat().length >= sizes[place]) {
    toast("Some faces must stay: a cluster is not split into all its faces.");
    return false;
  }
  const stay = out(name).filter((row) => !leaving.has(row));
  change([
    [`parts:${name}`, parts], [`out:${name}`, stay.length ? stay : undefined], [`status:${name}`, undefined], ...unmerged(name),
  ]);
  return true;
}

// By the faces that were clicked, else by the parts of a level.
function splitCluster(place, level) {
  const marked = new Set(out(names[place]));
  if (marked.size) return split(place, [positions(place, (at) => marked.has(rows[at]))]);
  if (level >= 0) return split(place, divided(place, level).slice(1));
  toast("No level divides this cluster: click the faces that are somebody else, then s.");
  return false;
}

function merge(place, other) {
  const a = names[place], b = names[other], key = pairKey(a, b);
  if (decided.get(key) === "merge") return Boolean(change([[key, undefined]])) || true;
  const why = whyNot(a, b);
  if (why) {
    toast(why);
    return false;
  }
  change([[key, "merge"], ...[a, b].flatMap((name) => [
    [`parts:${name}`, undefined], ...(status(name) === "drop" ? [[`status:${name}`, undefined]] : []),
  ])]);
  return true;
}

function apart(place, other) {
  const a = names[place], b = names[other], key = pairKey(a, b);
  if (decided.get(key) === "apart") return Boolean(change([[key, undefined]])) || true;
  if (person(a, key).has(b)) {
    toast(`#${a} and #${b} are ${group(a, key).has(b) ? "merged through others" : "one person by name"}: take that back first.`);
    return false;
  }
  change([[key, "apart"]]);
  return true;
}

function toggleFace(at) {
  const place = atOrBelow(starts, at), name = names[place], row = rows[at];
  const parts = partsOf(name).filter((part) => part.includes(row));
  if (parts.length) {  // back into the cluster
    const left = partsOf(name).map((part) => part.filter((other) => other !== row)).filter((part) => part.length);
    return change([[`parts:${name}`, left.length ? left : undefined]]);
  }
  const marked = out(name), now = marked.includes(row) ? marked.filter((other) => other !== row) : [...marked, row];
  return change([
    [`out:${name}`, now.length ? now : undefined], ...(status(name) === "drop" ? [[`status:${name}`, undefined]] : []),
  ]);
}

// The last of ascending values that is not above one; 0 if there is none.
function atOrBelow(values, wanted) {
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (values[middle] <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}

// ---------------------------------------------------------------- the file

function saved() {
  const order = (a, b) => a - b, decisions = [];
  const named = (start) => [...decided.keys()].filter((key) => key.startsWith(start)).map((key) => Number(key.slice(start.length))).sort(order);
  for (const cluster of named("status:")) decisions.push({ action: status(cluster), cluster });
  for (const cluster of named("parts:")) decisions.push({ action: "split", cluster, parts: partsOf(cluster).map((part) => [...part].sort(order)) });
  for (const cluster of named("out:")) decisions.push({ action: "exclude_faces", cluster, faces: [...out(cluster)].sort(order) });
  for (const cluster of named("called:")) decisions.push({ action: "name", cluster, name: called(cluster) });
  for (const [key, action] of decided) if (key.startsWith("pair:")) decisions.push({ action, clusters: ends(key) });
  return { clustering: REVIEW.clustering, decisions, faces: REVIEW.faces, answers: answers() };
}

function save() {
  takeTyped();
  download("decisions.json", saved());
  $("saved").hidden = false;
}

async function load(file) {
  let content;
  takeTyped();
  try {
    content = JSON.parse(await file.text());
    if (content.clustering !== REVIEW.clustering) {
      if (!content.faces || content.faces !== REVIEW.faces) return toast("These decisions are about another clustering.");
      const found = fromAnswers(content.answers), kept = found.filter(([key, kind]) => fits(key, kind)), less = found.length - kept.length;
      change(kept);
      return toast(`Decisions about another clustering of these faces: ${kept.length} pairs of clusters of this one.` +
        (less ? ` ${less} more contradict decisions here.` : ""));
    }
    if (content.faces && content.faces !== REVIEW.faces) return toast("These decisions are about other faces with the same labels.");
    const changes = [...decided.keys()].map((key) => [key, undefined]);
    for (const item of content.decisions) changes.push(...loaded(item));
    change(changes);
    return toast(`${content.decisions.length} decisions loaded.`);
  } catch {
    return toast("Not a file of decisions.");
  }
}

// Whether a merge or its contrary contradicts no decision, nor others that fitted; if so, it is bound.
function fits(key, kind) {
  const [a, b] = ends(key);
  const isDecidedHere = decided.get(key) === "apart" || [a, b].some((name) => status(name) === "drop" || partsOf(name).length);
  if (kind === "merge" ? isDecidedHere || whyNot(a, b) : person(a).has(b)) return false;
  bindPair(key, kind);
  return true;
}

function loaded(item) {
  const known = (name) => { if (!placeOf.has(name)) throw new Error("unknown cluster"); return name; };
  const numbers = (list) => { if (!list.every(Number.isInteger)) throw new Error("not rows"); return list; };
  if (item.action === "keep" || item.action === "drop") return [[`status:${known(item.cluster)}`, item.action]];
  if (item.action === "split") return [[`parts:${known(item.cluster)}`, item.parts.map(numbers)]];
  if (item.action === "name") return [[`called:${known(item.cluster)}`, folderName(String(item.name))]];
  if (item.action === "exclude_faces") return [[`out:${known(item.cluster)}`, numbers(item.faces)]];
  if (item.action !== "merge" && item.action !== "apart") throw new Error("unknown action");
  const group = item.clusters.map(known);
  if (item.action === "merge") return group.slice(1).map((name) => [pairKey(group[0], name), "merge"]);
  return group.flatMap((one, at) => group.slice(at + 1).map((two) => [pairKey(one, two), "apart"]));
}
