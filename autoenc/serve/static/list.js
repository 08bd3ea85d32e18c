// The first view: a ranked list. Each recommendation gives a reason, and opens to show the likes behind it.

import { PAGE, tenMore } from "./address.js";
import { ask } from "./api.js";
import { counted, element, named, parts, say, shown, titled } from "./dom.js";

const STARTERS = 9;

/** The recommendations for the state's likes, as the children of the view. */
export async function recommendations(state, act) {
  const [{ likes, recommended, scale }, starters] = await Promise.all([
    ask("recommend", { like: state.likes, exclude: state.not, n: state.show, explain: true }),
    state.likes.length ? [] : ask("starters", { n: STARTERS }).then((answer) => answer.starters),
  ]);
  const heading = likes.length ? `Recommended for ${counted(likes.length, "like")}` : "What most people like";
  say(`${heading}: ${recommended.map((item, index) => `${index + 1}, ${named(item.title)}`).join("; ")}.`);
  const list = ranked(recommended.map((item, index) => row(item, index, { likes, scale, state, act })), state, act);
  if (!likes.length) {
    return {
      likes,
      children: [
        element("h2", { id: "view-heading" }, "Start with one of these"),
        element("p", { className: "hint" }, "Click a title to like it and to get your own list. Below each title are its first recommendations."),
        element("ul", { className: "starters" }, starters.map((starter) => tile(starter, act))),
        element("h3", {}, heading),
        ...list,
      ],
    };
  }
  return {
    likes,
    children: [
      element("h2", { id: "view-heading" }, heading),
      element("p", { className: "hint" },
        "The first title has 100 points, and the median title of the catalogue 0. Open a title to see how many points each of your likes contributes."),
      ...list,
    ],
  };
}

/** The items most similar to one, as the children of the view. */
export async function similarItems(state, act) {
  const [{ likes: [item], recommended, scale }, { likes }] = await Promise.all([
    ask("recommend", { like: state.similar, exclude: state.not, n: state.show, explain: true }, "similar"),
    ask("recommend", { like: state.likes, n: 1 }),
  ]);
  say(`Similar to ${named(item.title)}: ${recommended.map((one, index) => `${index + 1}, ${named(one.title)}`).join("; ")}.`);
  return {
    likes,
    children: [
      element("h2", { id: "view-heading" }, "Similar to ", titled(item.title)),
      element("p", { className: "hint" }, "Recommendations for someone who likes only this title. ",
        act.link({ similar: null, show: PAGE }, "Back to your recommendations")),
      ...ranked(recommended.map((one, index) => row(one, index, { likes: [item], scale, state, act })), state, act),
    ],
  };
}

/** A starter: a click likes it. */
function tile({ id, title, brings }, act) {
  return element("li", {},
    element("button", { type: "button", onclick: () => act.like(id) },
      element("span", { className: "title" }, titled(title)),
      element("span", { className: "brings" }, brings.map((item) => parts(item.title).name).join(" \u00b7 "))));
}

/** The rows, and below them the buttons that change their number. */
function ranked(rows, state, act) {
  const more = tenMore(state.show);
  return [
    element("ol", { className: "ranked" }, rows),
    element("p", { className: "after" },
      rows.length === state.show && more > state.show
        ? element("button", { type: "button", id: "more", onclick: () => act.showMore(more) }, "Ten more")
        : null,
      state.not.length
        ? element("span", {}, `${counted(state.not.length, "title")} left out. `,
            element("button", { type: "button", className: "plain", onclick: () => act.go({ not: [] }, act.toView) }, "Show again"))
        : null),
  ];
}

function row(item, index, { likes, scale, state, act }) {
  const points = (score) => Math.round((100 * score) / (scale.full - scale.zero || 1));
  const because = likes
    .map((like, i) => ({ ...like, points: points(item.contributions[i]), share: item.liked_by_likers?.[i] }))
    .sort((a, b) => b.points - a.points);
  const details = element("div", { className: "because", id: `because-${index}`, hidden: true },
    state.similar || !likes.length ? null : bars(because),
    element("p", {}, act.link({ similar: item.id, show: PAGE }, `Similar to ${named(item.title)}`)));
  const toggle = element("button", {
      type: "button", className: "name", "aria-expanded": "false", "aria-controls": details.id,
      onclick: () => {
        details.hidden = !details.hidden;
        toggle.setAttribute("aria-expanded", String(!details.hidden));
      },
    },
    element("span", { className: "title" }, titled(item.title)),
    element("span", { className: "why" }, reason(item, because) || "similar titles"));
  return element("li", {},
    element("span", { className: "rank", "aria-hidden": "true" }, String(index + 1)),
    toggle,
    likes.length ? meter(points(item.score - scale.zero)) : null,
    state.likes.includes(item.id)
      ? element("span", { className: "liked" }, "liked")
      : element("span", { className: "choices" },
          element("button", { type: "button", className: "add", "aria-label": `Like ${named(item.title)}`,
            onclick: () => act.like(item.id, index) }, "+", element("span", { className: "word" }, " Like")),
          element("button", { type: "button", className: "remove", title: "Not this one", "aria-label": `Not this one: ${named(item.title)}`,
            onclick: () => act.leaveOut(item.id, index) }, "\u00d7")),
    details);
}

function meter(points) {
  const bar = element("span", { className: "bar" });
  bar.style.setProperty("--share", Math.min(1, Math.max(0, points / 100)));
  return element("span", { className: "score" },
    element("span", { className: "track", "aria-hidden": "true" }, bar),
    element("span", { className: "value" }, shown(points, false, 0), element("span", { className: "unseen" }, " points")));
}

const percent = (share) => (share > 0 && share < 0.01 ? "under 1%" : `${Math.round(100 * share)}%`);

/** The reason in one line: how the strongest like is related to the item, as shares of users if they are known. */
function reason(item, because) {
  const name = (like) => parts(like.title).name;
  if (!because.length) return item.liked_by === undefined ? "" : `${percent(item.liked_by)} of all users like it`;
  if (item.by_popularity) return "popular; none of your likes leads to it";
  const [first, second] = because.filter((like) => like.points > 0);
  if (!first) return "none of your likes raises it";
  if (first.share !== undefined) {
    return `${percent(first.share)} of ${name(first)}\u2019s fans like it, ${percent(item.liked_by)} of all users do`;
  }
  const bringing = [first, second].filter(Boolean).map((like) => `${name(like)} (${shown(like.points, true, 0)})`);
  return `because of ${bringing.join(" and ")}`;
}

/** One bar per like: to the right if the score would fall without it, to the left if it would rise. */
function bars(because) {
  const most = Math.max(...because.map((like) => Math.abs(like.points)), 1);
  const anyBelow = because.some((like) => like.points < 0);
  const lines = because.map((like) => {
    const bar = element("span", { className: like.points < 0 ? "bar below" : "bar" });
    bar.style.setProperty("--share", Math.abs(like.points) / most);
    return element("li", {},
      element("span", { className: "title" }, titled(like.title)),
      element("span", { className: anyBelow ? "track both" : "track", "aria-hidden": "true" }, bar),
      element("span", { className: "value" }, shown(like.points, true, 0)));
  });
  return [
    element("p", { className: "hint" }, "The points that it would lose without each of your likes, left out one at a time:"),
    element("ul", { className: "bars" }, lines),
  ];
}
