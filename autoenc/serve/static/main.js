// The page: its state is the address; every change of the state goes through `go`, which calls `render`.

import { addressOf, PAGE, readAddress } from "./address.js";
import { ask } from "./api.js";
import { setUpCombobox } from "./combobox.js";
import { counted, element, named, say, titled } from "./dom.js";
import { forgetImages } from "./image.js";
import { recommendations, similarItems } from "./list.js";
import { networkAtWork } from "./strips.js";

const main = document.querySelector("main");
const view = document.getElementById("view");
const chips = document.getElementById("chips");
const search = document.getElementById("search");
const about = await ask("health").catch((error) => ({ error: error.message }));

const NOT_YET = 503;
const BEHIND = "On held-out likes, recommending what is popular did better than this model. ";

let state = readAddress();

const act = {
  /** Change the state, and with it the address; `focus` is called when the new view is complete. */
  go(change, focus) {
    state = { ...state, ...change };
    history.pushState(null, "", addressOf(state));
    return render(focus);
  },
  like(id, index) {
    const next = () => view.querySelectorAll(".ranked > li")[index]?.querySelector(".add") ?? search;
    act.go({ likes: [...state.likes, id], show: PAGE }, () => next().focus({ preventScroll: true }));
  },
  leaveOut(id, index) {
    const next = () => view.querySelectorAll(".ranked > li")[index]?.querySelector(".remove") ?? search;
    act.go({ not: [...state.not, id] }, () => next().focus());
  },
  showMore(show) {
    const first = state.show;
    act.go({ show }, () => (view.querySelectorAll(".ranked .name")[first] ?? view).focus());
  },
  toView: () => view.focus(),
  unlike(id, index) {
    const buttons = () => chips.querySelectorAll(".remove");
    act.go({ likes: state.likes.filter((like) => like !== id) }, () => (buttons()[index] ?? buttons()[index - 1] ?? search).focus());
  },
  /** A link to a changed state, with a real address that can be opened in another tab. */
  link(change, text) {
    const follow = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      act.go(change, act.toView);
    };
    return element("a", { href: addressOf({ ...state, ...change }), onclick: follow }, text);
  },
};

async function render(focus) {
  const wanted = state;
  let shown;
  try {
    if (about.error) throw new Error(about.error);
    if (state.view === "list") shown = await (state.similar ? similarItems : recommendations)(state, act);
    else if (about.network) shown = await networkAtWork(state, act, about);
    else shown = await withoutNetwork();
  } catch (error) {
    if (error.name === "AbortError") return; // a newer state is on its way
    shown = error.status === NOT_YET ? await notYet(error).catch(failed) : failed(error);
    if (error.status === NOT_YET) setTimeout(() => wanted === state && render(), 1000);
  }
  if (wanted !== state) return;
  if (shown.likes.length) { // a link that somebody wrote may name likes by title
    state.likes = shown.likes.map((like) => like.id);
    history.replaceState(null, "", addressOf(state));
  }
  const open = document.activeElement?.id;
  forgetImages();
  view.replaceChildren(...shown.children);
  chips.replaceChildren(...shown.likes.map(chip));
  document.getElementById("likes-hint").hidden = !shown.likes.length;
  for (const link of document.querySelectorAll("nav a")) {
    const change = { view: link.dataset.view, similar: null, show: PAGE };
    link.href = addressOf({ ...state, ...change });
    if (state.view === link.dataset.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${document.getElementById("view-heading")?.textContent ?? "autoenc"} \u00b7 autoenc`;
  main.classList.remove("loading");
  if (focus) focus();
  else if (open) document.getElementById(open)?.focus(); // a control of the view has been replaced
}

function chip(item, index) {
  const similar = act.link({ view: "list", similar: item.id }, titled(item.title));
  similar.title = "Similar titles";
  return element("li", {}, similar,
    element("button", { type: "button", className: "remove", "aria-label": `Remove ${named(item.title)}`,
      onclick: () => act.unlike(item.id, index) }, "\u00d7"));
}

/** The likes with their titles, for views that need nothing else. */
const likesAlone = async () => (await ask("recommend", { like: state.likes, n: 1 })).likes;

async function withoutNetwork() {
  return {
    likes: await likesAlone(),
    children: [
      element("h2", { id: "view-heading" }, "No network to show"),
      element("p", { className: "hint" }, `This server serves ${about.model}, which has no layers. Serve an AutoEncoder to see its layers at work.`),
    ],
  };
}

/** While the network is being trained. */
async function notYet(progress) {
  say(progress.message);
  const [, done] = /(\d+)%/.exec(progress.message) ?? [];
  return {
    likes: await likesAlone(),
    children: [
      element("h2", { id: "view-heading" }, "The network at work"),
      element("p", { className: "hint" },
        `Your recommendations come from ${about.model}, which has no layers. For this view, a network is trained on the same likes, once, in about half a minute.`),
      element("progress", { max: 100, value: Number(done ?? 0), "aria-label": "Progress of training" }),
      element("p", { className: "hint" }, `${done ?? 0}% done`),
    ],
  };
}

function failed(error) {
  say(error.message);
  return {
    likes: [],
    children: [
      element("h2", { id: "view-heading" }, "Something went wrong"),
      element("p", { className: "error" }, error.message),
      element("p", {}, element("a", { href: "/" }, "Start over")),
    ],
  };
}

document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  act.go({ view: link.dataset.view, similar: null, show: PAGE }, () => link.focus());
});
window.addEventListener("popstate", () => {
  state = readAddress();
  render();
});
setUpCombobox(search, document.getElementById("suggestions"), (id) => state.likes.includes(id), (item) =>
  act.go({ likes: [...state.likes, item.id], similar: null, show: PAGE }, () => search.focus()),
);
document.getElementById("clear").addEventListener("click", () =>
  act.go({ likes: [], not: [], without: null, show: PAGE }, () => search.focus()),
);
if (!about.error) {
  const fitted = about.dataset ? ` fitted on ${about.dataset}` : "";
  document.getElementById("about").textContent =
    `${about.model}${fitted}, ${counted(about.n_items, "title")}. ${about.behind_popularity ? BEHIND : ""}Served by autoenc ${about.autoenc} from this address only.`;
}
render();
