// Keeps what is being written on this device until it has been posted.

const name = (form) => `draft:${form.dataset.draftKey}`;
const timers = new WeakMap();

/** Forget what has been posted, and bring back into empty boxes what has not. */
export function start(forms) {
  const posted = document.body.dataset.posted;
  if (posted) {
    keep(`draft:${posted}`, null);
    keep(sessionStorage.getItem("posting") ?? "draft:", null);
  }
  for (const form of forms) restore(form);
}

export function handle(event, box) {
  const form = box.form;
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => save(form), 500));
  if (form.dataset.kept) return;
  form.dataset.kept = "yes";
  form.addEventListener("submit", () => {
    save(form);
    sessionStorage.setItem("posting", name(form));
  });
  addEventListener("pagehide", () => save(form));
}

function save(form) {
  clearTimeout(timers.get(form));
  const text = form.querySelector("textarea").value;
  keep(name(form), text.trim() && text !== form.querySelector("textarea").defaultValue ? JSON.stringify({ text, at: Date.now() }) : null);
}

function restore(form) {
  const box = form.querySelector("textarea");
  const kept = read(name(form));
  if (!kept || box.value.trim()) return;
  box.value = kept.text;
  form.classList.add("is-open");
  handle(null, box);
  const line = document.createElement("p");
  line.className = "field__note draft";
  const time = document.createElement("time");
  time.dateTime = new Date(kept.at).toISOString();
  time.dataset.time = "";
  line.append("Draft from ", time, ". ");
  const discard = document.createElement("button");
  discard.type = "button";
  discard.className = "button button--small button--plain";
  discard.textContent = "Discard";
  discard.addEventListener("click", () => {
    box.value = "";
    save(form);
    line.remove();
    box.focus();
  });
  line.append(discard);
  box.after(line);
  document.dispatchEvent(new Event("arrived"));
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // No room or no leave to store: the text is still in its box.
  }
}
