// Looks again at a part of the page that is changing by itself, while it does and somebody looks at it.

const pause = 3e3; // milliseconds

export function start(parts) {
  for (const part of parts) wait(part);
}

function wait(part) {
  setTimeout(() => {
    if (document.hidden) document.addEventListener("visibilitychange", () => wait(part), { once: true });
    else look(part).catch(() => wait(part)); // the server is away: the link still works
  }, pause);
}

async function look(part) {
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = page.getElementById(part.id);
  if (!newer || !answer.ok) throw new Error(`no ${part.id} in the answer`);
  if (part.contains(document.activeElement)) return wait(part); // nobody's place is taken away
  part.replaceWith(newer);
  if (newer.matches("[data-refresh]")) wait(newer);
  else say(newer.querySelector("p").textContent);
}

function say(words) {
  const line = document.createElement("p");
  line.className = "say__line say__line--ok";
  line.textContent = words;
  document.querySelector(".say").replaceChildren(line);
}
