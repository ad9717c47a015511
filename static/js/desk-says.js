// What just happened, in one sentence: seen in the bar above the queue, read out once, with the way back.

/** Have a sentence read out. */
export function say(words) {
  const line = document.createElement("p");
  line.className = "say__line";
  line.textContent = words;
  document.querySelector("[data-said]").classList.add("visually-hidden");
  document.querySelector(".say").replaceChildren(line);
}

/** Show a sentence and have it read out, with how many are left; what can be undone gets its button. */
export function tell(words, { event, left, may_undo: mayUndo } = {}) {
  const bar = document.getElementById("undo-bar").content.firstElementChild.cloneNode(true);
  bar.querySelector("span").textContent = words;
  if (mayUndo) bar.action = `/moderation/undo/${event}`;
  else bar.querySelector("button").remove();
  document.getElementById("happened").replaceChildren(bar);
  say(left === undefined ? words : `${words} ${left ? `${left} left.` : "Nothing is waiting."}`);
}

/** Bring the numbers of the page in line after some cards left (-1) or came back (1). */
export function count(left, cards, way) {
  for (const card of cards) {
    for (const part of card.dataset.parts.split(" ")) {
      const number = part && document.querySelector(`.rail a[href$="cause=${part}"] .rail__count`);
      if (number) number.textContent = Math.max(0, Number(number.textContent) + way);
    }
  }
  const matching = document.querySelector("[data-matching]");
  if (matching) matching.textContent = Math.max(0, Number(matching.textContent) + way * cards.length);
  if (left === undefined) return;
  for (const one of document.querySelectorAll("[data-left], .rail li:first-child .rail__count")) {
    one.textContent = one.matches("[data-left]") ? `${left} ${left === 1 ? "comment" : "comments"}.` : left;
  }
  const masthead = document.querySelector(".masthead [href='/moderation'] .masthead__count");
  if (masthead) {
    masthead.firstChild.data = left;
    masthead.hidden = !left;
  }
}
