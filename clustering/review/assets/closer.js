// One cluster closer: all its faces, its place in the hierarchy, and the clusters closest to it.
"use strict";

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
  if (!isTyping($("closer-actions"))) {
    const who = nameField(place);
    who.id = "closer-name";
    $("closer-actions").replaceChildren(who, act("k", "Keep"), act("d", "Drop"), act("s", out(name).length ? "Split off the marked faces" : "Split into these parts"),
      act("Esc", "Close"));
  }
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
    node.setAttribute("aria-current", String(chosen.place === other));
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
