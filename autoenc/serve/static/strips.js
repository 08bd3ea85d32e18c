// The second view: the network at work on the likes, a strip a layer.

import { ask } from "./api.js";
import { counted, element, parts, say, shown, titled } from "./dom.js";
import { image } from "./image.js";

/** Every layer's answer to the state's likes, as the children of the view. */
export async function networkAtWork(state, act) {
  const without = state.likes.includes(state.without) ? state.without : null;
  const work = await ask("network", {
    like: state.likes, without, training: state.training, seed: state.training ? state.seed : null,
  });
  const left = work.likes.find((like) => like.id === without);
  say(`${counted(work.strips.length, "layer")} in ${work.mode} mode${left ? `, and what changes without ${left.title}` : ""}.`);
  return {
    likes: work.likes,
    children: [
      element("h2", { id: "view-heading" }, "The network at work"),
      element("p", { className: "hint" },
        `From ${counted(work.likes.length, "like")} at the top to a probability for every title at the bottom: `,
        "each square is one number that a layer answers."),
      controls(state, work, act),
      element("p", { className: "mode" }, aboutMode(work)),
      legend(),
      element("ol", { className: "strips" },
        [input(work), ...work.strips.map((strip) => layer(strip, left))].map((card) => element("li", {}, card))),
      endings(work, left),
    ],
  };
}

function controls(state, work, act) {
  const radio = (training, label) => element("label", {},
    element("input", { type: "radio", name: "mode", id: training ? "training" : "evaluation",
      checked: state.training === training, onchange: () => act.go({ training }) }), label);
  const select = element("select", { id: "without", onchange: (event) => act.go({ without: event.target.value || null }) },
    element("option", { value: "" }, "nothing"),
    work.likes.map((like) => element("option", { value: like.id, selected: like.id === state.without }, like.title)));
  return element("div", { className: "controls" },
    element("fieldset", {}, element("legend", {}, "Mode"), radio(false, "Evaluation"), radio(true, "Training")),
    element("div", {}, element("label", { for: "without" }, "Leave out"), select),
    state.training
      ? element("button", { type: "button", id: "again", onclick: () => act.go({ seed: state.seed + 1 }) }, "Draw again")
      : null);
}

function aboutMode(work) {
  return work.mode === "training"
    ? `In training this list stands in a batch with ${work.batch}. Dropout drops values at random and scales up the rest, ` +
        "and batch normalization takes the batch\u2019s own mean and variance: so the same likes give other numbers in other company."
    : "In evaluation dropout passes everything, and batch normalization takes the statistics that it kept from training: " +
        "the same likes always give the same numbers.";
}

function legend() {
  const patch = (name, label) => element("span", {}, element("span", { className: `patch ${name}` }), label);
  return element("p", { className: "legend" },
    patch("low", "below zero"), patch("zero", "zero"), patch("high", "above zero"), patch("gone", "dropped"));
}

/** What goes in: nearly nothing but zeros, so in words. */
function input(work) {
  const names = work.likes.map((like) => parts(like.title).name).join(", ");
  const nItems = work.strips.at(-1).shape[0];
  const zeros = (nItems - work.likes.length).toLocaleString("en");
  return element("article", { "aria-labelledby": "layer-x" },
    element("header", {},
      element("h3", { id: "layer-x" }, "x"),
      element("span", { className: "kind" }, "the likes"),
      element("span", { className: "shape" }, `(${nItems})`)),
    element("p", {}, names ? `1 for ${names}; 0 for the ${zeros} other titles` : `0 for all ${zeros} titles`));
}

function layer(strip, left) {
  const dropped = new Set(strip.dropped ?? []);
  const params = Object.entries(strip.params).map(([name, shape]) => `${name} (${shape.join(" \u00d7 ")})`).join(", ");
  return element("article", { "aria-labelledby": `layer-${strip.name}` },
    element("header", {},
      element("h3", { id: `layer-${strip.name}` }, strip.name),
      element("span", { className: "kind" }, strip.layer),
      element("span", { className: "shape" }, `(${strip.shape.join(", ")})`)),
    element("pre", { className: "formula", tabIndex: 0, "aria-label": `Formula of ${strip.name}`, role: "region" }, strip.forward),
    image(strip.values, `${strip.name}: ${summary(strip, dropped)}`, { dropped }),
    element("p", { className: "summary" }, summary(strip, dropped)),
    strip.change
      ? [image(strip.change, `${strip.name}, change: ${changeSummary(strip.change)}`, { className: "change" }),
         element("p", { className: "summary" }, element("b", {}, `With minus without ${left.title}: `), changeSummary(strip.change))]
      : null,
    strip.statistics ? statistics(strip) : null,
    element("details", {},
      element("summary", {}, "Code and gradient"),
      element("p", { className: "hint" }, `${strip.module.replaceAll(".", "/")}.py`, params ? `; learned: ${params}` : ""),
      code(strip.forward_code, `Forward of ${strip.name}`),
      strip.backward ? element("pre", { className: "formula", tabIndex: 0, role: "region", "aria-label": `Gradient of ${strip.name}` }, strip.backward) : null,
      code(strip.backward_code, `Backward of ${strip.name}`)));
}

const code = (text, label) => element("pre", { className: "code", tabIndex: 0, role: "region", "aria-label": label }, text);

/** The batch's statistics beside the running ones, each pair on one scale. */
function statistics(strip) {
  const largest = (word) => Math.max(...Object.entries(strip.statistics)
    .filter(([name]) => name.endsWith(word)).flatMap(([, values]) => values.map(Math.abs)));
  return element("div", { className: "statistics" },
    Object.entries(strip.statistics).map(([name, values]) => element("div", {},
      element("span", {}, name),
      image(values, `${strip.name}, ${name}: ${range(values)}`, { scale: largest(name.slice(-4)) }))));
}

function range(values) {
  return `from ${shown(Math.min(...values))} to ${shown(Math.max(...values))}`;
}

function summary(strip, dropped) {
  const zeros = strip.values.filter((value) => value === 0).length - dropped.size;
  const said = [`${strip.values.length.toLocaleString("en")} numbers ${range(strip.values)}`];
  if (zeros > 0) said.push(`${Math.round((100 * zeros) / strip.values.length)}% of them zero`);
  if (dropped.size) said.push(`${dropped.size} dropped`);
  if (strip.values.length < strip.shape[0]) said.push(`the first of ${strip.shape[0].toLocaleString("en")}`);
  if (strip.values.every((value) => value < 0)) said.push("here the warmer the greater");
  return said.join(", ");
}

function changeSummary(change) {
  const moved = change.filter((value) => value !== 0).length;
  return moved ? `${Math.round((100 * moved) / change.length)}% change, ${range(change)}` : "nothing changes";
}

/** Where it ends: the titles of the highest probability, and those that the like left out moves most. */
function endings(work, left) {
  const table = (heading, items, signed) => element("section", {},
    element("h3", {}, heading),
    element("ol", {}, items.map((item) => element("li", {}, element("span", {}, titled(item.title)),
      element("span", { className: "value" }, shown(100 * item.value, signed, 1), "%")))));
  return element("div", { className: "endings" },
    table("Most probable", work.highest.slice(0, 5), false),
    left ? [table("Most thanks to it", work.rises, true), table("Most in spite of it", work.falls, true)] : null);
}
