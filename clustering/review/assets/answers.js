// Decisions as answers about pairs of faces. They hold for any clustering of the same faces, see cluster --answers.
"use strict";

// The face of a cluster that is most like its others, of those that are not taken out; -1 if all are.
function standsFor(name, leaving = new Set([...out(name), ...partsOf(name).flat()])) {
  const place = placeOf.get(name);
  for (let at = starts[place] + sizes[place] - 1; at >= starts[place]; at--) if (!leaving.has(rows[at])) return rows[at];
  return -1;
}

// The answers that the clusters were made with, without those that a decision here takes back.
function earlier() {
  const before = new Map(), after = new Map();
  names.forEach((name, place) => {
    const whole = Math.min(...group(name));
    for (const at of positions(place)) {
      before.set(rows[at], `${name}`);
      after.set(rows[at], `${whole}`);
    }
    for (const row of out(name)) after.set(row, `out ${row}`);
    partsOf(name).forEach((part, number) => { for (const row of part) after.set(row, `${name} ${number}`); });
  });
  const holds = (place, { faces: [a, b], answer }) => (place.get(a) === place.get(b)) === (answer === "same");
  return REVIEW.earlier.filter((item) => holds(after, item) || !holds(before, item));
}

function answers() {
  const found = new Map();
  const say = (one, other, answer) => {
    if (one < 0 || other < 0 || one === other) return;
    found.set(`${Math.min(one, other)}-${Math.max(one, other)}`, { faces: [one, other], answer });
  };
  for (const { faces, answer } of earlier()) say(...faces, answer);
  for (const [key, value] of decided) {
    const kind = key.slice(0, key.indexOf(":"));
    if (kind === "pair") {
      const [a, b] = ends(key);
      say(standsFor(a), standsFor(b), value === "merge" ? "same" : "different");
      continue;
    }
    const name = Number(key.slice(key.indexOf(":") + 1)), face = standsFor(name);
    if (kind === "status" && value === "keep") {
      const leaving = new Set(out(name));
      for (const at of positions(placeOf.get(name))) if (!leaving.has(rows[at])) say(face, rows[at], "same");
    } else if (kind === "out") {
      for (const row of value) say(face, row, "different");
    } else if (kind === "parts") {
      value.forEach((part, number) => {
        for (const row of part) say(part[0], row, "same");
        for (const other of [face, ...value.slice(0, number).map((each) => each[0])]) say(part[0], other, "different");
      });
    }
  }
  return [...found.values()];
}

// Answers from another clustering of these faces, as decisions about this one: pairs of clusters to merge or keep apart.
// Pairs for which they say both are left out: one of the clusters is of several people.
function fromAnswers(list) {
  const clusterOf = new Map();
  names.forEach((name, place) => { for (const at of positions(place)) clusterOf.set(rows[at], name); });
  const found = new Map(), both = new Set();
  for (const { faces, answer } of list) {
    const [a, b] = faces.map((row) => clusterOf.get(row));
    if (a === undefined || b === undefined || a === b || answer === "unsure") continue;
    const key = pairKey(a, b), kind = answer === "same" ? "merge" : "apart";
    if (found.has(key) && found.get(key) !== kind) both.add(key);
    found.set(key, kind);
  }
  return [...found].filter(([key]) => !both.has(key));
}
