// Names of faces, and looking for a cluster, a person or a file.
"use strict";

const known = new Map();  // number of a script of keys: a promise of its keys, and what keeps it

function keysOf(number) {
  if (!known.has(number)) {
    const entry = {};
    entry.keys = new Promise((resolve) => { entry.resolve = resolve; });
    known.set(number, entry);
    const script = document.createElement("script");
    script.src = `keys/${String(number).padStart(5, "0")}.js`;
    script.addEventListener("error", () => entry.resolve([]));
    document.head.append(script);
  }
  return known.get(number).keys;
}

REVIEW.named = (number, keys) => known.get(number).resolve(keys);

async function label(node) {
  const at = Number(node.dataset.at), keys = await keysOf(Math.floor(at / REVIEW.keys));
  node.title = `${keys[at % REVIEW.keys]}\nface ${rows[at]}, fit ${points(fit[at])}`;
}

const MOST = 1000;  // faces of one search
let asked = 0;

async function find(text) {
  const own = ++asked, written = text.replace(/^#/, ""), number = Number(written);
  if (String(number) === written && placeOf.has(number)) {  // 0012 is part of a file's name
    clearSearch();
    return choose("clusters", placeOf.get(number));
  }
  if (!text) return clearSearch();
  const wanted = text.toLowerCase(), positions = new Set(), places = new Set();
  for (const name of names) if (called(name).toLowerCase().includes(wanted)) places.add(placeOf.get(name));
  for (let script = 0; script * REVIEW.keys < rows.length && positions.size < MOST; script++) {
    const keys = await keysOf(script);
    if (own !== asked) return undefined;
    keys.forEach((key, at) => {
      if (positions.size < MOST && key.toLowerCase().includes(wanted)) positions.add(script * REVIEW.keys + at);
    });
  }
  for (const at of positions) places.add(atOrBelow(starts, at));
  if (!places.size) return toast(`No cluster, name or file has "${text}".`);
  found = { positions, places };
  const most = positions.size >= MOST ? "the first " : "";
  $("found").textContent = `✕ ${most}${many(positions.size, "file")} in ${many(places.size, "cluster")}`;
  $("found").hidden = false;
  return choose("clusters");
}

function clearSearch() {
  const was = found;
  found = null;
  $("found").hidden = true;
  $("find").value = "";
  if (was) choose(view);
}
