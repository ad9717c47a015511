// Single keys for reading a discussion.

import { areOn, help } from "./help.js";

const deeds = {
  j: () => step(comments(), 1),
  k: () => step(comments(), -1),
  n: () => step(comments().filter(isNew), 1),
  p: () => step(comments().filter(isNew), -1),
  u: () => current()?.closest("li").parentElement.closest("li")?.querySelector(".comment").focus(),
  o: () => current()?.closest("li").querySelector(":scope > .replies > summary")?.click(),
  r: () => (current()?.querySelector(".comment__reply") ?? document.querySelector("form[data-composer] textarea"))?.[current() ? "click" : "focus"](),
  l: () => copyLink(current()),
  "?": help,
};

export function handle(event) {
  if (!areOn() || !deeds[event.key]) return;
  event.preventDefault();
  deeds[event.key]();
}

// Folded replies and what the phone leaves out have no box and are passed over.
const comments = () => [...document.querySelectorAll(".comment")].filter((comment) => comment.getClientRects().length);
const current = () => document.activeElement.closest(".comment");
const isNew = (comment) => comment.querySelector(".tag--new");

/** Focus the next or the last one before, counted from the focus or else from where the window is. */
function step(list, way) {
  const from = current();
  const after = (one) => (from ? from.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING : one.getBoundingClientRect().top > 0);
  const next = way > 0 ? list.find(after) : list.findLast((one) => one !== from && !after(one));
  next?.focus();
}

async function copyLink(comment) {
  const link = comment?.querySelector(".comment__link");
  if (!link) return;
  await navigator.clipboard?.writeText(link.href);
  const line = document.createElement("p");
  line.className = "say__line";
  line.textContent = "Link copied.";
  document.querySelector(".say").replaceChildren(line);
}
