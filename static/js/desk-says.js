// What just happened, in one sentence: seen in the bar above the queue, read out once, with the way back.

/** Have a sentence read out. */
export function say(words) {
  const line = document.createElement("p");
  line.className = "say__line";
  line.textContent = words;
  document.querySelector("[data-said]").classList.add("visually-hidden");
  document.querySelector(".say").replaceChildren(line);
}

/** Show a sentence and have it read out, with how many are left; what can be undone gets its button, after an undo what was done `before`. */
export function tell(words, { event, left, may_undo: mayUndo, before } = {}) {
  const bar = document.getElementById("undo-bar").content.firstElementChild.cloneNode(true);
  bar.querySelector("span").textContent = before ? `${words} Before that: ${before.sentence}` : words;
  if (mayUndo || before) bar.action = `/moderation/undo/${before?.event ?? event}`;
  else bar.querySelector("button").remove();
  document.getElementById("happened").replaceChildren(bar);
  say(left === undefined ? words : `${words} ${left ? `${left.toLocaleString("en")} left.` : "Nothing is waiting."}`);
}

/** Bring the numbers of the page in line after some cards left (-1) or came back (1). */
export function count(left, cards, way) {
  for (const card of cards) {
    for (const part of card.dataset.parts.trim().split(" ")) change(document.querySelector(`.rail a[href$="cause=${part}"] .rail__count`), way);
  }
  for (const one of document.querySelectorAll("[data-matching]")) change(one, way * cards.length);
  // Once the first card has left, how long the oldest has waited is not known here.
  if (cards.some((card) => card.parentElement.dataset.place === "0")) document.querySelector("[data-waited]")?.remove();
  if (left === undefined) return;
  const words = left.toLocaleString("en");
  for (const one of document.querySelectorAll("[data-left]")) one.textContent = `${words} ${left === 1 ? "comment" : "comments"}.`;
  for (const one of document.querySelectorAll(".rail__links:first-of-type li:first-child .rail__count")) one.textContent = left;
  const masthead = document.querySelector(".masthead [href='/moderation'] .masthead__count");
  if (!masthead) return;
  masthead.firstChild.data = left;
  masthead.hidden = !left;
}

function change(place, by) {
  if (place) place.textContent = Math.max(0, Number(place.textContent.replaceAll(",", "")) + by).toLocaleString("en");
}
