// The cards of the queue: which one is current, which are picked, how they leave the list and come back.

import { say } from "./desk-says.js";

const all = () => [...document.querySelectorAll(".card")];

export const current = () => document.querySelector(".card[aria-current]") ?? document.querySelector(".card");

export function choose(card) {
  for (const other of document.querySelectorAll(".card[aria-current]")) other.removeAttribute("aria-current");
  card.setAttribute("aria-current", "true");
  showBeside(card);
}

/** Focus the next card or the one before; the first press only shows where one is. */
export function step(way) {
  const list = all(), place = list.indexOf(current());
  list[document.activeElement.closest(".card") ? place + way : place + Math.min(way, 0)]?.focus();
}

/** Remember the order of the list, so that what comes back finds its place. */
export function numberCards() {
  all().forEach((card, place) => { card.parentElement.dataset.place = place; });
}

/** Take cards out of the list and return the one to go on with: the next that stays, else the last before. */
export function leave(cards) {
  const list = all(), place = list.indexOf(cards[0]);
  const stays = (card) => !cards.includes(card) && !isSettled(card);
  const next = place < 0 ? null : list.slice(place).find(stays) ?? list.slice(0, place).findLast(stays);
  for (const card of cards) {
    for (const opened of card.querySelectorAll(".card__decide details[open]")) opened.open = false;
    card.querySelector(".card__error")?.remove();
    card.querySelector(".card__pick").checked = false;
    card.parentElement.remove();
  }
  if (next) choose(next);
  showPicked();
  return next;
}

/** Put cards back where they stood; return the first of them. */
export function putBack(cards) {
  const list = document.querySelector(".queue");
  for (const { parentElement: item } of cards) {
    list.insertBefore(item, [...list.children].find((other) => Number(other.dataset.place) > Number(item.dataset.place)) ?? null);
  }
  showPicked();
  return cards[0];
}

/** Write a sentence onto a card: why it is still here. */
export function mark(card, words) {
  if (!card) return;
  let line = card.querySelector(".card__error");
  if (!line) {
    line = document.createElement("p");
    line.className = "card__error";
    card.querySelector(".card__body").before(line);
  }
  line.textContent = words;
}

/** Give a card its comment's words as they are now, and what changed in them since they were seen. */
export function reword(card, html, changes) {
  const body = card.querySelector(".card__body");
  body.innerHTML = html;
  card.querySelector(".card__changes")?.remove();
  if (changes) body.insertAdjacentHTML("afterend", `<details class="card__changes" open><summary>What changed</summary>${changes}</details>`);
}

/** Disarm a card about which nobody can decide any more; it can be read until the next decision, but what was withdrawn cannot. */
export function settle(card, isGone) {
  card.dataset.settled = "";
  for (const part of card.querySelectorAll("[data-decide], .card__decide, .card__pick")) part.remove();
  if (isGone) {
    reword(card, "");
    const lines = document.querySelectorAll(`.lines a[href="/comments/${card.id.slice(5)}"]`);
    for (const line of lines) line.parentElement.querySelector("p")?.remove();
  }
  showPicked();
  return card;
}

/** Take out what was settled. */
export function sweep() {
  for (const card of all().filter(isSettled)) card.parentElement.remove();
}

const isSettled = (card) => "settled" in card.dataset;

const boxes = () => [...document.querySelectorAll(".card__pick")];
const matching = () => document.querySelector("#batch [name=all]")?.checked;

export const picked = () => boxes().filter((box) => matching() || box.checked).map((box) => box.closest(".card"));

/** Return what is ticked: comments together with the wording that was seen. */
export const ticks = () => boxes().filter((box) => box.checked).map((box) => box.value);

export function tick(values) {
  for (const box of boxes()) box.checked = values.includes(box.value);
  showPicked();
}

export function pick() {
  const card = current(), box = card?.querySelector(".card__pick");
  if (box) box.checked = !box.checked;
  if (!document.activeElement.closest(".card")) card?.focus(); // so that the next step leaves it
  showPicked();
}

export function pickAll() {
  const isOn = boxes().every((box) => box.checked);
  for (const box of boxes()) box.checked = !isOn;
  showPicked();
  say(isOn ? "None selected." : `${boxes().length} selected.`);
}

/** Say on the bar how many are picked; `box` is what was ticked, if it is the one for all. */
export function showPicked(box) {
  const bar = document.getElementById("batch");
  if (!bar) return;
  if (box?.matches("[data-all]")) for (const one of boxes()) one.checked = box.checked;
  const number = boxes().filter((one) => one.checked).length;
  const every = bar.querySelector("[data-all]");
  every.checked = number > 0 && number === boxes().length;
  every.indeterminate = number > 0 && number < boxes().length;
  bar.querySelector("[data-count]").textContent = number || "None";
  bar.querySelector(".batch__of").textContent = ` of ${boxes().length}`;
  bar.querySelector("[data-many]").textContent = matching() ? " all" : number ? ` ${number}` : "";
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
