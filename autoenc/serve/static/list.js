// The first view: a ranked list. Each recommendation opens to the likes behind it.

import { ask } from "./api.js";
import { counted, element, parts, say, shown, titled } from "./dom.js";

/** What is recommended for the state's likes, as the children of the view. */
export async function recommendations(state, act) {
  const { likes, recommended } = await ask("recommend", { like: state.likes, n: 10, explain: true });
  const heading = likes.length ? `Recommended for ${counted(likes.length, "like")}` : "What most people like";
  say(`${heading}: ${recommended.map((item, index) => `${index + 1}, ${item.title}`).join("; ")}.`);
  const hint = likes.length
    ? "Open one to see which of your likes are behind it. A score is the model\u2019s own: higher is better, and no more is meant."
    : "Pick titles that you like, and the list becomes yours.";
  return {
    likes,
    children: [
      element("h2", { id: "view-heading" }, heading),
      element("p", { className: "hint" }, hint),
      element("ol", { className: "ranked" }, recommended.map((item, index) => row(item, index, likes, act))),
    ],
  };
}

/** The items most like one, as the children of the view. */
export async function similarItems(state, act) {
  const [{ item, similar }, { likes }] = await Promise.all([
    ask("similar", { item: state.similar, n: 10 }),
    ask("recommend", { like: state.likes, n: 1 }),
  ]);
  say(`Similar to ${item.title}: ${similar.map((one, index) => `${index + 1}, ${one.title}`).join("; ")}.`);
  return {
    likes,
    children: [
      element("h2", { id: "view-heading" }, "Similar to ", titled(item.title)),
      element("p", { className: "hint" }, "What is recommended to somebody who likes it alone. ",
        act.link({ similar: null }, "Back to your recommendations")),
      element("ol", { className: "ranked" }, similar.map((one, index) => row(one, index, [], act, state.likes))),
    ],
  };
}

function row(item, index, likes, act, liked = []) {
  const rank = element("span", { className: "rank", "aria-hidden": "true" }, String(index + 1));
  const score = element("span", { className: "score", title: "the model\u2019s score" }, shown(item.score));
  const add = liked.includes(item.id)
    ? element("span", { className: "liked" }, "liked")
    : element("button", { type: "button", className: "add", "aria-label": `Like ${item.title}`,
        onclick: () => act.like(item.id, index) }, "+ Like");
  const similar = act.link({ similar: item.id }, "Similar titles");
  if (!likes.length) {
    similar.setAttribute("aria-label", `Similar to ${item.title}`);
    const name = element("span", { className: "name" }, element("span", { className: "title" }, titled(item.title)), similar);
    return element("li", {}, rank, name, score, add);
  }
  const because = likes
    .map((like, i) => ({ ...like, contribution: item.contributions[i] }))
    .sort((a, b) => b.contribution - a.contribution);
  const details = element("div", { className: "because", id: `because-${index}`, hidden: true },
    bars(because), element("p", {}, similar));
  const toggle = element("button", {
      type: "button", className: "name", "aria-expanded": "false", "aria-controls": details.id,
      onclick: () => {
        details.hidden = !details.hidden;
        toggle.setAttribute("aria-expanded", String(!details.hidden));
      },
    },
    element("span", { className: "title" }, titled(item.title)),
    element("span", { className: "why" }, reason(because)),
  );
  return element("li", {}, rank, toggle, score, add, details);
}

/** The one or two likes that bring most. */
function reason(because) {
  const bringing = because.filter((like) => like.contribution > 0).slice(0, 2);
  if (!bringing.length) return "none of your likes raises it";
  return `because of ${bringing.map((like) => parts(like.title).name).join(" and ")}`;
}

/** A bar a like: to the right where the score would fall without it, to the left where it would rise. */
function bars(because) {
  const most = Math.max(...because.map((like) => Math.abs(like.contribution)), 1e-9);
  const anyBelow = because.some((like) => like.contribution < 0);
  const lines = because.map((like) => {
    const bar = element("span", { className: like.contribution < 0 ? "bar below" : "bar" });
    bar.style.setProperty("--share", Math.abs(like.contribution) / most);
    return element("li", {},
      element("span", { className: "title" }, titled(like.title)),
      element("span", { className: anyBelow ? "track both" : "track", "aria-hidden": "true" }, bar),
      element("span", { className: "value" }, shown(like.contribution, true)));
  });
  return [
    element("p", { className: "hint" }, "What the score would lose without each like, left out one at a time:"),
    element("ul", { className: "bars" }, lines),
  ];
}
