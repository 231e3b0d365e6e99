// Shows the values of a plot beside the pointer, or with the arrow keys. Each figure.hover has an SVG and its values.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes, parent) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.append(node);
  return node;
}

function line(className, text, colour) {
  const node = document.createElement("div");
  node.className = className;
  if (colour) {
    const mark = document.createElement("i");
    mark.style.background = colour;
    node.append(mark);
  }
  node.append(text);
  return node;
}

function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, at) => { if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = at; });
  return best;
}

for (const figure of document.querySelectorAll("figure.hover")) {
  const plot = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg");
  if (!plot.xs.length) continue;
  const marks = make("g", { visibility: "hidden", "pointer-events": "none" }, svg);
  const rule = make("line", { stroke: "currentColor", "stroke-width": 1, opacity: 0.5, y1: plot.span[0], y2: plot.span[1] }, marks);
  const dots = plot.series.map((each) => make("circle", { r: 3.5, fill: each.colour }, marks));
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  figure.append(tip);
  let shown = -1;

  const hide = () => {
    shown = -1;
    tip.hidden = true;
    marks.setAttribute("visibility", "hidden");
  };

  const show = (at) => {
    shown = at;
    const x = plot.xs[at];
    rule.setAttribute("x1", x);
    rule.setAttribute("x2", x);
    plot.series.forEach((each, number) => {
      const y = each.ys[at];
      dots[number].setAttribute("visibility", y === null ? "hidden" : "inherit");
      if (y !== null) {
        dots[number].setAttribute("cx", x);
        dots[number].setAttribute("cy", y);
      }
    });
    const lines = plot.series.filter((each) => each.texts[at]);
    lines.sort((a, b) => (a.ys[at] === null) - (b.ys[at] === null) || a.ys[at] - b.ys[at]);
    tip.replaceChildren(line("head", plot.heads[at]), ...lines.map((each) => line("", `${each.name}: ${each.texts[at]}`, each.colour)));
    marks.setAttribute("visibility", "visible");
    tip.hidden = false;
    const box = svg.getBoundingClientRect(), frame = figure.getBoundingClientRect();
    const place = box.left - frame.left + (x / svg.viewBox.baseVal.width) * box.width;
    const isRight = place > frame.width / 2;
    tip.style.left = isRight ? "auto" : `${place + 10}px`;
    tip.style.right = isRight ? `${frame.width - place + 10}px` : "auto";
    tip.style.top = `${box.top - frame.top + (plot.span[0] / svg.viewBox.baseVal.height) * box.height}px`;
  };

  const follow = (event) => {
    const box = svg.getBoundingClientRect();
    show(nearest(plot.xs, ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width));
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    const last = plot.xs.length - 1;
    show(shown < 0 ? (step > 0 ? 0 : last) : Math.min(Math.max(shown + step, 0), last));
  });
}
