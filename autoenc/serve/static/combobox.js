// The search field: an editable combobox with a listbox, following the ARIA Authoring Practices. The focus
// stays in the field; aria-activedescendant names the option selected by the arrow keys.

import { ask } from "./api.js";
import { element, say, titled } from "./dom.js";

const MOST_SHOWN = 8;
const PAUSE = 60; // milliseconds without a key press before a search

/** Set up the field; titles with `isLiked(id)` are left out, and `choose(item)` is called with the one picked. */
export function setUpCombobox(input, listbox, isLiked, choose) {
  let items = [];
  let active = -1;
  let timer = 0;

  function close() {
    clearTimeout(timer);
    items = [];
    active = -1;
    listbox.hidden = true;
    listbox.replaceChildren();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function pick(index) {
    const item = items[index];
    input.value = "";
    close();
    choose(item);
  }

  function move(to) {
    active = (to + items.length) % items.length;
    for (const [index, option] of [...listbox.children].entries()) {
      option.setAttribute("aria-selected", String(index === active));
    }
    const option = listbox.children[active];
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  async function open() {
    const search = input.value.trim();
    let found;
    try {
      found = await ask("items", { search, n: 50 });
    } catch (error) {
      if (error.name !== "AbortError") say(error.message);
      return;
    }
    if (document.activeElement !== input) return;
    close();
    items = found.items.filter((item) => !isLiked(item.id)).slice(0, MOST_SHOWN);
    if (!items.length) {
      say("No title contains these words.");
      listbox.append(element("li", { className: "none", role: "option", "aria-disabled": "true" }, "No title contains these words"));
    }
    listbox.append(
      ...items.map((item, index) =>
        element(
          "li",
          {
            id: `suggestion-${index}`,
            role: "option",
            "aria-selected": "false",
            onmousedown: (event) => event.preventDefault(), // the focus stays in the field
            onclick: () => pick(index),
          },
          titled(item.title),
        ),
      ),
    );
    listbox.hidden = false;
    input.setAttribute("aria-expanded", "true");
    if (items.length) {
      move(0);
      say(`${items.length} titles found.`);
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    if (input.value.trim()) timer = setTimeout(open, PAUSE);
    else close();
  });
  input.addEventListener("blur", close);
  input.addEventListener("click", () => listbox.hidden && input.value.trim() && open());
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (items.length) move(active + (event.key === "ArrowDown" ? 1 : -1));
      else open(); // for an empty field, with popular titles
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      pick(active);
    } else if (event.key === "Escape") {
      if (listbox.hidden) input.value = "";
      close();
    }
  });
}
