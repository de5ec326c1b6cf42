// Which photos the explorer shows, and in which order.
"use strict";

/**
 * @typedef {"map" | "proxy" | "prediction"} Layer of a method
 * @typedef {Object} Photo
 * @property {string} id
 * @property {string} split
 * @property {string[]} tags
 * @property {number} width of the photo, in pixels
 * @property {number} height
 * @property {string} photo address of the picture, as are those below
 * @property {Record<string, Record<string, string>>} layers by layer and method
 * @property {string | null} truth
 * @property {[number, string][][]} epochs of each run: cumulative map after each
 * @property {Record<string, Record<string, number>>} scores mIoU in %, by layer and method
 */

/**
 * Functions of photos under the current choice of methods, layer, order and filters.
 * @param {(control: string) => string} chosen value of a control; "a" is the left method, "b" the right
 */
function ranking(chosen) {
  /** @typedef {number | undefined} Score in %, or undefined where nothing was scored */
  /** @type {(photo: Photo, side: string) => Score} */
  const score = (photo, side) => photo.scores[chosen("layer")]?.[chosen(side)];

  /** From the left method to the right one. @type {(photo: Photo) => Score} */
  const gain = (photo) => difference(score(photo, "a"), score(photo, "b"));

  /** @type {(left: Score, right: Score) => Score} */
  const difference = (left, right) =>
    left === undefined || right === undefined ? undefined : right - left;

  /** @type {(value: Score) => Score} */
  const negative = (value) => (value === undefined ? undefined : -value);

  /** What photos are sorted by, ascending. @type {Record<string, (photo: Photo) => Score>} */
  const orders = {
    given: () => 0,
    worst: (photo) => score(photo, "b"),
    best: (photo) => negative(score(photo, "b")),
    gain: (photo) => negative(gain(photo)),
    loss: gain,
  };

  /** @type {Record<string, (photo: Photo) => boolean>} */
  const kinds = {
    all: () => true,
    gained: (photo) => (gain(photo) ?? 0) > 0,
    lost: (photo) => (gain(photo) ?? 0) < 0,
    watched: (photo) => photo.epochs.some((frames) => frames.length > 0),
  };

  /** Photos that pass every filter, in order; without a score last. @param {Photo[]} photos */
  function filter(photos) {
    const [tag, most, key] = [chosen("tag"), Number(chosen("most")), orders[chosen("order")]];
    const passing = photos.filter(
      (photo) =>
        (!tag || photo.tags.includes(tag)) &&
        (most >= 100 || (score(photo, "b") ?? Infinity) <= most) &&
        kinds[chosen("which")](photo),
    );
    // Array.sort is stable: equal photos stay in the order of the data set.
    return passing.sort((one, other) => {
      const [first, second] = [key(one) ?? Infinity, key(other) ?? Infinity];
      return first === second ? 0 : first - second;
    });
  }

  /** With one decimal, or a dash. @param {Score} value */
  const number = (value) => (value === undefined ? "–" : value.toFixed(1));

  /** The same with its sign. @param {Score} value */
  const signed = (value) =>
    value === undefined ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);

  return { score, gain, difference, filter, number, signed };
}
