// The page's explorer: list the photos that `ranking.js` gives, lay their layers over each other,
// compare two methods with a divider, and play a cumulative map through the epochs. Texts of a run
// are set as textContent only. Without this script the section stays hidden.
"use strict";
(() => {
  const section = document.getElementById("explorer");
  const source = document.getElementById("explorer-data");
  if (!section || !source) return;
  /** @type {{methods: {name: string, title: string, run: number}[], photos: Photo[]}} */
  const data = JSON.parse(source.textContent);
  const titles = new Map(data.methods.map((one) => [one.name, one.title]));
  const runs = new Map(data.methods.map((one) => [one.name, one.run]));

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
    button.append(element("span", { class: "note" }, photo.tags.join(", ")));
    button.append(element("span", { class: "note" }, scores(photo)));
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
    scrub();
    stage.style.aspectRatio = `${photo.width} / ${photo.height}`;
    stage.style.setProperty("--most", `${Math.round((620 * photo.width) / photo.height)}px`);
    draw();
    mark();
  }

  /** The left run's maps of the current photo after each epoch. @returns {[number, string][]} */
  function frames() {
    return current.epochs[runs.get(control("a").value) ?? 0] ?? [];
  }

  /** Let the slider of epochs begin at its end, which is the left method's own map. */
  function scrub() {
    const epochs = control("epoch");
    epochs.max = String(frames().length);
    epochs.value = epochs.max;
    find('[data-part="epochs"]').hidden = frames().length === 0;
  }

  /** The frame of the left map, or undefined for the method's own. */
  function frame() {
    return frames()[Number(control("epoch").value)];
  }

  /** The picture of a layer, or undefined. @param {string} layer @param {string} side */
  function picture(layer, side) {
    if (layer === "photo") return current.photo;
    if (layer === "truth") return current.truth ?? undefined;
    const after = side === "a" && layer === "map" ? frame() : undefined;
    if (after) return after[1];
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
    // A name that is written from right to left turns no other word around.
    const [id, tags, ...both] = [current.id, current.tags.join(", "), name("a"), name("b")].map(
      (text) => element("bdi", {}, text),
    );
    output("caption").replaceChildren(
      id, ` (${current.split}; `, tags, "). Left: ", both[0], ". Right: ", both[1], ".",
    );
    table();
  }

  /** What is left or right of the divider. @param {string} side */
  function name(side) {
    const title = titles.get(control(side).value);
    if (side !== "a" || !frame()) return title;
    return `${title}; map: ${epoch()}`;
  }

  /** What the epoch slider shows, in words. */
  function epoch() {
    const after = frame();
    return after ? `cumulative, after epoch ${after[0]}` : "the method’s own";
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
    if (dataset.control === "a") {
      stop();
      scrub(); // another run watched other photos
    }
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

  // Of one run, the first and the last method differ most: the classifier's own map, and the paper's
  // best. Of two runs, the last method of each is shown.
  const [first, second] = [0, 1].map((run) => data.methods.filter((one) => one.run === run).at(-1));
  if (first && second) control("a").value = first.name;
  control("b").value = (second ?? first)?.name;
  section.hidden = false;
  list();
  show(shown[0]);
})();
