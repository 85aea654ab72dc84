// Calls to the server: JSON in, JSON out, errors as Problem.

const csrf = document.querySelector('meta[name="csrf-token"]').content;

export class Problem extends Error {
  constructor(message, status, retryAfterS) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

export async function get(path) {
  const response = await reach(path, { headers: { Accept: "application/json" } });
  return response.json();
}

export async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf, Accept: "application/json" };
  return reach(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

// Only for calls that may safely arrive twice, such as votes: the last one of a kind counts.
export async function postSafely(path, body) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await (await post(path, body)).json();
    } catch (error) {
      const mayPass = error instanceof Problem && (error.status === 0 || error.status === 503);
      if (!mayPass || attempt === 2) throw error;
      await pause(Math.min(5, error.retryAfterS ?? 0.4 * 2 ** attempt) * 1000);
    }
  }
}

export async function* readLines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function reach(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service can not be reached. Is it running?", 0);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const { error } = await response.json().catch(() => ({ error: {} }));
  return new Problem(error.message ?? `The service answered ${response.status}.`, response.status, error.retry_after_s);
}
