// The moderation queue without page loads: decisions are sent, what is decided leaves the list, and keys press the buttons.

import { step, choose, current, leave, mark, numberCards, pick, pickAll, picked, putBack, reword, settle, showPicked, sweep, tick, ticks } from "./desk-cards.js";
import { watch } from "./desk-arrivals.js";
import { open, panelOf, remember } from "./desk-panels.js";
import { count, say, tell } from "./desk-says.js";
import { areOn, help } from "./help.js";

const staying = new Set(["pin", "unpin", "feature", "unfeature", "close-thread", "reopen-thread"]);
const notSent = "Not sent. Try again.";
const notLoaded = "The list did not load: load the page again.";

const gone = new Map(); // by event: the cards that left with it, in case it is undone
let isBusy = false, waiting = []; // keys pressed while an answer is under way

export function start() {
  numberCards();
  // The address names the card after the one that was just decided; keys must not press the buttons of another.
  const left = document.getElementById(history.state?.card); // where somebody was when they followed a link
  const first = document.activeElement.closest(".card") ?? left ?? document.querySelector(".card:target") ?? current();
  if (first) choose(first);
  document.addEventListener("focusin", (event) => event.target.closest(".card") && choose(event.target.closest(".card")));
  document.addEventListener("change", (event) => event.target.matches("[name=item], [data-all], [name=all]") && showPicked(event.target));
  document.addEventListener("toggle", (event) => event.target.matches(".card__ask[open]") && remember(event.target), true);
  document.addEventListener("submit", onSubmit);
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  addEventListener("pageshow", (event) => event.persisted && run(renew)); // the list may be old by now
  watch();
  showPicked();
  work().dataset.ready = "yes"; // from here on the keys answer
}

const work = () => document.querySelector("[data-desk]");

/** Do one thing after the other: what is pressed meanwhile waits, and is forgotten when the thing fails. */
async function run(job) {
  isBusy = true;
  try {
    await job();
  } catch {
    waiting = [];
    say(notLoaded);
  }
  isBusy = false;
  while (!isBusy && waiting.length) act(waiting.shift());
}

function onSubmit(event) {
  const form = event.target, button = event.submitter;
  if (!form.matches("[data-decide], [data-batch], .undo") || button?.name === "reply") return; // answering happens on another page
  event.preventDefault();
  if (isBusy) return;
  if (form.matches("[data-batch]") && !picked().length) return tell("Nothing is selected.");
  run(() => (form.matches(".undo") ? undo(form, button) : decide(form, button)));
}

function onClick(event) {
  if (event.target.closest("a")) history.replaceState({ card: current()?.id }, "");
  if (event.target.closest("[data-cancel]")) {
    event.preventDefault();
    close(event.target.closest("details"));
  } else if (event.target.closest("[data-show]") && !isBusy) {
    event.preventDefault();
    run(renew);
  }
}

async function decide(form, button) {
  const card = button.closest(".card") ?? form.closest(".card");
  const result = await send(form, button).catch(() => ({ error: notSent }));
  if (!result.error) sweep();
  const settled = (result.skipped ?? []).flatMap(passOver);
  if (result.error) return refuse(card, result, settled);
  if (result.batch) return location.assign(result.batch);
  const panel = panelOf(button);
  remember(panel, form);
  if (staying.has(result.act)) return stay(card, button, result);
  const cards = leaving(card, form, button, result);
  if (result.may_undo) gone.set(result.event, cards);
  if (panel) panel.open = false;
  if (form.matches("[data-batch]")) form.reset();
  (leave(cards) ?? current())?.focus();
  tell(result.sentence, result);
  count(result.left, [...cards, ...settled], -1);
  if (!current()) await renew().catch(() => say(`${result.sentence} ${notLoaded}`));
}

/** Return the cards that a decision settles: one, all of a banned person, or what was picked and not passed over. */
function leaving(card, form, button, result) {
  const cards = [...document.querySelectorAll(".card:not([data-settled])")];
  if (result.act === "ban") return button.value === "yes" ? cards.filter((one) => one.dataset.person === card.dataset.person) : [];
  if (!form.matches("[data-batch]")) return [card];
  const skipped = new Set((result.skipped ?? []).map((one) => `card-${one.id}`));
  return picked().filter((one) => !skipped.has(one.id));
}

function stay(card, button, result) {
  const words = button.querySelector("span").firstChild;
  if (button.dataset.other) become(button, words);
  else button.remove();
  card.focus();
  tell(result.sentence, result);
}

/** Let a button undo what it did: it has the other word and the other address. */
function become(button, words) {
  const address = button.getAttribute("formaction");
  [words.data, button.dataset.other] = [button.dataset.other, words.data];
  button.setAttribute("formaction", button.dataset.otherAction);
  button.dataset.otherAction = address;
}

/** Say on a card why it was passed over; return it if nobody can decide about it any more. */
function passOver(one) {
  const card = document.getElementById(`card-${one.id}`);
  mark(card, one.why);
  return card && one.settled ? settle(card, one.gone) : [];
}

/** Show on the card why nothing was decided, and the words as they are now; nobody can decide about those that are settled. */
function refuse(card, result, settled = []) {
  waiting = [];
  count(result.left, card && result.settled ? [settle(card, result.gone)] : settled, -1);
  if (!card) return tell(result.error);
  mark(card, result.error);
  if (result.revision) {
    for (const field of card.querySelectorAll("[name=revision]")) field.value = result.revision;
    card.querySelector(".card__pick").value = `${card.id.slice(5)}:${result.revision}`;
  }
  if (result.html !== undefined) reword(card, result.html, result.changes);
  if (!card.querySelector(".card__ask[open]")) card.focus();
  say(result.error);
}

async function undo(form, button) {
  const id = Number(form.action.split("/").pop());
  const result = await send(form, button).catch(() => ({ error: notSent }));
  if (result.error) {
    refuse(null, result);
    if (result.status === 409) await renew().catch(() => {}); // somebody else was here: the list is not as it was
    return;
  }
  if (result.batch) return location.assign(result.batch);
  const cards = gone.get(id);
  gone.delete(id);
  let trouble = "";
  if (cards) {
    (putBack(cards) ?? current())?.focus();
    count(result.left, cards, 1);
  } else {
    await renew(`card-${result.comment}`).catch(() => { trouble = ` ${notLoaded}`; });
  }
  tell(result.sentence + trouble, { left: result.left, before: result.before });
}

/** Send a form and return what came of it; a page that answers for nobody any more takes what was typed along. */
async function send(form, button) {
  const answer = await fetch(addressOf(form, button), {
    method: "POST", body: new FormData(form, button), headers: { Accept: "application/json" },
  });
  const result = await answer.json();
  if ([400, 401, 403].includes(answer.status)) submit(form, button);
  return answer.ok ? result : { error: notSent, settled: answer.status === 404, ...result, status: answer.status };
}

/** Let the browser send a form: the answer to one that has expired keeps what was typed and sends it again. */
function submit(form, button) {
  if (button.name) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: button.name, value: button.value }));
  form.action = addressOf(form, button);
  form.submit();
}

const addressOf = (form, button) => button.getAttribute("formaction") ?? form.getAttribute("action");

/** Take the queue over as it is now, with its numbers and what was ticked, and go to the card of that id, else to where one was. */
async function renew(id) {
  const answer = await fetch(work().dataset.desk, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok || !page.getElementById("work")) throw new Error("no queue in the answer");
  gone.clear();
  const here = current()?.id, ticked = ticks();
  for (const part of ["#head", "#work", ".rail", ".context"]) {
    const ours = document.querySelector(part), theirs = page.querySelector(part);
    if (ours && theirs) ours.replaceWith(theirs);
    else if (ours) ours.remove();
    else if (theirs) document.querySelector(".desk").append(theirs);
  }
  work().dataset.ready = "yes";
  document.dispatchEvent(new Event("arrived"));
  numberCards();
  tick(ticked);
  (document.getElementById(id) ?? document.getElementById(here) ?? current() ?? document.querySelector(".empty"))?.focus();
}

const deeds = {
  j: () => step(1),
  k: () => step(-1),
  v: () => current() && inSight(current(), pick)(),
  "*": () => pickAll(),
  "/": () => find(),
  "?": help,
};

function onKey(event) {
  const panel = panelOf(event.target);
  const isSent = event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.target.matches("a, button");
  if (panel && !event.isComposing && (isSent || event.key === "Escape")) {
    event.preventDefault();
    return isSent ? main(panel).click() : close(panel);
  }
  if (!areOn() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (event.target.closest("dialog") || event.target.matches("input:not([type=radio], [type=checkbox]), textarea, select")) return;
  if (event.repeat && event.key !== "j" && event.key !== "k") return;
  const key = plain(event);
  const isControl = event.target.matches("a, button, summary, [type=checkbox]") && (key === "Enter" || key === " ");
  if (isControl || key.length > 1 && key !== "Enter" && key !== "Escape") return;
  if (isBusy) {
    waiting.push(key);
    event.preventDefault();
  } else if (act(key)) {
    event.preventDefault();
  }
}

/** Return the key as it is printed: capitals only with Shift, whatever Caps Lock says. */
function plain(event) {
  if (!/^\p{L}$/u.test(event.key)) return event.key;
  return event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase();
}

/** Do what a key stands for now; tell whether it stands for anything. */
function act(key) {
  const panel = panelOf(document.activeElement);
  const more = key === "Escape" && document.activeElement.closest(".card__more[open]");
  const deed = panel ? inPanel(panel, key) : more ? () => close(more) : /^[1-9]$/.test(key) ? queue(Number(key)) : deeds[key] ?? pressing(key);
  deed?.();
  return Boolean(deed);
}

/** Return a deed that needs its place to be seen: out of sight, the key only shows it, and the next press does the deed. */
function inSight(place, deed) {
  const { top, bottom } = place.getBoundingClientRect();
  if (bottom > 0 && top < innerHeight) return deed;
  return () => {
    if (!place.contains(document.activeElement)) place.focus();
    place.scrollIntoView({ block: "nearest" });
  };
}

/** In an open panel: a digit chooses the reason and sends, Enter sends what is chosen. */
function inPanel(panel, key) {
  const place = panel.closest(".card, form");
  const send = inSight(place, () => main(panel).click());
  const reason = /^[1-9]$/.test(key) && panel.querySelectorAll("[name=reason][type=radio]")[key - 1];
  if (reason) {
    return () => {
      reason.checked = true;
      const needed = reason.dataset.needs && panel.querySelector(`[name=${reason.dataset.needs}]`);
      needed && !needed.value ? needed.focus() : send();
    };
  }
  if (key === "Enter" && document.activeElement.matches("[name=reason]")) return send;
  return panel.querySelector(`[data-again="${CSS.escape(key)}"]`) ? send : null;
}

const main = (panel) => panel.querySelector(".button--stop");

/** Return what presses the button of that key: in the current card first, then outside all cards. */
function pressing(key) {
  const mine = `[data-key="${CSS.escape(key)}"]`;
  const control = visible(current()?.querySelectorAll(mine)) ?? visible([...document.querySelectorAll(mine)].filter((one) => !one.closest(".card")));
  if (!control) return key === "u" ? () => say("Nothing to undo.") : null;
  const deed = control.localName === "details" ? () => open(control) : () => control.click();
  return control.closest(".card") ? inSight(current(), deed) : deed;
}

// Some decisions are in the card twice, for wide and for narrow windows.
const visible = (controls) => [...(controls ?? [])].find((one) => getComputedStyle(one).display !== "none");

function queue(number) {
  const link = document.querySelectorAll(".rail__links:first-of-type a")[number - 1];
  return link && (() => link.click());
}

function close(panel) {
  panel.open = false;
  const more = panel.closest(".card__more");
  if (more) more.open = false;
  (panel.closest(".card") ?? current())?.focus();
}

function find() {
  const filters = document.querySelector(".filters");
  filters.open = true;
  filters.querySelector("[type=search]").focus();
}
