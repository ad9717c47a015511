// Single keys for the moderation queue: one card is current, and keys press its buttons.

import { areOn, help } from "./help.js";

export function start([queue]) {
  const cards = () => [...queue.querySelectorAll(".card")];
  const current = () => queue.querySelector(".card[aria-current]") ?? cards()[0];
  const choose = (card) => {
    for (const other of queue.querySelectorAll("[aria-current=true]")) other.removeAttribute("aria-current");
    card.setAttribute("aria-current", "true");
    showBeside(card);
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
  // The address names the card after the one that was just decided; keys must not press the buttons of another.
  const first = document.activeElement.closest(".card") ?? queue.querySelector(".card:target") ?? current();
  if (first) choose(first);
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
  queue.dataset.desk = "ready"; // from here on the keys answer
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

/** Put the thread and the reader of the current card into the pane beside the queue; narrow windows have them in the card. */
function showBeside(card) {
  const pane = document.querySelector("[data-beside]");
  const parts = [...(card.querySelector(".card__context")?.children ?? [])].filter((part) => part.localName !== "summary");
  if (!pane || !parts.length || pane.dataset.beside === card.id) return;
  pane.dataset.beside = card.id;
  pane.replaceChildren(...parts.map((part) => part.cloneNode(true)));
  for (const heading of pane.querySelectorAll("h3")) {
    const second = document.createElement("h2");
    second.append(...heading.childNodes);
    heading.replaceWith(second);
  }
}

function find() {
  const filters = document.querySelector(".filters");
  if (!filters) return;
  filters.open = true;
  filters.querySelector("input").focus();
}
