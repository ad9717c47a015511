// Sends a form without leaving the page and takes one part over from the page that comes back.

export async function handle(event, form) {
  const button = event.submitter;
  const wanted = button?.dataset.swap ?? form.dataset.swap;
  const id = wanted === "closest" ? button.closest("[id]").id : wanted;
  try {
    const part = await swap(form, button, id);
    (part.querySelector(`.${button?.classList[0]}`) ?? part).focus({ preventScroll: part.contains(button) });
  } catch {
    form.dataset.plain = "yes"; // the ordinary way is left, and tells more
    form.requestSubmit(button);
  }
}

/** Send the form as the button would, put the part of that id in place of ours and return it; throws when there is none. */
export async function swap(form, button, id) {
  const answer = await fetch(button?.getAttribute("formaction") ?? form.action, {
    method: "POST", body: new FormData(form, button), headers: { Accept: "text/html" },
  });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const ours = document.getElementById(id), theirs = page.getElementById(id);
  if (!theirs || !(answer.ok || answer.status === 422)) throw new Error(`no ${id} in the answer`);
  ours.replaceWith(theirs);
  const said = page.querySelector(".say");
  if (said) document.querySelector(".say").replaceChildren(...said.childNodes);
  document.dispatchEvent(new Event("arrived"));
  return theirs;
}
