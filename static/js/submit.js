// Sends a form once: says that it is on its way, refuses a second try meanwhile, and sends on Ctrl or Cmd and Enter.

const known = new WeakSet();

export function handle(event, form) {
  if (known.has(form)) return;
  known.add(form);
  form.addEventListener("keydown", (press) => {
    if (press.key === "Enter" && (press.ctrlKey || press.metaKey)) form.requestSubmit(form.querySelector("button:not([type=button])"));
  });
  form.addEventListener("submit", (sending) => {
    const button = sending.submitter;
    if (button?.dataset.swap ?? form.dataset.swap) return;
    if (form.dataset.busy === "yes") return sending.preventDefault();
    form.dataset.busy = "yes";
    if (button) wait(form, button);
  });
}

function wait(form, button) {
  const words = [...button.childNodes];
  button.setAttribute("aria-disabled", "true");
  button.textContent = form.dataset.sending ?? "One moment…";
  const line = document.createElement("p");
  line.className = "field__note";
  line.setAttribute("role", "status");
  button.parentElement.after(line);
  const timer = setTimeout(() => { line.textContent = "Still trying. Your text is kept."; }, 10e3);
  // Back from the next page, or the try was given up: the form works again.
  addEventListener("pageshow", () => {
    clearTimeout(timer);
    delete form.dataset.busy;
    button.removeAttribute("aria-disabled");
    button.replaceChildren(...words);
    line.remove();
  }, { once: true });
}
