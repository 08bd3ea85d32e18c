// The second view: the network at work on the likes, one strip per layer, with details on demand.

import { ask } from "./api.js";
import { counted, element, named, parts, say, shown, titled } from "./dom.js";
import { image } from "./image.js";

const EXAMPLE = 3; // number of likes to show if there are none

let titles; // of the output's items, requested once

/** Every layer's output for the state's likes, as the children of the view. */
export async function networkAtWork(state, act, about) {
  const isExample = !state.likes.length;
  const like = isExample ? (await ask("starters", { n: EXAMPLE })).starters.map(({ id }) => id) : state.likes;
  const without = like.includes(state.without) ? state.without : null;
  const work = await ask("network", {
    like, without, training: state.training, seed: state.training ? state.seed : null,
  });
  titles ??= (await ask("titles")).titles.map(named);
  const left = work.likes.find((item) => item.id === without);
  say(`${counted(work.strips.length, "layer")} in ${work.mode} mode${left ? `, and what changes without ${named(left.title)}` : ""}.`);
  return {
    likes: isExample ? [] : work.likes,
    children: [
      element("h2", { id: "view-heading" }, "The network at work"),
      element("p", { className: "hint" },
        isExample ? ["You have no likes yet, so this is for someone who likes ", and(work.likes.map((item) => parts(item.title).name)), ". ",
          act.link({ likes: like }, "Like them too"), ". "] : null,
        work.model === about.model ? null
          : `Your recommendations come from ${about.model}. This is another model: ${article(work.model)}, trained on the same likes. `,
        "Each square is one number of a layer\u2019s output. Click a layer\u2019s name for its equation and code."),
      controls(state, work, isExample, act),
      element("p", { className: "hint mode" }, aboutMode(work)),
      element("ol", { className: "strips" }, input(work), work.strips.map((strip) => layer(strip, left))),
      endings(work, left),
    ],
  };
}

const and = (names) => names.join(", ").replace(/, (?=[^,]*$)/, " and ");
const article = (name) => `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;

function controls(state, work, isExample, act) {
  const radio = (training, label) => element("label", {},
    element("input", { type: "radio", name: "mode", id: training ? "training" : "evaluation",
      checked: state.training === training, onchange: () => act.go({ training }) }), label);
  const select = element("select", { id: "without", onchange: (event) => act.go({ without: event.target.value || null }) },
    element("option", { value: "" }, "nothing"),
    work.likes.map((like) => element("option", { value: like.id, selected: like.id === state.without }, named(like.title))));
  return element("div", { className: "controls" },
    element("fieldset", {}, element("legend", {}, "Mode"), radio(false, "Evaluation"), radio(true, "Training")),
    isExample ? null : element("div", {}, element("label", { for: "without" }, "Leave out"), select),
    state.training
      ? element("button", { type: "button", id: "again", onclick: () => act.go({ seed: state.seed + 1 }) }, "Draw again")
      : null,
    legend());
}

function aboutMode(work) {
  return work.mode === "training"
    ? `Your likes are in a batch with ${work.batch}. Dropout drops values at random and scales up the rest, ` +
        "and batch normalization uses the mean and variance of the batch, so the same likes give different numbers in another batch."
    : "Dropout does nothing, and batch normalization uses the statistics stored during training: " +
        "the same likes always give the same numbers.";
}

function legend() {
  const patch = (name, label) => element("span", {}, element("span", { className: `patch ${name}` }), label);
  return element("p", { className: "legend" },
    patch("low", "below zero"), patch("zero", "zero"), patch("high", "above zero"), patch("gone", "dropped"));
}

/** The likes as the network's input. */
function input(work) {
  const names = work.likes.map((like) => parts(like.title).name);
  const nItems = work.strips.at(-1).shape[0];
  return element("li", {},
    element("h3", {}, "x"),
    element("p", { className: "picture" }, names.length
      ? `1 for ${and(names.slice(0, 12))}${names.length > 12 ? ` and ${names.length - 12} more` : ""}; 0 for the ${(nItems - names.length).toLocaleString("en")} other titles`
      : `0 for all ${nItems.toLocaleString("en")} titles`),
    element("span", { className: "shape" }, `(${nItems})`));
}

/** A row for a layer: its name, which opens its details, its numbers, and its shape. */
function layer(strip, left) {
  const dropped = new Set(strip.dropped ?? []);
  const names = strip.values.length === titles.length ? titles : null;
  const details = element("div", { className: "details", id: `details-${strip.name}`, hidden: true });
  const toggle = element("button", {
      type: "button", "aria-expanded": "false", "aria-controls": details.id,
      onclick: () => {
        if (!details.hasChildNodes()) details.append(...inDetail(strip, dropped, left));
        details.hidden = !details.hidden;
        toggle.setAttribute("aria-expanded", String(!details.hidden));
      },
    }, strip.name);
  return element("li", { className: names ? "of-titles" : "" },
    element("h3", {}, toggle),
    element("div", { className: "picture" },
      image(strip.values, `${strip.name}: ${summary(strip, dropped)}`, { dropped, names }),
      strip.change
        ? image(strip.change, `${strip.name}, change: ${changeSummary(strip.change)}`, { className: "change", names })
        : null),
    element("span", { className: "shape" }, `(${strip.shape.join(", ")})`),
    details);
}

function inDetail(strip, dropped, left) {
  const params = Object.entries(strip.params).map(([name, shape]) => `${name} (${shape.join(", ")})`).join(", ");
  const text = (className, content, label) => element("pre", { className, tabIndex: 0, "aria-label": label, role: "region" }, content);
  return [
    element("p", { className: "summary" }, `${strip.layer}: ${summary(strip, dropped)}.`,
      strip.change ? [element("b", {}, ` Effect of ${named(left.title)}: `), changeSummary(strip.change), "."] : null),
    text("formula", strip.forward, `Formula of ${strip.name}`),
    strip.statistics ? statistics(strip) : null,
    element("p", { className: "hint" }, `${strip.module.replaceAll(".", "/")}.py`, params ? `; learned: ${params}` : ""),
    text("code", strip.forward_code, `Forward of ${strip.name}`),
    strip.backward ? text("formula", strip.backward, `Gradient of ${strip.name}`) : null,
    text("code", strip.backward_code, `Backward of ${strip.name}`),
  ].filter(Boolean);
}

/** The batch's statistics next to the running ones, each pair on the same scale. */
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
  if (strip.values.every((value) => value < 0)) said.push("warmer colours are greater");
  return said.join(", ");
}

function changeSummary(change) {
  const moved = change.filter((value) => value !== 0).length;
  return moved ? `${Math.round((100 * moved) / change.length)}% change, ${range(change)}` : "nothing changes";
}

/** The result: the titles with the highest probabilities, and those most affected by the like left out. */
function endings(work, left) {
  const table = (heading, items, signed) => element("section", {},
    element("h3", {}, heading),
    element("ol", {}, items.map((item) => element("li", {}, element("span", {}, titled(item.title)),
      element("span", { className: "value" }, shown(100 * item.value, signed, 2), "%")))));
  return element("div", { className: "endings" },
    table("Most probable", work.highest.slice(0, 5), false),
    left ? [table("Raised most by it", work.rises, true), table("Lowered most by it", work.falls, true)] : null);
}
