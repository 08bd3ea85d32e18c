// Asking the server. A newer question of the same kind aborts the older one, whose answer nobody awaits.

const asking = new Map();

/**
 * The answer of GET /api/<operation>; an array among the parameters is given once an element.
 * Throws an Error with the server's sentence and its status, or an AbortError where a newer question of
 * this kind was asked.
 */
export async function ask(operation, parameters = {}, kind = operation) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined) continue;
    for (const one of [value].flat()) query.append(name, one);
  }
  asking.get(kind)?.abort();
  const controller = new AbortController();
  asking.set(kind, controller);
  let response;
  try {
    response = await fetch(`/api/${operation}?${query}`, { signal: controller.signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("The server does not answer. Is it still running?");
  }
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}
