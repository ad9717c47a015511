// Single keys for the inbox: one notice has the focus, and keys press its buttons.

import { areOn, help } from "./help.js";

export function start(notices) {
  const current = () => document.activeElement.closest(".notice");
  const step = (way) => (current() ? [...notices][[...notices].indexOf(current()) + way] : notices[0])?.focus();
  const deeds = {
    j: () => step(1),
    k: () => step(-1),
    e: () => current()?.querySelector("[data-key=e]")?.click(),
    Enter: () => current().querySelector("button").click(),
    "?": help,
  };
  document.addEventListener("keydown", (event) => {
    if (!areOn() || !deeds[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    if (event.key === "Enter" && !event.target.matches(".notice")) return; // a link or a button has an answer of its own
    event.preventDefault();
    deeds[event.key]();
  });
}
