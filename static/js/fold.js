// Remembers on this device which threads the reader has folded.

const key = "folded";

export function start(folds) {
  const folded = read();
  for (const fold of folds) if (folded.includes(fold.id) && !fold.querySelector(":target")) fold.open = false;
}

/** Note what a click on the line above a thread has made of it. */
export function handle(event, summary) {
  const fold = summary.parentElement;
  const others = read().filter((id) => id !== fold.id);
  const folded = fold.open ? others : [...others, fold.id].slice(-500);
  try {
    if (folded.length) localStorage.setItem(key, JSON.stringify(folded));
    else localStorage.removeItem(key);
  } catch {
    // Not allowed to remember: the thread folds all the same.
  }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? [];
  } catch {
    return [];
  }
}
