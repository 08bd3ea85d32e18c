// Requests to the server. A new request aborts an older one of the same kind, which is no longer needed.

const asking = new Map();

/**
 * The answer to GET /api/<operation>; an array parameter is repeated for each element.
 * Throws an Error with the server's sentence and status, or an AbortError if there was a newer request of
 * this kind.
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
