// Draw each chart again where it stands, so that its values can be hovered. The drawing that came
// with the page stays if that fails.
"use strict";
(() => {
  const source = document.getElementById("chart-data");
  if (!source) return;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  // Expressions are interpreted (ast): the page's content policy allows no eval.
  const options = { ast: true, renderer: "svg", actions: false, tooltip: { theme: dark ? "dark" : "light" } };
  for (const [name, spec] of Object.entries(JSON.parse(source.textContent))) {
    const figure = document.querySelector(`[data-chart="${name}"]`);
    if (!figure) continue;
    const still = figure.querySelector("svg");
    const place = document.createElement("div");
    figure.append(place);
    // A wide chart is scrolled, the others are as wide as the page.
    if (!figure.classList.contains("scroll")) spec.width = "container";
    still.hidden = true;
    still.style.display = "none";
    globalThis.vegaEmbed(place, spec, options).then(
      () => still.remove(),
      (/** @type {Error} */ error) => {
        place.remove();
        still.style.display = "";
        console.error(`chart ${name}: ${error.message}`);
      },
    );
  }
})();
