// Calls of the API with the token that was given.
import { language, say } from "./words.js";

let token = null;

export function setToken(given) {
  token = given;
}

export async function call(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401) {
    throw Object.assign(new Error(say("wrongToken")), { unauthorised: true });
  }
  return answer;
}

// The answer as JSON; a refusal is thrown as its sentence, in the reader's language where there is one.
export async function ask(path, options) {
  const answer = await call(path, options);
  const body = await answer.json();
  if (!answer.ok) {
    throw new Error((language === "pt-BR" && body.errorPt) || body.error);
  }
  return body;
}
