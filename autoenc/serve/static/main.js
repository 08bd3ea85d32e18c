// The page: its state is the address; whatever changes the state goes through `go`, and `render` follows.

import { addressOf, readAddress } from "./address.js";
import { ask } from "./api.js";
import { setUpCombobox } from "./combobox.js";
import { counted, element, say, titled } from "./dom.js";
import { forgetImages } from "./image.js";
import { recommendations, similarItems } from "./list.js";
import { networkAtWork } from "./strips.js";

const main = document.querySelector("main");
const view = document.getElementById("view");
const chips = document.getElementById("chips");
const search = document.getElementById("search");
const about = await ask("health").catch((error) => ({ error: error.message }));

let state = readAddress();

const act = {
  /** Change the state, and with it the address; `focus` is called when the new view stands. */
  go(change, focus) {
    state = { ...state, ...change };
    history.pushState(null, "", addressOf(state));
    return render(focus);
  },
  like(id, index) {
    const buttons = () => view.querySelectorAll(".ranked .add");
    act.go({ likes: [...state.likes, id], similar: state.similar }, () => (buttons()[index] ?? search).focus());
  },
  unlike(id, index) {
    const buttons = () => chips.querySelectorAll(".remove");
    act.go({ likes: state.likes.filter((like) => like !== id) }, () => (buttons()[index] ?? buttons()[index - 1] ?? search).focus());
  },
  /** A link to a changed state, which is a real address too: it can be opened in another tab. */
  link(change, text) {
    const follow = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      act.go(change, () => view.focus());
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
    else if (about.network) shown = await networkAtWork(state, act);
    else shown = await withoutNetwork();
  } catch (error) {
    if (error.name === "AbortError") return; // a newer state is on its way
    shown = failed(error);
  }
  if (wanted !== state) return;
  if (shown.likes.length) { // a link that somebody wrote may name likes by title
    state.likes = shown.likes.map((like) => like.id);
    history.replaceState(null, "", addressOf(state));
  }
  const open = document.activeElement?.id;
  forgetUnder(view);
  view.replaceChildren(...shown.children);
  chips.replaceChildren(...shown.likes.map(chip));
  document.getElementById("likes-hint").textContent = shown.likes.length
    ? `${counted(shown.likes.length, "like")}; the address of this page holds them.`
    : "";
  for (const link of document.querySelectorAll("nav a")) {
    const change = { view: link.dataset.view, similar: null };
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
    element("button", { type: "button", className: "remove", "aria-label": `Remove ${item.title}`,
      onclick: () => act.unlike(item.id, index) }, "\u00d7"));
}

async function withoutNetwork() {
  const { likes } = await ask("recommend", { like: state.likes, n: 1 });
  return {
    likes,
    children: [
      element("h2", { id: "view-heading" }, "No network to look into"),
      element("p", { className: "hint" }, `This server serves ${about.model}, which has no layers. Serve an AutoEncoder to see it at work.`),
    ],
  };
}

function failed(error) {
  say(error.message);
  return {
    likes: [],
    children: [
      element("h2", { id: "view-heading" }, "That did not work"),
      element("p", { className: "error" }, error.message),
      element("p", {}, element("a", { href: "/" }, "Start over")),
    ],
  };
}

const forgetUnder = () => forgetImages();

document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  act.go({ view: link.dataset.view, similar: null }, () => link.focus());
});
window.addEventListener("popstate", () => {
  state = readAddress();
  render();
});
setUpCombobox(search, document.getElementById("suggestions"), (id) => state.likes.includes(id), (item) =>
  act.go({ likes: [...state.likes, item.id], similar: null }, () => search.focus()),
);
if (!about.error) {
  const fitted = about.dataset ? ` fitted on ${about.dataset}` : "";
  document.getElementById("about").textContent =
    `${about.model}${fitted}, ${counted(about.n_items, "title")}. Served by autoenc ${about.autoenc} from this address alone.`;
}
render();
