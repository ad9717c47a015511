// Single keys for the moderation queue: one card is current, and keys press its buttons.

import { areOn, help } from "./help.js";

export function start([queue]) {
  const cards = () => [...queue.querySelectorAll(".card")];
  const current = () => queue.querySelector(".card[aria-current]") ?? cards()[0];
  const choose = (card) => {
    for (const other of queue.querySelectorAll("[aria-current=true]")) other.removeAttribute("aria-current");
    card.setAttribute("aria-current", "true");
  };
  const step = (way) => {
    const list = cards();
    const next = list[list.indexOf(current()) + (document.activeElement.closest(".card") ? way : Math.min(way, 0))];
    next?.focus();
  };
  const deeds = {
    j: () => step(1),
    k: () => step(-1),
    o: () => current()?.querySelector(".card__at a:last-of-type")?.click(),
    "/": () => find(),
    "?": help,
  };
  if (current()) choose(current());
  queue.addEventListener("focusin", (event) => {
    const card = event.target.closest(".card");
    if (card) choose(card);
  });
  document.addEventListener("keydown", (event) => {
    if (!areOn() || event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key !== "j" && event.key !== "k") return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    const deed = deeds[event.key] ?? pressing(event.key, current());
    if (!deed) return;
    event.preventDefault();
    deed();
  });
}

/** Return what presses the button of that key: in the current card first, then outside all cards. */
function pressing(key, card) {
  const mine = `[data-key="${CSS.escape(key)}"]`;
  const control = card?.querySelector(mine) ?? [...document.querySelectorAll(mine)].find((one) => !one.closest(".card"));
  if (!control) return null;
  if (control.localName !== "details") return () => control.click();
  return () => {
    control.open = true;
    (control.querySelector("input:checked") ?? control.querySelector("input:not([type=hidden]), select, textarea, button"))?.focus();
  };
}

function find() {
  const filters = document.querySelector(".filters");
  if (!filters) return;
  filters.open = true;
  filters.querySelector("input").focus();
}
