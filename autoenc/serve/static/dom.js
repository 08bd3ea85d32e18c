// Create elements without HTML strings, so that titles can't be interpreted as HTML.

/** An element with properties (aria-* and data-* as attributes, on* as listeners) and children. */
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

const ARTICLE = /^(.*), (The|An?|Les?|L'|La|Los|Las|El|Il|Lo|Gli|Une?|Una|Das|De[nrt]|Die|Eine?)$/;
const ENDING = /^(.+?)((?:\s*\([^()]*\))*)\s*$/; // the parts in brackets at the end

/** Move an article back to the front, as in "Matrix, The". */
const upright = (name) => name.replace(ARTICLE, (_, rest, article) => article + (article.endsWith("'") ? "" : " ") + rest);

/** A title's name, its other names, as [text, ...], and its year, if it has them. */
export function parts(title) {
  const [, name, ending] = ENDING.exec(title) ?? [null, title, ""];
  const others = [...ending.matchAll(/\(([^()]*)\)/g)].map((match) => match[1]);
  const year = /^\d{4}$/.test(others.at(-1)) ? others.pop() : null;
  return { name: upright(name), others: others.map(upright), year };
}

/** A title as text, in the same form everywhere: "The Matrix (1999)". */
export function named(title) {
  const { name, others, year } = parts(title);
  return [name, ...[...others, year].filter((text) => text !== null).map((text) => `(${text})`)].join(" ");
}

/** A title as elements, in the same form everywhere: its other names and its year are in muted spans. */
export function titled(title) {
  const { name, others, year } = parts(title);
  const quiet = [year, ...others.map((other) => `(${other})`)].filter((text) => text !== null).join(" ");
  return quiet ? [name, " ", element("span", { className: "year" }, quiet)] : [name];
}

/** A number as readable text: two decimals and a true minus sign. */
export function shown(number, signed = false, digits = 2) {
  const text = Math.abs(number).toFixed(digits);
  const sign = Number(text) === 0 ? "" : number < 0 ? "\u2212" : signed ? "+" : "";
  return sign + text;
}

/** "1 like", "2 likes". */
export const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

const status = document.getElementById("status");

/** Announce a sentence to screen readers, once they have finished speaking. */
export function say(sentence) {
  status.textContent = sentence;
}
