// Shows the hint below a table that is wider than the page, also when a details element has shown the table.
"use strict";

function hint() {
  for (const wide of document.querySelectorAll(".wide")) wide.classList.toggle("cut", wide.scrollWidth > wide.clientWidth + 1);
}
window.addEventListener("resize", hint);
document.addEventListener("toggle", hint, true);
hint();
