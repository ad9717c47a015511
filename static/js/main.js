// Brings in a behaviour only when the page holds what it improves, or when the reader first does what it answers.

// At load: what to look for, and what is then given all that was found.
const atLoad = [
  ["time[data-time]", () => import("./times.js")],
  ["[data-focus], .say > *, :target", () => import("./focus.js")],
  [".prose > .sidenote", () => import("./sidenotes.js")],
  ["form[data-autosave]", () => import("./autosave.js")],
  ["form[data-live]", () => import("./preview.js")],
  ["[data-desk]", () => import("./desk.js")],
  ["[data-inbox] .notice", () => import("./inbox.js")],
  ["[data-refresh]", () => import("./refresh.js")],
];

// At an event: its type, what it must have happened in, the module, and whether the browser's own answer waits for ours.
const atEvent = [
  ["click", "a[data-reply]", () => import("./reply.js"), true],
  ["click", ".replies > summary", () => import("./fold.js"), false],
  ["click", "[data-keys-help]", () => import("./help.js"), true],
  ["keydown", ".composer--reply", () => import("./reply.js"), false],
  ["input", "form[data-draft-key] textarea", () => import("./draft.js"), false],
  ["input", "textarea[data-max]", () => import("./counter.js"), false],
  ["focusin", "form[data-once]", () => import("./submit.js"), false],
  ["submit", "form", () => import("./swap.js"), true],
];

for (const [selector, load] of atLoad) {
  const found = document.querySelectorAll(selector);
  if (found.length) load().then((module) => module.start(found));
}

for (const [type, selector, load, waits] of atEvent) {
  document.addEventListener(type, (event) => {
    const found = event.target.closest?.(selector);
    if (!found || event.defaultPrevented || isForBrowser(event, found)) return;
    if (waits) event.preventDefault();
    load().then((module) => module.handle(event, found), () => waits && carryOn(event, found));
  });
}

// Storage is full of other people's wishes: it may be refused, and then there is nothing to bring back.
const stored = (start) => {
  try {
    return Object.keys(localStorage).some((key) => key.startsWith(start));
  } catch {
    return false;
  }
};

// Keys that are off on this device are not printed either.
if (stored("keys") && localStorage.getItem("keys") === "off") document.documentElement.dataset.keys = "off";

const folds = document.querySelectorAll(".replies");
if (folds.length && stored("folded")) import("./fold.js").then((module) => module.start(folds));

const drafts = document.querySelectorAll("form[data-draft-key]");
if ((drafts.length || document.body.dataset.posted) && stored("draft:")) import("./draft.js").then((module) => module.start(drafts));

if (document.querySelector(".thread > li, [data-desk], .notice")) {
  offerKeys();
  document.addEventListener("keydown", (event) => {
    if (event.key.length > 1 || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
    if (document.querySelector("[data-desk], [data-inbox]")) return; // these have keys of their own
    import("./keys.js").then((module) => module.handle(event));
  });
}

/** Say whether the browser should answer an event itself: another tab is wanted, or nothing of ours is asked for. */
function isForBrowser(event, found) {
  if (event.type === "click") return event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (event.type === "submit") return !(event.submitter?.dataset.swap ?? found.dataset.swap) || found.dataset.plain === "yes";
  return false;
}

/** Do what the browser would have done, when a module did not arrive. */
function carryOn(event, found) {
  if (event.type === "click" && found.href) location.assign(found.href);
  if (event.type === "submit") {
    found.dataset.plain = "yes";
    found.requestSubmit(event.submitter);
  }
}

/** Put a button for the list of keys into the footer; it is only there with script, as the keys are. */
function offerKeys() {
  const item = document.createElement("li");
  item.innerHTML = '<button type="button" data-keys-help>Keys</button>';
  document.querySelector(".footer__links")?.append(item);
}
