// Numbers as an image: a canvas with one pixel per number, which CSS scales up.

import { element, shown } from "./dom.js";

const drawn = new Set(); // drawing functions, called again when the colour scheme changes

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((draw) => draw()));

/** Forget the canvases of a view that has been removed. */
export function forgetImages() {
  drawn.clear();
}

/**
 * An image of `values`, row by row from the top left. Colours are warm above zero and cold below; if all
 * values have the same sign, they range from the smallest to the largest. `scale` is the value with full
 * colour, by default the largest absolute value; `dropped` are positions left blank; `names` are shown for
 * positions, instead of their numbers, when they are pointed at or touched.
 */
export function image(values, label, { dropped = new Set(), scale = 0, className = "", names = null } = {}) {
  const columns = values.length <= 100 ? values.length : values.length <= 2000 ? 100 : 200;
  const rows = Math.ceil(values.length / columns);
  const canvas = element("canvas", { width: columns, height: rows, role: "img", "aria-label": label });
  const readout = element("span", { className: "readout", "aria-hidden": "true" });
  const low = Math.min(...values);
  const high = Math.max(...values);
  const oneSided = low >= 0 || high <= 0;
  const greatest = scale || Math.max(Math.abs(low), Math.abs(high)) || 1;
  const shareOf = (value) => (oneSided && !scale && low !== 0 && high !== low ? (value - low) / (high - low) : value / greatest);

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const [cold, zero, warm] = ["--cold", "--zero", "--warm"].map((name) => rgb(style.getPropertyValue(name)));
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    values.forEach((value, at) => {
      if (dropped.has(at)) return; // transparent
      const share = shareOf(value);
      const strength = Math.min(1, Math.abs(share)) ** 0.6; // so that small numbers are seen too
      const towards = share < 0 ? cold : warm;
      for (let part = 0; part < 3; part++) pixels.data[4 * at + part] = zero[part] + strength * (towards[part] - zero[part]);
      pixels.data[4 * at + 3] = 255;
    });
    context.putImageData(pixels, 0, 0);
  }

  draw();
  drawn.add(draw);
  function point(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const at = Math.floor(((event.clientY - box.top) / box.height) * rows) * columns + column;
    const value = dropped.has(at) ? "dropped" : shown(values[at] ?? 0, false, Math.abs(values[at]) < 0.1 ? 4 : 2);
    readout.textContent = at in values ? `${names ? names[at] : at}: ${value}` : "";
  }
  canvas.addEventListener("pointerdown", point); // for a touch, the text stays
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && (readout.textContent = ""));
  return element("div", { className: `image ${className}` }, canvas, readout);
}

/** The three components of a colour given as #rrggbb. */
const rgb = (colour) => [1, 3, 5].map((at) => Number.parseInt(colour.trim().slice(at, at + 2), 16));
