// Turns times into the reader's own and lifts notes to their lines, which every essay needs at once. Any other behaviour is
// brought in only when the page holds what it improves, or when the reader first does what it answers.

// At load: what to look for, and what is then given all that was found.
const atLoad = [
  ["[data-focus], .say > *, :target", () => import("./focus.js")],
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

const minute = 60e3, hour = 60 * minute, day = 24 * hour;
const language = document.documentElement.lang;
const format = (options) => new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, options);
const ago = new Intl.RelativeTimeFormat(language);
const forms = {
  week: format({ weekday: "short", hour: "2-digit", minute: "2-digit" }),
  year: format({ day: "numeric", month: "short" }),
  older: format({ day: "numeric", month: "short", year: "numeric" }),
  full: format({ day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" }),
};

showTimes();
document.addEventListener("arrived", showTimes); // who puts something into the page says so
setInterval(() => document.hidden || showTimes(), minute);

const notes = document.querySelectorAll(".prose > .sidenote");
if (notes.length) keepAtLines(notes);

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

/** Say the server's UTC times as the reader's own: "3 hours ago", "Tue 18:22", "7 May", "7 May 2025". */
function showTimes() {
  for (const time of document.querySelectorAll("time[data-time]")) {
    const moment = new Date(time.dateTime);
    time.textContent = time.dataset.time === "full" ? forms.full.format(moment) : relative(moment, new Date());
  }
}

/** Say a moment as seen from now; a moment to come is said in full. */
function relative(moment, now) {
  const age = now - moment;
  if (age < -minute) return forms.full.format(moment);
  if (age < minute) return "just now";
  if (age < hour) return ago.format(-Math.floor(age / minute), "minute");
  if (age < day) return ago.format(-Math.floor(age / hour), "hour");
  if (age < 6 * day) return forms.week.format(moment).replace(",", "");
  return (moment.getFullYear() === now.getFullYear() ? forms.year : forms.older).format(moment);
}

/** Lift each note in the margin to the line that it belongs to, and keep notes from covering one another. */
function keepAtLines(notes) {
  const space = 16; // pixels between two notes
  const wide = matchMedia("(min-width: 68rem)");
  const place = () => {
    for (const note of notes) note.style.insetBlockStart = "";
    if (!wide.matches) return;
    // All is measured before anything moves, so the page is laid out once.
    const seen = [...notes].map((note) => [note, note.getBoundingClientRect(), lineOf(note)]);
    let floor = -Infinity;
    for (const [note, box, line] of seen) {
      const top = Math.max(Math.min(line, box.top), floor);
      note.style.insetBlockStart = `${top - box.top}px`;
      floor = top + box.height + space;
    }
  };
  wide.addEventListener("change", place);
  new ResizeObserver(place).observe(notes[0].parentElement);
}

/** Return where the line that refers to a note begins, in pixels from the top of the window. */
function lineOf(note) {
  const reference = document.querySelector(`.sidenote-ref[href="#${note.id}"]`);
  return reference ? reference.getBoundingClientRect().top - 4 : Infinity;
}
