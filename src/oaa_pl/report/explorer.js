// The page's explorer: list the photos that `ranking.js` gives, lay their layers over each other,
// compare two methods with a divider, and play a cumulative map through the epochs. Texts of a run
// are set as textContent only. Without this script the section stays hidden.
"use strict";
(() => {
  const section = document.getElementById("explorer");
  const source = document.getElementById("explorer-data");
  if (!section || !source) return;
  /** @type {{methods: {name: string, title: string}[], photos: Photo[]}} */
  const data = JSON.parse(source.textContent);
  const titles = new Map(data.methods.map((one) => [one.name, one.title]));

  /** @type {(selector: string) => any} */
  const find = (selector) => section.querySelector(selector);
  /** @type {(name: string) => any} */
  const control = (name) => find(`[data-control="${name}"]`);
  /** @type {(name: string) => any} */
  const output = (name) => find(`[data-output="${name}"]`);
  const stage = find('[data-part="stage"]');
  const gallery = find('[data-part="gallery"]');
  const play = find('[data-part="play"]');
  const layers = /** @type {Layer[]} */ (["map", "proxy", "prediction"]);

  /** Photos that pass the filter, in order. @type {Photo[]} */
  let shown = [];
  /** @type {Photo} */
  let current = data.photos[0];
  /** @type {number | undefined} */
  let timer;

  const { score, gain, difference, filter, number, signed } = ranking((name) => control(name).value);

  /** @param {string} tag @param {Record<string, string>} attributes @param {string} [text] */
  function element(tag, attributes, text) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /** Filter, sort and list the photos again. */
  function list() {
    output("most").textContent = control("most").value;
    shown = filter(data.photos);
    const without = shown.filter((photo) => score(photo, "b") === undefined).length;
    output("count").textContent =
      `${shown.length} of ${data.photos.length} photos` +
      (without ? `; ${without} without this score` : "");
    gallery.replaceChildren(...shown.map(item));
    if (shown.length && !shown.includes(current)) show(shown[0]);
    mark();
  }

  /** A photo in the gallery. @param {Photo} photo */
  function item(photo) {
    const button = element("button", { type: "button" });
    button.append(element("img", { src: photo.photo, alt: "", loading: "lazy", decoding: "async" }));
    button.append(element("span", {}, photo.id));
    button.append(element("span", { class: "note" }, `${photo.tags.join(", ")} · ${scores(photo)}`));
    button.addEventListener("click", () => show(photo));
    const place = element("li", {});
    place.append(button);
    return place;
  }

  /** The right method's score and the gain, for the gallery. @param {Photo} photo */
  function scores(photo) {
    const [gained, same] = [gain(photo), control("a").value === control("b").value];
    return number(score(photo, "b")) + (same || gained === undefined ? "" : ` (${signed(gained)})`);
  }

  /** Mark the current photo. One button of the gallery is in the tab order; arrows move. */
  function mark() {
    const place = Math.max(shown.indexOf(current), 0);
    gallery.querySelectorAll("button").forEach((/** @type {HTMLElement} */ button, /** @type {number} */ index) => {
      button.tabIndex = index === place ? 0 : -1;
      if (shown[index] === current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    find('[data-step="-1"]').disabled = place <= 0;
    find('[data-step="1"]').disabled = place >= shown.length - 1;
  }

  /** Show a photo in the viewer. @param {Photo} photo */
  function show(photo) {
    stop();
    current = photo;
    const epochs = control("epoch");
    epochs.max = String(photo.epochs.length);
    epochs.value = epochs.max; // the last place is the method's own map
    find('[data-part="epochs"]').hidden = photo.epochs.length === 0;
    stage.style.aspectRatio = `${photo.width} / ${photo.height}`;
    stage.style.setProperty("--most", `${Math.round((620 * photo.width) / photo.height)}px`);
    draw();
    mark();
  }

  /** The picture of a layer, or undefined. @param {string} layer @param {string} side */
  function picture(layer, side) {
    if (layer === "photo") return current.photo;
    if (layer === "truth") return current.truth ?? undefined;
    const frame = current.epochs[Number(control("epoch").value)];
    if (layer === "map" && side === "a" && frame) return frame[1];
    return current.layers[layer]?.[control(side).value];
  }

  /** Draw both sides, the caption and the scores. */
  function draw() {
    const sliders = [...section.querySelectorAll("[data-opacity]")];
    const opacity = Object.fromEntries(sliders.map((one) => [one.dataset.opacity, Number(one.value)]));
    for (const side of ["a", "b"]) {
      const drawn = Object.keys(opacity).filter((one) => opacity[one] > 0 && picture(one, side));
      const images = drawn.map((layer) => {
        const image = element("img", { "data-layer": layer, src: String(picture(layer, side)), alt: "" });
        image.style.opacity = String(opacity[layer] / 100);
        // Then every hue belongs to a layer.
        if (layer === "photo" && drawn.length > 1) image.className = "grey";
        return image;
      });
      find(`[data-side="${side}"]`).replaceChildren(...images);
      find(`.mark-${side}`).textContent = name(side);
    }
    for (const one of sliders) {
      one.disabled = !picture(one.dataset.opacity, "a") && !picture(one.dataset.opacity, "b");
    }
    output("epoch").textContent = epoch();
    output("caption").textContent =
      `${current.id} (${current.split}; ${current.tags.join(", ")}). ` +
      `Left: ${name("a")}. Right: ${name("b")}.`;
    table();
  }

  /** What is left or right of the divider. @param {string} side */
  function name(side) {
    const title = titles.get(control(side).value);
    if (side !== "a" || !current.epochs[Number(control("epoch").value)]) return title;
    return `${title}; map: ${epoch()}`;
  }

  /** What the epoch slider shows, in words. */
  function epoch() {
    const frame = current.epochs[Number(control("epoch").value)];
    return frame ? `cumulative, after epoch ${frame[0]}` : "the method’s own";
  }

  /** Scores of the current photo: both methods and their difference. */
  function table() {
    const head = ["", titles.get(control("a").value), titles.get(control("b").value), "difference"];
    const heading = element("tr", {});
    heading.append(...head.map((text) => element(text ? "th" : "td", text ? { scope: "col" } : {}, text)));
    find(".scores thead").replaceChildren(heading);
    const rows = layers.map((layer) => {
      const [left, right] = ["a", "b"].map((side) => current.scores[layer]?.[control(side).value]);
      const row = element("tr", {});
      row.append(element("th", { scope: "row" }, layer));
      row.append(...[number(left), number(right), signed(difference(left, right))].map((text) => element("td", {}, text)));
      return row;
    });
    find(".scores tbody").replaceChildren(...rows);
  }

  /** Show one layer of the methods alone. @param {string} shown */
  function reveal(shown) {
    for (const layer of layers) find(`[data-opacity="${layer}"]`).value = layer === shown ? "65" : "0";
  }

  /** Stop playing. */
  function stop() {
    clearInterval(timer);
    timer = undefined;
    play.textContent = "Play";
  }

  play.addEventListener("click", () => {
    if (timer !== undefined) return stop();
    const slider = control("epoch");
    if (slider.value === slider.max) slider.value = "0";
    draw();
    play.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = String(Number(slider.value) + 1);
      draw();
      if (slider.value === slider.max) stop();
    }, 450);
  });
  section.addEventListener("input", (event) => {
    const { dataset } = /** @type {HTMLElement} */ (event.target);
    if (dataset.control === "divider") return stage.style.setProperty("--cut", `${control("divider").value}%`);
    if (dataset.control && dataset.control !== "epoch") list();
    if (dataset.control === "layer") reveal(control("layer").value);
    // An order is asked for to see its first photo.
    if (dataset.control === "order" && shown.length) return show(shown[0]);
    if (dataset.control === "epoch") stop();
    draw();
  });
  section.querySelectorAll("[data-step]").forEach((button) => {
    button.addEventListener("click", () => show(shown[shown.indexOf(current) + Number(/** @type {HTMLElement} */ (button).dataset.step)]));
  });
  gallery.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const place = shown.indexOf(current);
    const moves = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: shown.length - 1 };
    const next = shown[moves[/** @type {keyof typeof moves} */ (event.key)]];
    if (!next) return;
    event.preventDefault();
    show(next);
    gallery.querySelector('[aria-current="true"]').focus();
  });

  // The first and the last method differ most: the classifier's own map, and the paper's best.
  control("b").value = data.methods.at(-1)?.name;
  section.hidden = false;
  list();
  show(shown[0]);
})();
