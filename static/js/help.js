// The list of keys, and the switch that turns them off on this device.

const reading = { j: "next reply", k: "previous reply", n: "next new reply", p: "previous new reply", u: "the reply above", o: "fold or unfold the thread", r: "answer", l: "copy the link", "?": "this list" };
const deciding = {
  j: "next", k: "previous", a: "post or keep", r: "post and reply", x: "remove, then a number for the reason", s: "spam", b: "ban, and again to mean it",
  f: "author’s pick", p: "pin", l: "close the thread", m: "more", v: "select", "*": "select all", "Shift A": "post what is selected",
  "Shift X": "remove what is selected", "Shift S": "spam is what is selected", u: "undo", o: "open in its thread", "1 to 9": "the queues", "/": "find", "?": "this list",
};
const sorting = { j: "next", k: "previous", Enter: "open", e: "mark as read", "?": "this list" };

export const handle = () => help();

/** Say whether single keys are on: the account's setting first, then this device's, which the page takes over at load. */
export const areOn = () => document.documentElement.dataset.keys !== "off";

const lists = () => (document.querySelector("[data-desk]") ? deciding : document.querySelector("[data-inbox]") ? sorting : reading);

export function help() {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "keys-title");
  dialog.innerHTML = `<h2 id="keys-title">Keys</h2><dl class="facts"></dl>
    <form method="dialog"><label class="check"><input type="checkbox"><span>Single keys work on this device</span></label>
    <button class="button" autofocus>Close</button></form>`;
  for (const [key, words] of Object.entries(lists())) {
    const term = document.createElement("dt"), meaning = document.createElement("dd");
    term.innerHTML = '<kbd class="key"></kbd>';
    term.firstChild.textContent = key;
    meaning.textContent = words;
    dialog.querySelector("dl").append(term, meaning);
  }
  const box = dialog.querySelector("input");
  box.checked = areOn();
  box.addEventListener("change", () => {
    document.documentElement.dataset.keys = box.checked ? "on" : "off";
    try {
      localStorage.setItem("keys", document.documentElement.dataset.keys);
    } catch {
      // nothing is kept on this device: it holds for this page
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
