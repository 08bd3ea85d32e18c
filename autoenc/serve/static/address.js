// The state of the page is its address, so that a list can be shared and the "back" button works.

/** Number of items shown at first, and added at a time. */
export const PAGE = 10;
const MOST = 100;

/** The address contains the likes, the items left out, the number of items shown, the view, and the view's settings. */
export function readAddress() {
  const query = new URLSearchParams(location.search);
  const whole = (name) => Number.parseInt(query.get(name) ?? "", 10) || 0;
  return {
    likes: [...new Set(query.getAll("like"))],
    not: [...new Set(query.getAll("not"))],
    show: Math.min(MOST, Math.max(PAGE, whole("show"))),
    view: query.get("view") === "network" ? "network" : "list",
    similar: query.get("similar"),
    without: query.get("without"),
    training: query.get("training") === "true",
    seed: whole("seed"),
  };
}

/** The address of a state; defaults are left out. */
export function addressOf(state) {
  const query = new URLSearchParams();
  if (state.view === "network") query.set("view", "network");
  for (const like of state.likes) query.append("like", like);
  for (const item of state.not) query.append("not", item);
  if (state.view === "list" && state.similar) query.set("similar", state.similar);
  if (state.view === "list" && state.show > PAGE) query.set("show", String(state.show));
  if (state.view === "network") {
    if (state.without && state.likes.includes(state.without)) query.set("without", state.without);
    if (state.training) query.set("training", "true");
    if (state.training && state.seed) query.set("seed", String(state.seed));
  }
  return query.size ? `/?${query}` : "/";
}

/** The number of items shown after "Ten more". */
export const tenMore = (show) => Math.min(MOST, show + PAGE);
