// Lets the preview follow what is typed.

import { swap } from "./swap.js";

const pause = 400; // milliseconds after the last key

export function start(forms) {
  for (const form of forms) {
    let timer, running = false, again = false;
    const show = async () => {
      if (running) return void (again = true);
      running = true;
      try {
        await swap(form, form.querySelector("[data-swap]"), form.querySelector("[data-swap]").dataset.swap);
      } catch {
        // The old preview stays; the button still works.
      }
      running = false;
      if (again) show(again = false);
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(show, pause);
    });
  }
}
