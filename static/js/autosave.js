// Saves a draft version of the essay every ten seconds and whenever a field is left.

const every = 10e3; // milliseconds

export function start(forms) {
  for (const form of forms) watch(form);
}

function watch(form) {
  const state = form.querySelector("[data-state]");
  let saved = fingerprint(form), running = null, stopped = false;

  function save() {
    if (fingerprint(form) === saved || running || stopped) return;
    running = send().finally(() => { running = null; });
  }

  async function send() {
    const now = fingerprint(form);
    try {
      const answer = await fetch(form.dataset.autosave, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
      const told = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
      if (answer.status === 409) {
        stopped = true; // saving on would overwrite what the other window holds
        conflict(state, told.url ?? answer.headers.get("Location") ?? location.href);
      } else if (answer.ok) {
        adopt(form, told);
        saved = now;
        say(state, `Saved ${new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`);
      } else say(state, "Not saved. Trying again in ten seconds.");
    } catch {
      say(state, "We could not reach the server. Trying again in ten seconds.");
    }
  }

  // Sent beside a save under way, the form would name a version that this save is about to replace: it would conflict with itself.
  form.addEventListener("submit", (event) => {
    if (!running) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    running.then(() => form.requestSubmit(event.submitter));
  });

  setInterval(save, every);
  form.addEventListener("focusout", (event) => { if (!event.relatedTarget?.closest("button")) save(); });
  form.addEventListener("input", () => { if (!stopped && state.textContent.startsWith("Saved")) state.textContent = ""; });
  document.addEventListener("visibilitychange", save);
}

/** Return what the writer has entered, as one text to compare. */
function fingerprint(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => form.elements[name]?.type !== "hidden"));
}

/** Take over what the server gave new values for, such as the version that the next save builds on. */
function adopt(form, told) {
  for (const [name, value] of Object.entries(told)) if (form.elements[name]?.type === "hidden") form.elements[name].value = value;
}

function say(state, words) {
  state.textContent = words;
}

function conflict(state, address) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = "See both versions";
  state.replaceChildren("This essay was saved in another window. Nothing here is lost. ", link);
}
