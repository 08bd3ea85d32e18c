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

const ARTICLE = /^(.*), (The|An?|Les?|L'|La|Los|Las|El|Il|Lo|Gli|Une?|Una|Das|De[nrt]|Die|Eine?)$/;
const ENDING = /^(.+?)((?:\s*\([^()]*\))*)\s*$/; // what is in brackets at the end

/** An article back to its front: "Matrix, The". */
const upright = (name) => name.replace(ARTICLE, (_, rest, article) => article + (article.endsWith("'") ? "" : " ") + rest);

/** A title's name, what it is called besides, as [text, ...], and its year, where it has them. */
export function parts(title) {
  const [, name, ending] = ENDING.exec(title) ?? [null, title, ""];
  const others = [...ending.matchAll(/\(([^()]*)\)/g)].map((match) => match[1]);
  const year = /^\d{4}$/.test(others.at(-1)) ? others.pop() : null;
  return { name: upright(name), others: others.map(upright), year };
}

/** A title as text, everywhere alike: "The Matrix (1999)". */
export function named(title) {
  const { name, others, year } = parts(title);
  return [name, ...[...others, year].filter((text) => text !== null).map((text) => `(${text})`)].join(" ");
}

/** A title as elements, everywhere alike: its year, and what it is called besides, in a quieter span. */
export function titled(title) {
  const { name, others, year } = parts(title);
  const quiet = [year, ...others.map((other) => `(${other})`)].filter((text) => text !== null).join(" ");
  return quiet ? [name, " ", element("span", { className: "year" }, quiet)] : [name];
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
