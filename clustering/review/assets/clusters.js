// What there is to review. data.js has set window.REVIEW.
"use strict";

const REVIEW = window.REVIEW;
const unpacked = (text, Kind) => {
  const packed = atob(text), bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  return new Kind(bytes.buffer);
};
const ints = (text) => unpacked(text, Int32Array);
const floats = (text) => unpacked(text, Float32Array);

// A cluster goes by its place, from 0, the most doubtful first; its name is its label. A face goes by its position in
// rows: faces of a cluster are neighbours there, the worst first.
const names = ints(REVIEW.names), sizes = ints(REVIEW.sizes), rows = ints(REVIEW.rows), fit = floats(REVIEW.fit);
const confidence = floats(REVIEW.confidence), cohesion = floats(REVIEW.cohesion);
const near = { count: REVIEW.near.count, places: ints(REVIEW.near.places), similarity: floats(REVIEW.near.similarity) };
const pairs = { places: ints(REVIEW.pairs.places), similarity: floats(REVIEW.pairs.similarity) };
const levels = REVIEW.levels.map((level) => ({
  count: ints(level.count), group: ints(level.group), part: level.part ? ints(level.part) : null, members: null,
}));
const merges = {
  places: ints(REVIEW.merges.places), level: ints(REVIEW.merges.level), part: ints(REVIEW.merges.part),
  sizes: ints(REVIEW.merges.sizes), similarity: floats(REVIEW.merges.similarity),
};
const starts = new Int32Array(sizes.length);
for (let place = 1; place < sizes.length; place++) starts[place] = starts[place - 1] + sizes[place - 1];
const placeOf = new Map(Array.from(names, (name, place) => [name, place]));

const candidates = (place) => {
  const found = [];
  for (let at = place * near.count; at < (place + 1) * near.count; at++) {
    if (near.places[at] >= 0) found.push({ place: near.places[at], similarity: near.similarity[at] });
  }
  return found;
};
const dividing = (place) => {
  for (let level = levels.length - 1; level >= 0; level--) if (levels[level].count[place] > 1) return level;
  return -1;
};
const positions = (place, wanted = () => true) => {
  const found = [];
  for (let at = starts[place]; at < starts[place] + sizes[place]; at++) if (wanted(at)) found.push(at);
  return found;
};
const divided = (place, level) => {
  const found = Array.from({ length: levels[level].count[place] }, () => []);
  for (const at of positions(place)) found[levels[level].part[at]].push(at);
  return found;
};
// The clusters that a level has joined with this one.
const joinedAbove = (place, level) => {
  const own = levels[level];
  if (own.group[place] < 0) return [];
  if (!own.members) {
    own.members = new Map();
    own.group.forEach((group, at) => {
      if (!own.members.has(group)) own.members.set(group, []);
      own.members.get(group).push(at);
    });
  }
  return own.members.get(own.group[place]).filter((other) => other !== place);
};
