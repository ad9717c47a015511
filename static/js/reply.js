// Moves the one composer under the comment that is being answered, and back.

let home, asked = false, opener;
const texts = new Map(); // what was typed for each place, by draft key

export function handle(event, found) {
  if (event.type === "click") open(found);
  else if (event.key === "Escape") close(found);
}

function open(link) {
  const form = document.querySelector("form[data-composer]");
  if (!form) return location.assign(link.href);
  if (!home) {
    home = document.createComment("composer");
    form.before(home);
    form.dataset.homeKey = form.dataset.draftKey ?? "";
    form.dataset.homeParent = form.elements.parent_id.value;
    form.dataset.homeLabel = area(form).labels[0].textContent;
  }
  opener = link;
  const comment = link.closest(".comment");
  const name = comment.querySelector(".comment__name bdi").textContent;
  comment.after(form);
  form.classList.add("composer--reply", "is-open");
  // A key is the essay's slug, and for a reply a colon and the comment's number.
  change(form, `${form.dataset.homeKey.split(":")[0]}:${link.dataset.reply}`, link.dataset.reply, `Reply to ${name}`);
  offerCancel(form);
  area(form).focus();
}

function close(form) {
  const status = noteOf(form);
  if (area(form).value.trim() && !asked) {
    asked = true;
    status.textContent = "Press Esc again to close. Your text is kept.";
    return;
  }
  status.textContent = "";
  form.querySelector("[data-cancel]")?.remove();
  form.classList.remove("composer--reply", "is-open");
  home.after(form);
  change(form, form.dataset.homeKey, form.dataset.homeParent, form.dataset.homeLabel);
  opener.focus();
}

/** Give the form another place: its key, its parent and its name; the text of each place stays with it. */
function change(form, key, parent, label) {
  const box = area(form);
  texts.set(form.dataset.draftKey, box.value);
  form.dataset.draftKey = key;
  form.elements.parent_id.value = parent;
  box.labels[0].textContent = label;
  box.value = texts.get(key) ?? "";
  form.querySelector(".preview")?.replaceChildren();
  form.querySelector(".draft")?.remove();
  asked = false;
  if (!box.value) import("./draft.js").then((module) => module.start([form]));
}

function offerCancel(form) {
  if (form.querySelector("[data-cancel]")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--plain";
  button.dataset.cancel = "";
  button.textContent = "Cancel";
  button.addEventListener("click", () => { asked = true; close(form); });
  form.querySelector(".row").append(button);
}

function noteOf(form) {
  let note = form.querySelector("[data-note]");
  if (!note) {
    note = document.createElement("p");
    note.className = "composer__fine";
    note.dataset.note = "";
    note.setAttribute("role", "status");
    form.querySelector(".row").after(note);
  }
  return note;
}

const area = (form) => form.querySelector("textarea");
