// The whole state of the page is its address, so that a list can be shared and "back" goes back.

/** What the address says: likes, the view, and what a view has besides. */
export function readAddress() {
  const query = new URLSearchParams(location.search);
  return {
    likes: [...new Set(query.getAll("like"))],
    view: query.get("view") === "network" ? "network" : "list",
    similar: query.get("similar"),
    without: query.get("without"),
    training: query.get("training") === "true",
    seed: Number.parseInt(query.get("seed") ?? "0", 10) || 0,
  };
}

/** The address of a state; what has its default is left out. */
export function addressOf(state) {
  const query = new URLSearchParams();
  if (state.view === "network") query.set("view", "network");
  for (const like of state.likes) query.append("like", like);
  if (state.view === "list" && state.similar) query.set("similar", state.similar);
  if (state.view === "network") {
    if (state.without && state.likes.includes(state.without)) query.set("without", state.without);
    if (state.training) query.set("training", "true");
    if (state.training && state.seed) query.set("seed", String(state.seed));
  }
  return query.size ? `/?${query}` : "/";
}
