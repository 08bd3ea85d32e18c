// Making elements without HTML strings: text is text, whatever a title holds.

/** An element of a tag with properties (aria-* and data-* as attributes, on* as listeners) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A title's name, its article brought back to the front ("Matrix, The"), and its year if it ends in one. */
export function parts(title) {
  const [, name, year] = /^(.*\S)\s*\((\d{4})\)\s*$/.exec(title) ?? [null, title, null];
  return { name: name.replace(/^([^,]*), (The|An?)$/, "$2 $1"), year };
}

/** A title with its year, where it has one, in a quieter span. */
export function titled(title) {
  const { name, year } = parts(title);
  return year === null ? [name] : [name, " ", element("span", { className: "year" }, year)];
}

/** A number as it is read: two decimals and a true minus. */
export function shown(number, signed = false, digits = 2) {
  const text = Math.abs(number).toFixed(digits);
  const sign = Number(text) === 0 ? "" : number < 0 ? "\u2212" : signed ? "+" : "";
  return sign + text;
}

/** "1 like", "2 likes". */
export const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

const status = document.getElementById("status");

/** Have a screen reader say a sentence when it has finished what it is saying. */
export function say(sentence) {
  status.textContent = sentence;
}
